"""The functions as the template deploys them: handler, limits and environment of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws.infra.template import ROOT, functions, template

if TYPE_CHECKING:
    from collections.abc import Mapping

CLIENT = ROOT / ".venv-sam" / "runtime"
"""The runtime client for the runtime's own Python, which Lambda has beside the layers."""


@dataclass(frozen=True)
class Deployed:
    """One function of the template."""

    handler: str
    timeout: int
    """Seconds."""
    memory: int
    """MB."""
    environment: Mapping[str, str]


def deployed(name: str, refs: Mapping[str, str]) -> Deployed:
    """A function by its logical id; `refs` says what resources and parameters are, others have their defaults."""
    own = functions()[name]
    return Deployed(
        handler=own["Handler"],
        timeout=int(_value(own["Timeout"], refs)),
        memory=int(_value(own["MemorySize"], refs)),
        environment={key: _value(value, refs) for key, value in own["Environment"]["Variables"].items()},
    )


def _value(value: Any, refs: Mapping[str, str]) -> str:
    match value:
        case {"Ref": name}:
            return refs[name] if name in refs else str(template()["Parameters"][name]["Default"])
        case {"Fn::FindInMap": [name, *keys]}:
            first, second = (_value(key, refs) for key in keys)
            return str(template()["Mappings"][name][first][second])
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda match: _value({"Ref": match[1]}, refs), text)
        case str() | int():
            return str(value)
    raise AssertionError(f"{value} stands in an environment: teach tests/aws/rie/deployed.py what it is")
