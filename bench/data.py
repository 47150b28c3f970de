"""Scenes to measure on: made once, kept in EO_SHARDS_BENCH_DATA or .demo/bench.

They lie on a zone's central meridian, where a box in degrees almost is a square on the map: a bbox a few pixels inside
the scene then needs every one of its tiles, and hardly any pixel of the scene is left out.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from scenes.rasters import Format

    Floats = NDArray[np.float64]

Kind = Literal["jp2", "cog"]
Box = tuple[float, float, float, float]

EPSG, TILE = 32632, "32TNS"
CENTRE_X, TOP_Y = 500_000, 5_180_020
MARGIN_PIXELS = 2
"""Pixels between the bbox and the outermost parallels and meridians that touch the scene from within."""


@dataclass(frozen=True)
class BenchScene:
    """One scene on disk with the elevation under it."""

    size: int
    resolution: int
    kind: Kind
    catalog: Path
    dem: Path
    bands: tuple[Path, ...]
    """The three bands."""
    scl: Path
    bbox: Box

    @property
    def pixels(self) -> int:
        """Of one band."""
        return self.size * self.size

    @property
    def label(self) -> str:
        """How rows of the table call it."""
        return f"{self.size}^2 {self.resolution} m {self.kind.upper()}"

    def options(self) -> list[str]:
        """Options of `eo-shards run point-cloud` that name it."""
        return [
            *("--source", "local", "--catalog", str(self.catalog), "--dem", "local", "--dem-path", str(self.dem)),
            *("--bbox", ",".join(f"{edge:.7f}" for edge in self.bbox)),
        ]


def folder() -> Path:
    """Where scenes are kept."""
    return Path(os.environ.get("EO_SHARDS_BENCH_DATA") or ROOT / ".demo" / "bench").absolute()


def scene(size: int, resolution: int = 10, kind: Kind = "jp2") -> BenchScene:
    """Return a scene; makes it where it is not there yet (26 CPU s for 4096 x 4096 pixels)."""
    place = folder() / f"{size}-{resolution}m-{kind}"
    note = place / "scene.json"
    if not note.exists():
        print(f"making a scene of {size} x {size} pixels at {resolution} m as {kind} in {place}", file=sys.stderr)
        started = time.perf_counter()
        shutil.rmtree(place, ignore_errors=True)
        _make(place, size, resolution, kind)
        print(f"made in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    known = json.loads(note.read_text())
    return BenchScene(
        size=size,
        resolution=resolution,
        kind=kind,
        catalog=place / "catalog",
        dem=place / "dem.zarr",
        bands=tuple(place / name for name in known["bands"]),
        scl=place / known["scl"],
        bbox=tuple(known["bbox"]),
    )


def _make(place: Path, size: int, resolution: int, kind: Kind) -> None:
    # Imported here: whoever finds its scenes made needs none of it.
    from scenes.edh import write_edh_zarr  # noqa: PLC0415
    from scenes.sentinel2 import write_scene  # noqa: PLC0415
    from scenes.world import World  # noqa: PLC0415

    world = World(seed=2)
    extent = size * resolution
    left = CENTRE_X - extent // 2 // 20 * 20
    file_format: Format = kind
    written = write_scene(
        place / "catalog",
        world=world,
        epsg=EPSG,
        ulx=left,
        uly=TOP_Y,
        tile=TILE,
        size=size,
        resolution=resolution,
        file_format=file_format,
    )
    outer, inner = boxes(left, TOP_Y, extent, resolution)
    write_edh_zarr(place / "dem.zarr", world=world, bounds=outer)
    paths = {name: str(path.relative_to(place)) for name, path in written.assets.items()}
    note = {"bands": [paths[band] for band in ("B04", "B03", "B02")], "scl": paths["SCL"], "bbox": inner}
    (place / "scene.json.part").write_text(json.dumps(note))
    (place / "scene.json.part").rename(place / "scene.json")


def boxes(left: float, top: float, extent: float, resolution: float) -> tuple[Box, Box]:
    """(the lon/lat box around a square of the map, the largest one inside it less MARGIN_PIXELS)."""
    import numpy as np  # noqa: PLC0415 - see above
    from pyproj import Transformer  # noqa: PLC0415 - see above

    along = np.linspace(0, extent, 513)
    to_lonlat = Transformer.from_crs(EPSG, 4326, always_xy=True)

    def edge(x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        across, up = np.broadcast_arrays(x, y)
        lon, lat = to_lonlat.transform(across, up)
        return lon, lat

    west, east = edge(left, top - along)[0], edge(left + extent, top - along)[0]
    north, south = edge(left + along, top)[1], edge(left + along, top - extent)[1]
    outer = (float(west.min()), float(south.min()), float(east.max()), float(north.max()))
    lat_step = MARGIN_PIXELS * resolution / 111_200
    lon_step = lat_step / np.cos(np.radians(north.max()))
    inner = (west.max() + lon_step, south.max() + lat_step, east.min() - lon_step, north.min() - lat_step)
    return outer, tuple(float(round(edge, 7)) for edge in inner)  # type: ignore[return-value]
