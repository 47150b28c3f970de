"""Which pixels of a context tell about air and ground: not clouds, cirrus, snow, saturated pixels or no data."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Codes = NDArray[np.uint8]

NO_DATA, CORRECTED, FALLBACK, SNOW, CIRRUS, CLOUD, SATURATED = range(7)
"""Codes of the quality layer."""
CIRRUS_B10 = 0.003
"""TOA reflectance at 1.375 um from which there is thin cirrus. Sen2Cor begins at 0.012 (S2-PDGS-MPC-L2A-ATBD); clear ground
below 1 km shows 0.001, thin clouds that hide it show 0.0035 to 0.007 (five real scenes), and a false alarm here costs a
pixel in the statistics and a mark."""
DRY_AIR = 0.004
"""By how much that threshold rises with each kilometre above the first: there is less water above to hide the ground."""


def quality(
    toa: Mapping[str, Floats], clear: Mapping[str, Floats], elevation: Floats, masks: Mapping[str, NDArray[np.uint8]]
) -> Codes:
    """The code of each pixel of a context, uint8.

    `toa` are reflectances by band (NaN where there is no data), `clear` those without air molecules and gases, `elevation`
    metres. `masks` are the product's own (MSK_OPAQUE, MSK_CIRRUS, MSK_SNOW), which decide where there are any.
    """
    # Not by B08, which is read by jobs that correct it: others shall find the same.
    known = np.logical_and.reduce([~np.isnan(values) for band, values in toa.items() if band != "B08"])
    codes = np.where(known, CORRECTED, NO_DATA).astype(np.uint8)
    with np.errstate(invalid="ignore"):
        if "MSK_OPAQUE" in masks:
            cloud, cirrus, snow = (masks[name] > 0 for name in ("MSK_OPAQUE", "MSK_CIRRUS", "MSK_SNOW"))
        else:
            snow = _snow(clear)
            cloud = _cloud(clear) & ~snow
            cirrus = _cirrus(toa, elevation)
    for code, found in ((SNOW, snow), (CIRRUS, cirrus), (CLOUD, cloud)):
        codes[known & found] = code
    return codes


def _snow(clear: Mapping[str, Floats]) -> NDArray[np.bool_]:
    """Bright in green, dark in the short-wave infrared: NDSI above 0.4 (Hall et al. 1995)."""
    if "B12" not in clear:
        return np.zeros(clear["B03"].shape, bool)
    green, infrared = clear["B03"], clear["B12"]
    found: NDArray[np.bool_] = (green > 0.2) & (green - infrared > 0.4 * (green + infrared))
    return found


def _cloud(clear: Mapping[str, Floats]) -> NDArray[np.bool_]:
    """Bright, white and hazy: the tests of Fmask's first pass (Zhu & Woodcock 2012, doi:10.1016/j.rse.2011.10.028).

    Its brightness temperature is not there to help, so blue has to be brighter than sand and roofs mostly are.
    """
    blue, green, red = (clear[band] for band in ("B02", "B03", "B04"))
    mean = (blue + green + red) / 3
    whiteness = (abs(blue - mean) + abs(green - mean) + abs(red - mean)) / np.maximum(mean, 1e-3)
    found = (blue > BRIGHT) & (whiteness < WHITE) & (blue - 0.5 * red > HAZE)
    if "B8A" in clear and "B12" in clear:
        vegetation = (clear["B8A"] - red) / np.maximum(clear["B8A"] + red, 1e-3)
        found &= (vegetation < 0.8) & (clear["B12"] > 0.03)
    result: NDArray[np.bool_] = found
    return result


BRIGHT, WHITE, HAZE = 0.14, 0.7, 0.08
"""Reflectance of blue; deviation of the visible bands from their mean, relative; blue less half of red."""


def _cirrus(toa: Mapping[str, Floats], elevation: Floats) -> NDArray[np.bool_]:
    if "B10" not in toa:
        return np.zeros(elevation.shape, bool)
    limit = CIRRUS_B10 + DRY_AIR * np.maximum(elevation / 1000 - 1, 0)
    found: NDArray[np.bool_] = toa["B10"] > limit
    return found


def seen_ground(codes: Codes) -> NDArray[np.bool_]:
    """Which pixels show the ground, whose light reaches their neighbours: snow does, clouds and gaps do not."""
    return ~np.isin(codes, (NO_DATA, CLOUD, CIRRUS))


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """A mask and what lies within so many pixels of it, along rows and columns."""
    result = mask.copy()
    for axis in (0, 1):
        source = result.copy()
        for step in range(1, pixels + 1):
            forward, back = [slice(None)] * 2, [slice(None)] * 2
            forward[axis], back[axis] = slice(step, None), slice(None, -step)
            result[tuple(forward)] |= source[tuple(back)]
            result[tuple(back)] |= source[tuple(forward)]
    return result
