"""Whether metres of a job's CRS are metres of ground: the models know pixels of 10 m of ground."""

import numpy as np
from pyproj import Geod

from eo.errors import InvalidInput
from eo.geolocate import LONLAT, Doubles, transformer
from eo.job import Plan
from land_cover.patches import EDGE, METRES

LIMIT = 0.025
"""Of 1: three of a patch's 120 pixels. UTM is off by 1.2 % at most, 9 degrees from its central meridian at the equator, which is
as far as a job reaches without a `crs` of its own; Europe's grid (EPSG:3035) by 2.1 % in Cyprus. Web Mercator (EPSG:3857) is
off by 45 % in the Alps, and there 1,200 m of it are 825 m."""
PLACES = 5
"""Along an edge of the job's window: its corners, its middle, and some between."""


def check(plan: Plan) -> None:
    """Refuse a CRS in which lengths are not those of the ground. Raises InvalidInput."""
    lengths, lon, lat = _on_ground(plan)
    off = np.abs(EDGE / lengths - 1)
    worst = int(np.where(np.isfinite(off), off, np.inf).argmax())
    if not off[worst] <= LIMIT:
        raise InvalidInput(
            f"{EDGE:,} m of the CRS {plan.grid.crs} are {lengths[worst]:,.0f} m of ground at longitude {lon[worst]:.2f}, "
            f"latitude {lat[worst]:.2f}; patches are judged by pixels of {METRES} m of ground, which may be off by "
            f"{100 * LIMIT:g} %: leave crs out for the scenes' own UTM zone, or choose a CRS that is true to scale there"
        )


def _on_ground(plan: Plan) -> tuple[Doubles, Doubles, Doubles]:
    """(metres of ground, longitude, latitude) of patches' edges all over the job: eastwards, then southwards."""
    window, grid = plan.grid.window, plan.grid
    cols = np.linspace(grid.x(window.col), grid.x(window.col_end) - EDGE, PLACES)
    rows = np.linspace(grid.y(window.row), grid.y(window.row_end) + EDGE, PLACES)
    x, y = (places.ravel() for places in np.meshgrid(cols, rows))
    to_degrees = transformer(grid.crs, LONLAT).transform
    lon, lat = to_degrees(np.tile(x, 2), np.tile(y, 2))
    there = to_degrees(np.concatenate([x + EDGE, x]), np.concatenate([y, y - EDGE]))
    known = np.isfinite(np.stack([lon, lat, *there])).all(axis=0)
    lengths = np.full(lon.shape, np.nan)
    lengths[known] = Geod(ellps="WGS84").inv(lon[known], lat[known], there[0][known], there[1][known])[2]
    return lengths, lon, lat
