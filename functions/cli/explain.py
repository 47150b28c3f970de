"""Pydantic's findings in the words of the command line."""

from pydantic import ValidationError

MAX_SHOWN = 80


def explain(error: ValidationError) -> str:
    """All faults as "name value: reason", one sentence."""
    return "; ".join(_fault(fault) for fault in error.errors(include_url=False, include_context=False))


def _fault(fault: object) -> str:
    assert isinstance(fault, dict)
    name = ".".join(str(part) for part in fault["loc"])
    reason = str(fault["msg"]).removeprefix("Value error, ")
    reason = reason[:1].lower() + reason[1:]
    if fault["type"] == "extra_forbidden":
        return f"{name} is not an input of this process"
    if fault["type"] == "missing":
        return f"{name} is required"
    if fault["type"] == "bbox" or not name:
        return reason
    value = str(fault["input"])
    return f"{name} {value[:MAX_SHOWN]!r}: {reason}"
