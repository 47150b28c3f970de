"""Values of a raster at points given in its own pixel coordinates.

Pure functions of the point and its (at most sixteen) neighbours, so that the result does not depend on how a job was cut.
Coordinates are (u, v) = (column, row) with pixel centres at whole numbers: 0 is the centre of the first pixel.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from eo.radiometry import NODATA, SATURATION

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

    u and v have one shape, which the result takes; or they are an open mesh, u of shape (1, columns) and v (rows, 1), which
    gives the same at a tenth of the cost.
    A point whose nearest pixel has no data has none; elsewhere the weights of the neighbours that have data are
    scaled to sum to one, so a border of no data neither darkens nor eats into its neighbours.
    Rounds half up; never turns data into 0. Saturated where a neighbour with a weight is: how bright it was is not known.
    """
    return _resampled(dn, u, v, _linear, _around_gaps)


def bicubic_dn(dn: NDArray[np.uint16], u: Doubles, v: Doubles) -> NDArray[np.uint16]:
    """Bicubic interpolation of digital numbers, where 0 is no data: Keys' kernel with a = -1/2, edges held.

    R. G. Keys 1981, IEEE Trans. ASSP 29(6), equation 15. u and v as for `bilinear_dn`. Rounds half up; what overshoots stays
    within 1 and the last DN that is not saturated. A point that has a pixel without data or a saturated one among its
    sixteen neighbours is bilinear: weights below zero cannot be scaled to stand for others.
    """
    return _resampled(dn, u, v, _cubic, bilinear_dn)


Taps = tuple[list[NDArray[np.intp]], list[Doubles], NDArray[np.bool_]]
"""(neighbours, their weights, whether the point lies on the raster) along one axis."""


def _linear(at: Doubles, size: int) -> Taps:
    lower, weight, on = _cells(at, size)
    return [lower, np.minimum(lower + 1, size - 1)], [1 - weight, weight], np.broadcast_to(on, at.shape)


def _cubic(at: Doubles, size: int) -> Taps:
    first = np.floor(at)
    t = at - first
    weights = [
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    ]
    neighbours = [np.clip(first.astype(np.intp) + step, 0, size - 1) for step in (-1, 0, 1, 2)]
    return neighbours, weights, (at >= -0.5) & (at < size - 0.5)


def _resampled(
    dn: NDArray[np.uint16],
    u: Doubles,
    v: Doubles,
    taps: Callable[[Doubles, int], Taps],
    spoilt: Callable[[NDArray[np.uint16], Doubles, Doubles], NDArray[np.uint16]],
) -> NDArray[np.uint16]:
    """Weighted along rows first, then along columns, so that points and meshes get the same bits.

    Points beside pixels that have no data or are saturated are left to `spoilt`, which takes points of shape (n,).
    """
    cols, across, on_u = taps(u, dn.shape[1])
    rows, down, on_v = taps(v, dn.shape[0])
    bad = (dn == NODATA) | (dn == SATURATION)
    around: NDArray[np.bool_] | None = None
    if u.ndim == v.ndim == 2 and u.shape[0] == v.shape[1] == 1:
        values = _meshed(dn, (cols, across), (rows, down))
        if bad.any():
            near = np.logical_or.reduce([bad.take(col[0], axis=1) for col in cols])
            around = np.logical_or.reduce([near.take(row[:, 0], axis=0) for row in rows])
    else:
        lines = [_sum([dn[row, col] for col in cols], across) for row in rows]
        values = _rounded(_sum(lines, down))
        if bad.any():
            around = np.logical_or.reduce([bad[row, col] for row in rows for col in cols])
    if around is not None:
        at = np.nonzero(around)
        points = [np.broadcast_to(axis, values.shape)[at] for axis in (u, v)]
        values[at] = spoilt(dn, *points)
    on = on_u & on_v
    if not on.all():
        values[~on] = NODATA
    return values


STRIP = 1 << 16
"""Points of a mesh that are weighted at a time: what is held of them stays in a core's cache."""


def _meshed(
    dn: NDArray[np.uint16],
    along: tuple[list[NDArray[np.intp]], list[Doubles]],
    down: tuple[list[NDArray[np.intp]], list[Doubles]],
) -> NDArray[np.uint16]:
    """Values of an open mesh, (rows, columns): each row of pixels is weighted once, whatever the rows between them."""
    (cols, across), (rows, weights) = along, down
    made = np.empty((rows[0].shape[0], cols[0].shape[1]), np.uint16)
    step = max(1, STRIP // max(1, made.shape[1]))
    for top in range(0, len(made), step):
        strip = slice(top, top + step)
        lines = [row[strip, 0] for row in rows]
        first, last = min(int(row.min()) for row in lines), max(int(row.max()) for row in lines)
        some = dn[first : last + 1]
        wide = _sum([some.take(col[0], axis=1) for col in cols], across)
        made[strip] = _rounded(_sum([wide.take(row - first, axis=0) for row in lines], [w[strip] for w in weights]))
    return made


def _sum(values: list[NDArray[Any]], weights: list[Doubles]) -> Doubles:
    """The values times their weights, one after the other."""
    total: Doubles = values[0] * weights[0]
    for value, weight in zip(values[1:], weights[1:], strict=True):
        total += value * weight
    return total


def _rounded(values: Doubles) -> NDArray[np.uint16]:
    """Half up, within what is data and not saturated."""
    values += 0.5
    np.clip(values, 1, SATURATION - 1, out=values)
    return values.astype(np.uint16)


def _around_gaps(dn: NDArray[np.uint16], u: Doubles, v: Doubles) -> NDArray[np.uint16]:
    """`bilinear_dn` where neighbours may have no data or be saturated."""
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
