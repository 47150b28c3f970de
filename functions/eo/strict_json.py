"""JSON from outside, read strictly: what two readers could take differently is refused."""

import json
import math
from typing import Any

from eo.errors import InvalidInput

MAX_DEPTH = 32
"""Levels of a document; a GeoJSON collection of polygons in many parts has ten."""
MAX_DIGITS = 400
"""Digits of a number, more than any double has: longer ones cost more time than they say."""


def parse(data: bytes, name: str) -> Any:  # noqa: ANN401 - whatever JSON there is
    """A document in UTF-8, with or without a byte order mark. Raises InvalidInput; messages call it `name`."""
    try:
        document = json.loads(
            data.decode("utf-8-sig"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short,
            object_pairs_hook=_once,
        )
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{name} is not UTF-8 (byte {error.start}): save it as UTF-8") from None
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise InvalidInput(f"{name} is not JSON: {error}") from None
    if _deeper(document, MAX_DEPTH):
        raise _too_deep(name)
    return document


def storable(value: object, name: str) -> None:
    """Raises InvalidInput where a text is half of a surrogate pair, which is JSON but neither stored nor sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds half of a surrogate pair, which is no character") from None


def _too_deep(name: str) -> InvalidInput:
    return InvalidInput(f"{name} has more than {MAX_DEPTH} levels; nothing that can be ordered has")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is too large")
    return value


def _short(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has {len(text)} digits, more than {MAX_DIGITS}")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ: which of two equal ones counts is not the same everywhere (RFC 8259, 4)."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"the name {name[:40]!r} stands twice in one object")
        result[name] = value
    return result


def _deeper(value: object, levels: int) -> bool:
    """Whether a document has more levels; recursion ends at the limit."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(child, levels - 1) for child in children)
