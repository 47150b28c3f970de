"""Elevation as plan sees it: lattices of posts, each in one CRS, from which the job's part is cut.

Geographic lattices are unwrapped: their longitudes run through the job's, whatever side of the antimeridian it lies on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from eo.grid import RasterGrid, Window

EGM2008 = "EPSG:3855"
"""Heights above the EGM2008 geoid, as the Copernicus DEM has them."""


@dataclass(frozen=True)
class Lattice:
    """A whole lattice of posts, of which the job fetches a part."""

    adapter: str
    grid: RasterGrid
    """North up, unwrapped around the job."""
    cell: tuple[int, int]
    """(rows, columns) in which it is stored and therefore fetched."""
    href: str
    vertical: str | None
    """Vertical CRS, None where nothing says."""
    variable: str = ""
    ascending: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)


def unwrapped(grid: RasterGrid, centre_lon: float, cell: int) -> tuple[RasterGrid, int]:
    """(grid, column of the file that its first column is) of a geographic raster, near a longitude.

    A raster around the whole globe starts near the opposite meridian, at a multiple of `cell` columns; any other is
    moved by whole turns to where it overlaps the job most.
    """
    turn = round(360.0 / grid.dx)
    if grid.width == turn:
        first = round((centre_lon - 180.0 - grid.x) / grid.dx) // cell * cell
        return replace(grid, turn=turn).cropped(Window(first, 0, grid.width, grid.height)), first
    middle = grid.x + grid.width * grid.dx / 2
    turns = round((centre_lon - middle) / 360.0)
    return RasterGrid(grid.crs, grid.x + 360.0 * turns, grid.y, grid.dx, grid.dy, grid.width, grid.height), 0


def copies(grid: RasterGrid, west: float, east: float) -> list[RasterGrid]:
    """A geographic raster once for every whole turn in which it meets the longitudes from west to east, unwrapped.

    For rasters that are read as they lie: where one ends at 180 or 360 degrees, its copy goes on. Empty where none meets.
    """
    turn = round(360.0 / grid.dx)
    # A step that rounding (1e-15 of it, a million times) keeps from dividing the turn still divides it.
    whole = abs(turn * grid.dx - 360.0) < grid.dx / 1000
    found = []
    for turns in (-1, 0, 1):
        left = grid.x + 360.0 * turns
        # One pixel more: at a joint each copy also owns the half pixel around its outermost posts.
        if left - grid.dx < east and left + (grid.width + 1) * grid.dx > west:
            if whole:
                moved = replace(grid, turn=turn).cropped(Window(turns * turn, 0, grid.width, grid.height))
            else:
                moved = replace(grid, x=left)
            found.append(moved)
    return found
