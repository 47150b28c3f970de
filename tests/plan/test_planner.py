"""Plans: shards and blocks that cover what is needed once, numbers that hold, refusals that help."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import from_bounds

from eo.errors import InvalidInput, NothingFound, TooLarge
from eo.grid import Window
from eo.job import ImageSource, Plan, Unit
from eo.settings import Settings
from plan.planner import Planned, make_plan
from registry import process
from scenes.dem import write_geotiff
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import JOB, Job, bounds_of, local, lonlat, run_job, within

WORLD = World(seed=2)
CROP = (11.243, 46.6405, 11.2515, 46.6455)
NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two neighbouring tiles in files of small tiles, and elevation."""
    folder = tmp_path_factory.mktemp("planner")
    scenes = [scene(folder / "c", "32TPS", 0), scene(folder / "c", "32TQS", 700)]
    west, south, east, north = bounds_of(*scenes)
    write_geotiff(
        folder / "dem.tif",
        world=WORLD,
        crs="EPSG:4326",
        bounds=(west - 0.01, south - 0.01, east + 0.01, north + 0.01),
        resolution=1 / 3600,
        vertical="EPSG:3855",
    )
    return folder


def scene(folder: Path, tile: str, east: int) -> Scene:
    return write_scene(
        folder,
        world=WORLD,
        epsg=32632,
        ulx=671_240 + east,
        uly=5_168_180,
        tile=tile,
        size=128,
        file_format="jp2",
        block=32,
        sensed=datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC),
    )


def plan(
    folder: Path,
    *,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
    environ: dict[str, str] | None = None,
    **more: Any,
) -> Planned:
    service = process("point-cloud")
    inputs = service.Inputs.model_validate(local(folder / "c", folder / "dem.tif", CROP) | more)
    given = Settings.from_environment(
        {"EO_SHARDS_HOME": str(folder / "home"), "EO_SHARDS_CHUNK": "32"} | (environ or {})
    )
    return make_plan(service, inputs, job="job", settings=given, now=NOW, shard=shard, lattice=lattice)


def area(windows: list[Window]) -> np.ndarray[Any, Any]:
    """How often each pixel is covered, on the windows' common extent."""
    col, row = min(w.col for w in windows), min(w.row for w in windows)
    whole = Window(col, row, max(w.col_end for w in windows) - col, max(w.row_end for w in windows) - row)
    times = np.zeros(whole.shape, int)
    for window in windows:
        times[window.slices(whole)] += 1
    return times


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.tuples(st.integers(-99, 99), st.integers(-99, 99)))
def test_shards_hold_every_pixel_of_the_box_once_and_lie_on_the_lattice(
    folder: Path, times: int, lattice: tuple[int, int]
) -> None:
    edge = 32 * times
    planned = plan(folder, shard=edge, lattice=lattice)
    windows = [unit.window for unit in planned.units["drape"]]
    grid = planned.plan.grid
    whole = grid.window
    held = np.zeros(whole.shape, int)
    for window in windows:
        assert (window.col - lattice[0]) // edge == (window.col_end - 1 - lattice[0]) // edge
        assert (window.row - lattice[1]) // edge == (window.row_end - 1 - lattice[1]) // edge
        held[window.slices(whole)] += 1
    assert held.max() == 1
    rows, cols = np.mgrid[whole.row : whole.row_end, whole.col : whole.col_end]
    inside = within(CROP, *lonlat(grid.crs, (cols + 0.5) * 10, -(rows + 0.5) * 10))
    assert (held[inside] == 1).all()
    # The smallest window that holds the box, but for what the box's curved edges leave undecided.
    assert inside[1:-1].any(axis=1).all()
    assert inside[:, 1:-1].any(axis=0).all()
    names = [unit.id for unit in planned.units["align"]]
    assert names == sorted(set(names))


def test_blocks_are_whole_tiles_that_are_needed_each_once(folder: Path) -> None:
    planned = plan(folder)
    by_array: dict[str, list[Unit]] = {}
    for unit in planned.units["fetch"]:
        by_array.setdefault(unit.array, []).append(unit)
    for name, source in planned.plan.sources.items():
        windows = [unit.window for unit in by_array[name]]
        assert area(windows).max() == 1
        assert area(windows).shape == source.grid.window.shape
        if isinstance(source, ImageSource):
            assert source.cell == (32, 32)
            for window in windows:
                moved = window.shifted(*source.origin)
                assert [moved.col % 32, moved.row % 32] == [0, 0]
    # All three bands of a scene are read alike.
    shapes = {
        source.grid.window for name, source in planned.plan.sources.items() if name.endswith(("B02", "B03", "B04"))
    }
    assert len(shapes) <= 2


def test_shards_meet_the_tiles_of_the_first_scene(folder: Path) -> None:
    planned = plan(folder)
    first = planned.plan.scenes[0]
    west = 671_240 + (700 if "32TQS" in first.id else 0)
    assert planned.plan.lattice == (west // 10, -5_168_180 // 10)


def test_a_plan_survives_being_written(folder: Path) -> None:
    made = plan(folder).plan
    assert Plan.model_validate_json(made.model_dump_json()) == made
    assert plan(folder).plan == made


@pytest.mark.parametrize("fraction", [1, 0.2])
def test_predictions_hold(folder: Path, tmp_path: Path, fraction: float) -> None:
    inputs = local(folder / "c", folder / "dem.tif", CROP, sampled_fraction=fraction)
    done = run_job(tmp_path, chunk=32, **inputs)
    predicted = done.plan.predicted
    points = done.result.summary["points"]
    perimeter = 2 * (done.plan.grid.window.width + done.plan.grid.window.height)
    assert points <= predicted.points <= points + perimeter
    assert predicted.result_bytes >= 15 * points
    assert abs(predicted.pixels - done.result.summary["pixels_inside"]) <= perimeter
    assert predicted.usage.source_requests == 0
    assert predicted.parts == predicted.units["drape"]


def test_the_scratch_space_suffices(folder: Path, tmp_path: Path) -> None:
    job = Job(tmp_path, local(folder / "c", folder / "dem.tif", CROP), chunk=64)
    job.stages()
    files = [path for path in (job.home / "scratch" / JOB).rglob("*") if path.is_file()]
    used = sum(path.stat().st_size for path in files if "c" in path.parts or path.suffix == ".body")
    # Chunks of 64 pixels compress worse than those of 1024 for which the prediction was measured.
    assert used <= 1.3 * job.plan.predicted.scratch_bytes


@pytest.mark.parametrize(
    ("crs", "words"),
    [
        ("EPSG:4326", "not projected in metres"),
        ("EPSG:2263", "not projected in metres"),
        ("EPSG:999999", "not known to PROJ"),
    ],
)
def test_a_crs_that_does_not_do_is_refused(folder: Path, crs: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        plan(folder, crs=crs)


def test_the_crs_may_be_chosen(folder: Path) -> None:
    made = plan(folder, crs="EPSG:3035").plan
    assert (made.grid.crs, made.grid.resolution) == ("EPSG:3035", 10)
    assert any("resampled to EPSG:3035" in note for note in made.notes)


@pytest.mark.parametrize("crs", [None, "EPSG:3035"])
def test_pixels_are_as_large_as_the_files_whatever_the_crs(crs: str | None, folder: Path, tmp_path: Path) -> None:
    coarse = write_scene(
        tmp_path, world=WORLD, epsg=32632, ulx=671_240, uly=5_168_180, tile="32TPS", size=64, resolution=20
    )
    made = plan(folder, catalog=str(tmp_path), bbox=bounds_of(coarse), crs=crs).plan
    assert made.grid.resolution == 20


def recoded(folder: Path, crs: str) -> str:
    """A catalogue whose files and item say another CRS."""
    made = scene(folder, "32TPS", 0)
    assert made.item is not None
    assert made.item_path is not None
    item = made.item
    for path in made.assets.values():
        with rasterio.open(path) as dataset:
            profile = dataset.profile | {"driver": "GTiff", "crs": crs}
            pixels = dataset.read()
            if crs == "EPSG:4326":
                west, south, east, north = bounds_of(made)
                profile["transform"] = from_bounds(west, south, east, north, dataset.width, dataset.height)
        path.unlink()
        with rasterio.open(path, "w", **profile) as dataset:
            dataset.write(pixels)
    for asset in item["assets"].values():
        asset.pop("proj:code", None)
    item["properties"].pop("proj:code", None)
    made.item_path.write_text(json.dumps(item))
    return str(folder)


def test_scenes_in_degrees_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"the CRS of scene S2C.*, WGS 84, is not projected in metres: warp it"):
        plan(folder, catalog=recoded(tmp_path, "EPSG:4326"))


def test_a_crs_without_a_code_is_not_chosen_for_the_user(folder: Path, tmp_path: Path) -> None:
    catalog = recoded(tmp_path, "+proj=tmerc +lat_0=0 +lon_0=9.5 +k=0.9996 +x_0=500000 +datum=WGS84 +units=m")
    with pytest.raises(InvalidInput, match=r"no authority code.*give --crs"):
        plan(folder, catalog=catalog)


def test_a_box_far_from_the_zones_meridian_needs_a_crs(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"10\.\d degrees from the central meridian 9 .*choose a CRS"):
        plan(folder, bbox=[11.2, 46.6, 19.1, 46.7])


def test_too_many_shards_are_refused_with_both_numbers(folder: Path) -> None:
    with pytest.raises(TooLarge, match=r"the job has \d\d,\d{3} shards, the fan-in joins at most 20,000"):
        plan(folder, bbox=[11.1, 46.45, 11.6, 46.75], shard=16)


def test_a_worker_too_small_is_refused_with_both_numbers(folder: Path) -> None:
    with pytest.raises(TooLarge, match=r"takes \d+ MB, a worker may use 64 MB"):
        plan(folder, environ={"EO_SHARDS_WORKER_MEMORY": "64"})


def test_ground_that_no_scene_covers_is_noted(folder: Path) -> None:
    west, south, east, north = CROP
    made = plan(folder, bbox=[west - (east - west), south, east, north]).plan
    assert 0.2 < made.uncovered < 0.5
    assert any("no scene covers" in note for note in made.notes)


def test_a_dem_elsewhere_is_named_with_where_it_is(folder: Path, tmp_path: Path) -> None:
    write_geotiff(tmp_path / "far.tif", world=WORLD, crs="EPSG:4326", bounds=(20, 40, 20.1, 40.1), resolution=0.01)
    with pytest.raises(NothingFound, match=r"does not reach the job: it covers \(20\.0, 40\.0, 20\.1, 40\.1\)"):
        plan(folder, dem_path=str(tmp_path / "far.tif"))


def test_dates_limit_the_scenes(folder: Path) -> None:
    assert len(plan(folder, datetime="2026-07-12").plan.scenes) == 2
    with pytest.raises(NothingFound, match="no sentinel-2-l2a scene of 2026-07-13"):
        plan(folder, datetime="2026-07-13/..")


def test_heights_above_the_ellipsoid_need_a_declared_geoid(folder: Path, tmp_path: Path) -> None:
    west, south, east, north = CROP
    bounds = (west - 0.01, south - 0.01, east + 0.01, north + 0.01)
    write_geotiff(tmp_path / "dem.tif", world=WORLD, crs="EPSG:4326", bounds=bounds, resolution=0.001)
    with pytest.raises(InvalidInput, match="vertical ellipsoidal needs heights above EGM2008"):
        plan(folder, dem_path=str(tmp_path / "dem.tif"), vertical="ellipsoidal")
