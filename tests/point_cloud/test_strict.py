"""What is lost or damaged is an error, never a hole; what is missing by nature is named."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eo.errors import CorruptData, InvalidInput, NothingFound, TooLarge
from eo.runner import run_unit
from scenes.clouds import Clouds
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import JOB, Job, bounds_of, centres, local, lonlat, places, run_job

WORLD = World(seed=3)
ROOT = Path(__file__).parents[2]
STAGES = ("fetch", "align", "drape")


def write(folder: Path, **more: Any) -> Scene:
    options: dict[str, Any] = {"epsg": 32632, "ulx": 671_240, "uly": 5_168_180, "tile": "32TPS", "size": 64}
    return write_scene(folder / "c", world=WORLD, **(options | {"file_format": "gtiff", "block": 32} | more))


def inputs(folder: Path, **more: Any) -> dict[str, Any]:
    """A job on two scenes, so that bands, classes and elevation all have arrays on the target grid."""
    scenes = [write(folder, nodata_wedge=0.4), write(folder, ulx=671_400, tile="32TQS")]
    dem = write_edh_zarr(folder / "dem.zarr", world=WORLD, bounds=bounds_of(*scenes), chunks=(64, 64))
    return local(folder / "c", dem.path, bounds_of(*scenes)) | more


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Inputs whose files no test changes."""
    return inputs(tmp_path_factory.mktemp("given"))


@pytest.fixture
def job(given: dict[str, Any], tmp_path: Path) -> Job:
    return Job(tmp_path, given, shard=32, chunk=32)


@pytest.fixture(scope="module")
def finished(given: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A job after all its stages; who damages it repairs it."""
    job = Job(tmp_path_factory.mktemp("finished"), given, shard=32, chunk=32)
    job.stages()
    return job


def chunks(job: Job, array: str) -> list[Path]:
    return sorted(path for path in (job.cube / array / "c").rglob("*") if path.is_file())


@pytest.mark.parametrize("array", ["scenes", "dem", "bands/B03", "valid", "elevation"])
@pytest.mark.parametrize("damage", ["deleted", "flipped", "truncated", "emptied"])
def test_a_damaged_chunk_is_never_read_as_no_data(finished: Job, array: str, damage: str) -> None:
    reader = "align" if array in {"scenes", "dem"} else "drape"
    if array == "scenes":
        array = next(name for name in finished.plan.sources if name.endswith("B04"))
    elif array == "dem":
        array = "dem/0"
    whole = {chunk: chunk.read_bytes() for chunk in chunks(finished, array)}
    try:
        for chunk, data in whole.items():
            middle = len(data) // 2
            chunk.write_bytes(
                {
                    "flipped": data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :],
                    "truncated": data[:middle],
                }.get(damage, b"")
            )
            if damage == "deleted":
                chunk.unlink()
        with pytest.raises(CorruptData, match="--new"):
            finished.stage(reader)
    finally:
        for chunk, data in whole.items():
            chunk.write_bytes(data)


def test_every_chunk_that_is_needed_has_one_writer_and_is_written(job: Job) -> None:
    """After fetch and align no chunk appears or changes any more, and each stage's units wrote disjoint ones."""
    for stage in STAGES[:2]:
        seen: dict[Path, int] = {}
        for unit in job.units[stage]:
            before = {path: path.stat().st_mtime_ns for path in job.cube.rglob("c/*/*")}
            run_unit(job.store, JOB, stage, unit, 1, job.settings)
            written = {p for p in job.cube.rglob("c/*/*") if before.get(p) != p.stat().st_mtime_ns}
            assert written
            for path in written:
                seen[path] = seen.get(path, 0) + 1
        assert set(seen.values()) == {1}
    state = {path: path.read_bytes() for path in job.cube.rglob("*") if path.is_file()}
    job.stage("drape")
    assert {path: path.read_bytes() for path in job.cube.rglob("*") if path.is_file()} == state


def test_doing_a_unit_again_leaves_equal_bytes(finished: Job) -> None:
    job = finished
    scratch = job.home / "scratch" / JOB
    before = {path: path.read_bytes() for path in scratch.rglob("*") if path.is_file() and "usage" not in path.parts}
    job.stages()
    after = {path: path.read_bytes() for path in scratch.rglob("*") if path.is_file() and "usage" not in path.parts}
    assert before == after


@pytest.mark.parametrize("lost", ["part", "body", "cut body", "zeroed body", "cut thumbnail", "another's part"])
def test_the_merge_refuses_what_is_incomplete(finished: Job, lost: str) -> None:
    job = finished
    parts = job.stage("drape")
    whole = next(part for part in parts if part.sizes["body"] > 0)
    body = job.home / whole.keys["thumbnail" if lost == "cut thumbnail" else "body"]
    if lost == "part":
        parts.remove(whole)
    elif lost == "another's part":
        parts[parts.index(whole)] = next(part for part in parts if part is not whole)
    elif lost == "body":
        body.unlink()
    elif lost == "zeroed body":
        body.write_bytes(bytes(body.stat().st_size))
    else:
        body.write_bytes(body.read_bytes()[:-1])
    with pytest.raises(CorruptData):
        job.merge(parts)
    assert not (job.out / "point_cloud.ply").exists()
    assert not (job.home / "jobs" / JOB / "result.json").exists()


def test_a_void_of_the_dem_drops_its_points_and_is_named(tmp_path: Path) -> None:
    scene = write(tmp_path)
    west, south, east, north = bounds_of(scene)
    void = ((west + east) / 2, south, east, (south + north) / 2)
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(64, 64), void=void)
    done = run_job(tmp_path, shard=64, **local(tmp_path / "c", dem.path, bounds_of(scene)))
    _, _, x, y = centres(scene)
    known = np.isfinite(dem.truth(*lonlat("EPSG:32632", x, y)))
    assert 500 < (~known).sum() < 2000
    assert places(done.cloud.xyz) == set(zip(x[known].tolist(), y[known].tolist(), strict=True))
    assert done.result.summary["pixels_without_elevation"] == (~known).sum()
    assert re.search(rf"{(~known).sum():,} pixels.*dem\.zarr.*", done.notes)


@pytest.mark.parametrize("where", ["all void", "elsewhere"])
def test_no_elevation_at_all_is_an_error_and_leaves_no_file(where: str, tmp_path: Path) -> None:
    scene = write(tmp_path)
    west, south, east, north = bounds_of(scene)
    area = (west - 0.1, south - 0.1, east + 0.1, north + 0.1)
    if where == "elsewhere":
        dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=(20.0, 40.0, 20.01, 40.01), chunks=(64, 64))
    else:
        dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(64, 64), void=area)
    job = Job(tmp_path, local(tmp_path / "c", dem.path, bounds_of(scene)))
    parts = job.stages()
    with pytest.raises(NothingFound, match=r"dem\.zarr has no elevation at any of the 4,096 pixels"):
        job.merge(parts)
    assert not job.out.exists() or not list(job.out.iterdir())


def test_nothing_but_clouds_is_an_error_that_says_so(tmp_path: Path) -> None:
    scene = write(tmp_path, clouds=Clouds(fraction=1.0))
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(64, 64))
    job = Job(tmp_path, local(tmp_path / "c", dem.path, bounds_of(scene)))
    parts = job.stages()
    with pytest.raises(NothingFound, match=r"clouds.*4,096 pixels|4,096 pixels.*clouds"):
        job.merge(parts)


def test_a_box_beside_all_scenes_finds_nothing(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="local has no sentinel-2-l2a scene"):
        Job(tmp_path, given | {"bbox": [12.0, 46.0, 12.01, 46.01]})


def test_a_scene_without_a_band_is_an_error_that_names_it(tmp_path: Path) -> None:
    scene = write(tmp_path, bands=("B02", "B03"))
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(64, 64))
    with pytest.raises(NothingFound, match=r"has no band B04 among its assets"):
        Job(tmp_path, local(tmp_path / "c", dem.path, bounds_of(scene)))


@pytest.mark.parametrize("damage", ["cut in two", "no image"])
def test_a_damaged_source_is_an_error_that_names_the_file(damage: str, tmp_path: Path) -> None:
    scene = write(tmp_path, file_format="jp2", block=64, size=256)
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(64, 64))
    path = scene.assets["B03"]
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] if damage == "cut in two" else b"<html>not found</html>")
    with pytest.raises(CorruptData, match=path.name):
        Job(tmp_path, local(tmp_path / "c", dem.path, bounds_of(scene))).stage("fetch")


def test_a_file_that_changed_after_the_plan_is_an_error(tmp_path: Path) -> None:
    job = Job(tmp_path, inputs(tmp_path))
    write(tmp_path, nodata_wedge=0.4, ulx=671_250)
    with pytest.raises(CorruptData, match="the catalogue is wrong about it"):
        job.stage("fetch")


@pytest.mark.parametrize("resolution", [1, 4])
def test_a_finer_resolution_than_the_files_is_refused(resolution: int, given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="ask for 10 m or more"):
        Job(tmp_path, given | {"resolution": resolution})


def test_the_limit_of_points_is_held(given: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="max_points is 100"):
        Job(tmp_path, given | {"max_points": 100})


AFTER_ALIGN = """
import json, sys
BLOCKED = {blocked!r}
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
from pathlib import Path
from eo.records import read_plan, read_units
from eo.runner import run_unit
from eo.settings import Settings
from eo.folder_store import FolderStore
from merge.fan_in import fan_in
home = Path({home!r})
settings = Settings.from_environment({{"EO_SHARDS_HOME": str(home)}})
store = FolderStore(home)
plan = read_plan(store, {job!r})
parts = [run_unit(store, {job!r}, "drape", unit, 1, settings)[0] for unit in read_units(store, {job!r}, "drape")]
print(json.dumps(fan_in(plan, parts, store=store).files))
"""


def test_after_align_neither_the_catalogue_nor_gdal_is_needed(tmp_path: Path) -> None:
    own = inputs(tmp_path)
    whole = run_job(tmp_path, shard=64, **own)
    job = Job(tmp_path, own, shard=64)
    job.stage("fetch")
    job.stage("align")
    shutil.rmtree(tmp_path / "c")
    shutil.rmtree(tmp_path / "dem.zarr")
    blocked = ("rasterio", "osgeo", "fiona", "pystac_client")
    script = AFTER_ALIGN.format(blocked=blocked, home=str(job.home), job=JOB)
    assert json.loads(fresh(script)) == whole.result.files


def fresh(script: str) -> str:
    """What a script prints in an interpreter of its own, with functions/ as its only path."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(ROOT / "functions"), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_what_users_can_order_is_known_without_heavy_libraries() -> None:
    script = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"rasterio", "osgeo", "onnxruntime", "zarr", "numcodecs", "PIL", "torch"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Block())
import json
import plan.planner
import point_cloud.process
import registry
for identifier in registry.PROCESSES:
    service = registry.process(identifier)
    print(identifier, len(json.dumps(service.Inputs.model_json_schema())))
"""
    assert "point-cloud" in fresh(script)
