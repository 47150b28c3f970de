"""Angles of a granule: what `MTD_TL.xml` says of the sun and of the sensor."""

import numpy as np
from numpy.typing import NDArray

from eo.catalog import Corners
from eo.grid import RasterGrid
from eo.safe_xml import Document

MAX_EDGE = 1000
"""Rows and columns of a grid of angles; real ones have 23."""


def sun_corners(document: Document, extent: RasterGrid) -> Corners | None:
    """Sun zenith at the corners of a granule, in degrees; None where it has no grid of it, or one with too many gaps.

    The grid has a value every 5 km from the upper left corner on, the last ones 200 m behind the granule. A bilinear
    surface fits those of real granules to 0.003 degrees, and bridges values that are missing.
    """
    grid = document.root.find(".//Sun_Angles_Grid/Zenith")
    if grid is None:
        return None
    step_x, step_y = (document.number(f"{name}_STEP", grid) for name in ("COL", "ROW"))
    values = _values(document, [row.text or "" for row in grid.iter("VALUES")])
    if step_x <= 0 or step_y <= 0 or not values.size:
        raise document.error(f"its Sun_Angles_Grid has {values.size} values every {step_x} x {step_y} m")
    known = np.isfinite(values)
    if not np.all((values[known] >= 0) & (values[known] <= 180)):
        raise document.error("its Sun_Angles_Grid has a zenith that is no angle from 0 to 180 degrees")
    rows, cols = np.nonzero(known)
    # From 0 at the upper left corner of the granule to 1 at the lower right one.
    across, down = cols * step_x / (extent.width * extent.dx), rows * step_y / (extent.height * extent.dy)
    if not known.any() or np.ptp(across) < 0.5 or np.ptp(down) < 0.5:
        return None  # what little there is would be stretched over more than the double of its place
    terms = np.stack([np.ones_like(across), across, down, across * down], axis=-1)
    (base, x, y, xy), _, rank, _ = np.linalg.lstsq(terms, values[known], rcond=None)
    if rank < terms.shape[1]:
        return None
    corners = base, base + x, base + y, base + x + y + xy
    ul, ur, ll, lr = (round(float(np.clip(value, 0, 180)), 6) for value in corners)
    return (ul, ur), (ll, lr)


def views(document: Document) -> dict[str, tuple[float, float]]:
    """Mean viewing (zenith, azimuth) in degrees by band, without the bands for which it gives no number."""
    view = {}
    for element in document.root.iter("Mean_Viewing_Incidence_Angle"):
        texts = [element.findtext(f"{name}_ANGLE", "") for name in ("ZENITH", "AZIMUTH")]
        if any(text.strip().lower() == "nan" for text in texts):
            continue
        zenith, azimuth = (document.number(f"{name}_ANGLE", element) for name in ("ZENITH", "AZIMUTH"))
        view[document.band(element, "bandId")] = zenith, azimuth
    return view


def _values(document: Document, lines: list[str]) -> NDArray[np.float64]:
    """Numbers of a grid, NaN where it has none; raises CorruptData where they are none, or no rectangle."""
    rows = [line.split() for line in lines]
    widths = {len(row) for row in rows}
    if len(widths) > 1 or len(rows) > MAX_EDGE or any(width > MAX_EDGE for width in widths):
        raise document.error(f"its Sun_Angles_Grid has {len(rows)} rows of {sorted(widths)[:5]} values")
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise document.error(f"its Sun_Angles_Grid has {str(error)[:100]}") from None
