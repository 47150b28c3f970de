"""Water vapour from Sentinel-2 itself: how much less is seen at 945 nm (B09), where it absorbs, than at 865 nm (B8A).

The differential absorption of Sen2Cor's and ATCOR's kind (Schlaepfer et al. 1998, doi:10.1016/S0034-4257(98)00044-3), with
ground that is taken as equally bright in both bands.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

FIT = (0.8557, 1.7371, 0.0773, -0.7787)
"""log(g/cm2 above the ground) = FIT . (1, log d, log(d)^2, log(air mass)), d = -log(B09 / B8A): least squares over 96 runs of
6S (AOT 0.1, water 0.1 to 6 g/cm2, altitude 0 to 4.5 km, sun to 76 degrees), 14 % rms."""
BRIGHT = 0.12
"""TOA reflectance at 865 nm from which ground outshines the light that the air adds to both bands."""
ENOUGH = 4
"""Such pixels that a granule has to have."""
LOWEST, HIGHEST = 0.05, 8.0
"""g/cm2 that come out, at most and at least: where the runs end."""


def water_vapour(b09: Floats, b8a: Floats, *, sun_zenith: float, view_zenith: float) -> float | None:
    """Column in g/cm2 above a granule's ground, the median of its bright pixels; None where it has too few.

    TOA reflectances, NaN where there is none; angles in degrees.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = (b09 / b8a)[b8a > BRIGHT]
    ratio = ratio[(ratio > 0.02) & (ratio < 0.995)]
    if ratio.size < ENOUGH:
        return None
    mass = 1 / np.cos(np.deg2rad(sun_zenith)) + 1 / np.cos(np.deg2rad(view_zenith))
    d = np.log(-np.log(float(np.median(ratio))))
    found = np.exp(np.dot(FIT, (1, d, d * d, np.log(mass))))
    return float(np.clip(found, LOWEST, HIGHEST))
