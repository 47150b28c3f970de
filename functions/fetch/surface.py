"""Elevation at the pixel centres of a window, from the cube's sheets."""

import numpy as np
from numpy.typing import NDArray

from eo.geolocate import Geolocation, MetreGrid, source_window
from eo.grid import RasterGrid, Window
from eo.job import ElevationSource
from eo.resample import bilinear_float
from eo.unit_io import UnitIO


def elevation(window: Window, io: UnitIO, grid: MetreGrid | None = None) -> NDArray[np.float32]:
    """Metres, of shape window.shape, NaN where no sheet knows; bilinear in each DEM's own lattice.

    The window is of the job's target grid, or of `grid` where one is given.
    Where sheets meet (a DEM whose posts grow sparser towards the poles) the first, northern one also owns the strip
    between its last row of posts and the next sheet's first, and interpolates across it.
    """
    grid, centre = grid or io.plan.grid, io.plan.bbox.centre_lon
    result = np.full(window.shape, np.nan, np.float32)
    sheets = [(name, source) for name, source in io.plan.sources.items() if isinstance(source, ElevationSource)]
    for index, (name, source) in enumerate(sheets):
        part = source_window(grid, window, source.grid, centre)
        if part is None:
            continue
        place = Geolocation(grid, source.grid.crs, centre)
        values, raster = io.cube.read(name, part), source.grid.cropped(part)
        below = sheets[index + 1] if index + 1 < len(sheets) else None
        if below is not None and part.row_end == source.grid.height:
            seam = _first_row(below, source.grid, grid=grid, window=window, centre=centre, io=io)
            if seam is not None:
                _fill_seam(result, (values[-1:], raster.cropped(_last_row(part))), seam, place, window)
        _fill(result, values, raster, place, window)
    return result


Row = tuple[NDArray[np.float32], RasterGrid]
"""A row of posts, of shape (1, columns), and where they lie."""


def _fill(
    result: NDArray[np.float32], values: NDArray[np.float32], raster: RasterGrid, place: Geolocation, window: Window
) -> None:
    """Interpolate where nothing is known yet."""
    for rows, x, y in place.strips(window):
        strip = result[rows]
        found = bilinear_float(values, *raster.indices(x, y))
        np.copyto(strip, found, where=np.isnan(strip))


def _fill_seam(result: NDArray[np.float32], upper: Row, lower: Row, place: Geolocation, window: Window) -> None:
    """Interpolate between two rows whose posts have different spacings: along each of them, then from one to the other."""
    for rows, x, y in place.strips(window):
        u, down = upper[1].indices(x, y)
        between = (down >= 0) & (down <= 1)
        if not between.any():
            continue
        u, down = u[between], down[between]
        above = bilinear_float(upper[0], u, np.zeros_like(u))
        under = bilinear_float(lower[0], lower[1].indices(x[between], y[between])[0], np.zeros_like(u))
        result[rows][between] = above + (under - above) * down


def _last_row(part: Window) -> Window:
    return Window(0, part.height - 1, part.width, 1)


def _first_row(
    below: tuple[str, ElevationSource],
    upper: RasterGrid,
    *,
    grid: MetreGrid,
    window: Window,
    centre: float,
    io: UnitIO,
) -> Row | None:
    """The next sheet's first row, where it is the one after this sheet's last; None where it is not."""
    name, source = below
    lower = source.grid
    upper_bottom = upper.y - upper.height * upper.dy
    touches = abs(upper_bottom - lower.y) < upper.dy / 100 and abs(upper.dy - lower.dy) < upper.dy * 1e-6
    near = source_window(grid, window, lower, centre)
    if not touches or upper.crs != lower.crs or near is None or near.row != 0:
        return None
    first = Window(near.col, 0, near.width, 1)
    return io.cube.read(name, first), lower.cropped(first)
