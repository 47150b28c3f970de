"""Faults drawn from a seed, over all layers of a deployed bundle, each counted when it is played.

A layer's calls are told apart by what they ask for, not by when: the same seed draws the same faults for the same jobs.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from botocore.retries import standard

import plan.handler
from eo import assembly, leases, multipart, s3_client
from eo.assembly import Limits
from eo.errors import RateLimited, SourceUnavailable
from peers.faults import After, Disguised, Drop, Fault, Hang, Lose, Ok, Reset, Script, Status, Truncate, Twice

if TYPE_CHECKING:
    from aws.lambdas import FaultKind
    from eo.executions import Executions

SHARD = 256
"""Edge of the shards in pixels, so that small jobs have several."""
SMALLEST = 16 << 10
"""Bytes of a part of a multipart upload, so that small results have several."""
LIMITS = Limits(smallest=SMALLEST, largest=8 * SMALLEST)
PATIENCE = 1.0
"""Seconds that clients wait for an answer."""
BURSTS = (1, 1, 1, 1, 2, 2, 3, 9)
"""How often in a row a call fails. The longest burst outlasts the tries of a client, and those after a kill."""
BLOCKS = {"invocation": 12, "store": 12, "source": 4}
"""Calls of one kind that one draw is for. Jobs share their sources, but for little else."""

Kinds = Mapping[str, float]
"""Names of faults, with their weights."""

INVOCATIONS: Kinds = {"fail": 3, "hang": 2, "duplicate": 3, "kill": 3, "kill after": 3, "throttle": 3}
STARTS: Kinds = {"start refused": 1, "start unanswered": 2}
READS: dict[str, Fault] = {
    "500": Status(500),
    "503 SlowDown": Status(503),
    "cut before": Drop(),
    "truncated": Reset(),
    "slow": Hang(PATIENCE / 10),
    "hang": Hang(PATIENCE * 1.2),
}
WRITES: dict[str, Fault] = {
    "500": Status(500),
    "503 SlowDown": Status(503),
    "cut before": Drop(),
    "written, answer lost": Lose(),
    "written, 500": After(500),
    "slow": Hang(PATIENCE / 10),
    "hang": Hang(PATIENCE * 1.2),
    "twice": Twice(),
}
DISGUISED: dict[str, Fault] = {"200 with an error": Disguised()}
SOURCES: dict[str, Fault] = {
    "429 Retry-After": Status(429, retry_after=0.1),
    "500": Status(500),
    "503": Status(503),
    "hang": Hang(PATIENCE * 1.2),
    "truncated": Truncate(7),
    "403": Status(403),
}
RARE = {"hang": 0.3, "403": 0.35, "200 with an error": 4.0, "written, answer lost": 2.0}
"""Weights that are not 1."""
DELICATE = 8.0
"""How much likelier faults are of conditional writes and of multipart uploads, of which a job does few."""
_DELICATE = re.compile(r"/(status|request)\.json$|/owners/|/leases/|uploadId=|\?uploads")
_MARKS = re.compile(r"-[0-9a-f]{8}\.json|uploadId=[^&]+|joined/[0-9a-f]+|continuation-token=[^&]+")


@dataclass
class Chaos:
    """A fault plan. `share` says of how many calls a burst of faults begins, by layer."""

    seed: int
    share: Mapping[str, float]
    on: bool = True
    played: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(layer, kind) -> how many."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._life = Random(self.seed)

    def draw(self, layer: str, call: str, kinds: Kinds, weight: float = 1.0) -> str | None:
        """What happens to a call: None is nothing. Faults begin `weight` times as often as elsewhere in its layer."""
        with self._lock:
            before = self._seen[layer, call]
            self._seen[layer, call] += 1
            chance = Random(f"{self.seed} {layer} {call} {before // BLOCKS[layer]}")
            if not self.on or chance.random() >= weight * self.share[layer]:
                return None
            kind = chance.choices(list(kinds), list(kinds.values()))[0]
            first = chance.randrange(2)
            if not first <= before % BLOCKS[layer] < first + chance.choice(BURSTS):
                return None
            self.played[layer, kind] += 1
            return kind

    def invocation(self, function: str, event: Mapping[str, Any], _before: int) -> FaultKind | None:
        """As `aws.lambdas.Faults`."""
        unit = event.get("unit")
        name = unit["id"] if isinstance(unit, dict) else unit
        words = [event.get(word) for word in ("job", "attempt", "stage", "task")]
        return self.draw("invocation", f"{function} {words} {name}", INVOCATIONS)  # type: ignore[return-value]

    def life(self) -> float:
        """Seconds until a call is killed: some have hardly begun, some are about to end."""
        with self._lock:
            return self._life.uniform(0, 0.25)

    def count(self, layer: str) -> int:
        return sum(count for (where, _), count in self.played.items() if where == layer)

    def table(self) -> str:
        """What was played, a line for each layer and kind."""
        rows = [f"{layer:12}{kind:24}{count:6}" for (layer, kind), count in sorted(self.played.items())]
        return "\n".join([*rows, f"{'':12}{'all':24}{sum(self.played.values()):6}"])


class Played(Script):
    """A peer's script that a fault plan writes while it is played."""

    def __init__(self, chaos: Chaos, layer: str, choose: Callable[[str, str, bool], Mapping[str, Fault]]) -> None:
        super().__init__()
        self._chaos = chaos
        self._layer = layer
        self._choose = choose

    def take(self, method: str, target: str, headers: Mapping[str, str]) -> Fault:
        scripted = super().take(method, target, headers)
        if not isinstance(scripted, Ok):
            return scripted
        copies = any(name.lower() == "x-amz-copy-source" for name in headers)
        faults = self._choose(method, target, copies)
        weights = {kind: RARE.get(kind, 1.0) for kind in faults}
        weight = DELICATE if method in {"PUT", "POST"} and _DELICATE.search(target) else 1.0
        kind = self._chaos.draw(self._layer, f"{method} {_MARKS.sub('', target)}", weights, weight)
        return Ok() if kind is None else faults[kind]


def of_store(method: str, target: str, copies: bool) -> Mapping[str, Fault]:
    """What may happen to a request to the bundle's own bucket."""
    if method in {"GET", "HEAD"}:
        return READS
    completes = method == "POST" and "uploadId=" in target
    return WRITES | DISGUISED if completes or copies else WRITES


def of_source(_method: str, _target: str, _copies: bool) -> Mapping[str, Fault]:
    """What may happen to a request to a source."""
    return SOURCES


@dataclass
class Starts:
    """Executions whose starts fail, before or after they have begun."""

    inner: Executions
    chaos: Chaos

    def start(self, job: str, attempt: int) -> None:
        kind = self.chaos.draw("invocation", f"start {job} {attempt}", STARTS)
        if kind != "start refused":
            self.inner.start(job, attempt)
        if kind is not None:
            raise SourceUnavailable("the workflow service did not answer (scripted)")

    def stop(self, job: str, attempt: int) -> None:
        self.inner.stop(job, attempt)

    def state(self, job: str, attempt: int) -> str | None:
        return self.inner.state(job, attempt)


@dataclass
class Crowded:
    """Executions of an account that may have only so many at a time, as Step Functions limits them by its quotas."""

    inner: Executions
    most: int
    started: list[tuple[str, int]] = field(default_factory=list)
    refused: int = 0

    def start(self, job: str, attempt: int) -> None:
        if (job, attempt) not in self.started:
            if sum(self.inner.state(*each) == "RUNNING" for each in self.started) >= self.most:
                self.refused += 1
                raise RateLimited("the workflow service asks for fewer requests (ExecutionLimitExceeded)")
            self.started.append((job, attempt))
        self.inner.start(job, attempt)

    def stop(self, job: str, attempt: int) -> None:
        self.inner.stop(job, attempt)

    def state(self, job: str, attempt: int) -> str | None:
        return self.inner.state(job, attempt)


def hurry(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make a process impatient, and what it does small. Functions call it when they start."""
    put(s3_client, "ATTEMPTS", 3)
    put(s3_client, "READ_SECONDS", PATIENCE)
    put(standard.ExponentialBackoff, "delay_amount", lambda _self, _context: 0.02)
    for name, seconds in {"POLL": 0.05, "SKEW": 0.1, "PATIENCE": 2.0}.items():
        put(leases, name, seconds)
    cut_small(put)


def cut_small(put: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make a process's units and uploads small. Functions call it when they start."""
    put(multipart, "assemble", lambda head, sizes: assembly.assemble(head, sizes, LIMITS))
    put(multipart, "groups", lambda parts: assembly.groups(parts, LIMITS))
    make = plan.handler.make_plan
    put(plan.handler, "make_plan", lambda *args, **given: make(*args, **{"shard": SHARD, **given}))


def waiting(seconds: float) -> Any:
    """In place of the module `time` in moto's retries: waits of so many seconds on average, with jitter."""
    chance = Random(0)
    return SimpleNamespace(sleep=lambda _seconds: threading.Event().wait(chance.uniform(0, 2 * seconds)))
