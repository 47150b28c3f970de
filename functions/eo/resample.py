"""Values of a raster at points given in its own pixel coordinates.

Pure functions of the point and its (at most four) neighbours, so that the result does not depend on how a job was cut.
Coordinates are (u, v) = (column, row) with pixel centres at whole numbers: 0 is the centre of the first pixel.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from eo.radiometry import SATURATION

Doubles = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)


def _cells(at: Doubles, size: int) -> tuple[NDArray[np.intp], Doubles, NDArray[np.bool_] | bool]:
    """(lower neighbour, weight of the upper one, whether the point lies on the raster) along one axis.

    The half pixel between the outermost centre and the raster's edge takes the outermost value.
    """
    # Most points have neighbours on all sides: two scans spare them five passes.
    if at.size and at.min() >= 0 and at.max() < size - 1:
        lower = at.astype(np.intp)
        return lower, at - lower, True
    on = (at >= -0.5) & (at < size - 0.5)
    held = np.clip(at, 0, size - 1)
    lower = np.minimum(held.astype(np.intp), max(size - 2, 0))
    return lower, held - lower, on


def bilinear_float(values: NDArray[np.float32], u: Doubles, v: Doubles) -> NDArray[np.float32]:
    """Bilinear interpolation of values of shape (rows, columns) with NaN as no data; NaN off the raster.

    A point is NaN if any neighbour with a weight is. u and v have any one shape, which the result takes.
    Weights are float64, since at 45 degrees of slope 5 cm sideways are 5 cm of height.
    """
    height, width = values.shape
    col, right, on_u = _cells(u, width)
    row, down, on_v = _cells(v, height)
    flat = values.ravel()
    at = row * width
    at += col
    step, line = min(1, width - 1), width if height > 1 else 0
    a = flat.take(at)
    at += step
    b = flat.take(at)
    at += line
    d = flat.take(at)
    at -= step
    c = flat.take(at)
    # upper + (lower - upper) * down, in place.
    upper = (b - a) * right
    upper += a
    result = (d - c) * right
    result += c
    result -= upper
    result *= down
    result += upper
    unknown = np.isnan(result)
    if unknown.any():
        # A neighbour of no weight must not count: NaN * 0 is NaN.
        wa, wb, wc, wd = (1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down
        parts = ((wa, a), (wb, b), (wc, c), (wd, d))
        again = sum(np.where(weight[unknown] == 0, 0.0, weight[unknown] * value[unknown]) for weight, value in parts)
        result[unknown] = again
    on = np.asarray(on_u & on_v)
    if not on.all():
        result[~on] = np.nan
    rounded: NDArray[np.float32] = result.astype(np.float32)
    return rounded


def bilinear_dn(dn: NDArray[np.uint16], u: Doubles, v: Doubles) -> NDArray[np.uint16]:
    """Bilinear interpolation of digital numbers, where 0 is no data.

    A point whose nearest pixel has no data has none; elsewhere the weights of the neighbours that have data are
    scaled to sum to one, so a border of no data neither darkens nor eats into its neighbours.
    Rounds half up; never turns data into 0. Saturated where a neighbour with a weight is: how bright it was is not known.
    """
    height, width = dn.shape
    col, right, on_u = _cells(u, width)
    row, down, on_v = _cells(v, height)
    flat = dn.ravel()
    first = row * width + col
    step, line = min(1, width - 1), width if height > 1 else 0
    neighbours = [flat[first], flat[first + step], flat[first + line], flat[first + line + step]]
    weights = [(1 - right) * (1 - down), right * (1 - down), (1 - right) * down, right * down]
    total = np.zeros(u.shape)
    known = np.zeros(u.shape)
    burnt = np.zeros(u.shape, bool)
    for value, weight in zip(neighbours, weights, strict=True):
        total += value * weight
        known += np.where(value > 0, weight, 0.0)
        burnt |= (value == SATURATION) & (weight > 0)
    has_data = nearest(dn, u, v, outside=0) > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.floor(total / known + 0.5)
    mean = np.where(burnt, SATURATION, np.clip(mean, 1, SATURATION))
    return np.where(has_data & on_u & on_v & (known > 0), mean, 0).astype(np.uint16)


def nearest(values: NDArray[T], u: Doubles, v: Doubles, *, outside: int) -> NDArray[T]:
    """The pixel in which each point lies; `outside` off the raster."""
    height, width = values.shape
    col, row = np.floor(u + 0.5).astype(np.intp), np.floor(v + 0.5).astype(np.intp)
    on = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    result = values[np.clip(row, 0, height - 1), np.clip(col, 0, width - 1)]
    if not on.all():
        result[~on] = outside
    return result


def mean_dn(dn: NDArray[np.uint16], edge: int) -> NDArray[np.uint16]:
    """Mean of the pixels with data in blocks of edge x edge; 0 where a block has none. Partial blocks are dropped.

    Saturated where one of the pixels is: how bright it was is not known.
    """
    rows, cols = dn.shape[0] // edge, dn.shape[1] // edge
    blocks = dn[: rows * edge, : cols * edge].reshape(rows, edge, cols, edge)
    total = blocks.sum(axis=(1, 3), dtype=np.uint64)
    count = (blocks > 0).sum(axis=(1, 3), dtype=np.uint64)
    mean = np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), 0).astype(np.uint16)
    if dn.size and dn.max() == SATURATION:
        mean[(blocks == SATURATION).any(axis=(1, 3))] = SATURATION
    return mean
