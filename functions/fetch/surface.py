"""Elevation at the pixel centres of a shard, from the cube's sheets."""

import numpy as np
from numpy.typing import NDArray

from eo.geolocate import Geolocation, source_window
from eo.grid import RasterGrid, TargetGrid, Window
from eo.job import ElevationSource
from eo.resample import bilinear_float
from eo.unit_io import UnitIO

Doubles = NDArray[np.float64]


def elevation(window: Window, io: UnitIO) -> NDArray[np.float32]:
    """Metres, of shape window.shape, NaN where no sheet knows; bilinear in each DEM's own lattice.

    Where sheets meet (a DEM whose posts grow sparser towards the poles) the first, northern one also owns the strip
    between its last row of posts and the next sheet's first, and interpolates across it.
    """
    grid, centre = io.plan.grid, io.plan.bbox.centre_lon
    result = np.full(window.shape, np.nan, np.float32)
    sheets = [(name, source) for name, source in io.plan.sources.items() if isinstance(source, ElevationSource)]
    for index, (name, source) in enumerate(sheets):
        part = source_window(grid, window, source.grid, centre)
        if part is None:
            continue
        values = io.cube.read(name, part)
        raster = source.grid.cropped(part)
        below = sheets[index + 1] if index + 1 < len(sheets) else None
        if below is not None and part.row_end == source.grid.height:
            seam = _seam(below, source.grid, part, grid=grid, window=window, centre=centre, io=io)
            if seam is not None:
                values = np.vstack([values, seam[None]])
        _fill(result, values, raster, Geolocation(grid, source.grid.crs, centre), window)
    return result


def _fill(
    result: NDArray[np.float32], values: NDArray[np.float32], raster: RasterGrid, place: Geolocation, window: Window
) -> None:
    """Interpolate where nothing is known yet."""
    for rows, x, y in place.strips(window):
        strip = result[rows]
        u, v = raster.indices(x, y)
        found = bilinear_float(values, u, v)
        # A row more than the raster has is the seam: behind it the next sheet goes on.
        own = v <= raster.height if len(values) > raster.height else True
        np.copyto(strip, found, where=np.isnan(strip) & own)


def _seam(
    below: tuple[str, ElevationSource],
    upper: RasterGrid,
    part: Window,
    *,
    grid: TargetGrid,
    window: Window,
    centre: float,
    io: UnitIO,
) -> NDArray[np.float32] | None:
    """The next sheet's first row at the longitudes of this sheet's columns; None where it is not the next row."""
    name, source = below
    lower = source.grid
    upper_bottom = upper.y - upper.height * upper.dy
    touches = abs(upper_bottom - lower.y) < upper.dy / 100 and abs(upper.dy - lower.dy) < upper.dy * 1e-6
    near = source_window(grid, window, lower, centre)
    if not touches or upper.crs != lower.crs or near is None or near.row != 0:
        return None
    # The upper sheet's columns next to the shard can be two of the lower's away, as far as the plan has fetched.
    wide = near.grown(1).intersection(lower.window) or near
    first_row = Window(wide.col, 0, wide.width, 1)
    x = upper.cropped(part).column_centres()
    u, _ = lower.cropped(first_row).indices(x, x)
    return bilinear_float(io.cube.read(name, first_row), u, np.zeros_like(u))
