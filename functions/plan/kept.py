"""The plan that an earlier attempt at a job has left."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import eo
from eo.errors import LostWork
from eo.job import Plan, Unit
from eo.records import read_plan, read_units
from registry import process

if TYPE_CHECKING:
    from eo.store import Store


@dataclass(frozen=True)
class Kept:
    """A plan, in which scenes and dates are frozen, and the units of its stages."""

    plan: Plan
    units: dict[str, list[Unit]]


def kept_plan(store: "Store", job: str) -> Kept | None:
    """The plan to go on with. None where there is none, where it is not readable, or where another version made it."""
    try:
        plan = read_plan(store, job)
        if (plan.software, plan.version) != (f"eo-shards {eo.__version__}", process(plan.process).version):
            return None
        return Kept(plan, {stage.name: read_units(store, job, stage.name) for stage in plan.stages})
    except LostWork:
        return None
