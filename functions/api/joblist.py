"""Which of their jobs a caller wants to see: the parameters of the job list (OGC 18-062r2, clause 11), and pages."""

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import urlencode

from api.documents import status_code
from api.models import STATUS_CODES
from api.problem import Refusal
from eo.inputs import edges, interval
from eo.job import Status

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
"""More are not given at once, whatever is asked for; the rest is behind the link `next`."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Page:
    """A piece of a list, and where its neighbours are."""

    limit: int
    offset: int

    @classmethod
    def asked(cls, query: Mapping[str, str]) -> "Page":
        """Read the parameters. Raises 400 naming the one that is not readable."""
        limit, offset = _number(query, "limit", least=1), _number(query, "offset")
        return cls(min(limit or DEFAULT_LIMIT, MAX_LIMIT), offset or 0)

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items on the page."""
        return items[self.offset : self.offset + self.limit]

    def links(self, address: str, query: Mapping[str, str], count: int) -> dict[str, str]:
        """Addresses by relation: of this page as it was asked for, and of its neighbours that there are."""
        found = {}
        if self.offset + self.limit < count:
            found["next"] = self.offset + self.limit
        if self.offset > 0:
            found["prev"] = max(min(self.offset, count) - self.limit, 0)
        kept = {name: value for name, value in query.items() if name not in {"limit", "offset"}}
        around = {
            rel: f"{address}?{urlencode({**kept, 'limit': self.limit, 'offset': offset})}"
            for rel, offset in found.items()
        }
        return {"self": f"{address}?{urlencode(query)}" if query else address, **around}


def chosen(jobs: Sequence[Status], query: Mapping[str, str], now: dt.datetime) -> list[Status]:
    """The jobs that every parameter allows. Raises 400 naming the one that is not readable."""
    tests = [test for make in (_by_kind, _by_status, _by_process, _by_time, _by_duration) for test in make(query, now)]
    return [status for status in jobs if all(test(status) for test in tests)]


_Tests = list[Callable[[Status], bool]]


def _by_kind(query: Mapping[str, str], _now: dt.datetime) -> _Tests:
    """Every job here is one of a process."""
    _words(query, "type", ("process",))
    return []


def _by_status(query: Mapping[str, str], _now: dt.datetime) -> _Tests:
    states = _words(query, "status", STATUS_CODES)
    return [lambda status: status_code(status) in states] if states else []


def _by_process(query: Mapping[str, str], _now: dt.datetime) -> _Tests:
    processes = query["processID"].split(",") if "processID" in query else None
    return [] if processes is None else [lambda status: status.process in processes]


def _by_time(query: Mapping[str, str], _now: dt.datetime) -> _Tests:
    """By the time of the order."""
    if "datetime" not in query:
        return []
    text = query["datetime"]
    try:
        # An open end may also be left empty (OGC 17-069r4, clause 7.15.3).
        start, end = edges(interval("/".join(part or ".." for part in text.split("/"))))
    except (ValueError, OverflowError):
        raise _unreadable("datetime", text, "a date or start/end interval (RFC 3339), such as 2026-06-01/..") from None
    tests: _Tests = []
    if start != "..":
        first = dt.datetime.fromisoformat(start)
        tests.append(lambda status: dt.datetime.fromisoformat(status.created) >= first)
    if end != "..":
        last = dt.datetime.fromisoformat(end)
        tests.append(lambda status: dt.datetime.fromisoformat(status.created) <= last)
    return tests


def _by_duration(query: Mapping[str, str], now: dt.datetime) -> _Tests:
    """By the seconds that the job has worked, up to now where it still does."""
    shortest, longest = _number(query, "minDuration"), _number(query, "maxDuration")
    tests: _Tests = []
    if shortest is not None:
        tests.append(lambda status: _lasted(status, now) >= shortest)
    if longest is not None:
        tests.append(lambda status: _lasted(status, now) <= longest)
    return tests


def _lasted(status: Status, now: dt.datetime) -> float:
    """Seconds that a job has worked; 0 where it waits."""
    if status.started is None:
        return 0.0
    end = dt.datetime.fromisoformat(status.finished) if status.finished else now
    return (end - dt.datetime.fromisoformat(status.started)).total_seconds()


def _number(query: Mapping[str, str], name: str, *, least: int = 0) -> int | None:
    if name not in query:
        return None
    text = query[name]
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) >= least:
        return int(text)
    raise _unreadable(name, text, f"a whole number from {least} to 999999999")


def _words(query: Mapping[str, str], name: str, known: Sequence[str]) -> list[str]:
    words = query[name].split(",") if name in query else []
    for word in words:
        if word not in known:
            raise _unreadable(name, word, f"one or more of {', '.join(known)}")
    return words


def _unreadable(name: str, value: str, expected: str) -> Refusal:
    return Refusal(HTTPStatus.BAD_REQUEST, f"{name} {value[:80]!r}: expected {expected}")
