"""What is ordered: checked inputs and their faults in words, the same at every door."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from eo.errors import InvalidInput
from eo.job import Process
from eo.stage import Record

MAX_SHOWN = 80
"""Characters of a wrong value that are shown."""


class Request(Record):
    """An order as it came in; written once."""

    process: str
    inputs: dict[str, Any]
    owner: str
    """Digest of who ordered it: names and e-mail addresses are not kept."""
    key: str
    """Digest of what makes the order this one and no other."""
    origin: dict[str, Any] = Field(default_factory=dict)
    """How it came in, such as the key of an upload."""


def digest(*words: str) -> str:
    """SHA-256 of some words, in hex; no two lists of words have the same."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def job_id(owner: str, key: str) -> str:
    """The same owner and key are the same job."""
    return digest(owner, key)[:16]


def validated(process: Process, inputs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - each process has its own Inputs
    """The inputs as the process wants them. Raises InvalidInput naming every fault."""
    try:
        return process.Inputs.model_validate(dict(inputs))
    except ValidationError as error:
        raise InvalidInput("; ".join(_fault(fault) for fault in error.errors(include_url=False))) from None


def _fault(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    """One finding as "name value: reason"."""
    name = ".".join(str(part) for part in fault["loc"])
    reason = str(fault["msg"]).removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    if fault["type"] == "extra_forbidden":
        return f"{name} is not an input of this process"
    if fault["type"] == "missing":
        return f"{name} is required"
    if fault["type"] == "bbox" or not name:
        return reason
    return f"{name} {str(fault['input'])[:MAX_SHOWN]!r}: {reason}"
