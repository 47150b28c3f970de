"""The handler of every function that does units: parse, do, map errors."""

import json
from typing import Any

from eo.bundle import Bundle
from eo.errors import EoShardsError, LostWork
from eo.handler import Event
from eo.job import Unit
from eo.records import failure_key, read_part
from eo.runner import run_unit
from eo.settings import Settings, redact


def unit(event: Event, settings: Settings) -> dict[str, Any]:
    """Do one unit of a stage, unless an earlier attempt has left its part.

    What fails is noted beside the parts: a map tells only that one of its children failed, not why.
    """
    store = Bundle.from_environment().store()
    job, stage, attempt = str(event["job"]), str(event["stage"]), int(event["attempt"])
    asked = Unit.model_validate(event["unit"])
    try:
        read_part(store, job, stage, asked.id)
    except LostWork:
        pass
    else:
        return {"unit": asked.id}
    try:
        run_unit(store, job, stage, asked, attempt, settings)
    except EoShardsError as error:
        noted = {"error": type(error).__name__, "message": redact(str(error), settings)}
        store.write(failure_key(job, attempt, stage, asked.id), [json.dumps(noted).encode()])
        raise
    return {"unit": asked.id}
