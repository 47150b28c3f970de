"""Bounding boxes of polygons as GeoJSON has them (RFC 7946): degrees, and cut in two or not at the antimeridian."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from eo.bbox import MAX_SPAN, BBox
from eo.errors import InvalidInput

DEGREES = "GeoJSON has degrees of longitude and latitude on WGS 84: reproject it"


@dataclass(frozen=True, slots=True)
class Span:
    """Longitudes of one ring, counted on where it crosses the antimeridian, and what its file calls the two ends."""

    west: float
    east: float
    west_as_written: float
    east_as_written: float

    def turned(self) -> "Span":
        """The same with its western end within [-180, 180)."""
        turns = 360 * math.floor((self.west + 180) / 360)
        return Span(self.west - turns, self.east - turns, self.west_as_written, self.east_as_written)


def box(geometry: object) -> BBox:
    """The smallest box around a Polygon or MultiPolygon. Raises InvalidInput.

    Its edges are numbers of the geometry itself, so that boxes of abutting polygons abut.
    """
    rings = list(_rings(geometry))
    west, east = _around([_span(ring) for ring in rings])
    lats = [lat for ring in rings for _, lat in ring]
    return BBox(west, min(lats), east, max(lats))


def _rings(geometry: object) -> Iterator[list[tuple[float, float]]]:
    """The outer rings; holes change no box."""
    kind = geometry.get("type") if isinstance(geometry, Mapping) else None
    if not isinstance(geometry, Mapping) or kind not in {"Polygon", "MultiPolygon"}:
        raise InvalidInput(f"its geometry is {str(kind)[:40]!r}, which has no area: give a Polygon or MultiPolygon")
    coordinates = geometry.get("coordinates")
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(polygons, list) or not polygons:
        raise InvalidInput(f"its {kind} has no coordinates")
    for polygon in polygons:
        ring = polygon[0] if isinstance(polygon, list) and polygon else None
        if not isinstance(ring, list) or len(ring) < 4:
            raise InvalidInput(f"its {kind} has a ring of fewer than four positions")
        yield [_position(position) for position in ring]


def _position(position: object) -> tuple[float, float]:
    if not isinstance(position, list) or len(position) < 2 or not all(map(_is_number, position[:2])):
        raise InvalidInput(f"its position {str(position)[:60]} is not two numbers")
    lon, lat = position[:2]
    # Tools that draw across the antimeridian count on, to 540 at most.
    if abs(lon) > 540 or abs(lat) > 90:
        raise InvalidInput(f"its position {str(position)[:60]} is not on Earth; {DEGREES}")
    return lon, lat


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _span(ring: Sequence[tuple[float, float]]) -> Span:
    """A step of more than half a turn is the short way across the antimeridian."""
    turns, before = 0, ring[0][0]
    counted = []
    for lon, _ in ring:
        turns += -360 if lon - before > 180 else 360 if before - lon > 180 else 0
        before = lon
        counted.append((lon + turns, lon))
    (west, west_as_written), (east, east_as_written) = min(counted), max(counted)
    if east - west > MAX_SPAN:
        raise InvalidInput(
            f"it spans {east - west:g} degrees of longitude, more than the {MAX_SPAN:g} that one job may: cut it"
        )
    return Span(west, east, west_as_written, east_as_written)


def _around(spans: Sequence[Span]) -> tuple[float, float]:
    """(west, east) of what remains without the widest gap between the spans, all around the globe."""
    ordered = sorted((span.turned() for span in spans), key=lambda span: span.west)
    reach, gaps = ordered[0], []
    for span in [*ordered[1:], None]:
        following = ordered[0].west + 360 if span is None else span.west
        gaps.append((following - reach.east, span or ordered[0], reach))
        if span is not None and span.east > reach.east:
            reach = span
    _, first, last = max(gaps, key=lambda gap: gap[0])
    return _within(first.west_as_written), _within(last.east_as_written)


def _within(lon: float) -> float:
    return lon if -180 <= lon <= 180 else (lon + 180) % 360 - 180


def overlap(one: BBox, other: BBox) -> BBox | None:
    """The part that two boxes share, None where that has no area."""
    west, south, east, north = one.unwrapped()
    turn = 360 * round((one.centre_lon - other.centre_lon) / 360)
    other_west, other_south, other_east, other_north = other.unwrapped()
    # With each end goes its longitude as it was given: turned by 360 degrees it may no longer be the same number.
    left = max((west, one.min_lon), (other_west + turn, other.min_lon))
    right = min((east, one.max_lon), (other_east + turn, other.max_lon))
    bottom, top = max(south, other_south), min(north, other_north)
    return BBox(left[1], bottom, right[1], top) if left[0] < right[0] and bottom < top else None
