"""Clouds over the generated world, and the shadows they cast."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from scenes.noise import METRES_PER_DEGREE, Field, Floats, gradient_noise, smoothstep
from scenes.world import displaced

_HEIGHT = 1400.0
"""Height of the clouds above the ground, in metres: it sets how far the shadow lies from its cloud."""


@dataclass(frozen=True)
class Sun:
    """Where the sun stands, in degrees; azimuth clockwise from north."""

    azimuth: float = 152.0
    elevation: float = 58.0


@dataclass(frozen=True, kw_only=True)
class Clouds:
    """Clouds of one overpass: the same for every tile that was seen then.

    `fraction` is the share of the whole Earth that they cover, so a single tile has more or less.
    """

    fraction: float = 0.0
    seed: int = 0
    blobs: tuple[tuple[float, float, float], ...] = ()
    """Round opaque clouds at chosen places: (longitude, latitude, radius in metres)."""

    @property
    def none(self) -> bool:
        """Whether the sky is clear everywhere."""
        return self.fraction <= 0 and not self.blobs

    def opacity(self, lon: Floats, lat: Floats) -> Field:
        """Opacity of the cloud over a place, 0 to 1; inputs broadcast."""
        cover = np.zeros(np.broadcast_shapes(lon.shape, lat.shape), np.float32)
        if self.fraction >= 1:
            cover[...] = 1
        elif self.fraction > 0:
            threshold = _threshold(self.fraction, self.seed)
            cover = smoothstep(threshold - 0.06, threshold + 0.14, _billows(lon, lat, self.seed))
        for centre_lon, centre_lat, radius in self.blobs:
            east = ((lon - centre_lon + 180.0) % 360.0 - 180.0) * np.cos(np.radians(lat))
            distance = np.hypot(east, lat - centre_lat) * METRES_PER_DEGREE
            np.maximum(cover, smoothstep(-1.05 * radius, -0.95 * radius, -distance), out=cover)
        return cover

    def shadow(self, lon: Floats, lat: Floats, sun: Sun) -> Field:
        """Share of direct sunlight that clouds keep from a place, 0 to 1."""
        reach = _HEIGHT / np.tan(np.radians(sun.elevation))
        azimuth = np.radians(sun.azimuth)
        towards_sun = displaced(lon, lat, float(reach * np.sin(azimuth)), float(reach * np.cos(azimuth)))
        return self.opacity(*towards_sun)


def _billows(lon: Floats, lat: Floats, seed: int) -> Field:
    """Fractal noise from 5 km down to 160 m."""
    total = np.zeros(np.broadcast_shapes(lon.shape, lat.shape), np.float32)
    for octave in range(6):
        total += np.float32(0.55**octave) * gradient_noise(
            lon, lat, wavelength=5_000 / 2**octave, seed=seed * 131 + 5000 + octave
        )
    return total


@lru_cache(maxsize=64)
def _threshold(fraction: float, seed: int) -> float:
    """Level that `fraction` of the Earth's cloud noise exceeds, from 20,000 points spread evenly (golden spiral)."""
    index = np.arange(20_000) + 0.5
    lat = np.asarray(np.degrees(np.arcsin(1 - index / 10_000)), np.float64)
    lon = np.asarray((index * 137.50776405003785) % 360.0 - 180.0, np.float64)
    return float(np.quantile(_billows(lon, lat, seed), 1 - fraction))
