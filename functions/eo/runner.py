"""One unit of work, wherever it runs: in a worker process of the local engine or in a function of the bundle."""

import importlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from eo.disk import explained
from eo.errors import JobBusy, LostWork, TooLarge
from eo.job import MapFunction, Part, Plan, Unit
from eo.records import part_key, read_part, read_plan, read_state, write_plan, write_units
from eo.settings import Settings
from eo.stage import Stage
from eo.store import Store
from eo.traffic import CountedStore, StoreTraffic
from eo.unit_io import UnitIO
from eo.usage import Usage, metered

if TYPE_CHECKING:
    from eo.cube import Cube


def load(name: str) -> Callable[..., Any]:
    """The object that `package.module:name` names."""
    module, _, attribute = name.partition(":")
    return cast("Callable[..., Any]", getattr(importlib.import_module(module), attribute))


def open_cube(store: Store, plan: Plan) -> "Cube":
    """The cube of a job."""
    from eo.cube import Cube  # noqa: PLC0415 - heavy: who only names processes does without

    return Cube(store.zarr(f"{plan.work}/cube.zarr"), plan.targets)


def start(store: Store, plan: Plan, units: Mapping[str, list[Unit]]) -> None:
    """Write a job's unit lists, its cube's metadata and its plan; the plan last, for it says that all is there."""
    for stage in plan.stages:
        write_units(store, plan.job, stage.name, units[stage.name])
    cube = open_cube(store, plan)
    cube.create(plan.arrays)
    if isinstance(store, CountedStore):
        store.traffic.take(cube.traffic)
    write_plan(store, plan)


def laid_out(store: Store, plan: Plan) -> bool:
    """Whether a job's cube has its metadata: the root's is written last."""
    return store.exists(f"{plan.work}/cube.zarr/zarr.json")


@lru_cache(maxsize=2)
def _opened(store: Store, job: str, attempt: int) -> tuple[Plan, "Cube"]:
    """What all units of an attempt share in one process; the next attempt may have another plan.

    Reading the plan counts for the first of them. Raises JobBusy where the plan belongs to a later attempt.
    """
    traffic = StoreTraffic()
    plan = read_plan(CountedStore(store, traffic), job)
    if attempt < plan.generation:
        raise JobBusy(f"attempt {attempt} at job {job} is over: attempt {plan.generation} has begun afresh")
    cube = open_cube(store, plan)
    cube.traffic.take(traffic)
    return plan, cube


def is_done(store: Store, job: str, stage_name: str, unit: Unit, attempt: int) -> bool:
    """Whether a unit has left its part."""
    plan, _ = _opened(store, job, attempt)
    try:
        read_part(store, plan, stage_name, unit.id)
    except LostWork:
        return False
    return True


def run_unit(  # noqa: PLR0917 - called over a pipe, where arguments have no names
    store: Store, job: str, stage_name: str, unit: Unit, attempt: int, settings: Settings
) -> tuple[Part, Usage]:
    """Do one unit and leave its part. Doing it again leaves equal bytes."""
    with metered(store, job, stage_name, unit.id, attempt, settings) as meter:
        plan, cube = _opened(store, job, attempt)
        io = UnitIO(
            plan=plan,
            stage=stage_name,
            unit=unit.id,
            cube=cube,
            store=meter.store,
            settings=settings,
            scratch=store.temporary(f"scratch/{job}/files"),
        )
        try:
            stage = next(stage for stage in plan.stages if stage.name == stage_name)
            part = _done(stage, unit, io, _state(meter.store, plan, stage_name))
        finally:
            meter.source.add(io.traffic)
            meter.asked.take(cube.traffic)
        meter.store.write(part_key(plan, stage_name, unit.id), [part.model_dump_json().encode()])
        meter.points = part.counts.get("points", 0)
    return part, meter.usage


def _done(stage: Stage, unit: Unit, io: UnitIO, state: Any) -> Part:  # noqa: ANN401 - whatever the reduce returned
    """What the map of a stage leaves of a unit."""
    try:
        with explained(io.scratch):
            do: MapFunction = load(stage.map)
            return do(unit, state, io)
    except MemoryError:
        raise TooLarge(
            f"unit {unit.id} of stage {stage.name} needs more memory than a worker may use "
            f"({io.settings.worker_memory} MB): raise EO_SHARDS_WORKER_MEMORY, or lower EO_SHARDS_CHUNK and run with --new"
        ) from None


def _state(store: Store, plan: Plan, stage_name: str) -> Any:  # noqa: ANN401 - whatever the reduce returned
    """What the reduce of the stage before this one made, None where it has none."""
    names = [stage.name for stage in plan.stages]
    before = plan.stages[names.index(stage_name) - 1] if stage_name != names[0] else None
    if before is None or before.reduce is None:
        return None
    return read_state(store, plan, before.name)
