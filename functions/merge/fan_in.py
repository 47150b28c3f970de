"""Fan-in: the parts of the last stage become the result, or nothing does."""

from collections.abc import Sequence

from eo.errors import CorruptData
from eo.job import Part, Plan, Result
from eo.store import Store
from eo.unit_io import ResultIO
from eo.usage import Meter, spent
from registry import process


def fan_in(plan: Plan, parts: Sequence[Part], *, store: Store, meter: Meter | None = None) -> Result:
    """Count the parts against the plan, then let the process make its result, with what the job took.

    `meter` is that of this call, whose own record is not written yet. Raises CorruptData where anything is missing or
    not what its unit wrote (`ResultIO` compares every object as it takes it): neither is ever published. `result.json`
    is written last: where it is, all it names is.
    """
    expected = plan.predicted.units[plan.stages[-1].name]
    if len(parts) != expected or len({part.unit for part in parts}) != expected:
        raise CorruptData(f"{len(parts)} parts of {expected} are there; resume the job to make the others")
    io = ResultIO(plan=plan, store=store)
    result = process(plan.process).merge(list(parts), io)
    so_far = [] if meter is None else [meter.reading()]
    result = result.model_copy(update={"usage": spent(store, plan.job, *so_far)})
    store.write(f"jobs/{plan.job}/result.json", [result.model_dump_json(indent=1).encode()])
    return result
