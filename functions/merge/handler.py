"""The merge function: it reduces a stage, makes the result, or notes why there is none."""

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eo import errors, life
from eo.bundle import Bundle
from eo.errors import InvalidInput, Unexpected, WorkerLost
from eo.handler import Event, handled
from eo.records import read_parts, read_plan, write_state
from eo.runner import load
from eo.settings import Settings, redact
from eo.usage import metered
from merge.fan_in import fan_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from eo.bucket_store import BucketStore

EXECUTION = re.compile(r"(?P<job>[0-9a-f]{16})-(?P<attempt>[1-9][0-9]{0,8})")
"""Name of an execution (`eo.executions`)."""
KILLED = frozenset({"Runtime.ExitError", "Sandbox.Timedout", "States.Timeout", "Lambda.Unknown"})
"""What the workflow calls it when a function is killed, for want of memory or of time, again and again."""
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
        plan = read_plan(meter.store, job)
        reduce = next(each.reduce for each in plan.stages if each.name == stage)
        if reduce is not None:
            write_state(meter.store, plan, stage, load(reduce)(read_parts(meter.store, plan, stage)))
    return {"stage": stage}


def _merge(store: "BucketStore", event: Event, settings: Settings) -> dict[str, Any]:
    """Make the result of the last stage's parts."""
    job, attempt = str(event["job"]), int(event["attempt"])
    with metered(store, job, "merge", "merge", attempt, settings) as meter:
        plan = read_plan(meter.store, job)
        result = fan_in(plan, read_parts(meter.store, plan, plan.stages[-1].name), store=meter.store, meter=meter)
    status = life.end(store, job, attempt, state="successful", message=result.message)
    return {"job": job, "state": status.state}


def _fail(store: "BucketStore", event: Event, settings: Settings) -> dict[str, Any]:
    """Note why an attempt failed, where its owner sees it, and leave no upload open."""
    job, attempt = _attempt(event)
    if not job:
        return {"job": "", "state": ""}
    error, message = _cause(event)
    if life.read_status(store, job).attempt == attempt:  # those of a later one are not ours
        for prefix in (f"jobs/{job}/", f"scratch/{job}/"):
            store.abort_uploads(prefix)
    told = redact(message, settings)[:MAX_MESSAGE]
    status = life.end(store, job, attempt, state="failed", message=told, error=error)
    return {"job": job, "state": status.state}


def _attempt(event: Event) -> tuple[str, int]:
    """(job, attempt) of a failure: as the workflow says, or by the name of an execution that ended without a word.

    Empty where somebody has started the execution by hand, under a name of its own.
    """
    if "execution" not in event:
        return str(event["job"]), int(event["attempt"])
    found = EXECUTION.fullmatch(str(event["execution"]))
    return (found["job"], int(found["attempt"])) if found else ("", 0)


def _cause(event: Event) -> tuple[str, str]:
    """(class of `eo.errors`, message) of what ended an attempt."""
    error, cause = str(event.get("error", "")), str(event.get("cause", ""))
    with suppress(ValueError, AttributeError):  # what a function raised, as Lambda tells it
        told = json.loads(cause)
        error, cause = str(told.get("errorType", error)), str(told.get("errorMessage", cause))
    if isinstance(getattr(errors, error, None), type):
        return error, cause
    where = f"unit {event['unit']} of stage {event['stage']}" if "unit" in event else "its execution"
    reason = ": ".join(text for text in (error, cause) if text) or "no reason given"
    lost = WorkerLost if error in KILLED else Unexpected
    return lost.__name__, f"{where} ended with {reason}; order it again with the same key to go on"


handler = handled(merge)
