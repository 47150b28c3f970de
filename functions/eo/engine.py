"""The local engine: the stages of a plan on worker processes over a folder store.

A stage starts when every part of the one before exists. A unit whose part can be read is not done again, so a job that
was stopped or killed goes on where it was.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from eo.disk import explained
from eo.errors import CorruptData
from eo.folder_store import FolderStore
from eo.job import Part, Plan, Unit
from eo.records import read_part, read_units, write_state
from eo.runner import load, run_unit, start
from eo.settings import Settings
from eo.stage import Stage
from eo.usage import Meter, Usage, metered
from eo.workers import Workers

PRELOADED = ("eo.runner", "eo.unit_io", "eo.cube", "zarr.storage", "rasterio")
"""What stages import late, and the engine early, once: it saves each worker the better part of a second."""

Progress = Callable[[Stage, int, int, int], None]
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
    """Runs plans on this machine, as a context: its workers end with the block."""

    def __init__(self, store: FolderStore, settings: Settings, progress: Progress | None = None) -> None:
        self._store = store
        self._settings = settings
        self._progress = progress or (lambda *_: None)
        # Twice the promise: the plan keeps units below it, this only stops a runaway before the kernel stops the machine.
        memory = 2 * settings.worker_memory * 1_000_000
        self._workers = Workers(settings.workers, memory=memory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._workers.__exit__(kind, error, tb)

    def warm(self, stages: Sequence[Stage]) -> None:
        """Let workers import what these stages need, while this process makes the plan."""
        self._workers.warm([*PRELOADED, *(stage.map.partition(":")[0] for stage in stages)])

    def start(self, plan: Plan, units: Mapping[str, list[Unit]], meter: Meter | None = None) -> None:
        """Write a plan, its unit lists and its cube's metadata; the plan last, for it says that all is there."""
        with explained(self._store.path(f"scratch/{plan.job}")):
            start(meter.store if meter else self._store, plan, units)

    def run(self, plan: Plan, attempt: int) -> tuple[list[Part], Spent]:
        """Do all stages; returns the last one's parts in the order of its units.

        Raises whatever a unit raised first, or WorkerLost; finished parts stay.
        """
        spent = Spent()
        parts: list[Part] = []
        for stage in plan.stages:
            parts = self._stage(plan, stage, attempt, spent)
            if stage.reduce is not None:
                with metered(self._store, plan.job, "reduce", stage.name, attempt, self._settings) as meter:
                    write_state(meter.store, plan, stage.name, load(stage.reduce)(parts))
                spent.usages.append(meter.usage)
        return parts, spent

    def _stage(self, plan: Plan, stage: Stage, attempt: int, spent: Spent) -> list[Part]:
        units = read_units(self._store, plan.job, stage.name)
        done: dict[str, Part] = {}
        for unit in units:
            # Missing, or empty after a power cut, which may keep a new name and lose what was in it: done again.
            with suppress(CorruptData):
                done[unit.id] = read_part(self._store, plan, stage.name, unit.id)
        points = sum(part.counts.get("points", 0) for part in done.values())
        self._progress(stage, len(done), len(units), points)
        calls = {
            f"unit {unit.id} of stage {stage.name}": (
                self._store,
                plan.job,
                stage.name,
                unit,
                attempt,
                self._settings,
            )
            for unit in units
            if unit.id not in done
        }
        for part, usage in self._workers.run(run_unit, calls):
            done[part.unit] = part
            spent.usages.append(usage)
            points += usage.points
            self._progress(stage, len(done), len(units), points)
        missing = [unit.id for unit in units if unit.id not in done]
        if missing:
            raise CorruptData(
                f"stage {stage.name} left {len(missing)} units without a part, such as {missing[0]}; run the same command again"
            )
        return [done[unit.id] for unit in units]
