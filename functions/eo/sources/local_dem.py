"""Elevation in a file or folder of the user's: GeoTIFF, JPEG 2000 or Zarr, with a CRS."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData, InvalidInput
from eo.geolocate import is_geographic
from eo.grid import RasterGrid, Window
from eo.sources import raster, zarr_dem
from eo.sources.lattice import Lattice, copies, unwrapped

if TYPE_CHECKING:
    from eo.bbox import BBox

ADAPTER = "local"
CELL = 512
"""Files stored in strips or small tiles are read in cells of about this many rows and columns."""


def describe(path: Path, *, bbox: "BBox") -> list[Lattice]:
    """Describe a local DEM: one lattice, or several where the job meets a file in degrees in more than one turn.

    Raises InvalidInput where there is no DEM or its CRS is missing, and CorruptData where the file is no raster.
    """
    if path.is_dir():
        from zarr.storage import LocalStore  # noqa: PLC0415

        store = LocalStore(path, read_only=True)
        return [zarr_dem.describe(store, adapter=ADAPTER, href=str(path), vertical=None, centre_lon=bbox.centre_lon)]
    if not path.is_file():
        raise InvalidInput(f"dem_path {path} does not exist; name a GeoTIFF, JPEG 2000 or Zarr file")
    _check(path)
    with raster.opened(str(path), name=path.name) as dataset:
        info = raster.inspect(dataset, path.name)
    cell = (_cell(info.tile[0], info.grid.height), _cell(info.tile[1], info.grid.width))
    grids: list[RasterGrid] = [info.grid]
    if is_geographic(info.grid.crs):
        west, _, east, _ = bbox.unwrapped()
        # Where it meets the job nowhere, one lattice stays to say what it covers.
        grids = copies(info.grid, west, east) or [unwrapped(info.grid, bbox.centre_lon, cell[1])[0]]
    return [Lattice(ADAPTER, grid, cell, str(path), info.vertical) for grid in grids]


def _check(path: Path) -> None:
    """Raise CorruptData where a file is something else altogether; what the system says of it is `raster.opened`'s."""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(12)
        if raster.signed(start) is None:
            raise CorruptData(
                f"dem_path {path} is no elevation: it begins with {start[:8]!r}, as neither GeoTIFF nor JPEG 2000 does; name "
                "a GeoTIFF, JPEG 2000 or Zarr file with a CRS"
            )


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
        scale, offset = np.float32(dataset.scales[0]), np.float32(dataset.offsets[0])
        # Undeclared no-data values may be as large as a double; elevation.read takes them out.
        with np.errstate(over="ignore"):
            elevation = values.astype(np.float32)
            if dataset.nodata is not None:
                elevation[values == dataset.nodata] = np.nan
            return elevation * scale + offset
