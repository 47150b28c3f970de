"""Failures scripted per call: every matching request takes the next entry of a list, then all is well again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Match = str | Callable[[str, str], bool]
"""A piece of the request target (decoded path, then `?query`), or a predicate of (method, target)."""


@dataclass(frozen=True)
class Ok:
    """Answer as usual: lets the first calls through before a failure."""


@dataclass(frozen=True)
class Status:
    """Answer with an error status, in the peer's own error format, without doing anything."""

    code: int
    retry_after: float | None = None
    """Seconds for the `Retry-After` header; no header if None."""


@dataclass(frozen=True)
class Reset:
    """Send the head and some of the body, then reset the TCP connection (RST, not FIN)."""

    after: int | None = None
    """Body bytes to send before; None is half of them. A body of 0 bytes is reset before the head."""


@dataclass(frozen=True)
class Truncate:
    """Announce the whole body, send its first bytes, close the connection in order (FIN)."""

    sent: int
    """Body bytes to send."""


@dataclass(frozen=True)
class Hang:
    """Say nothing for a while, then answer as usual; ends early when the peer stops."""

    seconds: float


@dataclass(frozen=True)
class Corrupt:
    """Invert bytes of the body; length, ETag and checksum headers stay those of the true body."""

    at: int | None = None
    """First byte to invert; None is the middle of the body."""
    count: int = 16


@dataclass(frozen=True)
class Drop:
    """Cut the connection without doing anything."""


@dataclass(frozen=True)
class Lose:
    """Do what was asked for, then cut the connection instead of answering."""


@dataclass(frozen=True)
class Twice:
    """Do what was asked for two times, and give the second answer."""


@dataclass(frozen=True)
class After:
    """Do what was asked for, then answer with an error status, in the peer's own error format."""

    code: int


@dataclass(frozen=True)
class Disguised:
    """Do nothing and answer 200 with an error in the body: S3 does so where it began to answer before it was done."""


Fault = Ok | Status | Reset | Truncate | Hang | Corrupt | Drop | Lose | Twice | After | Disguised


@dataclass
class Rule:
    """One `Script.add`: what was asked for, and what has come of it so far."""

    match: Match
    pending: list[Fault]
    used: list[Fault] = field(default_factory=list)
    """Entries taken, in the order of the calls."""
    calls: int = 0
    """Matching calls in all, those after the last entry included."""

    @property
    def left(self) -> int:
        """How many entries are still to come."""
        return len(self.pending)

    def fits(self, method: str, target: str) -> bool:
        """Tell whether a request is one of this rule's calls."""
        return self.match in target if isinstance(self.match, str) else self.match(method, target)


class Script:
    """The failures a peer has still to play; thread-safe.

    Of several rules that match one call, the first with entries left gives one; all of them count the call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: list[Rule] = []

    def add(self, match: Match = "", faults: Iterable[Fault] = ()) -> Rule:
        """Append a rule; without faults it only counts. The empty string matches every call."""
        rule = Rule(match, list(faults))
        with self._lock:
            self._rules.append(rule)
        return rule

    def take(self, method: str, target: str, _headers: Mapping[str, str]) -> Fault:
        """Return what is to happen to this call, and count it."""
        with self._lock:
            fitting = [rule for rule in self._rules if rule.fits(method, target)]
            for rule in fitting:
                rule.calls += 1
            for rule in fitting:
                if rule.pending:
                    rule.used.append(rule.pending.pop(0))
                    return rule.used[-1]
        return Ok()

    @property
    def left(self) -> int:
        """Entries of all rules that no call has taken yet: 0 once the whole script was played."""
        with self._lock:
            return sum(rule.left for rule in self._rules)

    def clear(self) -> None:
        """Drop all rules."""
        with self._lock:
            self._rules.clear()


def cut(fault: Fault, size: int) -> int | None:
    """Return after how many body bytes the connection is to end, None where it is not."""
    if isinstance(fault, Truncate):
        return fault.sent
    if isinstance(fault, Reset):
        return size // 2 if fault.after is None else fault.after
    return None


def spoilt(body: Iterable[bytes], fault: Fault, size: int, limit: int | None) -> Iterator[bytes]:
    """Yield the body as the fault leaves it."""
    low = high = -1
    if isinstance(fault, Corrupt):
        low = size // 2 if fault.at is None else fault.at
        high = low + fault.count
    position = 0
    for chunk in body:
        end = position + len(chunk)
        out = chunk
        if position < high and low < end:
            first, last = max(low - position, 0), min(high - position, len(chunk))
            out = chunk[:first] + bytes(byte ^ 0xFF for byte in chunk[first:last]) + chunk[last:]
        if limit is not None and end >= limit:
            yield out[: limit - position]
            return
        yield out
        position = end
