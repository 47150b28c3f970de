"""The CRS of a job as LAS wants it: well-known text of OGC 01-009 (WKT 1), horizontal and vertical in one.

That text has no words for some projections. Those are in ISO 19162 (WKT 2), which PROJ and all that reads by it know.
"""

from pyproj import CRS
from pyproj.crs import CompoundCRS
from pyproj.exceptions import CRSError

from eo.geoid import ELLIPSOIDAL
from eo.job import Plan

_ELLIPSOID = (
    'VERT_CS["Ellipsoid (metre)",VERT_DATUM["Ellipsoid",2002],UNIT["metre",1,AUTHORITY["EPSG","9001"]],'
    'AXIS["Ellipsoidal height",UP]]'
)
"""How GDAL writes heights above the ellipsoid in WKT 1, which has no other words for them."""


def wkt(plan: Plan) -> str:
    """The compound CRS, or the horizontal one alone where the elevation's is unknown."""
    flat = CRS.from_user_input(plan.grid.crs)
    if plan.vertical_crs == ELLIPSOIDAL:
        older = _older(flat)
        return f'COMPD_CS["{flat.name} + Ellipsoid (metre)",{older},{_ELLIPSOID}]' if older else _newer(flat.to_3d())
    if plan.vertical_crs is None:
        whole = flat
    else:
        vertical = CRS.from_user_input(plan.vertical_crs)
        whole = CompoundCRS(f"{flat.name} + {vertical.name}", [flat, vertical])
    return _older(whole) or _newer(whole)


def _older(crs: CRS) -> str | None:
    try:
        return str(crs.to_wkt("WKT1_GDAL"))
    except CRSError:
        return None


def _newer(crs: CRS) -> str:
    return str(crs.to_wkt("WKT2_2019"))
