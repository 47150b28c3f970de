"""What calls take: a record of each, the sum, and what that costs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from zarr.storage import LocalStore

from eo import estimate
from eo.cube import Cube, MissingChunk, StrictStore
from eo.errors import NothingFound
from eo.folder_store import FolderStore
from eo.grid import Window
from eo.job import ArraySpec
from eo.settings import Settings
from eo.store import Body
from eo.traffic import CountedStore, StoreTraffic, Traffic
from eo.usage import Usage, UsageTotal, metered, peak_rss, spent, total

SETTINGS = Settings(worker_memory=512)
FUNCTIONS = str(Path(__file__).parents[2] / "functions")


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def records(store: FolderStore) -> list[Usage]:
    return [Usage.model_validate_json(store.read(key)) for key in sorted(store.keys("scratch/job/usage/"))]


def usage(**changes: Any) -> Usage:
    values: dict[str, Any] = {
        "job": "job",
        "stage": "fetch",
        "unit": "a",
        "attempt": 1,
        "seconds": 2.0,
        "cpu_seconds": 1.5,
        "memory_mb": 1024,
        "gb_seconds": 2.0,
        "peak_rss_bytes": 100,
    }
    return Usage(**(values | changes))


class TestRecords:
    def test_a_call_leaves_one_with_what_it_took(self, store: FolderStore) -> None:
        with metered(store, "job", "fetch", "b1", 2, SETTINGS) as meter:
            time.sleep(0.05)
            meter.source.add(Traffic(3, 400))
            meter.store.write("a", [b"123", b"45"])
            assert meter.store.read("a") == b"12345"
            meter.points = 7
        (found,) = records(store)
        assert found == meter.usage
        assert (found.job, found.stage, found.unit, found.attempt, found.failed) == ("job", "fetch", "b1", 2, False)
        assert 0.05 <= found.seconds < 5
        assert found.cpu_seconds < found.seconds
        assert found.memory_mb == 512
        assert found.gb_seconds == pytest.approx(found.seconds / 2, abs=1e-5)
        assert (found.source_requests, found.source_bytes, found.points) == (3, 400, 7)
        # The record is an object that the call writes too.
        assert (found.store_reads, found.store_writes) == (1, 2)
        assert (found.store_bytes_read, found.store_bytes_written) == (5, 5)
        assert found.peak_rss_bytes > 10_000_000

    @pytest.mark.parametrize("error", [NothingFound("nothing"), KeyboardInterrupt(), RuntimeError("odd")])
    def test_a_call_that_fails_costs_too(self, store: FolderStore, error: BaseException) -> None:
        def call() -> None:
            with metered(store, "job", "plan", "plan", 1, SETTINGS) as meter:
                meter.source.add(Traffic(5, 0))
                raise error

        with pytest.raises(type(error)):
            call()
        (found,) = records(store)
        assert found.failed
        assert found.source_requests == 5

    def test_a_call_that_is_repeated_within_an_attempt_costs_again(self, store: FolderStore) -> None:
        for _ in range(3):
            with metered(store, "job", "fetch", "b1", 1, SETTINGS):
                pass
        assert len(records(store)) == 3
        assert spent(store, "job").calls == 3

    def test_the_failure_is_told_where_its_record_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "scratch").write_bytes(b"a file where a folder should be")
        with pytest.raises(NothingFound), metered(FolderStore(tmp_path), "job", "fetch", "b1", 1, SETTINGS):
            raise NothingFound("nothing")

    def test_memory_on_lambda_is_that_of_the_function(
        self, store: FolderStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "2048")
        with metered(store, "job", "fetch", "b1", 1, SETTINGS) as meter:
            pass
        assert meter.usage.memory_mb == 2048
        assert meter.usage.gb_seconds == pytest.approx(2 * meter.usage.seconds, abs=1e-5)


class TestMemory:
    def test_the_peak_is_that_of_this_process_and_stays(self) -> None:
        before = peak_rss()
        held = b"x" * 80_000_000
        after = peak_rss()
        assert after >= 0.99 * before
        assert after > len(held)
        del held
        assert peak_rss() >= 0.99 * after  # the kernel counts in batches

    def test_it_is_told_where_the_system_has_no_proc(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("eo.usage.STATUS", tmp_path / "absent")
        assert peak_rss() > 10_000_000

    def test_a_large_parent_is_not_counted(self) -> None:
        held = b"x" * 300_000_000
        code = "from eo.usage import peak_rss; print(peak_rss())"
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": FUNCTIONS}, capture_output=True, text=True, check=True
        )
        assert len(held) > 2 * int(done.stdout) > 10_000_000


class TestStore:
    def test_every_request_is_counted_as_s3_would(self, store: FolderStore) -> None:
        traffic = StoreTraffic()
        counted = CountedStore(store, traffic)
        counted.write("a", [b"one"])
        counted.write("b", [b"four"])
        assert traffic == StoreTraffic(0, 2, 0, 7)
        assert list(counted.read_all(["a", "b"])) == [b"one", b"four"]
        assert counted.exists("a")
        with pytest.raises(KeyError):
            counted.read("c")
        assert traffic == StoreTraffic(4, 2, 7, 7)
        assert sorted(counted.keys("")) == ["a", "b"]
        assert traffic == StoreTraffic(4, 3, 7, 7)
        bodies = [Body(key, store.path(key).stat().st_size, store.digest(key)) for key in ("a", "b")]
        counted.concatenate("whole", b"head", bodies)
        # Two looks; all three are so small that they go through the process and are written in one request.
        assert traffic == StoreTraffic(8, 4, 14, 18)
        assert store.read("whole") == b"headonefour"

    def test_what_is_read_of_a_large_object_is_counted(self, store: FolderStore) -> None:
        data = os.urandom(5_000_000)
        store.write("large", [data])
        traffic = StoreTraffic()
        with CountedStore(store, traffic).reader("large") as file:
            file.seek(4_000_000)
            assert file.read(100) == data[4_000_000:4_000_100]
            assert 100 <= traffic.bytes_read <= 1 << 20
            file.seek(0)
            assert file.read() == data
        assert traffic.bytes_read >= 5_000_000

    def test_chunks_of_the_cube_are_counted_where_they_travel(self, tmp_path: Path) -> None:
        cube = Cube(LocalStore(tmp_path), {})
        cube.create([ArraySpec(name="a", shape=(64, 64), chunks=(32, 32), dtype="uint16")])
        made = StoreTraffic()
        made.take(cube.traffic)
        assert made.writes >= 2  # metadata of the group and of the array
        assert cube.traffic == StoreTraffic()
        values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
        cube.write("a", Window(0, 0, 64, 64), values)
        written = StoreTraffic()
        written.take(cube.traffic)
        files = [path.stat().st_size for path in tmp_path.glob("a/c/*/*")]
        assert (written.writes, written.bytes_written) == (4, sum(files))
        assert (cube.read("a", Window(0, 0, 32, 64)) == values[:, :32]).all()
        assert cube.traffic.reads == 2
        assert cube.traffic.bytes_written == 0
        assert 0 < cube.traffic.bytes_read < sum(files)

    def test_a_chunk_that_is_not_there_is_a_request_too(self, tmp_path: Path) -> None:
        cube = Cube(LocalStore(tmp_path), {})
        cube.create([ArraySpec(name="a", shape=(64, 64), chunks=(32, 32), dtype="uint16")])
        before = cube.traffic.reads
        with pytest.raises(Exception, match="was lost"):
            cube.read("a", Window(0, 0, 8, 8))
        assert cube.traffic.reads > before
        assert issubclass(MissingChunk, Exception)
        assert StrictStore(LocalStore(tmp_path)).traffic == StoreTraffic()


class TestSum:
    def test_it_is_that_of_all_calls(self) -> None:
        calls = [
            usage(source_requests=3, source_bytes=10, store_reads=1, store_writes=2, points=4),
            usage(unit="b", failed=True, source_requests=1, peak_rss_bytes=300, store_bytes_read=5),
            usage(stage="merge", unit="merge", store_bytes_written=9),
        ]
        found = total(calls)
        assert (found.calls, found.failed_calls) == (3, 1)
        assert (found.seconds, found.cpu_seconds, found.gb_seconds) == (6.0, 4.5, 6.0)
        assert (found.source_requests, found.source_bytes) == (4, 10)
        assert (found.store_reads, found.store_writes, found.store_requests) == (1, 2, 3)
        assert (found.store_bytes_read, found.store_bytes_written) == (5, 9)
        assert found.peak_rss_bytes == 300
        assert total([]).cost_usd == 0

    def test_records_of_other_jobs_and_broken_ones_are_not_in_it(self, store: FolderStore) -> None:
        for job in ("job", "job2"):
            with metered(store, job, "fetch", "b1", 1, SETTINGS):
                pass
        store.write("scratch/job/usage/fetch/b2-1-00000000.json", [b""])
        store.write("scratch/job/usage/fetch/b3-1-00000000.json", [json.dumps({"unit": 1}).encode()])
        assert spent(store, "job").calls == 1
        assert spent(store, "job", usage(), usage()).calls == 3


class TestEstimate:
    def test_money_is_the_list_price_of_each_thing(self) -> None:
        found = UsageTotal.estimated(
            stages=2, calls=1_000, gb_seconds=60_000.0, store_reads=1_000_000, store_writes=10_000
        )
        # By hand: 1 USD of GB-seconds, 0.0002 of calls, 0.40 of GET, 0.05 of PUT, 2,010 transitions.
        assert found.transitions == 2 * 1_000 + 5 * 2
        assert found.cost_usd == pytest.approx(1.000002 + 0.0002 + 0.4 + 0.05 + 0.05025, abs=1e-6)

    def test_energy_is_that_of_processors_memory_and_network(self) -> None:
        # A function of a whole vCPU for an hour, busy for half of it; 10 GB from sources.
        hour = estimate.kwh(gb_seconds=3600 * 1769 / 1024, cpu_seconds=1800, source_bytes=10_000_000_000)
        watts = 0.74 + (3.5 - 0.74) / 2
        assert hour == pytest.approx(1.135 * (watts / 1000 + 1769 / 1024 * 0.000392 + 0.01))

    def test_the_grid_is_that_of_the_region_and_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sums: dict[str, Any] = {"stages": 1, "calls": 1, "gb_seconds": 1000.0, "cpu_seconds": 500.0}
        grams = {}
        for region in ("eu-north-1", "eu-central-1", "mars-1", ""):
            monkeypatch.setenv("AWS_REGION", region)
            monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "merge")
            found = UsageTotal.estimated(**sums)
            grams[region] = found.co2e_g
            assert found.region == (region if region.startswith("eu") else "")
            making = 0.44 * 1000 * 1024 / 1769 / 3600
            of_grid = found.energy_kwh * found.factors["g_co2e_per_kwh"]
            assert found.co2e_g == pytest.approx(of_grid + making, rel=1e-3)
        assert grams["eu-north-1"] < grams["eu-central-1"] < grams["mars-1"] == grams[""]

    def test_a_laptop_that_names_a_region_is_not_in_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
        monkeypatch.setenv("AWS_REGION", "eu-north-1")
        assert total([usage()]).region == ""

    def test_others_can_make_it_again_from_the_factors_it_states(self) -> None:
        found = total([usage(store_reads=10, store_writes=20, source_bytes=1_000_000)])
        f = found.factors
        assert found.cost_usd == pytest.approx(
            found.gb_seconds * f["usd_per_gb_second"]
            + found.calls * f["usd_per_call"]
            + found.store_reads * f["usd_per_store_read"]
            + found.store_writes * f["usd_per_store_write"]
            + found.transitions * f["usd_per_transition"],
            abs=1e-7,
        )
        held = found.gb_seconds * 1024 / f["mb_per_vcpu"]
        busy = f["watts_per_busy_vcpu"] - f["watts_per_idle_vcpu"]
        processors = (f["watts_per_idle_vcpu"] * held + busy * found.cpu_seconds) / 3.6e6
        memory = found.gb_seconds / 3600 * f["kwh_per_gb_hour_of_memory"]
        network = found.source_bytes / 1e9 * f["kwh_per_gb_from_sources"]
        assert found.energy_kwh == pytest.approx(f["pue"] * (processors + memory + network), abs=1e-9)
