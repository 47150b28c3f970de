"""Elevation as plan sees it: lattices of posts, each in one CRS, from which the job's part is cut.

Geographic lattices are unwrapped: their longitudes run through the job's, whatever side of the antimeridian it lies on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
        return grid.cropped(Window(first, 0, grid.width, grid.height)), first
    middle = grid.x + grid.width * grid.dx / 2
    turns = round((centre_lon - middle) / 360.0)
    return RasterGrid(grid.crs, grid.x + 360.0 * turns, grid.y, grid.dx, grid.dy, grid.width, grid.height), 0
