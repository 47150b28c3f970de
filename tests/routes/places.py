"""Small scenes anywhere, and heights against truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import Cloud, projected

if TYPE_CHECKING:
    from pathlib import Path

    from scenes.dem import Dem
    from scenes.glo30 import Glo30

WORLD = World(seed=7, octaves=4)
JULY = "2026-07-01/2026-07-31"


def scene_at(folder: Path, epsg: int, lon: float, lat: float, **more: Any) -> Scene:
    """A scene whose middle is at a place."""
    size = more.pop("size", 96)
    x, y = projected(f"EPSG:{epsg}", lon, lat)
    ulx, uly = round(float(x) / 20) * 20 - size * 5, round(float(y) / 20) * 20 + size * 5
    given: dict[str, Any] = {"tile": f"{epsg % 100:02}XAA", "block": 64, "world": WORLD}
    return write_scene(folder, epsg=epsg, ulx=ulx, uly=uly, size=size, **(given | more))


def off_truth(cloud: Cloud, dem: Dem | Glo30) -> float:
    """Metres that the worst point is off the elevation model's bilinear truth."""
    return float(np.abs(cloud.xyz[:, 2] - dem.truth(*cloud.lonlat)).max())
