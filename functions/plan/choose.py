"""Which scenes a job uses: the clearest and newest first, and none that adds no ground."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from eo.bbox import BBox
from eo.errors import CorruptData, NothingFound
from plan.candidate import Candidate

SLIVER = 2e-5
"""Half the width, in degrees, of what is too thin to count as ground: 4 m in all, less than half a 10 m pixel.
Footprints are rounded to 1e-6 degrees and approximate to begin with, so neighbours leave such gaps."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Scenes in the order in which they fill the job, and what they leave."""

    candidates: list[Candidate]
    uncovered: float
    """Share of the bbox, in square degrees, under no footprint; gaps thinner than `SLIVER` do not count."""


def choose(candidates: Sequence[Candidate], bbox: BBox, *, max_cloud_cover: float | None = None) -> Choice:
    """Take scenes by cloud (unknown last), then newest, until they cover the bbox or none adds anything.

    Of several processings of one datatake and tile only the newest baseline is looked at. A scene without
    cloud cover passes any limit (percent). Raises NothingFound where nothing is left, CorruptData where a
    footprint is no geometry.
    """
    latest = _newest_processings(candidates)
    clear = [c for c in latest if max_cloud_cover is None or c.cloud_cover is None or c.cloud_cover <= max_cloud_cover]
    clear.sort(key=lambda c: (c.datetime, c.baseline or "", c.id), reverse=True)
    clear.sort(key=lambda c: (c.cloud_cover is None, c.cloud_cover or 0.0))
    chosen, uncovered = _cover(clear, bbox)
    if not chosen:
        raise NothingFound(_explain(candidates, clear, bbox, max_cloud_cover))
    return Choice(chosen, uncovered)


def geometries(footprints: Sequence[dict[str, Any]], centre_lon: float) -> NDArray[np.object_]:
    """Make valid polygons of GeoJSON geometries, in longitudes around a meridian.

    However a footprint says that it crosses the antimeridian (split in two, or with longitudes that jump), it comes
    out in one piece. Raises ValueError, TypeError or KeyError where one is no geometry of areas.
    """
    points: list[Any] = []
    ring_of_point: list[int] = []
    holes_of_polygon: list[list[int]] = []
    shape_of_polygon: list[int] = []
    rings = 0
    for number, footprint in enumerate(footprints):
        for polygon in _polygons(footprint):
            shape_of_polygon.append(number)
            holes_of_polygon.append(list(range(rings, rings + len(polygon))))
            for ring in polygon:
                points.extend(point[:2] for point in ring)
                ring_of_point.extend([rings] * len(ring))
                rings += 1
    if not rings:
        return np.full(len(footprints), shapely.Polygon(), dtype=object)
    coordinates = np.array(points, dtype=np.float64)
    owner = np.array(ring_of_point)
    coordinates[:, 0] = _in_one_piece(coordinates[:, 0], owner, centre_lon)
    linear = np.asarray(shapely.linearrings(coordinates, indices=owner), dtype=object)
    shells = np.asarray(shapely.polygons(linear[[own[0] for own in holes_of_polygon]]), dtype=object)
    for number, own in enumerate(holes_of_polygon):
        if len(own) > 1:
            shells[number] = shapely.Polygon(linear[own[0]], [linear[hole] for hole in own[1:]])
    shapes = np.full(len(footprints), shapely.Polygon(), dtype=object)
    present, counts = np.unique(shape_of_polygon, return_counts=True)
    parts = np.split(shells, np.cumsum(counts)[:-1])
    shapes[present] = [part[0] if len(part) == 1 else shapely.union_all(shapely.make_valid(part)) for part in parts]
    invalid = ~shapely.is_valid(shapes)
    shapes[invalid] = shapely.make_valid(shapes[invalid])
    return shapes


def _polygons(footprint: dict[str, Any]) -> Iterable[Any]:
    if footprint["type"] == "Polygon":
        return [footprint["coordinates"]]
    if footprint["type"] == "MultiPolygon":
        return list(footprint["coordinates"])
    raise ValueError(f"{footprint['type']} instead of Polygon or MultiPolygon")


def _in_one_piece(lon: NDArray[np.float64], owner: NDArray[np.int_], centre_lon: float) -> NDArray[np.float64]:
    """Undo jumps of more than half a turn within each ring, then turn the ring to the side of the centre."""
    step = np.diff(lon)
    turns = np.where(owner[1:] == owner[:-1], -np.round(step / 360), 0)
    total = np.concatenate([[0], np.cumsum(turns)])
    first = np.searchsorted(owner, owner)
    lon = lon + 360 * (total - total[first])
    count = np.bincount(owner)
    middle = np.bincount(owner, weights=lon) / count
    shifted: NDArray[np.float64] = lon - 360 * np.round((middle - centre_lon) / 360)[owner]
    return shifted


def _newest_processings(candidates: Sequence[Candidate]) -> list[Candidate]:
    newest: dict[tuple[str, str, str], str] = {}
    for c in candidates:
        if c.acquisition is not None:
            newest[c.acquisition] = max(newest.get(c.acquisition, ""), c.baseline or "")
    # Equal baselines stay: a datatake that was downlinked in two pieces has two products of one tile.
    return [c for c in candidates if c.acquisition is None or (c.baseline or "") == newest[c.acquisition]]


def _cover(ordered: Sequence[Candidate], bbox: BBox) -> tuple[list[Candidate], float]:
    area: BaseGeometry = bbox.polygon()
    thin = min(SLIVER, 1e-3 * min(bbox.width, bbox.height))
    rest: BaseGeometry = area
    chosen: list[Candidate] = []
    shapely.prepare(rest)
    for candidate, shape in zip(ordered, _shapes(ordered, bbox), strict=True):
        if not rest.intersects(shape) or _is_thin(rest.intersection(shape), thin):
            continue
        chosen.append(candidate)
        rest = rest.difference(shape)
        if _is_thin(rest, thin):
            return chosen, 0.0
        shapely.prepare(rest)
    return chosen, rest.area / area.area


def _shapes(candidates: Sequence[Candidate], bbox: BBox) -> NDArray[np.object_]:
    try:
        return geometries([c.footprint for c in candidates], bbox.centre_lon)
    except (ValueError, TypeError, KeyError, IndexError, shapely.errors.ShapelyError):
        for c in candidates:  # all at once is fast; one by one tells which
            try:
                geometries([c.footprint], bbox.centre_lon)
            except (ValueError, TypeError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
                raise CorruptData(f"item {c.id}: its footprint is not a polygon ({error})") from error
        raise


def _is_thin(shape: BaseGeometry, half: float) -> bool:
    return bool(shape.area == 0 or shape.buffer(-half, join_style="mitre").is_empty)


def _explain(
    candidates: Sequence[Candidate], clear: Sequence[Candidate], bbox: BBox, max_cloud_cover: float | None
) -> str:
    if not candidates:
        return f"no scene matches bbox {bbox} and the dates: widen the dates, or check the bbox and the collection"
    if not clear:
        least = min(c.cloud_cover for c in candidates if c.cloud_cover is not None)
        return (
            f"{len(candidates)} scenes match bbox {bbox} and the dates, but none has at most {max_cloud_cover:g} % cloud; "
            f"the clearest has {least:.1f} %: raise max_cloud_cover or widen the dates"
        )
    return (
        f"{len(candidates)} scenes match ({len(clear)} of them within the cloud limit), but no footprint covers any of "
        f"bbox {bbox}: check its longitudes and latitudes"
    )
