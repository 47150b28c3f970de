"""Fan-in: the parts of the last stage become the result, or nothing does."""

from eo.errors import CorruptData
from eo.job import Part, Plan, Result
from eo.store import Store
from eo.unit_io import ResultIO
from registry import process


def fan_in(plan: Plan, parts: list[Part], *, store: Store) -> Result:
    """Count the parts against the plan, check every object of theirs, then let the process make its result.

    Raises CorruptData where anything is missing or not what its unit wrote: neither is ever published. A part outlives
    its process, and what it names may not outlive a power cut, with its size kept and its blocks zero.
    """
    expected = plan.predicted.units[plan.stages[-1].name]
    if len(parts) != expected or len({part.unit for part in parts}) != expected:
        raise CorruptData(f"{len(parts)} parts of {expected} are there; resume the job to make the others")
    for part in parts:
        for role, key in part.keys.items():
            if not store.exists(key) or store.digest(key) != part.digests.get(role):
                raise CorruptData(
                    f"the {role} of shard {part.unit} is gone or not what was written; run the job again with --new"
                )
    io = ResultIO(plan=plan, store=store)
    result = process(plan.process).merge(parts, io)
    store.write(f"jobs/{plan.job}/result.json", [result.model_dump_json(indent=1).encode()])
    return result
