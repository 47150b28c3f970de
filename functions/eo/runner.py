"""One unit of work, wherever it runs: in a worker process of the local engine or in a function of the bundle."""

import importlib
import resource
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from eo.errors import TooLarge
from eo.job import MapFunction, Part, Plan, Unit, Usage
from eo.records import part_key, read_plan, read_state
from eo.settings import Settings
from eo.store import FolderStore, Store, explained
from eo.unit_io import UnitIO

if TYPE_CHECKING:
    from eo.cube import Cube


def load(name: str) -> Callable[..., Any]:
    """The object that `package.module:name` names."""
    module, _, attribute = name.partition(":")
    return cast("Callable[..., Any]", getattr(importlib.import_module(module), attribute))


def open_cube(store: FolderStore, plan: Plan) -> "Cube":
    """The cube of a job, in a folder store."""
    from zarr.storage import LocalStore  # noqa: PLC0415 - heavy: who only names processes does without

    from eo.cube import Cube  # noqa: PLC0415

    return Cube(LocalStore(store.path(f"scratch/{plan.job}/cube.zarr")), plan.targets)


@lru_cache(maxsize=2)
def _opened(root: Path, job: str) -> tuple[FolderStore, Plan, "Cube"]:
    """What all units of a job share in one process."""
    store = FolderStore(root)
    plan = read_plan(store, job)
    return store, plan, open_cube(store, plan)


def run_unit(  # noqa: PLR0917 - called over a pipe, where arguments have no names
    root: Path, job: str, stage_name: str, unit: Unit, attempt: int, settings: Settings
) -> tuple[Part, Usage]:
    """Do one unit and leave its part. Doing it again leaves equal bytes."""
    started, cpu = time.perf_counter(), time.process_time()
    store, plan, cube = _opened(root, job)
    stage = next(stage for stage in plan.stages if stage.name == stage_name)
    io = UnitIO(
        plan=plan,
        stage=stage_name,
        unit=unit.id,
        cube=cube,
        store=store,
        settings=settings,
        scratch=store.path(f"scratch/{job}/files"),
    )
    scratch = store.path(f"scratch/{job}")
    try:
        with explained(scratch):
            do: MapFunction = load(stage.map)
            part = do(unit, _state(store, plan, stage_name), io)
    except MemoryError:
        raise TooLarge(
            f"unit {unit.id} of stage {stage_name} needs more memory than a worker may use "
            f"({settings.worker_memory} MB): raise EO_SHARDS_WORKER_MEMORY, or lower EO_SHARDS_CHUNK and run with --new"
        ) from None
    store.write(part_key(job, stage_name, unit.id), [part.model_dump_json().encode()])
    usage = Usage(
        stage=stage_name,
        unit=unit.id,
        seconds=time.perf_counter() - started,
        cpu_seconds=time.process_time() - cpu,
        peak_rss_bytes=peak_rss(),
        requests=io.traffic.requests,
        bytes_in=io.traffic.bytes,
        points=part.counts.get("points", 0),
    )
    store.write(f"scratch/{job}/usage/{stage_name}/{unit.id}-{attempt}.json", [usage.model_dump_json().encode()])
    return part, usage


def _state(store: Store, plan: Plan, stage_name: str) -> Any:  # noqa: ANN401 - whatever the reduce returned
    """What the reduce of the stage before this one made, None where it has none."""
    names = [stage.name for stage in plan.stages]
    before = plan.stages[names.index(stage_name) - 1] if stage_name != names[0] else None
    if before is None or before.reduce is None:
        return None
    return read_state(store, plan.job, before.name)


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
