"""L2A products whose every pixel is known, and whole land-cover jobs on them in this process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from l1c import raster, write_item
from land_cover.process import LandCover
from small_land_cover import NAME
from staged import Ran, staged

Floats = NDArray[np.floating[Any]]
LEVELS = {
    "B01": 0.04, "B02": 0.05, "B03": 0.08, "B04": 0.07, "B05": 0.12, "B06": 0.24, "B07": 0.29, "B08": 0.30, "B8A": 0.33,
    "B09": 0.34, "B11": 0.22, "B12": 0.15,
}  # fmt: skip
"""Mean reflectance by band."""
METRES = dict.fromkeys(LEVELS, 20) | dict.fromkeys(("B02", "B03", "B04", "B08"), 10) | dict.fromkeys(("B01", "B09"), 60)
PATCH = 1_200
"""Metres."""


def ground(band: str, x: Floats, y: Floats) -> Floats:
    """Fields of all sizes, not twice the same."""
    wave = np.sin(x / 310) * np.sin(y / 270) + np.sin(x / 1_900 + ord(band[2])) + 0.5 * np.sin(x / 37) * np.sin(y / 41)
    return np.asarray(LEVELS[band] * (1 + 0.3 * wave))


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A product to be written."""

    crs: str = "EPSG:32632"
    left: float = 670_800
    """A corner of patches (559 of them), like the top (4,307)."""
    top: float = 5_168_400
    size: int = 7_200
    """Metres along an edge."""
    offset: int = -1000
    baseline: str = "05.11"
    sensed: str = "2026-07-12T10:10:31Z"
    cloud_cover: float = 0
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B8A", "B12")
    synthetic: bool = False
    name: str = "32TPS"
    ground: Callable[[str, Floats, Floats], Floats] = ground
    change: Callable[[str, NDArray[Any]], None] | None = None
    """What is done to the DNs of a band, or to the classes (SCL, pixels of 20 m), before they are written."""

    @property
    def id(self) -> str:
        time = self.sensed[:19].replace("-", "").replace(":", "")
        return f"S2A_MSIL2A_{time}_N{self.baseline.replace('.', '')}_R022_T{self.name}_20260712T151031"

    def box(self, col: float, row: float, width: float, height: float | None = None) -> tuple[float, ...]:
        """Degrees around a part of it, in metres from the upper left corner."""
        x, y = self.left + col, self.top - row
        return tuple(transform_bounds(self.crs, "EPSG:4326", x, y - (height or width), x + width, y))

    def dn(self, band: str) -> NDArray[Any]:
        """What its file holds, in the file's own pixels."""
        metres = METRES.get(band, 20)
        rows, cols = np.mgrid[: self.size // metres, : self.size // metres]
        if band == "SCL":
            values = np.full(rows.shape, 4, np.uint8)
        else:
            x, y = self.left + (cols + 0.5) * metres, self.top - (rows + 0.5) * metres
            values = np.clip(np.round(self.ground(band, x, y) * 10_000) - self.offset, 1, 60_000).astype(np.uint16)
        if self.change is not None:
            self.change(band, values)
        return values

    def write(self, folder: Path) -> "Tile":
        """Files and item."""
        (folder / self.id).mkdir(parents=True)
        assets: dict[str, Any] = {}
        for band in (*self.bands, "SCL"):
            metres = METRES.get(band, 20)
            path = folder / self.id / f"{band}.tif"
            raster(path, self.dn(band), self.crs, Affine(metres, 0, self.left, 0, -metres, self.top), block=64)
            scaling = {"scale": 0.0001, "offset": self.offset / 10_000} if band != "SCL" else {}
            assets[band] = {"href": f"{self.id}/{band}.tif", "roles": ["data"], "raster:bands": [scaling]}
        west, south, east, north = self.box(0, 0, self.size)
        if east - west > 180:
            west, east = east, west
        properties = {
            "datetime": self.sensed,
            "eo:cloud_cover": self.cloud_cover,
            "processing:version": self.baseline,
            **({"eo_shards:synthetic": True} if self.synthetic else {}),
        }
        box = (west, south, east, north)
        write_item(folder, self.id, box, assets, properties, collection="sentinel-2-l2a")
        return self


@dataclass
class Judged(Ran):
    """A job that has run."""

    def rows(self) -> dict[str, dict[str, Any]]:
        """The table as an independent reader finds it, by the patches' ids."""
        return {row["id"]: row for row in pq.read_table(self.out / "land_cover.parquet").to_pylist()}

    def raster(self, name: str) -> tuple[NDArray[Any], Affine]:
        with rasterio.open(self.out / name) as file:
            return file.read(), file.transform


def order(folder: Path, bbox: Sequence[float], **more: Any) -> Any:
    """Inputs of a job on the products in `folder / c`."""
    known = {"source": "local", "catalog": str(folder / "c"), "bbox": list(bbox), "max_cloud_cover": 100, "model": NAME}
    return LandCover.Inputs.model_validate(known | more)


def judge(
    folder: Path,
    bbox: Sequence[float],
    *,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
    chunk: int = 64,
    stop: bool = False,
    **more: Any,
) -> Judged:
    """Run a job stage by stage, in this process; without the merge where it shall `stop`."""
    inputs = order(folder, bbox, **more)
    only = "judge" if stop else None
    return staged(Judged, folder, LandCover(), inputs, shard=shard, lattice=lattice, chunk=chunk, only=only)


def probabilities(row: Mapping[str, Any]) -> list[float | None]:
    """Of a row of the table, in the order of the classes."""
    return [value for name, value in row.items() if name.startswith("p_")]
