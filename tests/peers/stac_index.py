"""STAC items in memory, with columns for place and time, so that a search over 10,000 takes milliseconds."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry import box, shape

from peers.stac_filter import (
    BadRequestError,
    Item,
    Predicate,
    cql2_predicate,
    interval,
    microseconds,
    query_predicate,
    value_of,
)

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

_ALWAYS = ("id", "collection")


class Index:
    """Items in the order of a real catalogue: newest first, then by id."""

    def __init__(self, items: Iterable[Item]) -> None:
        everything = sorted(items, key=lambda item: item["id"])
        spans = [_span(item) for item in everything]
        order = sorted(range(len(everything)), key=lambda number: -spans[number][0])
        self.items = [everything[number] for number in order]
        self._starts = np.array([spans[number][0] for number in order], "int64")
        self._ends = np.array([spans[number][1] for number in order], "int64")
        self._shapes = np.array([_shape(item.get("geometry")) for item in self.items], object)
        self._numbers: dict[tuple[str, str], int] = {
            (item["collection"], item["id"]): number for number, item in enumerate(self.items)
        }
        self._cached = functools.lru_cache(maxsize=32)(self._find)

    @property
    def collections(self) -> list[str]:
        """Names of the collections that have items."""
        return sorted({collection for collection, _ in self._numbers})

    def get(self, collection: str, name: str) -> Item | None:
        """Return one item."""
        number = self._numbers.get((collection, name))
        return None if number is None else self.items[number]

    def find(self, search: Mapping[str, Any]) -> Sequence[int]:
        """Return the numbers of the items that match, in order; kept for the next pages of the same search."""
        return self._cached(json.dumps(search, sort_keys=True))

    def _find(self, search_text: str) -> Sequence[int]:
        search: dict[str, Any] = json.loads(search_text)
        keep = np.ones(len(self.items), bool)
        if when := search.get("datetime"):
            first, last = interval(when)
            keep &= self._ends >= first if first is not None else True
            keep &= self._starts <= last if last is not None else True
        if "bbox" in search:
            keep &= self._intersecting(bbox_shape(search["bbox"]))
        if "intersects" in search:
            keep &= self._intersecting(_shape(search["intersects"]))
        numbers: list[int] = np.flatnonzero(keep).tolist()
        for predicate in _predicates(search):
            numbers = [number for number in numbers if predicate(self.items[number])]
        for rule in reversed(search.get("sortby", [])):
            numbers = self._sorted(numbers, rule)
        return numbers

    def _intersecting(self, area: BaseGeometry | None) -> np.ndarray:
        shapely.prepare(area)
        return np.asarray(shapely.intersects(area, self._shapes), bool)

    def _sorted(self, numbers: list[int], rule: Mapping[str, str]) -> list[int]:
        """Sort by one field, stably; items without it come last in either direction, as in PostgreSQL's NULLS LAST."""
        field = rule["field"]
        known = [number for number in numbers if value_of(self.items[number], field) is not None]
        rest = [number for number in numbers if value_of(self.items[number], field) is None]
        known.sort(key=lambda number: value_of(self.items[number], field), reverse=rule.get("direction") == "desc")
        return known + rest


def bbox_shape(bbox: Sequence[float]) -> BaseGeometry:
    """Return the area of a box; one whose west lies east of its east crosses the antimeridian."""
    if len(bbox) not in {4, 6}:
        raise BadRequestError(f"a bbox has 4 or 6 numbers, not {len(bbox)}")
    west, south, east, north = (*bbox[:2], *bbox[len(bbox) // 2 :][:2])
    if south > north or not (-180 <= west <= 180 and -180 <= east <= 180 and south >= -90 and north <= 90):
        raise BadRequestError(f"not a bbox: {list(bbox)}")
    if west <= east:
        return box(west, south, east, north)
    return shapely.MultiPolygon([box(west, south, 180, north), box(-180, south, east, north)])


def project(item: Item, include: Sequence[str], exclude: Sequence[str]) -> Item:
    """Apply the `fields` extension as pgstac does: what is included and id and collection, less what is excluded."""
    if not include and not exclude:
        return item
    out: dict[str, Any] = {}
    if include:
        for path in (*_ALWAYS, *include):
            _copy(item, out, path.split("."))
    else:
        out = dict(item)
    for path in exclude:
        if path not in _ALWAYS:
            out = _without(out, path.split("."))
    return out


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Copy one field; names of properties and assets hold no dots, so each dot is a level."""
    name, *rest = path
    if name not in source:
        return
    if not rest:
        target[name] = source[name]
    elif isinstance(source[name], Mapping):
        # A level that was taken whole by a wider entry is the source's own: leave it whole.
        inner = target.setdefault(name, {})
        if inner is not source[name]:
            _copy(source[name], inner, rest)


def _without(source: Mapping[str, Any], path: list[str]) -> dict[str, Any]:
    name, *rest = path
    out = dict(source)
    if not rest:
        out.pop(name, None)
    elif isinstance(out.get(name), Mapping):
        out[name] = _without(out[name], rest)
    return out


def _predicates(search: Mapping[str, Any]) -> list[Predicate]:
    found: list[Predicate] = []
    for field, name in (("ids", "id"), ("collections", "collection")):
        if wanted := frozenset(search.get(field, ())):
            found.append(lambda item, name=name, wanted=wanted: item[name] in wanted)  # type: ignore[misc]
    if "query" in search:
        found.append(query_predicate(search["query"]))
    if "filter" in search:
        found.append(cql2_predicate(search["filter"]))
    return found


def _span(item: Item) -> tuple[int, int]:
    properties = item["properties"]
    if properties.get("datetime"):
        return (microseconds(properties["datetime"]),) * 2
    return microseconds(properties["start_datetime"]), microseconds(properties["end_datetime"])


@functools.lru_cache(maxsize=4096)
def _parsed(geometry: str) -> BaseGeometry:
    return shape(json.loads(geometry))


def _shape(geometry: Mapping[str, Any] | None) -> BaseGeometry | None:
    """Parse a geometry, once for all the items that have the same; an item without one lies nowhere."""
    return None if geometry is None else _parsed(json.dumps(geometry))
