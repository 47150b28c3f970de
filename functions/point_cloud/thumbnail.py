"""The small picture that every part carries: pixels on the job's coarse lattice (`eo.thumbnail`).

It takes every valid pixel of the lattice, whatever `sampled_fraction` keeps as points.
"""

import numpy as np
from numpy.typing import NDArray

PIXEL = np.dtype([("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")])
"""One lattice point as parts keep it: metres (NaN where there is no point) and colour."""


def packed(elevation: NDArray[np.float32], rgb: list[NDArray[np.uint8]]) -> NDArray[np.void]:
    """Elevation and colours of the same shape as lattice points of `PIXEL`."""
    pixels = np.empty(elevation.shape, PIXEL)
    for name, layer in zip(PIXEL.names or (), (elevation, *rgb), strict=True):
        pixels[name] = layer
    return pixels
