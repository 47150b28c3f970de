"""When a remote request is tried again, how long to wait before, and what to say in the end."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar
from urllib.parse import urlsplit

import tenacity

from eo.errors import AccessDenied, CorruptData, NothingFound, RateLimited, SourceUnavailable
from eo.settings import Settings

T = TypeVar("T")

TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may succeed later."""


class Transient(Exception):
    """One attempt failed in a way that a later one may not. Never leaves `Policy.run`."""

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Policy:
    """Attempts and delays."""

    attempts: int = 6
    delay: float = 1.0
    """Seconds before the second attempt; doubles from there."""
    max_delay: float = 60.0
    """Longest delay in seconds; also the most that a server's Retry-After is granted."""
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the operator's figures."""
        return cls(settings.retry_attempts, settings.retry_delay, settings.retry_max_delay)

    def run(self, attempt: Callable[[], T], target: str) -> T:
        """Call until it no longer raises Transient.

        `target` names what is asked for, without query or credentials. Raises RateLimited where the last attempt
        was answered with 429, else SourceUnavailable; whatever else `attempt` raises passes at once.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type(Transient),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except Transient as error:
            tries = f"{self.attempts} attempt{'s' if self.attempts > 1 else ''}"
            if error.status == 429:
                raise RateLimited(
                    f"{target}: too many requests (429) after {tries}: wait some minutes, or run fewer jobs of this "
                    "account at a time; the same command goes on where it stopped"
                ) from None
            raise SourceUnavailable(
                f"{target}: {error} after {tries}: try again later; the same command goes on where it stopped"
            ) from None

    def _wait(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        ceiling = min(self.max_delay, self.delay * 2.0 ** (state.attempt_number - 1))
        # Jitter, so that workers that failed together do not come back together.
        jittered = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
        asked = error.retry_after if isinstance(error, Transient) and error.retry_after else 0.0
        return max(jittered, min(asked, self.max_delay) + (jittered / 10 if asked else 0))


def retry_after(value: str | None) -> float | None:
    """Read a Retry-After header, in seconds or as an HTTP date; None where it says nothing."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def check(status: int, target: str, *, after: str | None = None, access: str = "", detail: str = "") -> None:
    """Raise what an HTTP status means: Transient, AccessDenied (remedy: `access`), NothingFound, CorruptData."""
    said = f"{status} {detail}".strip()
    if status < 400:
        return
    if status in TRANSIENT:
        raise Transient(f"answered {said}", status=status, retry_after=retry_after(after))
    if status in {401, 403, 407}:
        raise AccessDenied(f"{target}: access denied ({said}): {access or 'the source is not public'}")
    if status in {404, 410}:
        raise NothingFound(f"{target}: not there ({said}): it may have been moved or withdrawn; search again")
    if status == 416:
        raise CorruptData(
            f"{target}: it is shorter than it should be ({said}): run the job again, or choose another scene"
        )
    raise SourceUnavailable(f"{target}: unexpected answer {said}: check the endpoint's address")


def shown(url: str) -> str:
    """Give a URL without user, password, query and fragment, for messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
