"""The plan function: a job's request becomes its plan, its cube and the list of stages that the workflow walks."""

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from eo import life
from eo.bundle import Bundle
from eo.errors import NothingFound
from eo.handler import Event, handled
from eo.job import Plan, Status, Unit
from eo.order import Request, validated
from eo.runner import laid_out, start
from eo.settings import Settings
from eo.usage import Meter, metered
from plan.kept import kept_plan
from plan.planner import make_plan
from plan.upload_catalog import UploadedProduct
from registry import process

if TYPE_CHECKING:
    from eo.store import Store


def plan(event: Event, settings: Settings) -> dict[str, Any]:
    """Plan an attempt at a job, or go on with the plan of an earlier one."""
    bundle = Bundle.from_environment()
    store, job, attempt = bundle.store(), str(event["job"]), int(event["attempt"])
    status = life.begin(store, job, attempt)
    with metered(store, job, "plan", "plan", attempt, settings) as meter:
        made = _kept(meter.store, status) or _made(meter, status, settings)
        return {
            "job": job,
            "attempt": attempt,
            "index": 0,
            "stages": [
                {
                    "name": stage.name,
                    "function": bundle.function(made, stage),
                    "bucket": bundle.bucket,
                    "units": f"jobs/{job}/units/{stage.name}.json",
                    "concurrency": bundle.concurrency(made, stage),
                    "reduce": stage.reduce is not None,
                }
                for stage in made.stages
            ],
        }


def _kept(store: "Store", status: Status) -> Plan | None:
    """The plan of an earlier attempt, to go on with. None where there is none, or nothing will be found with it again.

    Where its work was lost, or the oldest of it has expired, this attempt begins a new generation of it: nothing has to be
    deleted in time, and what calls of earlier attempts still write is nowhere in the way.
    """
    kept = kept_plan(store, status.job)
    if kept is None:
        return None
    if kept.plan.generation >= status.afresh and laid_out(store, kept.plan):
        return kept.plan
    if status.error == NothingFound.__name__:
        return None
    return _begun(store, kept.plan, kept.units, status.attempt)


def _made(meter: Meter, status: Status, settings: Settings) -> Plan:
    """A new plan, from the request; that of another call of this attempt, where it was quicker."""
    store, job = meter.store, status.job
    request = Request.model_validate_json(store.read(f"jobs/{job}/request.json"))
    planned = make_plan(
        process(request.process),
        validated(process(request.process), request.inputs),
        job=job,
        settings=settings,
        now=dt.datetime.fromisoformat(status.created),
        product=UploadedProduct.of(store, request.origin),
    )
    meter.source.add(planned.traffic)
    quicker = kept_plan(store, job)
    if quicker is not None and quicker.plan.generation == status.attempt:
        return quicker.plan
    return _begun(store, planned.plan, planned.units, status.attempt)


def _begun(store: "Store", plan: Plan, units: Mapping[str, list[Unit]], attempt: int) -> Plan:
    """Begin a new generation of work on a plan."""
    plan = plan.model_copy(update={"generation": attempt})
    start(store, plan, units)
    return plan


handler = handled(plan)
