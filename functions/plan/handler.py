"""The plan function: a job's request becomes its plan, its cube and the list of stages that the workflow walks."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import eo
from eo import life
from eo.bundle import Bundle
from eo.errors import LostWork
from eo.handler import Event, handled
from eo.job import Plan, Unit
from eo.order import Request, validated
from eo.records import read_plan, read_units
from eo.runner import start
from eo.settings import Settings
from eo.usage import metered
from plan.planner import make_plan
from plan.upload_catalog import UploadedProduct
from registry import process

if TYPE_CHECKING:
    from eo.bucket_store import BucketStore

Units = dict[str, list[Unit]]


def plan(event: Event, settings: Settings) -> dict[str, Any]:
    """Plan an attempt at a job, or go on with the plan of an earlier one."""
    bundle = Bundle.from_environment()
    store, job, attempt = bundle.store(), str(event["job"]), int(event["attempt"])
    before = life.begin(store, job, attempt)
    with metered(store, job, "plan", "plan", attempt, settings):
        if before.error == LostWork.__name__:
            store.delete(f"scratch/{job}/")
        made = _kept(store, job) or _made(store, job, settings)
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


def _kept(store: "BucketStore", job: str) -> Plan | None:
    """The plan of an earlier attempt, in which scenes and dates are frozen; its cube is laid out again where it has gone.

    None where there is none, where it is not readable, or where another version made it.
    """
    try:
        kept = read_plan(store, job)
        units = {stage.name: read_units(store, job, stage.name) for stage in kept.stages}
    except LostWork:
        return None
    if (kept.software, kept.version) != (f"eo-shards {eo.__version__}", process(kept.process).version):
        return None
    if not store.exists(f"scratch/{job}/cube.zarr/zarr.json"):
        start(store, kept, units)
    return kept


def _made(store: "BucketStore", job: str, settings: Settings) -> Plan:
    """A new plan, from the request. What an older one has left goes first: its units are not this one's."""
    request = Request.model_validate_json(store.read(f"jobs/{job}/request.json"))
    ordered = process(request.process)
    inputs = validated(ordered, request.inputs)
    now = dt.datetime.fromisoformat(life.read_status(store, job).created)
    product = UploadedProduct.of(store, request.origin)
    planned = make_plan(ordered, inputs, job=job, settings=settings, now=now, product=product)
    store.delete(f"scratch/{job}/parts/")
    start(store, planned.plan, planned.units)
    return planned.plan


handler = handled(plan)
