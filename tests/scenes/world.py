"""The world that the generated scenes show: terrain as a function of place.

Everything is a formula of longitude and latitude (degrees, WGS 84), so truth can be asked for at any point. The smooth
fields live on a lattice of posts 1/3600 degree apart, the one of Copernicus DEM: post (row, column) lies at latitude
90 - row / 3600 and longitude -180 + column / 3600.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scenes.noise import METRES_PER_DEGREE, Field, Floats, gradient_noise, smoothstep

POSTS_PER_DEGREE = 3600
LATTICE_COLUMNS = 360 * POSTS_PER_DEGREE

Indices = NDArray[np.int64]

_ROWS_AT_ONCE = 64
"""Posts are computed in strips of this many rows, so that intermediates stay in the processor's cache."""


@dataclass(frozen=True)
class Terrain:
    """What the terrain formula knows of a place; fields are float32 of one shape."""

    elevation: Field
    """Metres above the geoid."""
    shore: Field
    """Position across the main valley: negative on river or lake, 0 at the shore, up to about 1 in the mountains."""


@dataclass(frozen=True, kw_only=True)
class World:
    """A world, made from its seed alone.

    >>> World(seed=1).terrain(np.array([11.4]), np.array([46.5])).elevation.shape
    (1,)
    """

    seed: int = 1
    relief: float = 2700.0
    """Height of the highest summits above the valley floors, in metres."""
    octaves: int = 7
    """Detail of the ridges, each half as wide as the one before, from 8 km on."""

    def terrain(self, lon: Floats, lat: Floats) -> Terrain:
        """Evaluate the terrain formula; `lon` and `lat` broadcast."""
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        floor = 620 + 260 * self.noise(lon, lat, 90_000, 1)
        # Shifting the place by noise ("domain warping") bends the ridges and lets the rivers meander.
        east = 1400 * self.noise(lon, lat, 7_000, 2) + 260 * self.noise(lon, lat, 1_900, 4)
        north = 1400 * self.noise(lon, lat, 7_000, 3) + 260 * self.noise(lon, lat, 1_900, 5)
        lon, lat = displaced(lon, lat, east, north)
        channel = self.noise(lon, lat, 15_000, 6)
        away = np.abs(channel)
        # Rivers are some 50 m wide and widen to lakes here and there.
        shore = away - np.float32(0.005) - np.float32(0.05) * smoothstep(0.30, 0.55, self.noise(lon, lat, 11_000, 8))
        mountain = smoothstep(0.01, 0.52, away)
        height = mountain * (np.float32(0.12) + np.float32(1.05) * self._ridges(lon, lat, mountain))
        height *= self._gullies(lon, lat)
        bank = np.float32(12) * smoothstep(0.0, 0.03, shore)
        return Terrain(np.asarray(floor + bank + np.float32(self.relief) * height, np.float32), shore)

    def noise(self, lon: Floats, lat: Floats, wavelength: float, layer: int) -> Field:
        """Return one layer of this world's noise, `wavelength` in metres."""
        return gradient_noise(lon, lat, wavelength=wavelength, seed=self.seed * 1009 + layer)

    def _ridges(self, lon: Floats, lat: Floats, roughness: Field) -> Field:
        """Ridged multifractal (Musgrave, in "Texturing and modeling", 3rd ed., ch. 16): crests, smooth hollows."""
        total: Field = np.zeros(np.broadcast_shapes(lon.shape, lat.shape), np.float32)
        weight: Field = np.float32(0.35) + np.float32(0.65) * roughness
        gain, norm, wavelength = 1.0, 0.0, 8_000.0
        for octave in range(self.octaves):
            crest = np.float32(1) - np.abs(self.noise(lon, lat, wavelength, 20 + octave))
            crest *= crest
            crest *= weight
            total += np.float32(gain) * crest
            weight = np.minimum(crest * np.float32(2.2), np.float32(1))
            norm += gain
            gain *= 0.47
            wavelength *= 0.5
        return np.asarray(total / np.float32(norm), np.float32)

    def _gullies(self, lon: Floats, lat: Floats) -> Field:
        """What streams leave of a mountain, as a factor.

        They cut where noise changes sign: lines that branch and never end. Being a share of the height, a cut is
        shallow above the valley floor and deep on the flanks, so that side valleys hang over the main one.
        """
        left = np.ones(np.broadcast_shapes(lon.shape, lat.shape), np.float32)
        for layer, wavelength, depth in ((7, 5_200, 0.50), (9, 2_100, 0.17), (10, 800, 0.045)):
            away = np.abs(self.noise(lon, lat, wavelength, layer))
            cut = np.square(np.float32(1) - np.minimum(away * np.float32(1.9), 1))
            left *= np.asarray(np.float32(1) - np.float32(depth) * cut, np.float32)
        return np.asarray(left, np.float32)

    def dem_posts(self, rows: Indices, columns: Indices) -> Field:
        """Elevation of lattice posts, float32 metres of shape (len(rows), len(columns)); columns may wrap."""
        elevation: Field = self.posts(rows, columns)[0]
        return elevation

    def posts(self, rows: Indices, columns: Indices) -> Field:
        """Elevation and shore of lattice posts: float32 of shape (2, len(rows), len(columns))."""
        lon = post_longitude(columns)[np.newaxis, :]
        lat = post_latitude(rows)[:, np.newaxis]
        block = np.empty((2, len(rows), len(columns)), np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            strip = slice(start, start + _ROWS_AT_ONCE)
            terrain = self.terrain(lon, lat[strip])
            block[0, strip] = terrain.elevation
            block[1, strip] = terrain.shore
        return block

    def bilinear_truth(self, lon: Floats, lat: Floats) -> Floats:
        """Elevation between the float32 posts of the lattice, interpolated in float64; any shape."""
        x = (np.asarray(lon, np.float64) + 180.0) * POSTS_PER_DEGREE
        y = (90.0 - np.asarray(lat, np.float64)) * POSTS_PER_DEGREE
        column, row = np.floor(x), np.floor(y)
        corners = [
            self.terrain(post_longitude(column + right), post_latitude(row + down)).elevation
            for down, right in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        return bilinear(corners, x - column, y - row)


def displaced(lon: Floats, lat: Floats, east: Field | float, north: Field | float) -> tuple[Floats, Floats]:
    """Move places by metres; near the poles, where metres are many degrees, the step in longitude is limited."""
    scale = METRES_PER_DEGREE * np.maximum(np.cos(np.radians(lat)), 0.02)
    return lon + east / scale, np.clip(lat + north / METRES_PER_DEGREE, -90.0, 90.0)


def post_longitude(columns: NDArray[Any]) -> Floats:
    """Longitude of lattice columns; a column past the last is one of the next turn."""
    return -180.0 + np.asarray(columns) % LATTICE_COLUMNS / POSTS_PER_DEGREE


def post_latitude(rows: NDArray[Any]) -> Floats:
    """Latitude of lattice rows, counted southwards from the pole."""
    return 90.0 - np.asarray(rows) / POSTS_PER_DEGREE


def bilinear(corners: list[Any], u: Floats, v: Floats) -> Floats:
    """Weigh the corners (upper left, upper right, lower left, lower right) of a unit cell, in float64."""
    upper_left, upper_right, lower_left, lower_right = (np.asarray(corner, np.float64) for corner in corners)
    upper = upper_left + (upper_right - upper_left) * u
    lower = lower_left + (lower_right - lower_left) * u
    return np.asarray(upper + (lower - upper) * v, np.float64)


def unwrapped(columns: Indices) -> Indices:
    """Number columns on from the first one, so that a block across the antimeridian is one run."""
    if columns.size == 0:
        return columns
    half = LATTICE_COLUMNS // 2
    first = columns.flat[0]
    return first + (columns - first + half) % LATTICE_COLUMNS - half
