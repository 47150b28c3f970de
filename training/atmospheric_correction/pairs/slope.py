"""Where the ground is level enough: Sen2Cor corrects for terrain, no corrector here does."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from eo.bbox import BBox
from eo.errors import NothingFound
from eo.grid import RasterGrid, Window
from eo.sources import local_dem
from eo.sources.elevation import LIMIT

STEP = 30.0
"""Metres between the heights that a slope is of: the posts of the Copernicus DEM."""
STEEPEST = 10.0
"""Degrees, exclusive."""

Doubles = NDArray[np.float64]


class Slopes:
    """Slopes of a granule, from a DEM, on squares of 30 m that are counted from its corner."""

    def __init__(self, dem: Path, grid: RasterGrid) -> None:
        """Raises InvalidInput where the DEM cannot be read, NothingFound where it lies elsewhere."""
        self._grid, self._step = grid, max(STEP, grid.dx)
        left, bottom, right, top = grid.bounds
        west, south, east, north = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True).transform_bounds(
            left, bottom, right, top
        )
        lattices = local_dem.describe(dem.absolute(), bbox=BBox(west, south, east, north))
        self._lattice = lattices[0]
        self._place = Transformer.from_crs(grid.crs, self._lattice.grid.crs, always_xy=True)
        middle = np.array([(left + right) / 2]), np.array([(bottom + top) / 2])
        if not any(np.isfinite(self.heights(*ends)).any() for ends in (middle, _corners(grid.bounds))):
            raise NothingFound(
                f"DEM {dem} has no height in the granule at {grid.bounds} of {grid.crs}; name one that has"
            )

    def heights(self, x: Doubles, y: Doubles) -> Doubles:
        """Metres at places in the granule's CRS, bilinear, of their shape; NaN where the DEM has none."""
        found = self._lattice.grid
        u, v = found.indices(*(np.asarray(each, np.float64) for each in self._place.transform(x, y)))
        left, top = np.floor(u).astype(int), np.floor(v).astype(int)
        asked = Window(left.min(), top.min(), int(np.ptp(left)) + 2, int(np.ptp(top)) + 2)
        inside = asked.intersection(found.window)
        posts = np.full(asked.shape, np.nan)
        if inside is not None:
            flags = dict(self._lattice.flags)
            source = self._lattice.href, self._lattice.variable, flags
            values = local_dem.read(*source, ascending=self._lattice.ascending, window=inside)
            posts[inside.slices(asked)] = np.where(abs(values) < LIMIT, values, np.nan)
        across, down = u - left, v - top
        left, top = left - asked.col, top - asked.row
        upper = posts[top, left] * (1 - across) + posts[top, left + 1] * across
        lower = posts[top + 1, left] * (1 - across) + posts[top + 1, left + 1] * across
        result: Doubles = upper * (1 - down) + lower * down
        return result

    def flat(self, window: Window) -> NDArray[np.bool_]:
        """Which pixels of a window of the granule's grid have a slope under 10 degrees; unknown ones have not."""
        times = self._step / self._grid.dx
        rows = np.floor((np.arange(window.row, window.row_end) + 0.5) / times).astype(int)
        cols = np.floor((np.arange(window.col, window.col_end) + 0.5) / times).astype(int)
        at_rows, at_cols = (np.arange(each[0] - 1, each[-1] + 2) for each in (rows, cols))
        x = self._grid.x + (at_cols + 0.5) * self._step
        y = self._grid.y - (at_rows + 0.5) * self._step
        heights = self.heights(*np.meshgrid(x, y))
        down = (heights[2:, 1:-1] - heights[:-2, 1:-1]) / (2 * self._step)
        across = (heights[1:-1, 2:] - heights[1:-1, :-2]) / (2 * self._step)
        flat: NDArray[np.bool_] = np.hypot(down, across) < np.tan(np.deg2rad(STEEPEST))
        return flat[np.ix_(rows - rows[0], cols - cols[0])]


def _corners(bounds: tuple[float, float, float, float]) -> tuple[Doubles, Doubles]:
    left, bottom, right, top = bounds
    return np.array([left, right, left, right]), np.array([top, top, bottom, bottom])
