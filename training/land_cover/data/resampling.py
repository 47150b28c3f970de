"""Bands of 20 and 60 m on the grid of 10 m, by the kernels with which functions resample scenes."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo import resample
from training.land_cover.bands import EDGE
from training.land_cover.data.patches import Resampling


def at_ten_metres(dn: NDArray[np.uint16], resampling: Resampling) -> NDArray[np.uint16]:
    """(120, 120): digital numbers of a band of any resolution at the centres of pixels of 10 m; edges are held."""
    if dn.shape == (EDGE, EDGE):
        return dn
    u, v = _mesh(dn.shape[0])
    if resampling == "nearest":
        return resample.nearest(dn, u, v, outside=0)
    return {"bilinear": resample.bilinear_dn, "bicubic": resample.bicubic_dn}[resampling](dn, u, v)


@cache
def _mesh(edge: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where the centres of 10 m lie in pixels of a patch of edge x edge: u (1, 120), v (120, 1)."""
    at = (np.arange(EDGE) + 0.5) * edge / EDGE - 0.5
    return at[None], at[:, None]
