"""Elevation in a file or folder of the user's: GeoTIFF, JPEG 2000 or Zarr, with a CRS."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.geolocate import is_geographic
from eo.grid import RasterGrid, Window
from eo.sources import raster, zarr_dem
from eo.sources.lattice import Lattice, unwrapped

ADAPTER = "local"
CELL = 512
"""Files stored in strips or small tiles are read in cells of about this many rows and columns."""


def describe(path: Path, *, centre_lon: float) -> list[Lattice]:
    """Describe the lattice of a local DEM. Raises InvalidInput where there is none or its CRS is missing."""
    if path.is_dir():
        from zarr.storage import LocalStore  # noqa: PLC0415

        store = LocalStore(path, read_only=True)
        return [zarr_dem.describe(store, adapter=ADAPTER, href=str(path), vertical=None, centre_lon=centre_lon)]
    if not path.is_file():
        raise InvalidInput(f"--dem-path {path} does not exist; name a GeoTIFF, JPEG 2000 or Zarr file")
    with raster.opened(str(path), name=path.name) as dataset:
        info = raster.inspect(dataset, path.name)
    cell = (_cell(info.tile[0], info.grid.height), _cell(info.tile[1], info.grid.width))
    grid: RasterGrid = info.grid
    if is_geographic(grid.crs):
        grid, _ = unwrapped(grid, centre_lon, cell[1])
        # A file around the globe would need its columns turned; this one is read as it lies.
        if grid.width == round(360.0 / grid.dx):
            grid = info.grid
    return [Lattice(ADAPTER, grid, cell, str(path), info.vertical)]


def _cell(tile: int, size: int) -> int:
    return min(size, -(-CELL // tile) * tile)


def read(href: str, variable: str, flags: dict[str, Any], *, ascending: bool, window: Window) -> NDArray[np.float32]:
    """Posts of a window, float32 metres, NaN where the file has none."""
    if variable:
        from zarr.storage import LocalStore  # noqa: PLC0415

        return zarr_dem.read(LocalStore(href, read_only=True), flags, variable, ascending=ascending, window=window)
    name = Path(href).name
    with raster.opened(href, name=name) as dataset:
        values: NDArray[Any] = raster.read_window(dataset, 1, window, name)
        elevation = values.astype(np.float32)
        if dataset.nodata is not None:
            elevation[values == dataset.nodata] = np.nan
    # Beyond any height or depth on Earth: the usual undeclared no-data values (-32768, -9999, 3.4e38).
    elevation[~((elevation > -9000) & (elevation < 9000))] = np.nan
    return elevation
