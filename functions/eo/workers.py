"""Worker processes of the local engine: each does one call at a time, and one that is killed is replaced.

They are forked from a server process that has imported what they need and nothing else: no threads, no open files of
the parent. `concurrent.futures` is not used, because there one killed worker takes all calls in flight with it, and an
interrupt waits for them.
"""

import multiprocessing
import os
import pickle
import resource
import signal
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from eo.errors import EoShardsError, WorkerLost
from eo.quiet import quiet

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

T = TypeVar("T")

TRIES = 3
"""How often a call is given to a worker that is killed over it."""
SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""What ends the parent in an orderly way."""
PATIENCE = 5.0
"""Seconds an idle worker has to end by itself."""


@dataclass(eq=False)
class _Worker:
    process: BaseProcess
    connection: Connection


class Workers:
    """At most so many processes; they start when there is work for them and end with the block, or with this process."""

    def __init__(self, count: int, *, memory: int, start: Literal["forkserver", "spawn"] = "forkserver") -> None:
        """`memory` bounds the data of each process, in bytes; `start` is how Python starts them."""
        self._count = count
        self._memory = memory
        self._context = cast("ForkServerContext | SpawnContext", multiprocessing.get_context(start))
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close(kill=kind is not None)

    def warm(self, modules: Sequence[str]) -> None:
        """Let the server begin to import modules, once for all workers, while this process does something else."""
        self._context.set_forkserver_preload(list(modules))
        with _shielded():
            forkserver.ensure_running()

    def run(self, function: Callable[..., T], calls: Mapping[str, tuple[Any, ...]]) -> Iterator[T]:
        """Results of `function(*arguments)` for each named call, as they come.

        Raises what a call raised first, and WorkerLost where workers were killed over one call again and again. The
        calls in flight are then given up: whatever they leave is whole, so there is nothing to wait for.
        """
        waiting = deque(calls)
        lost: Counter[str] = Counter()
        try:
            while waiting or self._busy:
                while waiting and len(self._busy) < self._count:
                    self._give(waiting.popleft(), function, calls)
                for connection in wait_for(list(self._busy)):
                    worker, name = self._busy.pop(cast("Connection", connection))
                    try:
                        done, value = worker.connection.recv()
                    except (EOFError, OSError):
                        self._end(worker, kill=True)
                        lost[name] += 1
                        if lost[name] == TRIES:
                            raise WorkerLost(self._lost(name, worker.process.exitcode)) from None
                        waiting.appendleft(name)
                        continue
                    self._idle.append(worker)
                    if not done:
                        raise value
                    yield value
        finally:
            if self._busy:
                self.close(kill=True)

    def close(self, *, kill: bool) -> None:
        """End all workers: at once, or as soon as they notice that nothing more comes."""
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        self._idle, self._busy = [], {}
        if kill:
            for worker in workers:
                worker.process.kill()
        for worker in workers:
            self._end(worker, kill=kill)

    def _give(self, name: str, function: Callable[..., T], calls: Mapping[str, tuple[Any, ...]]) -> None:
        worker = self._idle.pop() if self._idle else self._started()
        self._busy[worker.connection] = (worker, name)
        # A worker that died while it was idle shows like one that dies over the call: its connection ends.
        with suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send((function, calls[name]))

    def _started(self) -> _Worker:
        own, other = multiprocessing.Pipe()
        process = self._context.Process(target=_serve, args=(other, self._memory), daemon=True)
        with _shielded():
            process.start()
        other.close()
        return _Worker(process, own)

    def _end(self, worker: _Worker, *, kill: bool) -> None:
        worker.connection.close()
        if not kill:
            worker.process.join(PATIENCE)
        worker.process.kill()
        worker.process.join()

    def _lost(self, name: str, exitcode: int | None) -> str:
        how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit code {exitcode}"
        return (
            f"workers were killed {TRIES} times over {name} ({how}), most likely for want of memory: use fewer workers "
            f"(EO_SHARDS_WORKERS, now {self._count}) or lower EO_SHARDS_WORKER_MEMORY, then run the same command again"
        )


@contextmanager
def _shielded() -> Iterator[None]:
    """Start processes undisturbed by signals, and keep these from them for good: they inherit the mask.

    This process ends them when it is told to end. What it is told meanwhile, it hears afterwards: in the handler of the
    time before, for another thread may take a signal that is blocked here.
    """
    resource_tracker.ensure_running()  # where it is not running, what starts below starts it, and that ends the mask
    heard: list[int] = []
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.signal(number, lambda got, _frame: heard.append(got)) for number in SIGNALS if main}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for told in heard:
            signal.raise_signal(told)


def _serve(connection: Connection, memory: int) -> None:
    """Do calls until there are no more."""
    quiet()
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # not inherited where somebody else has started the server
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (memory if hard == resource.RLIM_INFINITY else min(memory, hard), hard))
    # No process is started from here. Locks that libraries make (numcodecs at its first chunk) are then without a name
    # in the system, which a killed worker would leave behind.
    multiprocessing.set_start_method("fork", force=True)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            function, arguments = connection.recv()
            connection.send_bytes(_answer(function, arguments))


def _answer(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """Pickle (True, result) or (False, exception)."""
    try:
        return pickle.dumps((True, function(*arguments)))
    except EoShardsError as error:
        return pickle.dumps((False, error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it
        trace = traceback.format_exc()
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        for found in (error, plain):
            found.add_note(f"In a worker:\n{trace}")
        try:
            answer = pickle.dumps((False, error))
            pickle.loads(answer)  # noqa: S301 - our own bytes: many libraries' exceptions cannot be read back
        except Exception:  # noqa: BLE001 - anything may go wrong in a foreign class
            return pickle.dumps((False, plain))
        return answer


def _end_with(sentinel: int) -> None:
    """End this process when its parent has gone: nobody would take the result."""
    wait_for([sentinel])
    os._exit(1)
