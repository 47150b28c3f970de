"""Copernicus DEM GLO-30 as on AWS: cloud-optimised GeoTIFF tiles of 1 x 1 degree, with generated heights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rasterio.transform import Affine

from scenes.dem import Bounds, Dem, in_strips
from scenes.rasters import Encoding, write_raster

if TYPE_CHECKING:
    from pathlib import Path

    from scenes.noise import Floats
    from scenes.world import World

ROWS = 3600
_COLUMNS = ((50, 3600), (60, 2400), (70, 1800), (80, 1200), (85, 720), (90, 360))
"""Columns of the tiles between one latitude and the next towards the pole (Copernicus DEM product handbook)."""

_MARGIN = 40


@dataclass(frozen=True, kw_only=True)
class Glo30:
    """Written tiles and their truth."""

    folder: Path
    world: World
    tiles: dict[str, Path]
    missing: tuple[str, ...]
    """Tiles within the bounds that were left out: sea, or withheld land."""

    def truth(self, lon: Floats, lat: Floats) -> Floats:
        """Height in float64 metres: linear along the two rows of posts around a place, then between them.

        Rows of one latitude band share their columns, so this is bilinear except right at a border of bands.
        """
        lon, lat = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        row = (90.0 - lat) * ROWS
        above = np.floor(row)
        upper, lower = self._along(lon, above), self._along(lon, above + 1)
        return np.asarray(upper + (lower - upper) * (row - above), np.float64)

    def _along(self, lon: Floats, row: Floats) -> Floats:
        """Interpolate along rows of posts, counted from the north pole."""
        # A tile holds its northern border, so the row at 47 N belongs to the tile from 46 to 47 N.
        south = 89 - row // ROWS
        count = np.vectorize(columns_of, otypes=[np.float64])(south)
        x = (lon + 180.0) * count
        left = np.floor(x)
        west, east = (self._post(column / count - 180.0, 90.0 - row / ROWS, south) for column in (left, left + 1))
        return np.asarray(west + (east - west) * (x - left), np.float64)

    def _post(self, lon: Floats, lat: Floats, south: Floats) -> Floats:
        """Height of posts in the tiles with these southern borders; 0 m where the tile is missing."""
        height = self.world.terrain(lon, lat).elevation.astype(np.float64)
        for name in self.missing:
            west_edge, south_edge = corner_of(name)
            height[(np.floor(lon + 180.0) % 360.0 - 180.0 == west_edge) & (south == south_edge)] = 0.0
        return height


def columns_of(south: float) -> int:
    """Columns of the tile whose southern border is at `south` degrees."""
    nearest_equator = south if south >= 0 else -south - 1
    return next(columns for limit, columns in _COLUMNS if nearest_equator < limit)


def tile_name(west: int, south: int) -> str:
    """Name of the tile with this lower left corner in whole degrees."""
    north_south = f"{'N' if south >= 0 else 'S'}{abs(south):02}"
    east_west = f"{'E' if west >= 0 else 'W'}{abs(west):03}"
    return f"Copernicus_DSM_COG_10_{north_south}_00_{east_west}_00_DEM"


def corner_of(name: str) -> tuple[int, int]:
    """Lower left corner (west, south) in whole degrees of the tile with this name."""
    parts = name.split("_")
    south, west = int(parts[4][1:]), int(parts[6][1:])
    return (west if parts[6][0] == "E" else -west), (south if parts[4][0] == "N" else -south)


def write_glo30(
    folder: Path,
    *,
    world: World,
    bounds: Bounds,
    missing: tuple[str, ...] = (),
    fill_tiles: bool = False,
    block: int = 1024,
) -> Glo30:
    """Write `<name>/<name>.tif` for each tile that `bounds` (degrees) touches, and `tileList.txt`.

    Heights end 40 posts outside the bounds, and are 0 m beyond, unless `fill_tiles`. Tiles named in `missing` are left
    out (their truth is sea, 0 m). A tile's pixels are centred on its posts, so its edges lie half a pixel off the whole degrees.
    """
    written = {}
    west, south, east, north = bounds
    # Posts lie on tiles' western and northern borders only: a place just inside may need a post of the next tile.
    post = 1.01 / columns_of(max(abs(south), abs(north)) - 1)
    east = west + (east - west) % 360 + post
    pad = _MARGIN / ROWS
    around = None if fill_tiles else (west - pad, south - pad, east + pad, north + pad)
    for tile_south in range(math.floor(south - 1.01 / ROWS), math.ceil(north)):
        for turn in range(math.floor(west), math.ceil(east)):
            corner = ((turn + 180) % 360 - 180, tile_south)
            name = tile_name(*corner)
            if name not in missing:
                written[name] = folder / name / f"{name}.tif"
                _write_tile(written[name], world, corner, around, block)
    (folder / "tileList.txt").write_text("".join(f"{name}\n" for name in sorted(written)), encoding="utf-8")
    return Glo30(folder=folder, world=world, tiles=written, missing=missing)


def _write_tile(path: Path, world: World, corner: tuple[int, int], around: Bounds | None, block: int) -> None:
    west, south = corner
    count = columns_of(south)
    step = (1 / count, 1 / ROWS)
    dem = Dem(path=path, world=world, crs="EPSG:4326", origin=(float(west), south + 1.0), step=step)
    columns, rows = np.arange(count), np.arange(ROWS)
    if around is not None:
        lon, lat = west + columns * step[0], south + 1 - rows * step[1]
        columns = columns[(lon - around[0]) % 360 <= (around[2] - around[0]) % 360]
        rows = rows[(around[1] <= lat) & (lat <= around[3])]
    pixels = np.zeros((ROWS, count), np.float32)
    if len(columns) and len(rows):
        pixels[np.ix_(rows, columns)] = in_strips(dem, columns, rows)
    transform = Affine(step[0], 0, west - step[0] / 2, 0, -step[1], south + 1 + step[1] / 2)
    write_raster(path, pixels, crs="EPSG:4326", transform=transform, encoding=Encoding(format="cog", block=block))
