"""What every handler does around its work: a logger, errors without secrets and tracebacks, metered calls."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from eo import bundle
from eo.errors import EoShardsError, TooLarge, Unexpected
from eo.settings import Settings, redact

Event = Mapping[str, Any]

logger = Logger(service="eo-shards")


class Context(Protocol):
    """What Lambda tells a function about its call."""

    aws_request_id: str
    memory_limit_in_mb: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed."""
        ...


Work = Callable[[Event, Settings], Any]


def handled(work: Work) -> Callable[[Event, Context], Any]:
    """A handler of some work. Its failures reach Step Functions as the classes of `eo.errors`, by name."""

    @wraps(work)
    def handler(event: Event, context: Context) -> Any:  # noqa: ANN401 - JSON
        keys = {key: event[key] for key in ("job", "attempt", "stage", "task") if key in event}
        logger.append_keys(**keys, request_id=context.aws_request_id)
        settings: Settings | None = None
        try:
            settings = bundle.settings()
            return work(event, settings)
        except EoShardsError as error:
            told = _told(error, settings)
        except MemoryError:
            told = TooLarge(
                f"the call needs more than the function's {context.memory_limit_in_mb} MB: raise its memory in the "
                "template, or lower EO_SHARDS_CHUNK"
            )
        except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, it has a name and no secrets
            told = _told(Unexpected(f"{type(error).__name__}: {error}; this is a fault of EO Shards"), settings)
            logger.error(  # noqa: TRY400 - `exception` would write the traceback with its secrets
                "unexpected", extra={"fault": _redacted(_trace(error), settings)}
            )
        finally:
            logger.remove_keys([*keys, "request_id"])
        logger.warning("failed", extra={**keys, "error": type(told).__name__, "reason": str(told)})
        raise told

    return handler


def _told(error: EoShardsError, settings: Settings | None) -> EoShardsError:
    """The same failure without secrets and without what led to it."""
    return type(error)(_redacted(str(error), settings))


def _redacted(text: str, settings: Settings | None) -> str:
    return text if settings is None else redact(text, settings)


def _trace(error: Exception) -> str:
    import traceback  # noqa: PLC0415 - only faults need it

    return "".join(traceback.format_exception(error))
