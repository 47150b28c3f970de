"""AWS Lambda as far as a workflow sees it: functions by name, each call in a process that may be killed.

A call meets what a fault plan says for it. Processes are reused while they live, as warm containers are.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

FaultKind = Literal["fail", "hang", "duplicate", "kill", "kill after", "throttle"]
PRELOADED = [
    "eo.runner",
    "eo.cube",
    "eo.usage",
    "eo.bucket_store",
    "fetch.blocks",
    "fetch.align",
    "plan.handler",
    "merge.handler",
]
HANDLERS = {
    "plan": "plan.handler",
    "fetch": "fetch.handler",
    "fetch-cdse": "fetch.handler",
    "point-cloud": "point_cloud.handler",
    "atmospheric-correction": "atmospheric_correction.handler",
    "land-cover": "land_cover.handler",
    "merge": "merge.handler",
}


@dataclass
class Call:
    """One call of a function, as it was answered."""

    function: str
    event: dict[str, Any]
    fault: FaultKind | None
    error: str | None = None


@dataclass(frozen=True)
class Answer:
    """What the caller of a function gets."""

    payload: Any
    failed: bool = False


class Throttled(Exception):
    """More calls of a function at a time than its reserved concurrency."""


Faults = Callable[[str, Mapping[str, Any], int], FaultKind | None]
"""(function, event, how often this very event came before) -> what happens to this call."""


class Context:
    """What handlers use of Lambda's context."""

    aws_request_id = "00000000-0000-0000-0000-000000000000"
    memory_limit_in_mb = "1769"

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int(1000 * (self._end - time.monotonic())))


@dataclass
class Lambdas:
    """Functions of a stack called `prefix`, in `processes` processes with this environment."""

    prefix: str
    environment: Mapping[str, str]
    processes: int = 2
    timeout: float = 120.0
    life: Callable[[], float] = lambda: 0.02
    """Seconds until a call is killed that is to be."""
    setup: str = ""
    """`module:function`, called once in each process before anything else."""
    reserved: dict[str, int] = field(default_factory=dict)
    """Reserved concurrency, by function."""
    faults: Faults = lambda _function, _event, _before: None
    calls: list[Call] = field(default_factory=list)
    most: Counter[str] = field(default_factory=Counter)
    """Most calls of a function at the same time."""

    def __post_init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)
        self._free: queue.Queue[_Container | None] = queue.Queue()
        for _ in range(self.processes):
            self._free.put(None)
        self._lock = threading.Lock()
        self._seen: Counter[str] = Counter()
        self._now: Counter[str] = Counter()

    def invoke(self, name: str, event: dict[str, Any]) -> Answer:
        """Call a function. Raises Throttled."""
        function = name.removeprefix(f"{self.prefix}-")
        with self._lock:
            key = json.dumps([function, event], sort_keys=True)
            fault = self.faults(function, event, self._seen[key])
            self._seen[key] += 1
            call = Call(function, event, fault)
            self.calls.append(call)
            if fault == "throttle" or self._now[function] >= self.reserved.get(function, 1 << 30):
                call.error = "throttled"
                raise Throttled(function)
            self._now[function] += 1
            self.most[function] = max(self.most[function], self._now[function])
        try:
            answer = self._answer(function, event, fault)
        finally:
            with self._lock:
                self._now[function] -= 1
        call.error = answer.payload["errorType"] if answer.failed else None
        return answer

    def close(self) -> None:
        """End all processes."""
        while not self._free.empty():
            container = self._free.get()
            if container is not None:
                container.kill()

    def _answer(self, function: str, event: dict[str, Any], fault: FaultKind | None) -> Answer:
        if fault == "fail":
            return _error("Lambda.ServiceException", "scripted to fail")
        if fault == "duplicate":
            with multiprocessing.pool.ThreadPool(2) as both:
                return both.map(lambda _: self._run(function, event, None), range(2))[1]
        return self._run(function, event, fault)

    def _run(self, function: str, event: dict[str, Any], fault: FaultKind | None) -> Answer:
        container = self._free.get() or _Container(self._context, self.environment, self.setup)
        try:
            container.connection.send((HANDLERS[function], event, self.timeout))
            if fault == "hang":
                container.kill()
                return _error(
                    "Sandbox.Timedout", f"RequestId: 0 Error: Task timed out after {self.timeout:.2f} seconds"
                )
            if fault == "kill":
                # Somewhere in the middle: whatever has been written by then stays.
                container.connection.poll(self.life())
                container.kill()
                return _error("Runtime.ExitError", "RequestId: 0 Error: Runtime exited with error: signal: killed")
            if not container.connection.poll(self.timeout):
                container.kill()
                return _error(
                    "Sandbox.Timedout", f"RequestId: 0 Error: Task timed out after {self.timeout:.2f} seconds"
                )
            done, payload = container.connection.recv()
            if fault == "kill after":
                container.kill()
                return _error("Runtime.ExitError", "RequestId: 0 Error: Runtime exited with error: signal: killed")
            return Answer(payload, failed=not done)
        except (EOFError, OSError):
            container.kill()
            return _error("Runtime.ExitError", "RequestId: 0 Error: Runtime exited without a word")
        finally:
            self._free.put(container if container.alive else None)


class _Container:
    """A process that runs handlers, one call after the other."""

    def __init__(self, context: Any, environment: Mapping[str, str], setup: str) -> None:
        self.connection, other = multiprocessing.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(other, dict(environment), setup), daemon=True)
        self.process.start()
        other.close()
        self.alive = True

    def kill(self) -> None:
        self.alive = False
        self.process.kill()
        self.process.join()
        self.connection.close()


def _error(kind: str, message: str) -> Answer:
    return Answer({"errorType": kind, "errorMessage": message}, failed=True)


def _serve(connection: Connection, environment: dict[str, str], setup: str) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if setup:
        module, _, name = setup.partition(":")
        getattr(importlib.import_module(module), name)()
    while True:
        try:
            module, event, seconds = connection.recv()
        except EOFError:
            return
        try:
            result = importlib.import_module(module).handler(event, Context(seconds))
            connection.send((True, json.loads(json.dumps(result))))
        except Exception as error:  # noqa: BLE001 - as Lambda's runtime client has it
            connection.send((False, {"errorType": type(error).__name__, "errorMessage": str(error)}))
