"""A function as Lambda runs it: AWS's own Runtime Interface Emulator around its own runtime client, without a container.

The emulator's binary comes with aws-sam-cli, which has an environment of its own (`make sam`). It restarts a runtime
that died or timed out, and refuses answers over 6 MB; it knows no limit of memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import requests

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parents[3]
VARIABLE = "EO_SHARDS_RIE"
BINARY = "samcli/local/rapid/aws-lambda-rie-x86_64"
PATH = "/2015-03-31/functions/function/invocations"
TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")


def emulator() -> Path | None:
    """The emulator, where this machine has it: named by EO_SHARDS_RIE, or in the environment that `make sam` makes."""
    named = os.environ.get(VARIABLE)
    found = [Path(named)] if named else sorted((ROOT / ".venv-sam").glob(f"lib/python3*/site-packages/{BINARY}"))
    return next((path for path in found if path.is_file() and shutil.which(path)), None)


MISSING = f"no Runtime Interface Emulator: make sam installs it for x86-64 Linux, or name its binary in {VARIABLE}"


@dataclass(frozen=True)
class Answer:
    """What the caller of a function gets."""

    status: int
    payload: Any
    size: int
    """Bytes of the answer."""
    seconds: float

    @property
    def error(self) -> str:
        """Type of the error, as Step Functions matches it; empty where there is none."""
        if isinstance(self.payload, str) and TIMED_OUT.search(self.payload):
            # What AWS calls it; the emulator says only the sentence.
            return "Sandbox.Timedout"
        return str(self.payload.get("errorType", "")) if isinstance(self.payload, dict) else ""

    @property
    def message(self) -> str:
        return str(self.payload.get("errorMessage", "")) if isinstance(self.payload, dict) else str(self.payload)


class Container:
    """One container of a function: a runtime that takes one call after the other, as a context.

    `environment` is all that it has; `path` is where its code and its layers are.
    """

    def __init__(
        self,
        handler: str,
        environment: Mapping[str, str],
        *,
        path: Sequence[Path | str] = (ROOT / "functions",),
        python: str = sys.executable,
        timeout: int = 120,
        memory: int = 1769,
    ) -> None:
        self.handler = handler
        self._folder = Path(tempfile.mkdtemp(prefix="rie-"))
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        self._environment = {
            **kept,
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "PYTHONPATH": os.pathsep.join(map(str, path)),
            "AWS_LAMBDA_FUNCTION_NAME": handler.partition(".")[0],
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            **environment,
        }
        self._command = [python, "-m", "awslambdaric", handler]
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the emulator; it starts the runtime with the first call."""
        binary = emulator()
        if binary is None:
            raise RuntimeError(MISSING)
        address, api = _free_address(), _free_address()
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(binary, "--runtime-interface-emulator-address", address, "--runtime-api-address", api),
                    *self._command,
                ],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._url = f"http://{address}{PATH}"
        end = time.monotonic() + 20
        while not _listens(address):
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the emulator did not start:\n{self.log}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End the emulator and its runtime."""
        if self._process is None:
            return
        family = [psutil.Process(self._process.pid), *self._runtimes()] if self._process.poll() is None else []
        for process in family:
            process.kill()
        self._process.wait()  # not for the runtime: it may take a while until somebody reaps an orphan
        shutil.rmtree(self._folder, ignore_errors=True)
        self._process = None

    def invoke(self, event: object) -> Answer:
        """Call the function and wait for its answer."""
        started = time.perf_counter()
        answered = requests.post(self._url, json=event, timeout=300)
        seconds = time.perf_counter() - started
        try:
            payload = answered.json()
        except ValueError:
            payload = answered.text
        answer = Answer(answered.status_code, payload, len(answered.content), seconds)
        self.answers.append(answer)
        return answer

    @property
    def log(self) -> str:
        """All that emulator, runtime and function have written."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def records(self) -> list[dict[str, Any]]:
        """What of that are lines of JSON: the function's own."""
        return [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]

    @property
    def init_milliseconds(self) -> float:
        """How long the last start of the runtime took, with the imports of the handler."""
        return float(re.findall(r"INIT REPORT\(durationMs: ([\d.]+)\)", self.log)[-1])

    @property
    def runtime(self) -> psutil.Process:
        """The process that runs the handler; there is one after the first call."""
        (found,) = self._runtimes()
        return found

    def kill_runtime(self) -> None:
        """Kill the runtime as the kernel does for want of memory."""
        process = self.runtime
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def limit_memory(self, more: int | None) -> None:
        """Let the runtime have so many bytes more than it has now (None: as many as it wants).

        RLIMIT_DATA counts private memory that may be written, not files that are mapped.
        """
        pid, limit = self.runtime.pid, resource.RLIM_INFINITY
        if more is not None:
            status = Path(f"/proc/{pid}/status").read_text()
            limit = 1024 * int(re.findall(r"VmData:\s+(\d+) kB", status)[0]) + more
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, resource.RLIM_INFINITY))

    def _runtimes(self) -> list[psutil.Process]:
        assert self._process is not None
        return [
            child
            for child in psutil.Process(self._process.pid).children(recursive=True)
            if child.status() != psutil.STATUS_ZOMBIE
        ]


PORTS = range(20_000, 32_000)
"""Below those that systems give to who asks for any: the emulator takes its second port with the first call only, and until
then a server or a connection of another test must not be given it."""


def _free_address() -> str:
    """An address on which nobody listens."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise RuntimeError(f"of 100 ports from {PORTS.start} to {PORTS.stop} none is free")


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
