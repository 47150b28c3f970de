"""How one granule sees the world: every digital number and class by formula, with no file involved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from scenes.surface import look, reflectance, scene_class, sensor_noise

if TYPE_CHECKING:
    from collections.abc import Callable

    from scenes.clouds import Clouds, Sun
    from scenes.noise import Floats
    from scenes.product import Level
    from scenes.world import World

Pixels = NDArray[np.int64]
"""Column or row indices of pixels."""

SATURATED = 65_535

_WINDOW = 512
"""Scenes are computed in windows of this many pixels, so that memory does not grow with them."""

# Path reflectance and two-way transmittance, B02 B03 B04 B08: round numbers chosen by hand for a clear atmosphere.
_ATMOSPHERE = {"B02": (0.072, 0.84), "B03": (0.041, 0.86), "B04": (0.026, 0.91), "B08": (0.011, 0.95)}


@dataclass(frozen=True, kw_only=True)
class View:
    """Enough to compute every pixel of a granule."""

    world: World
    level: Level
    epsg: int
    ulx: float
    uly: float
    size: int
    resolution: int
    offset: int
    """What a reader has to add to the numbers: DN = round(10,000 rho) - offset."""
    sun: Sun
    clouds: Clouds
    noise_seed: int
    """Of the sensor's noise, different from scene to scene."""
    nodata_wedge: float
    """Share of the upper edge without data; the border of the data runs from there to the lower left corner."""

    def places(self, columns: Pixels, rows: Pixels, resolution: int) -> tuple[Floats, Floats]:
        """Longitude and latitude of pixel centres."""
        x = self.ulx + (columns + 0.5) * resolution
        y = self.uly - (rows + 0.5) * resolution
        lon, lat = _to_degrees(self.epsg).transform(x, y)
        return np.asarray(lon, np.float64), np.asarray(lat, np.float64)

    def empty(self, columns: Pixels, rows: Pixels, resolution: int) -> NDArray[np.bool_]:
        """Whether pixel centres lie beyond the border of the data."""
        extent = self.size * self.resolution
        across, down = (columns + 0.5) * resolution / extent, (rows + 0.5) * resolution / extent
        return np.asarray(across < self.nodata_wedge * (1 - down))

    def corners(self) -> list[tuple[float, float]]:
        """Corners of the part that has data, as x and y of the map."""
        extent = self.size * self.resolution
        left, top, right, bottom = self.ulx, self.uly, self.ulx + extent, self.uly - extent
        return [(left + self.nodata_wedge * extent, top), (right, top), (right, bottom), (left, bottom)]

    def dn(self, bands: tuple[str, ...], columns: Pixels, rows: Pixels) -> list[NDArray[np.uint16]]:
        """Digital numbers of each band at pixel indices of one shape; 0 where there is no data, and only there."""
        lon, lat = self.places(columns, rows, self.resolution)
        ground, cover = look(self.world, lon, lat, sun=self.sun, clouds=self.clouds)
        empty = self.empty(columns, rows, self.resolution)
        numbers = []
        for band, surface in zip(bands, reflectance(cover, ground, bands), strict=True):
            path, transmittance = _ATMOSPHERE[band] if self.level == "L1C" else (0.0, 1.0)
            rho = np.float32(path) + np.float32(transmittance) * surface
            rho = rho + sensor_noise(columns, rows, band=band, seed=self.noise_seed)
            scaled = np.floor(rho.astype(np.float64) * 10_000 + 0.5) - self.offset
            numbers.append(np.where(empty, 0, np.clip(scaled, 1, SATURATED - 1)).astype(np.uint16))
        return numbers

    def scl(self, columns: Pixels, rows: Pixels, resolution: int) -> NDArray[np.uint8]:
        """Scene class at indices of the SCL's own pixels, `resolution` metres wide."""
        lon, lat = self.places(columns, rows, resolution)
        ground, cover = look(self.world, lon, lat, sun=self.sun, clouds=self.clouds)
        return np.where(self.empty(columns, rows, resolution), 0, scene_class(cover, ground)).astype(np.uint8)


@lru_cache
def _to_degrees(epsg: int) -> Transformer:
    return Transformer.from_crs(epsg, 4326, always_xy=True)


def mosaic(compute: Callable[[Pixels, Pixels], list[NDArray[Any]]], size: int) -> list[NDArray[Any]]:
    """Compute a square raster window by window: one array (size, size) for each result of `compute(columns, rows)`."""
    whole: list[NDArray[Any]] = []
    for top in range(0, size, _WINDOW):
        for left in range(0, size, _WINDOW):
            rows, columns = np.mgrid[top : min(top + _WINDOW, size), left : min(left + _WINDOW, size)]
            parts = compute(columns, rows)
            whole = whole or [np.empty((size, size), part.dtype) for part in parts]
            for target, part in zip(whole, parts, strict=True):
                target[top : top + part.shape[0], left : left + part.shape[1]] = part
    return whole
