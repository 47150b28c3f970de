"""What a plan predicts against what a job takes, and what it refuses."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
import rasterio

from eo.errors import TooLarge
from eo.folder_store import FolderStore
from eo.grid import Window
from eo.job import ArraySpec, Plan, Prediction, Result, Unit
from eo.records import read_plan
from eo.stage import Stage
from eo.tiling import Tiling
from eo.usage import Usage, UsageTotal, gb_seconds, total
from plan import budget
from plan.forecast import Work, cores, forecast
from plan.job_grid import tile_units
from routes.loopback import STORE, Cdse, Machine, cdse, disk_with
from routes.places import JULY, WORLD
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import write_scene
from support import Job, bounds_of, local, quick_dem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGES = [Stage(name="align", map="x:y", over="shards", bytes_per_pixel=40)]
PREDICTED = Prediction(
    pixels=1000,
    points=1000,
    result_bytes=15_000,
    scratch_bytes=100_000,
    unit_memory_bytes=300_000_000,
    units={"drape": 1},
    parts=1,
)


@dataclass(frozen=True)
class Measured:
    route: Cdse
    plan: Plan
    points: int
    scratch: int
    stored: dict[str, int]
    """Bytes of chunks by array."""
    usages: list[Usage]
    result: Result
    requests: int
    """That the stores of images and elevation have seen."""
    sent: int
    """Bytes that they have sent."""

    @property
    def spent(self) -> UsageTotal:
        assert self.result.usage is not None
        return self.result.usage


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """A cloudless scene by the whole remote route, its cube kept."""
    folder = tmp_path_factory.mktemp("budget")
    corner: dict[str, Any] = {"epsg": 32632, "ulx": 671_240, "uly": 5_168_180, "tile": "32TPS"}
    scene = write_scene(folder / "catalog", world=WORLD, size=768, block=256, **corner)
    dem = write_edh_zarr(folder / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(450, 450), fill_chunks=True)
    with cdse(folder / "machine", [scene], dem.path) as route:
        machine = route.machine
        machine.env |= {"EO_SHARDS_CHUNK": "256"}
        inputs = {"bbox": list(bounds_of(scene, inset=250)), "datetime": JULY, "sampled_fraction": 0.2}
        machine.order("run", inputs, "--keep-cube").fine()
        scratch = machine.folder / "home" / "scratch"
        size = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
        job = next(scratch.iterdir()).name
        plan = read_plan(FolderStore(machine.folder / "home"), job)
        cube = scratch / job / "1" / "cube.zarr"
        stored = {
            array.name: sum(path.stat().st_size for path in (cube / array.name / "c").rglob("*") if path.is_file())
            for array in plan.arrays
        }
        result = Result.model_validate_json((machine.folder / "home" / "jobs" / job / "result.json").read_bytes())
        peers = (route.s3, route.dem)
        requests, sent = sum(peer.requests for peer in peers), sum(peer.bytes_sent for peer in peers)
        yield Measured(route, plan, len(machine.cloud().xyz), size, stored, machine.usages(), result, requests, sent)


def test_scenes_count_with_their_own_grids() -> None:
    stages = [
        Stage(name="fetch", map="x:y", over="blocks"),
        Stage(name="align", map="x:y", over="shards", bytes_per_pixel=40),
        Stage(name="field", map="x:y", over="scenes", bytes_per_pixel=1000),
    ]
    shard = Window(0, 0, 100, 100)
    units = {
        "fetch": [Unit(id="f", window=Window(0, 0, 915, 915), array="context/a/B02")],
        "align": [Unit(id="r", window=shard)],
        "field": [Unit(id="a", window=Window(0, 0, 915, 915), array="context/a")],
    }
    arrays = [
        ArraySpec(name="context/a/B02", shape=(915, 915), chunks=(915, 915), dtype="uint16"),
        ArraySpec(name="context/a/gain_B02", shape=(915, 915), chunks=(512, 512), dtype="float32", fill="NaN"),
        ArraySpec(name="valid", shape=(128, 128), chunks=(64, 64), dtype="uint8"),
    ]
    assert budget.written_pixels(arrays, units, stages, [shard]) == {
        "context/a/B02": 915 * 915,
        "context/a/gain_B02": 915 * 915,
        "valid": 10_000,
    }
    assert budget.scene_memory(units, stages) == budget.WORKER_BASE + 915 * 915 * 1000
    work = Work(
        units=units,
        stages=stages,
        arrays=arrays,
        shards=[shard],
        variables=1,
        source_requests=0,
        source_bytes=0,
        cube_bytes=0,
        tile_bytes=0,
        body_bytes=0,
        unit_memory_bytes=0,
    )
    without = replace(work, units=units | {"field": []}, stages=stages, arrays=[arrays[0], arrays[2]])
    more, less = forecast(work, memory_mb=1000), forecast(without, memory_mb=1000)
    # Two megapixel seconds for 0.84 Mpx, and a call.
    assert more.cpu_seconds - less.cpu_seconds == pytest.approx(2 * 0.915**2 + 0.02, abs=0.01)
    # The four chunks of the gain, its metadata, and a part with its record.
    assert more.store_writes - less.store_writes == 4 + 1 + 2
    # It reads the band and what it makes: one and four chunks; with a part, the plan and the records.
    assert more.store_reads - less.store_reads >= 5


def test_tiles_count_with_what_they_read_and_are_read() -> None:
    tiling = Tiling(stride=608, used=704, margin=32, block=3)
    shards = list(Window(0, 0, 2048, 2048).cells(1024, 1024))
    stages = [
        Stage(name="align", map="x:y", over="shards", bytes_per_pixel=40),
        Stage(name="tiles", map="x:y", over="tiles", tiling=tiling, bytes_per_pixel=600),
        Stage(name="correct", map="x:y", over="shards", bytes_per_pixel=40),
    ]
    units = {
        "align": [Unit(id=f"{number}", window=shard) for number, shard in enumerate(shards)],
        "tiles": tile_units(shards, tiling),
    }
    units["correct"] = units["align"]
    tiles = 5 * 5
    arrays = [
        ArraySpec(name="valid", shape=(2048, 2048), chunks=(1024, 1024), dtype="uint8"),
        ArraySpec(name="tiles/B02", shape=(5 * 704, 5 * 704), chunks=(704, 704), dtype="float32"),
    ]
    assert sum(unit.window.pixels for unit in units["tiles"]) == tiles
    assert budget.written_pixels(arrays, units, stages, shards)["tiles/B02"] == tiles * 704**2
    assert budget.tile_memory(stages) == budget.WORKER_BASE + 768**2 * 600
    assert budget.tile_memory(stages[:1]) == budget.WORKER_BASE
    work = Work(
        units=units,
        stages=stages,
        arrays=arrays,
        shards=shards,
        variables=1,
        source_requests=0,
        source_bytes=0,
        cube_bytes=tiles * 704**2 * 4,
        tile_bytes=tiles * 704**2 * 4,
        body_bytes=0,
        unit_memory_bytes=0,
    )
    without = replace(
        work, units=units | {"tiles": []}, stages=[stages[0], stages[2]], arrays=arrays[:1], cube_bytes=0, tile_bytes=0
    )
    more, less = forecast(work, memory_mb=1000), forecast(without, memory_mb=1000)
    assert more.cpu_seconds - less.cpu_seconds == pytest.approx(0.8 * tiles * 0.768**2 + 4 * 0.02, abs=0.01)
    # A chunk for each tile, the array's metadata, the stage's list, and of four units a part with its record.
    assert more.store_writes - less.store_writes == tiles + 1 + 1 + 8
    # Each shard reads the tiles that reach into it, some of which others read too.
    read = sum(tiling.touching(shard).pixels for shard in shards)
    assert tiles < read < 4 * tiles
    assert more.store_bytes_read - less.store_bytes_read == pytest.approx(read * 704**2 * 4, rel=1e-6)
    assert more.store_bytes_written - less.store_bytes_written == tiles * 704**2 * 4
    # Units read a band and its validity, of at most four chunks each; their parts; and that the plan is there.
    assert read + 4 * 2 <= more.store_reads - less.store_reads <= read + 4 * 2 * 4 + 3 * 4


def test_a_huge_file_without_tiles_is_refused(tmp_path: Path) -> None:
    """GDAL decodes tiles whole, and such a file is one."""
    scene = write_scene(
        tmp_path / "c", world=WORLD, epsg=32632, ulx=671_240, uly=5_168_180, tile="32TPS", size=64, file_format="gtiff"
    )
    dem = quick_dem(tmp_path / "dem.tif", WORLD, bounds_of(scene))
    edge = 12_000
    shape = {"width": edge, "height": edge, "count": 1, "dtype": "uint16", "sparse_ok": True, "compress": "deflate"}
    inputs = local(tmp_path / "c", dem.path, bounds_of(scene, inset=100))
    for rows, resolution in ((edge, 10), (edge, 160), (1, 10)):
        with rasterio.open(
            scene.assets["B03"],
            "w",
            driver="GTiff",
            crs="EPSG:32632",
            transform=scene.transform,
            blockysize=rows,
            **shape,
        ):
            pass
        order = {"resolution": resolution, **inputs}
        if rows == 1:
            # Strips of one row are read as many at a time as make a chunk.
            assert Job(tmp_path, order).plan.predicted.unit_memory_bytes < 300_000_000
        else:
            with pytest.raises(TooLarge, match=r"a unit takes \d+ MB, .*gdal_translate -of COG"):
                Job(tmp_path, order)


def test_an_image_takes_what_is_decoded_and_read_together() -> None:
    pixels = 1024 * 1024
    whole = {"tile": (1024, 1024), "cell": (1024, 1024)}
    assert budget.image_memory(**whole, factor=1) == 12 * pixels
    # However coarse, no more than a piece is read at a time.
    assert budget.image_memory(**whole, factor=2) == 12 * pixels + 8 * budget.READ_AT_ONCE
    assert budget.image_memory(**whole, factor=16) == budget.image_memory(**whole, factor=2)


def test_what_is_stored_of_a_pixel_is_what_its_kind_leaves(measured: Measured) -> None:
    arrays = {array.name: array for array in measured.plan.arrays}
    for name, size in measured.stored.items():
        pixels = math.prod(arrays[name].shape)
        ratio = budget.STORED_BYTES[arrays[name].dtype] * pixels / size
        assert arrays[name].dtype == "uint8" or 0.6 < ratio < 1.7, name


def test_points_are_an_upper_bound_and_close(measured: Measured) -> None:
    assert measured.points <= measured.plan.predicted.points <= 1.05 * measured.points


def test_disk_is_right_within_a_factor_of_two(measured: Measured) -> None:
    assert measured.scratch / 2 <= measured.plan.predicted.scratch_bytes <= 2 * measured.scratch


def test_what_was_asked_of_sources_is_what_they_were_asked(measured: Measured) -> None:
    """The sum of the calls' records against the servers' own counts."""
    assert measured.spent.source_requests == measured.requests
    assert measured.spent.source_bytes == pytest.approx(measured.sent, rel=0.01)


def test_requests_and_bytes_are_right_within_a_factor_of_two(measured: Measured) -> None:
    predicted, spent = measured.plan.predicted.usage, measured.spent
    assert spent.source_requests / 2 <= predicted.source_requests <= 2 * spent.source_requests
    assert spent.source_bytes / 3 <= predicted.source_bytes <= 2 * spent.source_bytes


def test_calls_are_predicted_exactly_and_requests_to_the_store_within_a_half(measured: Measured) -> None:
    predicted, spent = measured.plan.predicted.usage, measured.spent
    assert predicted.calls == spent.calls == len(measured.usages)
    assert predicted.transitions == spent.transitions
    assert spent.failed_calls == 0
    for name in ("store_reads", "store_writes", "store_bytes_read", "store_bytes_written"):
        assert getattr(predicted, name) == pytest.approx(getattr(spent, name), rel=0.5), name


def undisturbed(calls: list[Usage]) -> UsageTotal:
    """The sum without the time for which calls waited for a core that others had."""
    seconds = [min(call.seconds, call.cpu_seconds) for call in calls]
    changes = [
        {"seconds": s, "gb_seconds": gb_seconds(s, call.memory_mb)} for s, call in zip(seconds, calls, strict=True)
    ]
    return total(call.model_copy(update=change) for call, change in zip(calls, changes, strict=True))


def test_work_and_what_it_costs_are_right_within_a_factor_of_three(measured: Measured) -> None:
    """Three, because this job is small and machines differ: CPU s of jobs of 1 to 17 Mpx are within 1.5."""
    predicted, spent, least = measured.plan.predicted.usage, measured.spent, undisturbed(measured.usages)
    for name in ("cpu_seconds", "gb_seconds", "cost_usd", "energy_kwh", "co2e_g"):
        assert getattr(least, name) / 3 <= getattr(predicted, name) <= 3 * getattr(spent, name), name
    assert predicted.factors == spent.factors


def test_the_sum_is_that_of_the_records(measured: Measured) -> None:
    """But for the merge's own, which is written a moment after its result."""
    calls = [usage for usage in measured.usages if usage.stage != "merge"]
    spent = total(calls)
    assert {usage.stage for usage in calls} == {"plan", *measured.plan.predicted.units}
    assert spent.calls == measured.spent.calls - 1
    assert (spent.source_requests, spent.source_bytes) == (measured.spent.source_requests, measured.spent.source_bytes)
    assert spent.cpu_seconds < measured.spent.cpu_seconds
    assert sum(usage.points for usage in calls) == measured.points


def test_on_lambda_less_memory_is_a_smaller_part_of_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cores(600) == 1
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-plan")
    assert cores(1769) == cores(10_000) == 1
    assert cores(884) == pytest.approx(0.5, rel=0.01)


def test_memory_is_an_upper_bound(measured: Measured) -> None:
    peak = max(usage.peak_rss_bytes for usage in measured.usages if usage.stage in measured.plan.predicted.units)
    assert peak <= measured.plan.predicted.unit_memory_bytes <= 600_000_000


@pytest.mark.parametrize(("fraction", "side"), [(0.01, 400), (0.2, 400), (0.5, 1000), (1, 300)])
def test_most_points_leaves_room_for_the_sampling_only(fraction: float, side: int) -> None:
    most = budget.most_points(side * side, fraction, Window(0, 0, side, side))
    assert fraction * side * side <= most <= fraction * side * side + 2.1 * 2 * side
    assert budget.most_points(0, fraction, Window(0, 0, 1, 1)) <= 3


def test_shards_grow_until_bodies_are_worth_a_copy_and_end_with_memory() -> None:
    def edge(bytes_per_pixel: float, memory: int) -> int:
        return budget.shard_edge(chunk=1024, bytes_per_pixel=bytes_per_pixel, memory=memory, stages=STAGES)

    assert edge(15, 600_000_000) == 1024
    assert edge(3, 600_000_000) == 2048
    assert edge(0.1, 600_000_000) == 2048
    assert edge(0.1, 300_000_000) == 1024
    with pytest.raises(
        TooLarge, match=r"a shard of 1024 x 1024 pixels takes 272 MB, a worker may use 100 MB: raise EO_SH"
    ):
        edge(15, 100_000_000)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"points": 1001}, r"up to 1,001 points, max_points is 1,000: lower sampled_fraction"),
        ({"parts": 20_001}, r"20,001 shards, the fan-in joins at most 20,000: choose a coarser resolution"),
        (
            {"units": {"fetch": 80_001}},
            r"stage fetch of the job has 80,001 units, a map does at most 80,000: order a sm",
        ),
        ({"unit_memory_bytes": 601_000_000}, r"a unit takes 601 MB, a worker may use 600 MB: raise EO_SHARDS_WORKER_"),
    ],
)
def test_too_much_is_refused_with_value_limit_and_remedy(changed: dict[str, Any], told: str) -> None:
    budget.check(PREDICTED, memory=600_000_000, max_points=1000)
    with pytest.raises(TooLarge, match=told):
        budget.check(PREDICTED.model_copy(update=changed), memory=600_000_000, max_points=1000)


def test_disks_are_added_up_where_they_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 114_999})
    monkeypatch.setattr("plan.budget.shutil.disk_usage", lambda _: usage)
    with pytest.raises(TooLarge, match=r"about 0 MB of disk, .* has 0 MB free: choose a smaller bbox or"):
        budget.check_disk(PREDICTED, scratch=tmp_path / "a" / "b", out=tmp_path / "c")
    usage.free = 115_000
    budget.check_disk(PREDICTED, scratch=tmp_path / "a" / "b", out=tmp_path / "c")


class TestTheCommandRefuses:
    @pytest.fixture
    def order(self, measured: Measured, tmp_path: Path) -> tuple[Machine, dict[str, Any]]:
        ours = {name: value for name, value in measured.route.machine.env.items() if name != "EO_SHARDS_HOME"}
        bbox = measured.plan.inputs["bbox"]
        return Machine(tmp_path, ours), {"bbox": bbox, "datetime": JULY, "sampled_fraction": 0.2}

    @pytest.mark.parametrize(
        ("more", "env", "told"),
        [
            ({}, {"EO_SHARDS_WORKER_MEMORY": "200"}, "a worker may use 200 MB"),
            ({"max_points": 1000}, {}, "max_points is 1,000"),
            ({"sampled_fraction": 1}, {"EO_SHARDS_CHUNK": "16", "EO_SHARDS_WORKER_MEMORY": "231"}, ""),
            ({}, None, "of disk, "),
        ],
        ids=["memory", "points", "memory and chunk", "disk"],
    )
    def test_before_anything_is_left(
        self, order: tuple[Machine, dict[str, Any]], more: dict[str, Any], env: dict[str, str] | None, told: str
    ) -> None:
        machine, inputs = order
        tmp_path = machine.folder
        env = disk_with(tmp_path, 1_000_000) if env is None else env
        said = machine.order("run", inputs | more, **env).failed(TooLarge.exit_code)
        assert told in said
        assert not (tmp_path / "out").exists()
        assert not list((tmp_path / "home").glob("scratch/*"))
