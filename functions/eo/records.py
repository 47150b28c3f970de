"""The records of a job on the store, by their keys (DESIGN.md, storage)."""

import json
from typing import TYPE_CHECKING, Any

from eo.errors import AFRESH, LostWork, NotReady
from eo.job import Part, Plan, Result, Status, Unit

if TYPE_CHECKING:
    from eo.store import Store


def part_key(plan: "Plan", stage: str, unit: str) -> str:
    """Where a unit's part is kept."""
    return f"{plan.work}/parts/{stage}/{unit}.json"


def read_part(store: "Store", plan: "Plan", stage: str, unit: str) -> Part:
    """The part of a unit. Raises LostWork where it is missing or not readable."""
    try:
        return Part.model_validate_json(store.read(part_key(plan, stage, unit)))
    except (KeyError, ValueError):
        raise _lost(unit, stage) from None


def read_parts(store: "Store", plan: "Plan", stage: str) -> list[Part]:
    """The parts of a stage, in the order of its units. Raises as `read_part`."""
    units = read_units(store, plan.job, stage)
    found = store.read_all([part_key(plan, stage, unit.id) for unit in units])
    parts: list[Part] = []
    for unit in units:
        try:
            parts.append(Part.model_validate_json(next(found)))
        except (KeyError, ValueError):
            raise _lost(unit.id, stage) from None
    return parts


def _lost(unit: str, stage: str) -> LostWork:
    return LostWork(f"the part of unit {unit} in stage {stage} is gone or not readable; {AFRESH}")


def read_plan(store: "Store", job: str) -> Plan:
    """The plan of a job. Raises LostWork where it is not readable."""
    try:
        return Plan.model_validate_json(store.read(f"jobs/{job}/plan.json"))
    except (KeyError, ValueError):
        raise LostWork(f"the plan of job {job} is gone or not readable; {AFRESH}") from None


def write_plan(store: "Store", plan: Plan) -> None:
    """Write the plan of a job."""
    store.write(f"jobs/{plan.job}/plan.json", [plan.model_dump_json().encode()])


def read_state(store: "Store", plan: "Plan", stage: str) -> Any:  # noqa: ANN401 - whatever the stage's reduce returned
    """What the reduce of a stage made of its parts. Raises LostWork where it is not readable."""
    try:
        return json.loads(store.read(_state_key(plan, stage)))
    except (KeyError, ValueError):
        raise LostWork(f"the state of stage {stage} is gone or not readable; {AFRESH}") from None


def write_state(store: "Store", plan: "Plan", stage: str, state: Any) -> None:  # noqa: ANN401
    """Write what the reduce of a stage made of its parts, as JSON."""
    store.write(_state_key(plan, stage), [json.dumps(state).encode()])


def _state_key(plan: "Plan", stage: str) -> str:
    return f"{plan.work}/state/{stage}.json"


def read_units(store: "Store", job: str, stage: str) -> list[Unit]:
    """The units of a stage, in their order. Raises LostWork where the list is not readable."""
    try:
        return [Unit.model_validate(unit) for unit in json.loads(store.read(f"jobs/{job}/units/{stage}.json"))]
    except (KeyError, ValueError):
        raise LostWork(f"the units of stage {stage} are gone or not readable; {AFRESH}") from None


def write_units(store: "Store", job: str, stage: str, units: list[Unit]) -> None:
    """Write the unit list of a stage."""
    listed = json.dumps([unit.model_dump(mode="json") for unit in units])
    store.write(f"jobs/{job}/units/{stage}.json", [listed.encode()])


def read_result(store: "Store", status: Status) -> Result:
    """What a job delivered. Raises NotReady where it has no result, or none any more."""
    if status.state != "successful":
        reason = f": {status.message}" if status.message else ""
        raise NotReady(f"job {status.job} has no result, it is {status.state}{reason}")
    try:
        return Result.model_validate_json(store.read(f"jobs/{status.job}/result.json"))
    except (KeyError, ValueError):
        raise NotReady(f"the result of job {status.job} is not readable any more; {AFRESH}") from None


def percent_done(store: "Store", status: Status) -> int:
    """Percent of a job's units that have left their part: 0 before it is planned, 100 only where it is successful."""
    if status.state == "successful":
        return 100
    try:
        plan = read_plan(store, status.job)
    except LostWork:
        return 0
    total = sum(plan.predicted.units.values())
    done = sum(key.endswith(".json") for key in store.keys(f"{plan.work}/parts/"))
    return min(99, 100 * done // max(total, 1))
