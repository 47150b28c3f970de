"""The merge function: it reduces a stage, makes the result, or notes why there is none."""

import json
from typing import TYPE_CHECKING, Any

from eo import life
from eo.bundle import Bundle
from eo.errors import InvalidInput
from eo.handler import Event, handled
from eo.records import failures_prefix, part_key, read_parts, read_plan, read_units, write_state
from eo.runner import load
from eo.settings import Settings, redact
from eo.usage import metered
from merge.fan_in import fan_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from eo.bucket_store import BucketStore

MAX_MESSAGE = 2000
"""Characters of a message that the status keeps."""


def merge(event: Event, settings: Settings) -> dict[str, Any]:
    """Do what the workflow asks for: `reduce`, `merge` or `fail`."""
    tasks: dict[str, Callable[[BucketStore, Event, Settings], dict[str, Any]]] = {
        "reduce": _reduce,
        "merge": _merge,
        "fail": _fail,
    }
    task = str(event.get("task", ""))
    if task not in tasks:
        raise InvalidInput(f"task {task!r} is not known; there are: {', '.join(tasks)}")
    return tasks[task](Bundle.from_environment().store(), event, settings)


def _reduce(store: "BucketStore", event: Event, settings: Settings) -> dict[str, Any]:
    """Reduce the parts of a stage to the state that the next one receives."""
    job, stage, attempt = str(event["job"]), str(event["stage"]), int(event["attempt"])
    with metered(store, job, "reduce", stage, attempt, settings) as meter:
        reduce = next(each.reduce for each in read_plan(meter.store, job).stages if each.name == stage)
        if reduce is not None:
            parts = read_parts(meter.store, job, stage, read_units(meter.store, job, stage))
            write_state(meter.store, job, stage, load(reduce)(parts))
    return {"stage": stage}


def _merge(store: "BucketStore", event: Event, settings: Settings) -> dict[str, Any]:
    """Make the result of the last stage's parts."""
    job, attempt = str(event["job"]), int(event["attempt"])
    with metered(store, job, "merge", "merge", attempt, settings) as meter:
        plan = read_plan(meter.store, job)
        last = plan.stages[-1].name
        parts = read_parts(meter.store, job, last, read_units(meter.store, job, last))
        result = fan_in(plan, parts, store=meter.store, meter=meter)
    message = f"{result.summary.get('points', 0):,} points"
    status = life.end(store, job, attempt, state="successful", message=message)
    return {"job": job, "state": status.state}


def _fail(store: "BucketStore", event: Event, settings: Settings) -> dict[str, Any]:
    """Note why an attempt failed, where its owner sees it, and leave no upload open."""
    job, attempt = str(event["job"]), int(event["attempt"])
    error, message = _unit_failure(store, job, attempt) or _cause(event)
    store.abort_uploads(f"jobs/{job}/")
    told = redact(message, settings)[:MAX_MESSAGE]
    status = life.end(store, job, attempt, state="failed", message=told, error=error)
    return {"job": job, "state": status.state}


def _unit_failure(store: "BucketStore", job: str, attempt: int) -> tuple[str, str] | None:
    """(class, message) of what the first unit without a part died of in this attempt, None where there is none."""
    prefix = failures_prefix(job, attempt)
    for key in sorted(store.keys(prefix)):
        stage, _, name = key.removeprefix(prefix).partition("/")
        if not store.exists(part_key(job, stage, name.removesuffix(".json"))):
            noted = json.loads(store.read(key))
            return str(noted["error"]), str(noted["message"])
    return None


def _cause(event: Event) -> tuple[str, str]:
    """(class, message) of what the workflow caught."""
    error, cause = str(event.get("error", "Unexpected")), str(event.get("cause", ""))
    try:
        told = json.loads(cause)
        return str(told.get("errorType", error)), str(told.get("errorMessage", cause))
    except (ValueError, AttributeError):
        return error, cause or error


handler = handled(merge)
