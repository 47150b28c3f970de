"""Whole jobs of any process, stage by stage, in this process."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from eo.engine import LocalEngine
from eo.folder_store import FolderStore
from eo.job import Part, Plan, Process, Result
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from merge.fan_in import fan_in
from plan.planner import make_plan


@dataclass
class Ran:
    """A job that has run."""

    home: Path
    plan: Plan
    parts: dict[str, list[Part]]
    result: Result = field(repr=False)

    @property
    def out(self) -> Path:
        return self.home / "jobs" / "job" / "result"

    @property
    def notes(self) -> str:
        return "\n".join(self.result.summary["notes"])


Kind = TypeVar("Kind", bound=Ran)


def staged(
    kind: type[Kind],
    folder: Path,
    process: Process,
    inputs: Any,
    *,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
    chunk: int = 64,
    only: str | None = None,
) -> Kind:
    """Run a job in a new home below `folder`; up to the stage `only` where that is given, without the merge then."""
    # A new folder: workers remember the plans of the folders that they have seen.
    home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_CHUNK": str(chunk)})
    made = make_plan(process, inputs, job="job", settings=settings, shard=shard, lattice=lattice)
    store = FolderStore(home)
    LocalEngine(store, settings).start(made.plan, made.units)
    parts: dict[str, list[Part]] = {}
    for stage in made.plan.stages:
        units = read_units(store, "job", stage.name)
        parts[stage.name] = [run_unit(store, "job", stage.name, unit, 1, settings)[0] for unit in units]
        if stage.name == only:
            return kind(home, made.plan, parts, Result(files={}, summary={"notes": []}))
    result = fan_in(made.plan, parts[made.plan.stages[-1].name], store=store)
    return kind(home, made.plan, parts, result)
