"""Whole jobs in this process, and what they should have made, by brute force."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plyfile import PlyData
from pyproj import Transformer

from eo.engine import LocalEngine
from eo.folder_store import FolderStore
from eo.job import Part, Plan, Result, Unit
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from merge.fan_in import fan_in
from plan.planner import make_plan
from registry import process
from scenes.dem import Dem, write_geotiff
from scenes.sentinel2 import Scene
from scenes.world import World

Doubles = NDArray[np.float64]
Bounds = tuple[float, float, float, float]
JOB = "job"


@dataclass(frozen=True)
class Cloud:
    """A point cloud as an independent reader finds it, with nothing but the file's own comments."""

    path: Path
    comments: dict[str, list[str]]
    xyz: Doubles
    """Absolute coordinates in the CRS of the comments, (n, 3)."""
    rgb: NDArray[np.uint8]

    @property
    def crs(self) -> str:
        return self.comments["crs"][0]

    @property
    def lonlat(self) -> tuple[Doubles, Doubles]:
        lon, lat = lonlat(self.crs, self.xyz[:, 0], self.xyz[:, 1])
        return lon, lat

    def table(self) -> NDArray[np.float64]:
        """Points as rows x, y, z, red, green, blue, sorted: equal for equal sets."""
        rows = np.column_stack([self.xyz, self.rgb])
        return np.asarray(rows[np.lexsort(rows.T[::-1])])


def read_cloud(path: Path) -> Cloud:
    data = PlyData.read(path)
    comments: dict[str, list[str]] = {}
    for line in data.comments:
        key, _, value = line.partition(" ")
        comments.setdefault(key, []).append(value)
    vertices = data["vertex"]
    offset = [float(comments[f"offset_{axis}"][0]) for axis in "xyz"]
    xyz = np.column_stack([np.asarray(vertices[axis], np.float64) for axis in "xyz"]) + offset
    rgb = np.column_stack([np.asarray(vertices[colour]) for colour in ("red", "green", "blue")])
    return Cloud(path, comments, xyz, rgb)


class Job:
    """One job of the point cloud in a folder of its own, run stage by stage without worker processes."""

    def __init__(
        self,
        folder: Path,
        inputs: Mapping[str, Any],
        *,
        shard: int | None = None,
        lattice: tuple[int, int] | None = None,
        chunk: int = 64,
    ) -> None:
        # A new folder: workers remember the plans of the folders that they have seen.
        folder.mkdir(parents=True, exist_ok=True)
        self.home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
        self.settings = Settings.from_environment({"EO_SHARDS_HOME": str(self.home), "EO_SHARDS_CHUNK": str(chunk)})
        self.store = FolderStore(self.home)
        service = process("point-cloud")
        planned = make_plan(
            service,
            service.Inputs.model_validate(inputs),
            job=JOB,
            settings=self.settings,
            shard=shard,
            lattice=lattice,
        )
        self.plan: Plan = planned.plan
        self.units: dict[str, list[Unit]] = planned.units
        LocalEngine(self.store, self.settings).start(planned.plan, planned.units)

    @property
    def out(self) -> Path:
        return self.home / "jobs" / JOB / "result"

    @property
    def cube(self) -> Path:
        return self.home / "scratch" / JOB / "1" / "cube.zarr"

    def stage(self, name: str) -> list[Part]:
        return [
            run_unit(self.store, JOB, name, unit, 1, self.settings)[0] for unit in read_units(self.store, JOB, name)
        ]

    def stages(self) -> list[Part]:
        parts: list[Part] = []
        for stage in self.plan.stages:
            parts = self.stage(stage.name)
        return parts

    def merge(self, parts: list[Part]) -> Result:
        return fan_in(self.plan, parts, store=self.store)

    def run(self) -> "Done":
        result = self.merge(self.stages())
        return Done(self.plan, result, read_cloud(self.out / "point_cloud.ply"), self.out)


@dataclass(frozen=True)
class Done:
    plan: Plan
    result: Result
    cloud: Cloud
    out: Path

    @property
    def notes(self) -> str:
        return "\n".join(self.result.summary["notes"])


def run_job(
    folder: Path, *, shard: int | None = None, lattice: tuple[int, int] | None = None, chunk: int = 64, **inputs: Any
) -> Done:
    return Job(folder, inputs, shard=shard, lattice=lattice, chunk=chunk).run()


def local(catalog: Path, dem: Path, bbox: Sequence[float], **more: Any) -> dict[str, Any]:
    """Inputs of a job on local files, every pixel."""
    return {
        "source": "local",
        "catalog": str(catalog),
        "dem": "local",
        "dem_path": str(dem),
        "bbox": list(bbox),
        "sampled_fraction": 1,
        "max_cloud_cover": 100,
    } | more


@lru_cache
def _transformer(source: str, target: str) -> Transformer:
    return Transformer.from_crs(source, target, always_xy=True)


def lonlat(crs: str, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Exact degrees, longitudes within +-180."""
    lon, lat = _transformer(crs, "EPSG:4326").transform(x, y)
    return np.asarray(lon), np.asarray(lat)


def projected(crs: str, lon: Any, lat: Any) -> tuple[Doubles, Doubles]:
    x, y = _transformer("EPSG:4326", crs).transform(lon, lat)
    return np.asarray(x), np.asarray(y)


def moved(source: str, target: str, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """Exact coordinates in another CRS."""
    if source == target:
        return x, y
    x, y = _transformer(source, target).transform(x, y)
    return np.asarray(x), np.asarray(y)


def within(bbox: Sequence[float], lon: Doubles, lat: Doubles) -> NDArray[np.bool_]:
    """The half-open box, straight from its definition."""
    west, south, east, north = bbox
    across = (lon >= west) | (lon < east) if west > east else (lon >= west) & (lon < east)
    return np.asarray(across & (lat >= south) & (lat < north))


def quick_dem(path: Path, world: World, bounds: Sequence[float]) -> Dem:
    """Posts of one arc second around some bounds that do not cross the antimeridian: much faster than a global store."""
    west, south, east, north = bounds
    step = 1 / 3600
    around = (west - 5 * step, south - 5 * step, east + 5 * step, north + 5 * step)
    return write_geotiff(path, world=world, crs="EPSG:4326", bounds=around, resolution=step)


def crs_of(scene: Scene) -> str:
    return f"EPSG:{scene.view.epsg}"


def bounds_of(*scenes: Scene, inset: float = 0.0) -> Bounds:
    """Degrees around all scenes, or `inset` metres inside of each edge of that."""
    boxes = []
    for scene in scenes:
        view = scene.view
        extent = view.size * view.resolution
        edge = np.linspace(0, extent, 9)
        x = view.ulx + np.concatenate([edge, edge, np.zeros(9), np.full(9, extent)])
        y = view.uly - np.concatenate([np.zeros(9), np.full(9, extent), edge, edge])
        lon, lat = lonlat(crs_of(scene), x, y)
        if np.ptp(lon) > 180:
            lon = lon % 360
        boxes.append((lon.min(), lat.min(), lon.max(), lat.max()))
    west, east = min(box[0] for box in boxes), max(box[2] for box in boxes)
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    up = inset / 111_320
    across = up / np.cos(np.radians((south + north) / 2))
    return (
        float((west + across + 180) % 360 - 180),
        float(south + up),
        float((east - across + 180) % 360 - 180),
        float(north - up),
    )


def centres(scene: Scene) -> tuple[NDArray[np.int64], NDArray[np.int64], Doubles, Doubles]:
    """(columns, rows, x, y) of all pixels of a scene, flat."""
    size, view = scene.view.size, scene.view
    rows, cols = (grid.ravel() for grid in np.mgrid[:size, :size])
    return cols, rows, view.ulx + (cols + 0.5) * view.resolution, view.uly - (rows + 0.5) * view.resolution


def colours(scene: Scene, columns: Any, rows: Any, maximum: str = "0.3") -> NDArray[np.uint8]:
    """Red, green, blue of a scene's pixels in rational numbers, from the formulas of the scene."""
    bands = [
        colour_of(scene.true_dn(band, columns, rows), scene.view.offset, maximum) for band in ("B04", "B03", "B02")
    ]
    return np.column_stack(bands)


def colour_of(dn: NDArray[Any], offset: int, maximum: str = "0.3", quantification: int = 10_000) -> NDArray[np.uint8]:
    values, index = np.unique(dn, return_inverse=True)
    table = []
    for value in values.tolist():
        share = Fraction(value + offset, quantification) / Fraction(maximum)
        table.append(int(255 * min(max(share, Fraction(0)), Fraction(1)) + Fraction(1, 2)))
    return np.array(table, np.uint8)[index]


MASKED = (0, 1, 3, 8, 9, 10)


def clear(scene: Scene, columns: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Pixels with data that the scene's classes call ground."""
    step = scene.scl_resolution // scene.view.resolution
    classes = scene.true_scl(columns // step, rows // step)
    return np.asarray((scene.true_dn("B02", columns, rows) > 0) & ~np.isin(classes, MASKED) & (classes <= 11))


def places(table: NDArray[np.float64]) -> set[tuple[float, float]]:
    return set(map(tuple, table[:, :2].tolist()))


def comment_numbers(cloud: Cloud) -> dict[str, float]:
    return {key: float(values[0]) for key, values in cloud.comments.items() if re.fullmatch(r"-?[\d.]+", values[0])}


def interpolated(scene: Scene, band: str, x: Doubles, y: Doubles) -> NDArray[np.int64]:
    """DNs of a scene at places of its CRS, bilinear between its true ones, rounded half up; 0 where the pixel has none.

    Neighbours without data do not count; half a pixel at the scene's border has the value of the outermost centres.
    """
    view = scene.view
    u, v = (x - view.ulx) / view.resolution - 0.5, (view.uly - y) / view.resolution - 0.5
    on = (u >= -0.5) & (u < view.size - 0.5) & (v >= -0.5) & (v < view.size - 0.5)
    u, v = np.clip(u, 0, view.size - 1), np.clip(v, 0, view.size - 1)
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    total, weights = np.zeros(x.shape), np.zeros(x.shape)
    for down in (0, 1):
        for right in (0, 1):
            cols, rows = np.minimum(left + right, view.size - 1), np.minimum(top + down, view.size - 1)
            dn = scene.true_dn(band, cols, rows).astype(np.float64)
            weight = (u - left if right else 1 - (u - left)) * (v - top if down else 1 - (v - top))
            total += weight * dn
            weights += np.where(dn > 0, weight, 0)
    nearest = scene.true_dn(band, np.floor(u + 0.5).astype(int), np.floor(v + 0.5).astype(int))
    mean = np.floor(total / np.where(weights > 0, weights, 1) + 0.5).astype(np.int64)
    return np.where(on & (nearest > 0) & (weights > 0), mean, 0)


def classes_at(scene: Scene, x: Doubles, y: Doubles) -> NDArray[np.uint8]:
    """Class of the pixel in which each place of the scene's CRS lies; 0 off the scene."""
    view, step = scene.view, scene.scl_resolution
    size = view.size * view.resolution // step
    cols, rows = np.floor((x - view.ulx) / step).astype(int), np.floor((view.uly - y) / step).astype(int)
    on = (cols >= 0) & (cols < size) & (rows >= 0) & (rows < size)
    return np.where(on, scene.true_scl(np.clip(cols, 0, size - 1), np.clip(rows, 0, size - 1)), 0).astype(np.uint8)
