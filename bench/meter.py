"""What a command and everything that it starts costs: CPU seconds, wall seconds, memory.

CPU is what the kernel adds up for processes that ended (RUSAGE_CHILDREN). The engine's workers are grandchildren whose
parent may end before them, so this process adopts orphans (a "child subreaper") and waits for all. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
COMMAND = str(Path(sys.executable).with_name("eo-shards"))

PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.05


@dataclass
class Spent:
    """What a process tree took."""

    cpu: float
    """User and system seconds of all its processes."""
    wall: float
    tree_rss: int
    """Largest sum of the resident sets of all processes at one moment, in bytes. Shared pages count in each of them."""
    process_rss: dict[str, int] = field(repr=False)
    """Peak resident set in bytes (VmHWM) by process: role and id."""
    output: str = field(default="", repr=False)

    @property
    def largest(self) -> int:
        """The largest peak of any one process, in bytes."""
        return max(self.process_rss.values(), default=0)


class BenchmarkCrashed(Exception):
    """A measured command failed; its output is the message."""


def measured(command: Sequence[str], *, env: Mapping[str, str] | None = None, watch: bool = True) -> Spent:
    """Run a command to its end and that of everything it started. Raises BenchmarkCrashed where it fails."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before, started = _children_cpu(), time.perf_counter()
    process = subprocess.Popen(
        command, env=os.environ | (env or {}), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watcher = _Watcher(process.pid)
    if watch:
        watcher.start()
    output, _ = process.communicate()
    wall = time.perf_counter() - started
    watcher.stop()
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    if process.returncode:
        raise BenchmarkCrashed(f"{' '.join(command)} ended with {process.returncode}:\n{output[-4000:]}")
    return Spent(_children_cpu() - before, wall, watcher.tree, watcher.peaks, output)


def python(code: str, *arguments: str, env: Mapping[str, str] | None = None, watch: bool = False) -> Spent:
    """Measure Python code in a fresh interpreter, with `bench` and `functions` on its path."""
    return measured([PYTHON, "-c", code, *arguments], env={"PYTHONPATH": str(ROOT), **(env or {})}, watch=watch)


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class _Watcher(threading.Thread):
    """Looks at the resident sets of a process and its descendants, again and again."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self._root = root
        self._ended = threading.Event()
        self.tree = 0
        self.peaks: dict[str, int] = {}

    def run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            try:
                root = psutil.Process(self._root)
                family = [root, *root.children(recursive=True)]
            except psutil.Error:
                continue
            now = 0
            for process in family:
                now += self._resident(process.pid)
            self.tree = max(self.tree, now)

    def _resident(self, pid: int) -> int:
        """Resident bytes now; notes the peak on the way, which the kernel keeps."""
        try:
            with Path(f"/proc/{pid}/status").open() as file:
                lines = dict(line.split(":", 1) for line in file)
            now, peak = (1024 * int(lines[name].split()[0]) for name in ("VmRSS", "VmHWM"))
        except (OSError, KeyError, ValueError):  # it ended meanwhile
            return 0
        name = f"{lines['Name'].strip()} {pid}"
        self.peaks[name] = max(self.peaks.get(name, 0), peak)
        return now

    def stop(self) -> None:
        self._ended.set()
        if self.is_alive():
            self.join()
