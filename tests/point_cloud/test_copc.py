"""COPC: the points of the PLY file in an octree that independent readers agree on, whatever the tiling."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import rasterio
from laspy.copc import Bounds, CopcReader
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.transform import Affine

from copc_files import Copc, read_copc
from eo.errors import InvalidInput, LostWork
from eo.folder_store import FolderStore
from eo.order import validated
from eo.sampling import rank
from eo.unit_io import ResultIO
from merge.fan_in import fan_in
from point_cloud import copc as copc_format
from point_cloud import octree
from registry import process
from scenes.clouds import Clouds
from scenes.dem import write_geotiff
from scenes.demo import SEED
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import Done, Job, bounds_of, centres, clear, crs_of, local, lonlat, run_job, within

WORLD = World(seed=SEED)
SIZE = 96
ULX, ULY = 692_160, 5_161_920
"""A lake below a slope."""
DAYS = (datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC), datetime(2026, 8, 26, 10, 10, 41, tzinfo=UTC))
GPS = (datetime(1980, 1, 6, tzinfo=UTC), 18 - 10**9)
"""Epoch, and what GPS time less 10^9 s is ahead of UTC in 2026."""


@dataclass(frozen=True)
class Ground:
    """Two tiles side by side, of two days, with clouds and a wedge without data."""

    folder: Path
    scenes: Sequence[Scene]
    bbox: tuple[float, float, float, float]

    def inputs(self, **more: Any) -> dict[str, Any]:
        return local(self.folder / "c", self.folder / "dem.tif", self.bbox, **more)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("copc")
    lon, lat = lonlat("EPSG:32632", np.array([ULX + 300.0, ULX + 800.0]), np.array([ULY - 200.0, ULY - 700.0]))
    clouds = Clouds(blobs=tuple(zip(lon.tolist(), lat.tolist(), [90.0, 70.0], strict=True)))
    scenes = tuple(
        write_scene(
            folder / "c",
            world=WORLD,
            epsg=32632,
            ulx=ULX + east,
            uly=ULY,
            tile=tile,
            size=SIZE,
            sensed=day,
            clouds=clouds,
            nodata_wedge=0.2,
            file_format="gtiff",
            block=32,
        )
        for day, (tile, east) in zip(DAYS, (("32TPS", 0), ("32TQS", 640)), strict=True)
    )
    west, south, east, north = bounds_of(*scenes)
    around = (west - 0.002, south - 0.002, east + 0.002, north + 0.002)
    write_geotiff(
        folder / "dem.tif",
        world=World(seed=SEED, relief=8000.0),  # a steep one
        crs="EPSG:4326",
        bounds=around,
        resolution=1 / 3600,
        vertical="EPSG:3855",
    )
    return Ground(folder, scenes, bounds_of(*scenes, inset=60))


@pytest.fixture
def small_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes of 16 pixels, 160 m high: what tiles of 100 km are made of, on a hundred pixels."""
    monkeypatch.setattr(octree, "NODE_EDGE", 16)


def copc(done: Done) -> Copc:
    return read_copc(done.out / "point_cloud.copc.laz")


def same_nodes(one: Copc, other: Copc) -> None:
    assert one.nodes.keys() == other.nodes.keys()
    for key, points in one.nodes.items():
        np.testing.assert_array_equal(points, other.nodes[key], err_msg=str(key))


def quantised(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """A PLY's table to the centimetre, sorted anew."""
    rows = table.copy()
    rows[:, 2] = (np.rint(rows[:, 2] * 100) / 100).round(3)
    return np.asarray(rows[np.lexsort(rows.T[::-1])])


@pytest.mark.parametrize("fraction", [1, 0.2, 0.01])
def test_it_holds_the_points_of_the_ply_file_once(ground: Ground, fraction: float, tmp_path: Path) -> None:
    done = run_job(tmp_path, shard=64, **ground.inputs(sampled_fraction=fraction))
    made = copc(done)
    assert made.points.size == done.result.summary["points"] > 50
    np.testing.assert_array_equal(made.table(), quantised(done.cloud.table()))
    assert not (made.points["R"] & 0xFF).any()


@pytest.mark.usefixtures("small_nodes")
@pytest.mark.parametrize(("fraction", "tilings"), [(1, ((64, 32), (40, 40))), (0.2, ((48, 48),))])
def test_any_tiling_gives_the_same_nodes(
    ground: Ground, fraction: float, tilings: tuple[tuple[int, int], ...], tmp_path: Path
) -> None:
    inputs = ground.inputs(sampled_fraction=fraction)
    whole = copc(run_job(tmp_path, shard=256, chunk=256, **inputs))
    deepest = max(key[0] for key in whole.nodes)
    assert deepest >= 2
    columns = {key[1:3] for key in whole.nodes if key[0] == deepest}
    assert fraction < 1 or len(columns) < sum(key[0] == deepest for key in whole.nodes), "relief spans nodes"
    for shard, chunk in tilings:
        same_nodes(copc(run_job(tmp_path, shard=shard, chunk=chunk, **inputs)), whole)
    moved = copc(run_job(tmp_path, shard=64, chunk=64, lattice=(7, -9), **inputs))
    np.testing.assert_array_equal(moved.table(), whole.table())


@pytest.mark.usefixtures("small_nodes")
def test_levels_are_the_sampling_s_thresholds(ground: Ground, tmp_path: Path) -> None:
    job = Job(tmp_path, ground.inputs(sampled_fraction=0.3), shard=32)
    job.merge(job.stages())
    made = read_copc(job.out / "point_cloud.copc.laz")
    window, grid = job.plan.grid.window, job.plan.grid
    ranks = rank(window) / 2.0**32
    deepest = max(key[0] for key in made.nodes)
    for key, points in made.nodes.items():
        xyz = made.xyz(points)
        cols = ((xyz[:, 0] - grid.x(window.col)) // grid.resolution).astype(int)
        rows = ((grid.y(window.row) - xyz[:, 1]) // grid.resolution).astype(int)
        t = ranks[rows, cols]
        low = 0 if key[0] == 0 else 0.3 / 4 ** (deepest - key[0] + 1)
        assert ((t >= low) & (t < 0.3 / 4 ** (deepest - key[0]))).all()
    # The root's spacing halves from level to level, to that of the points.
    assert made.spacing / 2**deepest == pytest.approx(10 / np.sqrt(0.3))


def test_nodes_of_the_real_size_over_four_shards(ground: Ground, tmp_path: Path) -> None:
    whole = copc(run_job(tmp_path / "whole", chunk=128, shard=512, **ground.inputs(sampled_fraction=1)))
    shards = copc(run_job(tmp_path / "shards", chunk=128, shard=128, **ground.inputs(sampled_fraction=1)))
    same_nodes(whole, shards)
    assert max(points.size for points in whole.nodes.values()) > 4096


@pytest.mark.usefixtures("small_nodes")
@pytest.mark.parametrize("chunk", [32, 64])
def test_laspy_s_queries_are_the_brute_force_answer(ground: Ground, chunk: int, tmp_path: Path) -> None:
    done = run_job(tmp_path, chunk=chunk, shard=chunk, **ground.inputs())
    path = done.out / "point_cloud.copc.laz"
    made, plain = copc(done), laspy.read(path)
    np.testing.assert_array_equal(rows_of(plain.X, plain.Y, plain.Z), rows_of(*(made.points[axis] for axis in "XYZ")))
    west, south, low = made.low
    for corner, size in (
        ((100, 200, 0), (333, 250, 9000)),
        ((0, 0, 150), (9000, 9000, 160)),
        ((-500, -500, 0), (90, 90, 9)),
    ):
        mins = np.array([west, south, low]) + corner
        box = Bounds(mins, mins + size)
        with CopcReader.open(path) as reader:
            found = reader.query(bounds=box)
        xyz = made.xyz(made.points)
        inside = ((xyz >= box.mins) & (xyz <= box.maxs)).all(axis=1)
        wanted = made.points[inside]
        np.testing.assert_array_equal(rows_of(found.X, found.Y, found.Z), rows_of(*(wanted[axis] for axis in "XYZ")))
    for level in range(max(key[0] for key in made.nodes) + 1):
        with CopcReader.open(path) as reader:
            found = reader.query(level=range(level + 1))
        assert len(found) == sum(points.size for key, points in made.nodes.items() if key[0] <= level)
    # The coarsest levels of which each has points closer than that, or the last one.
    deepest = max(key[0] for key in made.nodes)
    for finer in (1, 1.5, 2, 3, 4, 8, 1000):
        with CopcReader.open(path) as reader:
            coarse = reader.query(resolution=made.spacing / finer)
        last = min(int(np.ceil(np.log2(finer))), deepest)
        wanted = np.concatenate([points for key, points in made.nodes.items() if key[0] <= last])
        np.testing.assert_array_equal(rows_of(coarse.X, coarse.Y, coarse.Z), rows_of(*(wanted[axis] for axis in "XYZ")))


def rows_of(*columns: Any) -> NDArray[np.int64]:
    rows = np.column_stack([np.asarray(column, np.int64) for column in columns])
    return np.asarray(rows[np.lexsort(rows.T[::-1])])


def test_classes_and_times_are_those_of_the_scene_that_a_point_comes_from(ground: Ground, tmp_path: Path) -> None:
    done = run_job(tmp_path, **ground.inputs())
    made = copc(done)
    assert len(done.plan.scenes) == 2
    by_id = {scene.id: scene for scene in ground.scenes}
    wanted: dict[tuple[float, float], tuple[int, float]] = {}
    codes = {4: 4, 6: 9, 11: 21}
    masked = (0, 1, 3, 8, 9, 10)
    for chosen in done.plan.scenes:
        scene = by_id[chosen.id]
        cols, rows, x, y = centres(scene)
        kept = within(ground.bbox, *lonlat(crs_of(scene), x, y)) & (scene.true_dn("B02", cols, rows) > 0)
        scl = scene.true_scl(cols // 2, rows // 2)
        kept &= ~np.isin(scl, masked)
        since = datetime.fromisoformat(chosen.datetime) - GPS[0]
        time = since.total_seconds() + GPS[1]
        for place_x, place_y, code in zip(x[kept].tolist(), y[kept].tolist(), scl[kept].tolist(), strict=True):
            wanted.setdefault((place_x, place_y), (codes.get(code, 1), time))
    points = made.points
    places = map(tuple, made.xyz(points)[:, :2].round(2).tolist())
    found = dict(zip(places, zip(points["class"].tolist(), points["gps"].tolist(), strict=True), strict=True))
    assert found == wanted
    assert {code for code, _ in wanted.values()} == {1, 4, 9}
    assert len(set(points["gps"].tolist())) == 2


def test_without_clouds_masked_points_have_classes_all_the_same(ground: Ground, tmp_path: Path) -> None:
    made = copc(run_job(tmp_path, **ground.inputs(mask_clouds=False)))
    assert 4 in made.points["class"]


def test_the_header_says_where_it_lies_and_what_it_was_made_of(ground: Ground, tmp_path: Path) -> None:
    made = copc(run_job(tmp_path, **ground.inputs()))
    crs = CRS.from_wkt(made.wkt)
    assert [part.to_epsg() for part in crs.sub_crs_list] == [32632, 3855]
    assert "contains modified Copernicus Sentinel data 2026" in made.text
    assert made.day == (2026, DAYS[1].timetuple().tm_yday)
    assert (made.low >= made.centre - made.half).all()
    assert (made.high <= made.centre + made.half).all()


@pytest.mark.usefixtures("small_nodes")
def test_relief_higher_than_the_cube_makes_it_grow(tmp_path: Path) -> None:
    # 16 pixels across, and a cliff of 3 km: the cube of 32 pixels would be 320 m high.
    scene = write_scene(
        tmp_path / "c", world=WORLD, epsg=32632, ulx=ULX, uly=ULY, tile="32TPS", size=16, file_format="gtiff", block=16
    )
    heights = np.linspace(-400, 2600, 24, dtype=np.float32).reshape(1, 1, 24).repeat(24, axis=1)
    with rasterio.open(
        tmp_path / "dem.tif",
        "w",
        driver="GTiff",
        width=24,
        height=24,
        count=1,
        dtype="float32",
        crs="EPSG:32632",
        transform=Affine(10, 0, ULX - 40, 0, -10, ULY + 40),
    ) as dem:
        dem.write(heights)
    inputs = local(tmp_path / "c", tmp_path / "dem.tif", bounds_of(scene))
    done = run_job(tmp_path, shard=16, chunk=16, **inputs)
    made = copc(done)
    assert 2 * made.half == 320 * 8
    assert made.spacing == 10 * 2 ** max(key[0] for key in made.nodes)
    assert CRS.from_wkt(made.wkt).to_epsg() == 32632, "nothing is known of the heights"
    assert made.nodes[0, 0, 0, 0].size == 0
    np.testing.assert_array_equal(made.table(), quantised(done.cloud.table()))


def test_a_point_alone_is_a_cloud(ground: Ground, tmp_path: Path) -> None:
    scene = ground.scenes[0]
    cols, rows, x, y = centres(scene)
    at = int(np.flatnonzero(clear(scene, cols, rows) & (cols == 60) & (rows > 10))[0])
    lon, lat = lonlat(crs_of(scene), x[at : at + 1], y[at : at + 1])
    tiny = 3e-5
    box = (float(lon[0]) - tiny, float(lat[0]) - tiny, float(lon[0]) + tiny, float(lat[0]) + tiny)
    done = run_job(tmp_path, **(ground.inputs() | {"bbox": box}))
    made = copc(done)
    assert made.points.size == 1
    assert made.xyz(made.points)[0, :2].round(2).tolist() == [x[at], y[at]]
    assert len(laspy.read(done.out / "point_cloud.copc.laz")) == 1


@pytest.mark.usefixtures("small_nodes")
def test_shards_without_points_leave_nothing_behind(ground: Ground, tmp_path: Path) -> None:
    job = Job(tmp_path, ground.inputs(sampled_fraction=0.002, format="copc"), shard=32, chunk=32)
    parts = job.stages()
    assert any(part.counts["points"] == 0 for part in parts)
    assert all("body" not in part.keys for part in parts)
    result = job.merge(parts)
    made = read_copc(job.out / "point_cloud.copc.laz")
    assert made.points.size == sum(part.counts["points"] for part in parts) > 0
    assert "point_cloud.ply" not in result.files


def test_pages_lead_to_all_nodes(ground: Ground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(octree, "NODE_EDGE", 8)
    monkeypatch.setattr(copc_format, "PAGE_LEVELS", 2)
    done = run_job(tmp_path, shard=64, **ground.inputs())
    made = copc(done)
    tops = [key for key in made.nodes if key[0] in {0, 2, 4}]
    assert max(key[0] for key in made.nodes) == 5
    assert made.pages == len(tops) > 10
    with CopcReader.open(done.out / "point_cloud.copc.laz") as reader:
        assert len(reader.query()) == made.points.size


class Watched(FolderStore):
    """Knows which objects were read."""

    read_keys: set[str] = set()  # noqa: RUF012 - of the class, as stores are frozen

    def read(self, key: str) -> bytes:
        self.read_keys.add(key)
        return super().read(key)


@pytest.mark.usefixtures("small_nodes")
def test_the_fan_in_never_holds_a_body_and_a_killed_one_is_done_again(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job(tmp_path, ground.inputs(), shard=32)
    parts = job.stages()
    whole = job.merge(parts)
    data = (job.out / "point_cloud.copc.laz").read_bytes()
    # The same units again, as after a kill, then a merge that dies behind the shared nodes, then one that does not.
    again = job.stages()
    assert again == parts
    put = ResultIO.put

    def dies(self: ResultIO, name: str, pieces: Any) -> Any:
        if name == "tail":
            raise KeyboardInterrupt
        return put(self, name, pieces)

    with monkeypatch.context() as patch:
        patch.setattr(ResultIO, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            job.merge(again)
    Watched.read_keys.clear()
    result = fan_in(job.plan, again, store=Watched(job.home))
    assert result.files == whole.files
    assert (job.out / "point_cloud.copc.laz").read_bytes() == data
    bodies = {part.keys["copc"] for part in parts}
    assert not bodies & Watched.read_keys
    assert {part.keys["rest"] for part in parts} <= Watched.read_keys


def test_a_lost_rest_is_lost_work(ground: Ground, tmp_path: Path) -> None:
    job = Job(tmp_path, ground.inputs(), shard=64)
    parts = job.stages()
    job.store.write(parts[1].keys["rest"], [b"something else"])
    with pytest.raises(LostWork, match="rest"):
        job.merge(parts)
    assert not (job.out / "point_cloud.copc.laz").exists()


def test_formats_are_ordered_by_name() -> None:
    service, box = process("point-cloud"), {"bbox": "7,46,7.1,46.1"}
    assert validated(service, box).format == ("ply", "copc")
    assert validated(service, box | {"format": "copc, ply"}).format == ("ply", "copc")
    assert validated(service, box | {"format": ["copc", "copc"]}).format == ("copc",)
    with pytest.raises(InvalidInput, match=r"'las'.*'ply' or 'copc'"):
        validated(service, box | {"format": "ply,las"})
    with pytest.raises(InvalidInput, match="format"):
        validated(service, box | {"format": []})


def test_ply_alone_makes_no_copc(ground: Ground, tmp_path: Path) -> None:
    both = run_job(tmp_path, shard=64, **ground.inputs())
    alone = run_job(tmp_path, shard=64, format="ply", **ground.inputs())
    assert "point_cloud.copc.laz" not in alone.result.files
    assert alone.result.files["point_cloud.ply"] == both.result.files["point_cloud.ply"]
    assert "SCL" not in alone.plan.targets
