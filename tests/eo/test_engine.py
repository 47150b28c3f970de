"""The local engine with scripted stages: what fails, hangs, dies, is counted and is done again."""

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import scripted
from eo.bbox import BBox
from eo.engine import LocalEngine
from eo.errors import CorruptData, LostWork, NothingFound, SourceUnavailable, TooLarge, WorkerLost
from eo.folder_store import FolderStore
from eo.grid import TargetGrid, Window
from eo.job import Part, Plan, Prediction, Unit
from eo.settings import Settings
from eo.stage import Stage
from eo.unit_io import ResultIO
from eo.workers import Workers
from merge.fan_in import fan_in

STAGES = (
    Stage(name="first", map="scripted:first", over="shards", reduce="scripted:total", halo=7),
    Stage(name="second", map="scripted:second", over="shards"),
)
NAMES = tuple(f"u{index}" for index in range(6))


class Bench:
    """A job of scripted stages in a folder."""

    def __init__(self, folder: Path, stages: tuple[Stage, ...] = STAGES) -> None:
        self.folder = folder
        self.seen: list[tuple[str, int, int, int]] = []
        self.store = FolderStore(folder / "home")
        self.units = [Unit(id=name, window=Window(0, 0, 10, 10)) for name in NAMES]
        self.plan = Plan(
            job="job",
            process="point-cloud",
            version="1",
            software="test",
            inputs={"folder": str(folder)},
            bbox=BBox(11.0, 46.0, 11.1, 46.1),
            grid=TargetGrid("EPSG:32632", 10, 0, 0, Window(0, 0, 60, 10)),
            chunk=64,
            shard=64,
            lattice=(0, 0),
            scenes=(),
            radiometry={},
            arrays=(),
            sources={},
            targets={},
            stages=stages,
            predicted=Prediction(
                pixels=1,
                points=1,
                result_bytes=1,
                scratch_bytes=1,
                unit_memory_bytes=1,
                units={stage.name: len(NAMES) for stage in stages},
                parts=len(NAMES),
            ),
        )

    def settings(self, **more: str) -> Settings:
        own = {"EO_SHARDS_HOME": str(self.folder / "home"), "EO_SHARDS_WORKERS": "2"}
        return Settings.from_environment(own | more)

    def run(self, attempt: int = 1, **more: str) -> tuple[list[Part], Any]:
        self.seen = []
        report = lambda stage, done, total, points: self.seen.append((stage.name, done, total, points))  # noqa: E731
        with LocalEngine(self.store, self.settings(**more), report) as engine:
            engine.start(self.plan, {stage.name: self.units for stage in self.plan.stages})
            return engine.run(self.plan, attempt)

    def calls(self) -> list[int]:
        return [scripted.calls(self.folder, name) for name in NAMES]

    def script(self, unit: str, *actions: str) -> None:
        scripted.script(self.folder, unit, *actions)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(autouse=True, scope="module")
def _imported_once() -> None:
    """Else every worker of every test imports what it needs by itself."""
    Workers(1, memory=10**9).warm(["eo.runner", "eo.unit_io", "eo.cube", "zarr.storage", "eo.transport"])


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


def _body(bench: Bench, part: Part) -> Any:
    return json.loads(bench.store.read(part.keys["body"]))


class TestStages:
    def test_parts_come_in_the_order_of_the_units(self, bench: Bench) -> None:
        bench.script("u0", "slow")
        parts, spent = bench.run()
        assert [part.unit for part in parts] == list(NAMES)
        assert bench.calls() == [1] * 6
        assert {usage.unit for usage in spent.usages if usage.stage == "first"} == set(NAMES)
        assert spent.peak_rss > 10_000_000
        assert spent.cpu("first") >= 0

    def test_the_reduce_of_a_stage_is_the_state_of_the_next(self, bench: Bench) -> None:
        parts, _ = bench.run()
        assert [_body(bench, part) for part in parts] == [{"width": 60}] * 6

    def test_a_stage_without_a_reduce_hands_on_nothing(self, bench: Bench) -> None:
        plain = Bench(bench.folder, tuple(stage.model_copy(update={"reduce": None}) for stage in STAGES))
        parts, _ = plain.run()
        assert [_body(plain, part) for part in parts] == [None] * 6

    def test_progress_is_told_from_nothing_to_all(self, bench: Bench) -> None:
        bench.run()
        assert bench.seen[:7] == [("first", done, 6, 10 * done) for done in range(7)]
        assert [entry[:3] for entry in bench.seen[7:]] == [("second", done, 6) for done in range(7)]


class TestGoingOn:
    def test_finished_parts_are_not_made_again(self, bench: Bench) -> None:
        bench.script("u5", "nothing")
        with pytest.raises(NothingFound, match="u5 is scripted to fail"):
            bench.run(EO_SHARDS_WORKERS="1")
        assert bench.calls() == [1] * 6
        assert bench.seen[-1] == ("first", 5, 6, 50)
        bench.run(attempt=2)
        assert bench.calls() == [1, 1, 1, 1, 1, 2]
        assert bench.seen[0] == ("first", 5, 6, 50)

    def test_a_finished_job_does_nothing(self, bench: Bench) -> None:
        before, _ = bench.run()
        again, spent = bench.run(attempt=2)
        assert again == before
        # No unit; only the reduce, which is small, is made of the parts again.
        assert [usage.stage for usage in spent.usages] == ["reduce"]
        assert bench.calls() == [1] * 6

    def test_a_failure_gives_up_what_is_in_flight_at_once(self, bench: Bench) -> None:
        bench.script("u0", "hang")
        bench.script("u1", "once u0: unavailable")
        started = time.monotonic()
        with pytest.raises(SourceUnavailable):
            bench.run()
        assert time.monotonic() - started < 30
        bench.run(attempt=2)
        assert bench.calls()[:2] == [2, 2]

    @pytest.mark.parametrize("left", ["", "{"])
    def test_a_part_that_is_not_readable_is_made_again(self, bench: Bench, left: str) -> None:
        """After a power cut a new name may be there without what was in the file."""
        before, _ = bench.run()
        bench.store.path("scratch/job/1/parts/first/u3.json").write_text(left)
        again, _ = bench.run(attempt=2)
        assert again == before
        assert bench.calls() == [1, 1, 1, 2, 1, 1]
        assert bench.seen[0] == ("first", 5, 6, 50)

    def test_a_state_that_is_gone_is_named(self, bench: Bench) -> None:
        bench.script("u0", "nothing")
        with pytest.raises(NothingFound):
            bench.run()
        assert not bench.store.exists("scratch/job/1/state/first.json")

    def test_an_interrupt_ends_the_workers_and_keeps_the_parts(self, bench: Bench) -> None:
        bench.script("u1", "hang")

        def interrupt() -> None:
            while not bench.calls()[1] or sum(bench.calls()) < 3:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=interrupt, daemon=True).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            bench.run()
        assert time.monotonic() - started < 30
        bench.run(attempt=2)
        assert bench.calls()[0] <= 2
        assert bench.calls()[1] == 2


class TestWorkers:
    def test_a_killed_worker_is_replaced_and_only_its_unit_done_again(self, bench: Bench) -> None:
        bench.script("u2", "kill", "kill")
        parts, _ = bench.run()
        assert len(parts) == 6
        assert bench.calls() == [1, 1, 3, 1, 1, 1]

    def test_a_unit_that_kills_its_workers_is_named(self, bench: Bench) -> None:
        bench.script("u2", "kill", "kill", "kill")
        with pytest.raises(
            WorkerLost, match=r"killed 3 times over unit u2 of stage first \(signal 9\).*EO_SHARDS_WORKERS, now 2"
        ):
            bench.run()
        assert bench.calls()[2] == 3

    def test_one_that_waits_for_work_may_be_killed_too(self) -> None:
        with Workers(1, memory=10**9) as workers:
            (first,) = workers.run(os.getpid, {"a": ()})
            psutil.Process(first).kill()
            (second,) = workers.run(os.getpid, {"b": ()})
            assert first != second

    def test_memory_is_bounded(self, bench: Bench) -> None:
        bench.script("u4", "memory")
        with pytest.raises(
            TooLarge, match=r"unit u4 of stage first needs more memory .*\(200 MB\).*EO_SHARDS_WORKER_MEMORY"
        ):
            bench.run(EO_SHARDS_WORKER_MEMORY="200")
        bench.run(attempt=2, EO_SHARDS_WORKER_MEMORY="200")
        assert bench.calls()[4] == 2

    def test_a_full_disk_is_explained(self, bench: Bench) -> None:
        bench.script("u4", "disk")
        with pytest.raises(TooLarge, match="No space left on device"):
            bench.run()

    def test_an_exception_that_cannot_be_read_back_is_told_all_the_same(self, bench: Bench) -> None:
        bench.script("u0", "odd")
        with pytest.raises(RuntimeError, match="OddError: an odd fault") as caught:
            bench.run()
        assert "in act" in "".join(caught.value.__notes__)

    def test_no_more_processes_than_work(self) -> None:
        with Workers(8, memory=10**9) as workers:
            assert len(list(workers.run(os.getpid, {"a": (), "b": ()}))) == 2
            assert len(multiprocessing.active_children()) == 2

    def test_workers_are_deaf_to_the_signals_of_the_terminal(self) -> None:
        with Workers(1, memory=10**9) as workers:
            (mask,) = workers.run(signal.pthread_sigmask, {"a": (signal.SIG_BLOCK, ())})
        assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= mask


SPOILT: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "of another size": lambda path: path.write_bytes(b"x"),
    "zeros of equal size": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


class TestFanIn:
    def test_nothing_is_published_where_a_part_is_missing(self, bench: Bench) -> None:
        parts, _ = bench.run()
        for some in (parts[:-1], [*parts[:-1], parts[0]]):
            with pytest.raises(CorruptData, match=f"{len(some)} parts of 6"):
                fan_in(bench.plan, some, store=bench.store)
        assert not bench.store.path("jobs/job/result").exists()

    @pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
    def test_nothing_is_published_where_a_body_is_not_what_it_was(self, bench: Bench, spoil: Any) -> None:
        parts, _ = bench.run()
        bodies = [part.body("body") for part in parts]
        spoil(bench.store.path(bodies[2].key))
        io = ResultIO(plan=bench.plan, store=bench.store)
        with pytest.raises(LostWork, match=r"second/u2\.body is gone or not what was written.*--new"):
            io.concatenate("whole", b"head", bodies)
        with pytest.raises(LostWork, match=r"second/u2\.body is gone or not what was written.*--new"):
            list(io.read_all(bodies))
        assert not bench.store.path("jobs/job/result").exists()
        assert io.digests == {}
