"""What a STAC item must be to match: the `query` extension, CQL2-JSON filters and datetime intervals.

A comparison with a property that an item lacks is unknown, as in SQL, and unknown does not match: real servers drop
items without `eo:cloud_cover` from `lt` and from `neq` alike.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Item = Mapping[str, Any]
Predicate = Callable[[Item], bool | None]

MICROSECOND = 1_000_000
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_QUERY: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "neq": operator.ne,
    "lt": operator.lt,
    "lte": operator.le,
    "gt": operator.gt,
    "gte": operator.ge,
    "in": lambda value, wanted: value in wanted,
    "startsWith": lambda value, wanted: str(value).startswith(wanted),
    "endsWith": lambda value, wanted: str(value).endswith(wanted),
    "contains": lambda value, wanted: wanted in value,
}
_CQL2 = {"=": "eq", "<>": "neq", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "in": "in"}
_FIELDS = frozenset({"id", "collection", "geometry", "bbox"})


class BadRequestError(ValueError):
    """A request that a STAC API answers with 400."""


def value_of(item: Item, name: str) -> Any:
    """Return a property, or `id`, `collection` and the like; None if the item has none."""
    if name in _FIELDS:
        return item.get(name)
    return item["properties"].get(name.removeprefix("properties."))


def query_predicate(query: Mapping[str, Mapping[str, Any]]) -> Predicate:
    """Compile the `query` extension (https://github.com/stac-api-extensions/query)."""
    unknown = {name for tests in query.values() for name in tests} - _QUERY.keys()
    if unknown:
        raise BadRequestError(f"unknown query operators: {sorted(unknown)}")
    tests = [_comparison(key, _QUERY[name], wanted) for key, each in query.items() for name, wanted in each.items()]
    return lambda item: all(test(item) for test in tests)


def cql2_predicate(node: Any) -> Predicate:
    """Compile CQL2-JSON: and, or, not, isNull, between, in and the comparisons of a property with a literal."""
    if not isinstance(node, Mapping) or not isinstance(node.get("args"), list):
        raise BadRequestError(f"not a CQL2-JSON expression: {node!r}")
    name, args = node.get("op"), node["args"]
    if name in {"and", "or"}:
        return _combined(name == "or", [cql2_predicate(arg) for arg in args])
    if name == "not":
        inner = cql2_predicate(args[0])
        return lambda item: None if (found := inner(item)) is None else not found
    key = args[0].get("property") if isinstance(args[0], Mapping) else None
    if key is None:
        raise BadRequestError(f"the first argument of {name!r} must be a property")
    if name == "isNull":
        return lambda item: value_of(item, key) is None
    if name == "between":
        return _comparison(key, lambda value, bounds: bool(bounds[0] <= value <= bounds[1]), args[1:])
    if name not in _CQL2:
        raise BadRequestError(f"unknown CQL2 operator {name!r}")
    return _comparison(key, _QUERY[_CQL2[name]], args[1])


def _comparison(key: str, test: Callable[[Any, Any], bool], wanted: Any) -> Predicate:
    if isinstance(wanted, Mapping) and "timestamp" in wanted:
        wanted = wanted["timestamp"]

    def compare(item: Item) -> bool | None:
        value = value_of(item, key)
        return None if value is None else test(value, wanted)

    return compare


def _combined(decisive: bool, parts: list[Predicate]) -> Predicate:
    """Three-valued `or` (decisive True) and `and` (decisive False)."""

    def combine(item: Item) -> bool | None:
        found = [part(item) for part in parts]
        if any(one is decisive for one in found):
            return decisive
        return None if None in found else not decisive

    return combine


def microseconds(text: str) -> int:
    """Parse an RFC 3339 time, to microseconds since 1970."""
    if not _RFC3339.fullmatch(text):
        raise BadRequestError(f"{text!r} is not an RFC 3339 date-time")
    # Digits after the sixth are cut: fromisoformat rounds nothing, it refuses them.
    moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper())).astimezone(UTC)
    seconds = int(moment.replace(microsecond=0).timestamp())
    return seconds * MICROSECOND + moment.microsecond


def interval(text: str) -> tuple[int | None, int | None]:
    """Parse `start/end`, where `..` or nothing is open, or a single time; both ends belong to it."""
    ends = text.split("/")
    if len(ends) == 1:
        return microseconds(text), microseconds(text)
    if len(ends) != 2 or all(end in {"", ".."} for end in ends):
        raise BadRequestError(f"{text!r} is not a datetime interval")
    first, last = (None if end in {"", ".."} else microseconds(end) for end in ends)
    if first is not None and last is not None and first > last:
        raise BadRequestError(f"{text!r} ends before it begins")
    return first, last
