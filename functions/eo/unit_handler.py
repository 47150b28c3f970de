"""The handler of every function that does units: parse, do, map errors."""

from typing import Any

from eo.bundle import Bundle
from eo.handler import Event
from eo.job import Unit
from eo.runner import is_done, run_unit
from eo.settings import Settings


def unit(event: Event, settings: Settings) -> dict[str, Any]:
    """Do one unit of a stage, unless an earlier attempt has left its part."""
    store = Bundle.from_environment().store()
    job, stage, attempt = str(event["job"]), str(event["stage"]), int(event["attempt"])
    asked = Unit.model_validate(event["unit"])
    if not is_done(store, job, stage, asked, attempt):
        run_unit(store, job, stage, asked, attempt, settings)
    return {"unit": asked.id}
