"""Light from the surroundings of a pixel: the adjacency effect, on the context grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SHARES, RATES = (0.375, 0.625), (0.20, 1.83)
"""6S's environment function for aerosols: the share of the light from within r km is
1 - sum(share exp(-rate r)) (Vermote et al. 1997, doi:10.1109/36.581987, eq. 26)."""
REACH = 10.0
"""Kilometres from which it comes, at most: beyond are 5 %."""
LEAST = 1e-3
"""Share of a pixel's surroundings that has to count for their mean to be anything but rounding."""
INSIDE = 0.38
"""Mean distance between a square's centre and its points, in edges."""


class Surroundings:
    """Weighted means around every pixel of a context: by the environment function, of the pixels that count.

    By Fourier transforms of the whole context, so that a pixel's answer is the same whatever is asked about.
    """

    def __init__(self, counts: NDArray[np.bool_], pixel: float) -> None:
        """`counts` (rows, columns) are the pixels that have a say, `pixel` their edge in metres."""
        self._counts = counts.astype(np.float32)
        rows, cols = counts.shape
        self._reach = min(int(np.ceil(REACH * 1000 / pixel)), rows - 1, cols - 1)
        self._shape = (_smooth(rows + 2 * self._reach), _smooth(cols + 2 * self._reach))
        self._kernel = np.fft.rfft2(_kernel(self._shape, self._reach, pixel)).astype(np.complex64)
        # Edges go on as mirror images, so this is 1 where all around counts, but for rounding.
        self._weight = np.clip(self._blur(self._counts), 0, 1)

    def mean(self, values: Floats) -> Floats:
        """(rows, columns): the mean around each pixel of those that count.

        The fewer there are, the less they are believed, and the more are the others taken to be like the pixel itself:
        where most of a bright desert passes for cloud, its few dark pixels do not stand for all of it. A pixel that is NaN
        is like those that count; 0 where none does.
        """
        around = self._blur(np.where(self._counts > 0, values, 0).astype(np.float32))
        others = 1 - self._weight
        mean = np.where(self._weight > LEAST, around / np.maximum(self._weight, LEAST), 0)
        # Those that count make up the weight, and of the others' share as much again.
        own = np.where(np.isnan(values), mean, values)
        return ((1 - others**2) * mean + others**2 * own).astype(np.float32)

    def _blur(self, values: Floats) -> Floats:
        reach, (rows, cols) = self._reach, values.shape
        mirrored = np.pad(values, reach, mode="reflect")
        transformed = np.fft.rfft2(mirrored, self._shape)
        blurred = np.fft.irfft2(transformed * self._kernel, self._shape)
        return blurred[reach : reach + rows, reach : reach + cols].astype(np.float32)


def _kernel(shape: tuple[int, int], reach: int, pixel: float) -> Floats:
    """Weights around (0, 0), wrapped, of sum 1."""
    y, x = (np.minimum(np.arange(edge), edge - np.arange(edge)) * pixel / 1000 for edge in shape)
    r = np.hypot(y[:, None], x[None])
    r[0, 0] = INSIDE * pixel / 1000
    # The share of a ring's light is the derivative; a pixel of the ring has its part of that.
    density = sum(share * rate * np.exp(-rate * r) for share, rate in zip(SHARES, RATES, strict=True)) / r
    density[(y[:, None] > reach * pixel / 1000) | (x[None] > reach * pixel / 1000)] = 0
    kernel: Floats = (density / density.sum()).astype(np.float32)
    return kernel


def _smooth(length: int) -> int:
    """The next length whose transform is quick: of prime factors 2, 3 and 5."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
