"""Height of the EGM2008 geoid above the WGS 84 ellipsoid, where its grid is at hand."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from eo.errors import InvalidInput
from eo.geolocate import LONLAT, Geolocation
from eo.grid import TargetGrid, Window

ELLIPSOIDAL = "EPSG:4979"
"""WGS 84 in three dimensions: what the header names as vertical CRS of ellipsoidal heights."""
GRIDS = "us_nga_egm08_25.tif"
"""The grid as PROJ-data publishes it (2.5 minutes, 80 MB).

PROJ finds it in its user folder, which PROJ_USER_WRITABLE_DIRECTORY moves. PROJ_DATA will not do: pyproj looks into the
data folder that it brings along instead, and GDAL would miss its own there.
"""


@lru_cache(maxsize=1)
def _shift() -> Transformer:
    """Raises InvalidInput where PROJ does not find the grid."""
    try:
        return Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f"+step +proj=vgridshift +grids={GRIDS} +multiplier=1 "
            "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )
    except ProjError:
        raise InvalidInput(
            f"vertical ellipsoidal needs the geoid grid {GRIDS}, which PROJ does not find: "
            f"fetch it (80 MB) by `pyproj sync --file {GRIDS.partition('.')[0]}`, set PROJ_USER_WRITABLE_DIRECTORY to the "
            "folder where it is, or choose vertical orthometric"
        ) from None


def check() -> None:
    """Raise InvalidInput where the grid is not at hand."""
    _shift()


def undulation(grid: TargetGrid, window: Window, centre_lon: float) -> NDArray[np.float32]:
    """Metres to add to heights above EGM2008, of shape window.shape. Raises InvalidInput outside of the grid."""
    result = np.empty(window.shape, np.float32)
    for rows, lon, lat in Geolocation(grid, LONLAT, centre_lon).strips(window):
        wrapped = (lon + 180.0) % 360.0 - 180.0
        _, _, height = _shift().transform(wrapped, lat, np.zeros_like(lat))
        result[rows] = height
    if not np.isfinite(result).all():
        raise InvalidInput(
            f"the geoid grid {GRIDS} does not cover the job; use the global one, or vertical orthometric"
        )
    return result
