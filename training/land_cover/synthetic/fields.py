"""What textures are made of: fields of EDGE x EDGE pixels, float64, so that processors agree on them to the last DN."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from training.land_cover.bands import EDGE

Field = NDArray[np.float64]


@cache
def _lattice() -> tuple[Field, Field, Field]:
    """(x, y) of pixels from the middle of the patch, and the squared frequency of each Fourier coefficient."""
    at = np.arange(EDGE) - (EDGE - 1) / 2
    y, x = np.meshgrid(at, at, indexing="ij")
    square = np.fft.fftfreq(EDGE)[:, None] ** 2 + np.fft.rfftfreq(EDGE)[None] ** 2
    return x, y, square


def turned(rng: np.random.Generator) -> tuple[Field, Field]:
    """(along, across): pixel coordinates in a random direction with a random origin, so that no class has a direction."""
    x, y, _ = _lattice()
    angle, (left, top) = rng.uniform(0, np.pi), rng.uniform(-EDGE, EDGE, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    return (x - left) * cos + (y - top) * sin, (y - top) * cos - (x - left) * sin


def smooth(rng: np.random.Generator, length: float) -> Field:
    """White noise under a Gaussian of `length` pixels, with mean 0 and deviation 1; periodic."""
    square = _lattice()[2]
    spectrum = np.fft.rfft2(rng.standard_normal((EDGE, EDGE))) * np.exp(-2 * (np.pi * length) ** 2 * square)
    return unit(np.fft.irfft2(spectrum, (EDGE, EDGE)))


def unit(values: Field) -> Field:
    """With mean 0 and deviation 1; 0 where all are equal."""
    centred = values - values.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 1e-9 else centred


def scattered(rng: np.random.Generator, spacing: float) -> Field:
    """(points, 2) as (x, y) pixels: as many as one for each square of `spacing`, anywhere."""
    count = max(4, round((EDGE / spacing) ** 2))
    return rng.uniform(0, EDGE, (count, 2))


def lattice_points(rng: np.random.Generator, spacing: float) -> Field:
    """(points, 2) as (x, y) pixels: corners of a turned square lattice."""
    steps = np.arange(-EDGE, EDGE + spacing, spacing)
    along, across = (axis.ravel() for axis in np.meshgrid(steps, steps, indexing="ij"))
    angle = rng.uniform(0, np.pi / 2)
    shift = rng.uniform(0, spacing, 2) + EDGE / 2
    x = along * np.cos(angle) - across * np.sin(angle) + shift[0]
    y = along * np.sin(angle) + across * np.cos(angle) + shift[1]
    inside = (x > -spacing) & (x < EDGE + spacing) & (y > -spacing) & (y < EDGE + spacing)
    return np.stack([x[inside], y[inside]], -1)


def discs(points: Field, radius: float) -> Field:
    """1 within `radius` of a point, 0 elsewhere, with an edge one pixel wide."""
    made = np.zeros((EDGE, EDGE))
    reach = int(np.ceil(radius + 1))
    for x, y in points:
        col, row = int(np.floor(x)), int(np.floor(y))
        rows = slice(max(0, row - reach), max(0, min(EDGE, row + reach + 1)))
        cols = slice(max(0, col - reach), max(0, min(EDGE, col + reach + 1)))
        down = np.arange(rows.start, rows.stop) + 0.5 - y
        right = np.arange(cols.start, cols.stop) + 0.5 - x
        far = np.hypot(down[:, None], right[None])
        made[rows, cols] = np.maximum(made[rows, cols], np.clip(radius + 0.5 - far, 0, 1))
    return made


def parcels(points: Field, rng: np.random.Generator) -> Field:
    """Each pixel the random value of the point that is nearest to it."""
    at = np.arange(EDGE) + 0.5
    values = rng.standard_normal(len(points))
    far = (at[:, None, None] - points[:, 1]) ** 2 + (at[None, :, None] - points[:, 0]) ** 2
    return values[far.argmin(-1)]
