"""Outlines of granules in longitude and latitude, right across the antimeridian too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyproj import Transformer
from shapely.affinity import translate
from shapely.geometry import MultiPolygon, Polygon, box, mapping

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STEPS = 32
"""Points per edge: a straight line on the map bends in longitude and latitude, by up to 100 m over a tile of 110 km."""

_DECIMALS = 9
"""0.1 mm: coarser rounding would leave border pixels of small test scenes outside."""


def ring(corners: list[tuple[float, float]], epsg: int) -> list[tuple[float, float]]:
    """Turn map corners (x, y of `epsg`) into a closed ring of (lon, lat) in -180..180, as products' metadata have it."""
    points = _dense(corners)
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(points[:, 0], points[:, 1])
    turned = [(float(x), float(y)) for x, y in zip((lon + 180.0) % 360.0 - 180.0, lat, strict=True)]
    return [*turned, turned[0]]


def outline(corners: list[tuple[float, float]], epsg: int) -> Polygon | MultiPolygon:
    """Turn map corners (x, y of `epsg`, any order of rotation) into lon/lat within -180..180, split at 180."""
    points = _dense(corners)
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(points[:, 0], points[:, 1])
    # Turns of 360 degrees are taken out relative to the first point: the ring may then reach beyond 180.
    lon = lon[0] + (np.asarray(lon) - lon[0] + 180.0) % 360.0 - 180.0
    whole = Polygon(np.column_stack([np.round(lon, _DECIMALS), np.round(lat, _DECIMALS)])).normalize()
    cut = [translate(whole.intersection(box(-180 + turn, -90, 180 + turn, 90)), -turn) for turn in (-360, 0, 360)]
    parts = [part for part in cut if isinstance(part, Polygon) and part.area > 0]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _dense(corners: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Points along the edges between corners, float64 (points, 2); the first corner is not repeated."""
    edges = zip(corners, corners[1:] + corners[:1], strict=True)
    return np.concatenate([np.linspace(start, end, _STEPS, endpoint=False) for start, end in edges])


def geojson(shape: Polygon | MultiPolygon) -> dict[str, Any]:
    """Return the shape as a GeoJSON geometry of lists."""
    plain = mapping(shape)
    return {"type": plain["type"], "coordinates": _lists(plain["coordinates"])}


def _lists(nested: Any) -> Any:
    return [_lists(inner) for inner in nested] if isinstance(nested, tuple) else nested


def bbox(shape: Polygon | MultiPolygon) -> list[float]:
    """GeoJSON bounding box: west exceeds east where the shape crosses the antimeridian (RFC 7946, section 5.2)."""
    parts = list(shape.geoms) if isinstance(shape, MultiPolygon) else [shape]
    _, south, _, north = shape.bounds
    if len(parts) == 1:
        return list(shape.bounds)
    west = min(part.bounds[0] for part in parts if part.bounds[2] >= 180)
    east = max(part.bounds[2] for part in parts if part.bounds[0] <= -180)
    return [west, south, east, north]
