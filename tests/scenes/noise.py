"""Smooth noise on the whole Earth: seamless at the antimeridian, the same scale at every latitude.

Perlin's gradient noise (K. Perlin, "Improving noise", SIGGRAPH 2002) needs a grid of cells. A plain lon/lat grid
would stretch features near the poles, so each row of cells has its own number of columns (a *reduced grid*, as in
weather models): about `cells * cos(latitude)`, an integer, so that a row closes on itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
"""Longitudes, latitudes (degrees, WGS 84) and what is computed from them; any shape."""

Field = NDArray[np.float32]
"""Noise values; the broadcast shape of longitude and latitude."""

METRES_PER_DEGREE = 111_320.0
_GRADIENTS = 64
_ANGLES = (np.arange(_GRADIENTS) + 0.5) * (2 * np.pi / _GRADIENTS)
_GRADIENT_X = np.cos(_ANGLES).astype(np.float32)
_GRADIENT_Y = np.sin(_ANGLES).astype(np.float32)


def scramble(column: NDArray[Any], row: NDArray[Any], seed: int) -> NDArray[np.uint32]:
    """Hash integer cells to 32 well-mixed bits (finaliser of MurmurHash3); shapes broadcast."""
    bits = np.asarray(column, np.int64).astype(np.uint32) * np.uint32(0x9E3779B1)
    salt = np.uint32(seed * 0x27D4EB2F & 0xFFFFFFFF)
    bits = bits ^ (np.asarray(row, np.int64).astype(np.uint32) * np.uint32(0x85EBCA77) + salt)
    bits ^= bits >> np.uint32(16)
    bits *= np.uint32(0x85EBCA6B)
    bits ^= bits >> np.uint32(13)
    bits *= np.uint32(0xC2B2AE35)
    bits ^= bits >> np.uint32(16)
    return bits


def unit(bits: NDArray[np.uint32]) -> Field:
    """Turn hashed bits into numbers in [0, 1)."""
    return np.asarray((bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24), np.float32)


def smoothstep(low: float, high: float, value: NDArray[Any]) -> Field:
    """Rise from 0 at `low` to 1 at `high` with zero slope at both ends."""
    t = np.clip((np.asarray(value, np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (np.float32(3) - np.float32(2) * t), np.float32)


def fade(t: Field) -> Field:
    """Perlin's quintic: its second derivative vanishes at the cell edges, so slopes are smooth across them."""
    return np.asarray(t * t * t * (t * (t * np.float32(6) - np.float32(15)) + np.float32(10)), np.float32)


def gradient_noise(lon: Floats, lat: Floats, *, wavelength: float, seed: int) -> Field:
    """Gradient noise of about -1 to 1 (rms 0.4) whose cells are `wavelength` metres wide.

    `lon` and `lat` are float64 degrees that broadcast; longitude may lie outside -180..180. The value at a place does
    not depend on which other places are asked for.
    """
    cells = round(360.0 * METRES_PER_DEGREE / wavelength)
    y = (lat + 90.0) * (cells / 360.0)
    row = np.floor(y).astype(np.int64)
    fraction_y = (y - row).astype(np.float32)
    turn = (lon + 180.0) / 360.0
    lower = _row_noise(turn, fraction_y, row, cells, seed)
    upper = _row_noise(turn, fraction_y - np.float32(1), row + 1, cells, seed)
    upper -= lower
    upper *= fade(fraction_y)
    upper += lower
    upper *= np.float32(1.5)
    return upper


def _row_noise(turn: Floats, offset_y: Field, row: NDArray[np.int64], cells: int, seed: int) -> Field:
    """Contribution of the cell corners on one row of the reduced grid, `offset_y` cells away."""
    first, last = int(row.min()), int(row.max())
    rows = np.arange(first, last + 1)
    columns = np.maximum(8, np.rint(cells * np.cos(np.radians(rows * (360.0 / cells) - 90.0))))
    # Each row starts at its own longitude, or the corners of all rows would line up at the antimeridian.
    phase = unit(scramble(rows, rows, seed + 77)).astype(np.float64)
    count = columns[row - first]
    x = turn * count + phase[row - first]
    cell = np.floor(x)
    offset_x = (x - cell).astype(np.float32)
    left = np.mod(cell, count)
    right = left + 1.0
    right = np.where(right >= count, 0.0, right)
    near = _corner(left, row, seed, offset_x, offset_y)
    far = _corner(right, row, seed, offset_x - np.float32(1), offset_y)
    far -= near
    far *= fade(offset_x)
    far += near
    return far


def _corner(column: Floats, row: NDArray[np.int64], seed: int, offset_x: Field, offset_y: Field) -> Field:
    """Dot product of a corner's gradient with the offset from it."""
    which = scramble(column, row, seed) >> np.uint32(26)
    value: Field = _GRADIENT_X[which]
    value *= offset_x
    value += _GRADIENT_Y[which] * offset_y
    return value
