"""The local engine: the stages of a plan on a pool of processes over a folder store.

A stage starts when every part of the one before exists. A unit whose part exists is not done again, so a job that was
stopped or killed goes on where it was.
"""

import json
import multiprocessing
import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for

from eo.errors import CorruptData, WorkerLost
from eo.job import Part, Plan, Stage, Unit, Usage
from eo.records import part_key, read_part, read_units, write_units
from eo.runner import load, open_cube, run_unit
from eo.settings import Settings
from eo.store import FolderStore

LOST_WORKERS = 2
"""How often a stage goes on with a new pool after a worker was killed."""

PRELOADED = ["numpy", "pyproj", "pydantic", "zarr", "rasterio", "eo.runner", "fetch.blocks", "fetch.align"]
"""Imported once, before workers are forked: it saves each of them the better part of a second."""

Progress = Callable[["Stage", int, int, int], None]
"""Called with (stage, units done, units in all, points so far)."""


@dataclass
class Spent:
    """What the units of one run took."""

    usages: list[Usage] = field(default_factory=list)

    def cpu(self, stage: str) -> float:
        """CPU seconds of a stage's units."""
        return sum(usage.cpu_seconds for usage in self.usages if usage.stage == stage)

    @property
    def peak_rss(self) -> int:
        """Largest resident set of any worker, in bytes."""
        return max((usage.peak_rss_bytes for usage in self.usages), default=0)


class LocalEngine:
    """Runs plans on this machine."""

    def __init__(self, store: FolderStore, settings: Settings, progress: Progress | None = None) -> None:
        self._store = store
        self._settings = settings
        self._progress = progress or (lambda *_: None)

    def start(self, plan: Plan, units: dict[str, list[Unit]]) -> None:
        """Write a plan, its unit lists and its cube's metadata; the plan last, for it says that all is there."""
        for stage in plan.stages:
            write_units(self._store, plan.job, stage.name, units[stage.name])
        cube = self._store.path(f"scratch/{plan.job}/cube.zarr")
        cube.mkdir(parents=True, exist_ok=True)
        open_cube(self._store, plan).create(plan.arrays)
        self._store.write(f"jobs/{plan.job}/plan.json", [plan.model_dump_json().encode()])

    def run(self, plan: Plan, attempt: int) -> tuple[list[Part], Spent]:
        """Do all stages; returns the last one's parts in the order of its units.

        Raises whatever a unit raised first; the parts of the others stay.
        """
        spent = Spent()
        parts: list[Part] = []
        with self._pool() as pool:
            for stage in plan.stages:
                parts = self._stage(plan, stage, attempt, pool, spent)
                if stage.reduce is not None:
                    state = json.dumps(load(stage.reduce)(parts))
                    self._store.write(f"scratch/{plan.job}/state/{stage.name}.json", [state.encode()])
        return parts, spent

    def _stage(self, plan: Plan, stage: Stage, attempt: int, pool: "_Pool", spent: Spent) -> list[Part]:
        units = read_units(self._store, plan.job, stage.name)
        done: dict[str, Part] = {}
        for unit in units:
            if self._store.exists(part_key(plan.job, stage.name, unit.id)):
                done[unit.id] = read_part(self._store, plan.job, stage.name, unit.id)
        points = sum(part.counts.get("points", 0) for part in done.values())
        self._progress(stage, len(done), len(units), points)
        left = [unit for unit in units if unit.id not in done]
        for part, usage in pool.map(left, plan.job, stage.name, attempt):
            done[part.unit] = part
            spent.usages.append(usage)
            points += usage.points
            self._progress(stage, len(done), len(units), points)
        missing = [unit.id for unit in units if unit.id not in done]
        if missing:
            raise CorruptData(f"stage {stage.name} left {len(missing)} units without a part, such as {missing[0]}; run again")
        return [done[unit.id] for unit in units]

    @contextmanager
    def _pool(self) -> Iterator["_Pool"]:
        pool = _Pool(self._store, self._settings)
        try:
            yield pool
        finally:
            pool.close()


class _Pool:
    """Worker processes, renewed where one is killed."""

    def __init__(self, store: FolderStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        methods = multiprocessing.get_all_start_methods()
        self._context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
        if "forkserver" in methods:
            self._context.set_forkserver_preload(PRELOADED)
        self._executor: ProcessPoolExecutor | None = None

    def map(self, units: Sequence[Unit], job: str, stage: str, attempt: int) -> Iterator[tuple[Part, Usage]]:
        """Results of units as they come. Raises what a unit raised; WorkerLost where workers keep dying."""
        left = {unit.id: unit for unit in units}
        for _ in range(1 + LOST_WORKERS):
            if not left:
                return
            try:
                for part, usage in self._once(list(left.values()), job, stage, attempt):
                    del left[part.unit]
                    yield part, usage
            except BrokenProcessPool:
                self.close()
        if left:
            raise WorkerLost(
                f"a worker of stage {stage} was killed {1 + LOST_WORKERS} times, most likely for want of memory: use fewer "
                f"workers (EO_SHARDS_WORKERS, now {self._settings.workers}) or a smaller EO_SHARDS_WORKER_MEMORY, then resume"
            )

    def _once(self, units: list[Unit], job: str, stage: str, attempt: int) -> Iterator[tuple[Part, Usage]]:
        """Keep a few units per worker in flight: a queue of thousands would only be cancelled on an error."""
        executor = self._running()
        waiting: set[Future[tuple[Part, Usage]]] = set()
        queue = iter(units)
        for unit in queue:
            waiting.add(executor.submit(run_unit, self._store.root, job, stage, unit, attempt, self._settings))
            if len(waiting) < 2 * self._settings.workers:
                continue
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)

    def _running(self) -> ProcessPoolExecutor:
        if self._executor is None:
            self._executor = ProcessPoolExecutor(
                self._settings.workers,
                mp_context=self._context,
                initializer=_prepare_worker,
                initargs=(self._settings.worker_memory,),
            )
        return self._executor

    def close(self) -> None:
        """End the workers. Units in flight are waited for where nothing was interrupted."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


def _prepare_worker(memory: int) -> None:
    """Bound this worker's memory, leave Ctrl-C to the parent, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Twice the promise: the plan keeps units below it, this only stops a runaway before the kernel stops the machine.
    limit = 2 * memory * 1_000_000
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    """End this process when its parent has gone: an orphan would wait for work for ever."""
    wait_for([sentinel])
    os._exit(1)
