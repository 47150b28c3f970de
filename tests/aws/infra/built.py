"""The bundle as `sam build` makes it, and the runtime's own Python to run it with."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, get_args

from aws.infra.template import QUIET, ROOT, SAM, load
from eo.card import CARD
from eo.correction import CorrectionInputs
from land_cover.process import LandCoverInputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ROOT / ".aws-sam"
MODELS: dict[str, tuple[str, ...]] = {
    "AtmosphericCorrectionFunction": get_args(CorrectionInputs.model_fields["model"].annotation),
    "LandCoverFunction": (LandCoverInputs.model_fields["model"].default,),
}
"""By function that runs them."""
ALL_MODELS = tuple(name for names in MODELS.values() for name in names)
_MADE = {"__pycache__", "eo_shards.egg-info"}


class Unavailable(Exception):
    """This machine lacks what a build needs; the message says what, and how to get it."""


@dataclass(frozen=True)
class Function:
    """A function of the built template."""

    name: str
    """Logical id."""
    handler: str
    folders: tuple[Path, ...]
    """Its code and then its layers: what Lambda mounts at /var/task and /opt."""

    @property
    def paths(self) -> list[str]:
        """Where it imports from, in Lambda's order."""
        code, *layers = self.folders
        return [str(code), *(str(layer / "python") for layer in layers)]

    @property
    def models(self) -> Path | None:
        """What is at /opt/models there; None without models. One layer has all that a function reads."""
        found = [layer / "models" for layer in self.folders[1:] if (layer / "models").is_dir()]
        assert len(found) <= 1, f"{self.name} has models in {found}"
        return found[0] if found else None

    @property
    def size(self) -> int:
        """Bytes, unzipped."""
        return sum(path.stat().st_size for folder in self.folders for path in folder.rglob("*") if path.is_file())


@cache
def python313() -> str:
    """Path of a Python 3.13. Raises Unavailable."""
    found = subprocess.run(
        [sys.executable, ROOT / "layers" / "python313.py"], capture_output=True, text=True, timeout=300, check=False
    )
    if found.returncode != 0:
        raise Unavailable(found.stderr.strip())
    return found.stdout.strip()


@cache
def built() -> dict[str, Function]:
    """The functions, by logical id, built from the sources as they are. Raises Unavailable.

    Nothing is built again for sources that were built before, whoever asks: workers of one test run wait for each other.
    """
    if not (SAM / "sam").exists():
        raise Unavailable("the SAM environment is not installed: make sam")
    missing = [name for name in ALL_MODELS if not (ROOT / "layers" / "models" / name / CARD).is_file()]
    # The repository has them: without one, nothing here is to be skipped.
    assert not missing, (
        f"no {', '.join(missing)} in layers/models: training.atmospheric_correction and training.land_cover make them"
    )
    FOLDER.mkdir(exist_ok=True)
    stamp = FOLDER / "tested"
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = _digest()
        if not stamp.exists() or stamp.read_text() != wanted or not (FOLDER / "build" / "template.yaml").exists():
            stamp.unlink(missing_ok=True)
            _build()
            stamp.write_text(wanted)
    return {function.name: function for function in _functions()}


def imported(function: Function, code: str) -> str:
    """What a program prints that runs on a function's own paths only, as on Lambda, with a bare environment."""
    setup = f"import sys; sys.path[:0] = {json.dumps(function.paths)}\n"
    region = {"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "eu-central-1"}
    environment = {**region, "EO_SHARDS_BUCKET": "data-bucket", "PATH": "/usr/bin:/bin", "TZ": ":UTC"}
    done = subprocess.run(
        # -I: nothing of the environment or the user; -S: no site-packages; -B: leave no byte code behind.
        [python313(), "-I", "-S", "-B", "-c", setup + code],
        cwd=function.folders[0],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{function.name}: {done.stderr}"
    return done.stdout


def _build() -> None:
    python313()
    done = subprocess.run(
        [SAM / "sam", "build"],
        cwd=ROOT,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


def _functions() -> Iterator[Function]:
    folder = FOLDER / "build"
    made = load(folder / "template.yaml")["Resources"]
    for name, found in made.items():
        if found["Type"] == "AWS::Serverless::Function":
            properties = found["Properties"]
            layers = [made[layer["Ref"]]["Properties"]["ContentUri"] for layer in properties["Layers"]]
            folders = tuple((folder / place).resolve() for place in (properties["CodeUri"], *layers))
            yield Function(name, properties["Handler"], folders)


def _digest() -> str:
    """Of all that a build depends on."""
    digest = hashlib.sha256()
    roots = [ROOT / name for name in ("functions", "layers", "template.yaml", "samconfig.toml")]
    for path in sorted(path for root in roots for path in (root, *root.rglob("*")) if path.is_file()):
        if not _MADE & set(path.parts):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
