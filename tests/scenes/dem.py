"""Generated elevation models and their truth: the `Dem`, and GeoTIFF of any CRS.

Earth Data Hub's Zarr is in `scenes.edh`, Copernicus GLO-30 tiles are in `scenes.glo30`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS, Transformer
from rasterio.transform import Affine

from scenes.rasters import Encoding, write_raster
from scenes.world import World, bilinear

if TYPE_CHECKING:
    from pathlib import Path

    from scenes.noise import Field, Floats

Bounds = tuple[float, float, float, float]
"""West, south, east, north; in degrees, west > east means across the antimeridian."""

PLAIN = Encoding(format="gtiff", block=256)

_STRIP = 64
"""Posts are computed in strips of this many rows, so that memory does not grow with the model."""


@dataclass(frozen=True, kw_only=True)
class Dem:
    """A written elevation model. Its posts lie at `origin + index * step` of `crs`."""

    path: Path
    world: World
    crs: str
    """Horizontal CRS."""
    origin: tuple[float, float]
    """x and y of the upper left post (the centre of the first pixel)."""
    step: tuple[float, float]
    """Spacing in x and in y, both positive: y falls from row to row."""
    void: Bounds | None = None
    """Longitudes and latitudes without elevation."""

    def posts(self, columns: Floats, rows: Floats) -> Field:
        """Heights as written, float32 metres, at whole post indices; they broadcast. NaN where there are none."""
        x = self.origin[0] + columns * self.step[0]
        y = self.origin[1] - rows * self.step[1]
        if self.crs == "EPSG:4326":
            return heights(self.world, x, y, self.void)
        return heights(self.world, *_transform(self.crs, "EPSG:4326", *np.broadcast_arrays(x, y)), self.void)

    def truth(self, lon: Floats, lat: Floats) -> Floats:
        """Bilinear interpolation of the written posts at WGS 84 degrees: float64 metres, NaN beside a missing post."""
        x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        if self.crs != "EPSG:4326":
            x, y = _transform("EPSG:4326", self.crs, x, y)
        column, row = (x - self.origin[0]) / self.step[0], (self.origin[1] - y) / self.step[1]
        left, top = np.floor(column), np.floor(row)
        corners = [self.posts(left + right, top + down) for down, right in ((0, 0), (0, 1), (1, 0), (1, 1))]
        return bilinear(corners, column - left, row - top)


def heights(world: World, lon: Floats, lat: Floats, void: Bounds | None) -> Field:
    """Elevation by formula, float32 metres, with NaN in the void; `lon` and `lat` broadcast."""
    elevation = world.terrain(lon, lat).elevation
    if void is None:
        return elevation
    west, south, east, north = void
    return np.where(
        ((lon - west) % 360.0 <= (east - west) % 360.0) & (south <= lat) & (lat <= north), np.nan, elevation
    )


def write_geotiff(
    path: Path,
    *,
    world: World,
    crs: str,
    bounds: Bounds,
    resolution: float,
    vertical: str | None = None,
    void: Bounds | None = None,
    encoding: Encoding = PLAIN,
) -> Dem:
    """Write a float32 GeoTIFF whose pixel edges start at the upper left corner of `bounds` (in units of `crs`).

    `vertical` (such as EPSG:3855) is declared in the file by a compound CRS; `void` is a box in degrees left as NaN.
    """
    west, south, east, north = bounds
    columns, rows = round((east - west) / resolution), round((north - south) / resolution)
    dem = Dem(
        path=path,
        world=world,
        crs=crs,
        origin=(west + resolution / 2, north - resolution / 2),
        step=(resolution, resolution),
        void=void,
    )
    pixels = in_strips(dem, np.arange(columns), np.arange(rows))
    declared = crs if vertical is None else CRS.from_user_input(f"{crs}+{vertical.removeprefix('EPSG:')}").to_wkt()
    transform = Affine(resolution, 0, west, 0, -resolution, north)
    write_raster(path, pixels, crs=declared, transform=transform, encoding=encoding, nodata=float("nan"))
    return dem


def in_strips(
    dem: Dem, columns: np.ndarray[tuple[int], np.dtype[np.int64]], rows: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> Field:
    """Heights of a block of posts: float32 of shape (len(rows), len(columns))."""
    block = np.empty((len(rows), len(columns)), np.float32)
    for start in range(0, len(rows), _STRIP):
        strip = slice(start, start + _STRIP)
        block[strip] = dem.posts(columns[np.newaxis, :].astype(np.float64), rows[strip, np.newaxis].astype(np.float64))
    return block


@lru_cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def _transform(source: str, target: str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    along, up = _transformer(source, target).transform(x, y)
    return np.asarray(along, np.float64), np.asarray(up, np.float64)
