"""stac-validator, offline."""

import importlib.resources
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).parent / "schemas"
CORE = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema"
Validate = Callable[[dict[str, Any]], dict[str, Any]]
"""Gives stac-validator's answer about an item."""


def validator(folder: Path, extensions: Sequence[str]) -> Validate:
    """stac-validator itself, with every schema from this disk."""
    bundled = Path(str(importlib.resources.files("pystac.validation.jsonschemas")))
    schemas = {f"{CORE}/{path.name}": str(path) for path in (bundled / "stac-spec" / "v1.1.0").glob("*.json")}
    schemas |= {f"https://geojson.org/schema/{path.name}": str(path) for path in (bundled / "geojson").glob("*.json")}
    for url in extensions:
        name, version = url.split("/")[-3:-1]
        schemas[url] = str(SCHEMAS / f"{name}-{version}.json")
    config = folder / "schemas.json"
    config.write_text(json.dumps({"schemas": schemas}))

    def run(content: dict[str, Any]) -> dict[str, Any]:
        path = folder / "item.json"
        path.write_text(json.dumps(content))
        program = Path(sys.executable).with_name("stac-validator")
        # Nothing may come from the network: a proxy that nobody listens at.
        done = subprocess.run(
            [program, "validate", path, "--schema-config", config],
            env={"PATH": "", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout[done.stdout.index("[") : done.stdout.rindex("]") + 1])[0]
        assert answer["valid_stac"] == (done.returncode == 0), done.stderr
        return answer

    return run
