"""The plan function: a job's request becomes its plan, its cube and the list of stages that the workflow walks."""

import datetime as dt
from typing import TYPE_CHECKING, Any

from eo import life
from eo.bundle import Bundle
from eo.errors import LostWork, NothingFound
from eo.handler import Event, handled
from eo.job import Plan
from eo.order import Request, validated
from eo.records import drop_plan, drop_work
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
    before = life.begin(store, job, attempt)
    with metered(store, job, "plan", "plan", attempt, settings) as meter:
        if before.state == "accepted":
            # The call that takes an attempt on, no other: a repeated one would take away what units have begun.
            _drop_what_failed(store, job, before.error)
        made = _kept(meter.store, job) or _made(meter, job, dt.datetime.fromisoformat(before.created), settings)
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


def _drop_what_failed(store: "Store", job: str, error: str) -> None:
    """Delete what an earlier attempt has left and cannot be gone on with; `error` ended it."""
    if kept_plan(store, job) is None or error == NothingFound.__name__:
        # Nothing will be found in the same cube again: sources are looked at afresh.
        drop_plan(store, job)
    elif error == LostWork.__name__:
        drop_work(store, job)


def _kept(store: "Store", job: str) -> Plan | None:
    """The plan of an earlier attempt; its cube is laid out again where it has gone."""
    kept = kept_plan(store, job)
    if kept is None:
        return None
    if not laid_out(store, kept.plan):
        start(store, kept.plan, kept.units)
    return kept.plan


def _made(meter: Meter, job: str, ordered_at: dt.datetime, settings: Settings) -> Plan:
    """A new plan, from the request; that of another call of this attempt, where it was quicker."""
    store = meter.store
    request = Request.model_validate_json(store.read(f"jobs/{job}/request.json"))
    ordered = process(request.process)
    inputs = validated(ordered, request.inputs)
    product = UploadedProduct.of(store, request.origin)
    planned = make_plan(ordered, inputs, job=job, settings=settings, now=ordered_at, product=product)
    meter.source.add(planned.traffic)
    quicker = kept_plan(store, job)
    if quicker is not None:
        return quicker.plan
    start(store, planned.plan, planned.units)
    return planned.plan


handler = handled(plan)
