"""The upload function: new objects below `incoming/` become jobs."""

from typing import Any

from eo.bundle import Bundle
from eo.errors import EoShardsError
from eo.handler import Event, handled, logger
from eo.orders import bucket_service
from eo.settings import Settings
from upload.events import uploads
from upload.incoming import Incoming, Outcome


def upload(event: Event, _settings: Settings) -> dict[str, Any]:
    """Take every upload that an event tells of; one that fails does not stop the others.

    Raises the first failure that a later try may cure, after all were tried: Lambda then sends the event again, in which
    those that are done are found done, and in the end to the dead-letter queue.
    """
    bundle = Bundle.from_environment()
    incoming = Incoming(bucket_service(bundle))
    outcomes: list[Outcome] = []
    failures: list[EoShardsError] = []
    for each in uploads(event):
        if each.bucket != bundle.bucket or not each.wanted:
            continue
        try:
            outcomes.append(incoming.take(each))
        except EoShardsError as error:
            logger.warning("not taken", extra={"key": each.key, "error": type(error).__name__, "reason": str(error)})
            failures.append(error)
        else:
            logger.info("taken", extra=outcomes[-1].to_dict())
    if failures:
        raise failures[0]
    return {"uploads": [outcome.to_dict() for outcome in outcomes]}


handler = handled(upload)
