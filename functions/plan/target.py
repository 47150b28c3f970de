"""The target grid of a job: CRS, resolution and phase of its first scene, and the window that holds the bbox."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError
from shapely import Polygon

from eo.bbox import BBox
from eo.catalog import Scene
from eo.errors import InvalidInput
from eo.geolocate import LONLAT, Doubles, transformer
from eo.grid import RasterGrid, TargetGrid, Window, utm_zone
from plan.choose import geometries

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

MAX_DEGREES_FROM_MERIDIAN = 9.0
"""A neighbouring zone's far edge. Scale is off by 0.4 % there and grows fast; beyond it the user decides."""

MAX_DEGREES_OUTSIDE = 30.0
"""How far outside of a CRS's area of use, in longitude, a job may reach that asks for it. A slip of a digit is farther."""


def choose_crs(scenes: Sequence[Scene], crs_of: Sequence[str], bbox: BBox) -> str:
    """Choose the UTM zone in which the scenes, in the order in which they fill it, cover most of the bbox.

    `crs_of` is each scene's CRS as its file says. Northern and southern siblings count together, and the half with more
    wins. Raises InvalidInput where the job reaches too far from that zone's central meridian.
    """
    left: BaseGeometry = bbox.polygon()
    areas: dict[str, float] = {}
    footprints = geometries([scene.footprint for scene in scenes], bbox.centre_lon)
    for footprint, crs in zip(footprints, crs_of, strict=True):
        ground = left.intersection(footprint)
        areas[crs] = areas.get(crs, 0.0) + ground.area
        left = left.difference(ground)

    def zone_area(crs: str) -> float:
        zone = utm_zone(crs)
        if zone is None:
            return areas[crs]
        return sum(area for other, area in areas.items() if (utm_zone(other) or (0,))[0] == zone[0])

    best = max(areas, key=lambda crs: (zone_area(crs), areas[crs], crs))
    check_reach(best, bbox)
    return best


def check_reach(crs: str, bbox: BBox) -> None:
    """Refuse a job that leaves the neighbourhood of its UTM zone without having been told so."""
    zone = utm_zone(crs)
    if zone is None:
        return
    meridian = zone[0] * 6 - 183
    west, _, east, _ = bbox.unwrapped()
    reach = max(abs((edge - meridian + 180) % 360 - 180) for edge in (west, east))
    if reach > MAX_DEGREES_FROM_MERIDIAN:
        raise InvalidInput(
            f"the bbox reaches {reach:.1f} degrees from the central meridian {meridian} of {crs}, more than "
            f"{MAX_DEGREES_FROM_MERIDIAN:g}: choose a CRS that suits the whole box (such as crs EPSG:3035) or a smaller box"
        )


def requested_crs(text: str, bbox: BBox) -> str:
    """Check a CRS that the user asks for: projected, in metres, made for about this place. Raises InvalidInput."""
    try:
        crs = CRS.from_user_input(text)
    except CRSError:
        raise InvalidInput(f"crs {text} is not known to PROJ; give a code such as EPSG:32632") from None
    check_metres(text, f"input crs {text}", "choose one that is, such as a UTM zone")
    area = crs.area_of_use
    if area is not None and area.west < area.east:
        outside = max(0.0, *(float(away) for away in _degrees_outside(area.west, area.east, bbox)))
        if outside > MAX_DEGREES_OUTSIDE:
            raise InvalidInput(
                f"crs {text} ({crs.name}) is made for {area.west:g} to {area.east:g} degrees of longitude, the bbox reaches "
                f"{outside:.0f} degrees beyond, more than {MAX_DEGREES_OUTSIDE:g}: choose one for its place"
            )
    return text


def _degrees_outside(west: float, east: float, bbox: BBox) -> tuple[float, float]:
    """Degrees of longitude that the western and the eastern edge of a bbox lie outside of an area."""
    middle, half = (west + east) / 2, (east - west) / 2
    first, _, last, _ = bbox.unwrapped()
    away = [abs((edge - middle + 180) % 360 - 180) - half for edge in (first, last)]
    return away[0], away[1]


def check_metres(crs: str, whose: str, remedy: str) -> None:
    """Refuse a CRS that is not projected in metres. Raises InvalidInput."""
    known = CRS.from_user_input(crs)
    if not known.is_projected or any(axis.unit_conversion_factor != 1.0 for axis in known.axis_info):
        raise InvalidInput(f"the CRS of {whose}, {known.name}, is not projected in metres: {remedy}")


def target_grid(*, crs: str, corner: RasterGrid | None, resolution: int, bbox: BBox) -> TargetGrid:
    """The grid of a job. `resolution` is in metres.

    `corner` is the file grid whose phase it follows, of the first scene in this CRS (or its sibling, moved to it); None
    where the CRS is nobody's. Raises InvalidInput where the bbox cannot be projected.
    """
    phase_x = phase_y = 0
    if corner is not None:
        phase_x, phase_y = round(corner.x) % resolution, round(corner.y) % resolution
    west, south, east, north = projected_bounds(crs, bbox)
    grid = TargetGrid(crs, resolution, phase_x, phase_y, Window(0, 0, 1, 1))
    return TargetGrid(crs, resolution, phase_x, phase_y, grid.window_of(west, south, east, north))


def projected_ring(crs: str, bbox: BBox, points: int = 64) -> Doubles:
    """The bbox's outline in a CRS, of shape (n, 2). Raises InvalidInput where it has no image there."""
    lon, lat = bbox.ring(points)
    try:
        x, y = transformer(LONLAT, crs).transform(lon, lat, errcheck=True)
    except ProjError as error:
        raise InvalidInput(f"bbox {bbox} cannot be projected to {crs} ({error}); choose another crs") from None
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InvalidInput(f"bbox {bbox} lies outside of {crs}; choose another crs")
    return np.column_stack([x, y])


def projected_bounds(crs: str, bbox: BBox) -> tuple[float, float, float, float]:
    """(left, bottom, right, top) of the bbox in a CRS, with the bulge of its edges between the outline's points."""
    ring = projected_ring(crs, bbox)
    (left, bottom), (right, top) = ring.min(axis=0), ring.max(axis=0)
    # An edge of n pieces bulges at most 1/n^2 of its own sagitta between two points; 1/4096 of the extent is ample.
    bulge = max(right - left, top - bottom) / 4096
    return left - bulge, bottom - bulge, right + bulge, top + bulge


def pixels_inside(grid: TargetGrid, bbox: BBox, square: int = 1) -> int:
    """Pixels whose centres lie in the bbox, by area: right to a row or column.

    Of squares of more pixels that are taken whole, not fewer than there are.
    """
    area = Polygon(projected_ring(grid.crs, bbox))
    if square > 1:
        area = area.buffer(square * grid.resolution, join_style="mitre")
    return min(math.ceil(area.area / grid.resolution**2), grid.window.pixels)
