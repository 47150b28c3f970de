"""The demo scene: two neighbouring tiles on two days in the mountains, and the elevation under them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyproj import Transformer

from scenes.clouds import Clouds, Sun
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from scenes.dem import Bounds, Dem

SEED = 2
EPSG = 32632
_ULX, _ULY = 671_240, 5_168_180
"""Upper left corner in UTM zone 32N, off any round number of tiles, as real granules are (11.2 E, 46.6 N)."""

_OVERLAP = 0.09
"""Share of a tile that its neighbour covers too: 9.8 of 109.8 km in the real grid."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What was written."""

    catalog: Path
    """Folder of STAC items and products."""
    dem_path: Path
    bbox: Bounds
    """A box inside both tiles, across their overlap."""
    datetime: str
    scenes: tuple[Scene, ...]
    dem: Dem

    def summary(self) -> dict[str, Any]:
        """Paths, box and dates as JSON would hold them."""
        return {
            "catalog": str(self.catalog),
            "dem": str(self.dem_path),
            "bbox": list(self.bbox),
            "datetime": self.datetime,
            "items": [scene.id for scene in self.scenes],
        }


def write_demo(folder: Path, *, size: int = 2048) -> Demo:
    """Write two tiles of `size` x `size` pixels at 10 m, each on two days, below `folder`, and a DEM for both."""
    world = World(seed=SEED)
    catalog, dem_path = folder / "catalog", folder / "dem.zarr"
    # Even pixels: the SCL's 20 m grid starts at the tile's corner too.
    shift = round(size * (1 - _OVERLAP) / 2) * 2 * 10
    days = (
        (datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC), "S2C", Sun(152.0, 62.0), Clouds(fraction=0.03, seed=11)),
        (datetime(2026, 8, 26, 10, 10, 41, tzinfo=UTC), "S2B", Sun(157.0, 51.0), Clouds(fraction=0.28, seed=5)),
    )
    scenes = tuple(
        write_scene(
            catalog,
            world=world,
            epsg=EPSG,
            ulx=_ULX + east,
            uly=_ULY,
            tile=tile,
            size=size,
            sensed=sensed,
            platform=platform,
            sun=sun,
            clouds=clouds,
        )
        for sensed, platform, sun, clouds in days
        for tile, east in (("32TPS", 0), ("32TQS", shift))
    )
    extent = size * 10
    west, south, east, north = Transformer.from_crs(EPSG, 4326, always_xy=True).transform_bounds(
        _ULX, _ULY - extent, _ULX + shift + extent, _ULY
    )
    dem = write_edh_zarr(dem_path, world=world, bounds=(west, south, east, north), chunks=None)
    # The tiles are square on the map, not in degrees: stay clear of their slanted edges.
    inset = 0.08
    across, up = (east - west) * inset, (north - south) * inset
    bbox = (round(west + across, 4), round(south + up, 4), round(east - across, 4), round(north - up, 4))
    return Demo(catalog=catalog, dem_path=dem_path, bbox=bbox, datetime="2026-06-01/2026-09-30", scenes=scenes, dem=dem)
