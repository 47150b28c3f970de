"""The job service on this machine: orders over HTTP become jobs of the local engine, one at a time."""

import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from cli.jobs import Jobs, Order
from cli.options import absolute
from eo.bbox import BBox
from eo.errors import EoShardsError, InvalidInput, JobBusy, NotReady, UnknownJob
from eo.job import Result, Status
from eo.order import digest, job_id
from eo.records import percent_done, read_result
from eo.settings import Settings, redact
from registry import process as registered

DISMISSED = "dismissed by its owner"
STOP_SECONDS = 30.0
"""How long a job that is stopped may take to end by itself."""


class LocalService:
    """Every job of this machine's store, those of the command line among them; a context, whose jobs end with it.

    It has one user: whoever runs the server. Jobs run in processes of their own, so that a crash is theirs alone.
    """

    def __init__(self, settings: Settings, address: str) -> None:
        self._settings = settings
        self._address = address
        self._jobs = Jobs(settings)
        self._store = self._jobs.store
        self._change = threading.Condition(threading.RLock())
        self._queue: deque[str] = deque()
        self._work: _Work | None = None
        self._closed = False
        self._worker = threading.Thread(target=self._run, name="jobs")

    def __enter__(self) -> Self:
        """Go on with what was accepted before the last server ended, oldest first."""
        self._queue.extend(status.job for status in self._jobs.all() if status.state == "accepted")
        self._worker.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Stop the job that runs; those that wait go on with the next server."""
        with self._change:
            self._closed = True
            if self._work is not None:
                self._work.stop()
            self._change.notify_all()
        self._worker.join()

    def order(
        self,
        process: str,
        inputs: Mapping[str, Any],
        *,
        owner: str,
        key: str,
        origin: Mapping[str, Any] | None = None,  # noqa: ARG002 - all orders come in by HTTP
    ) -> Status:
        """Take an order (see `eo.service`)."""
        name = job_id(owner, key)
        order = Order(process, absolute(inputs), self._store.path(f"served/{name}"))
        bbox = order.inputs().bbox
        with self._change:
            self._claim(f"owners/{digest(owner)}/{name}", order.job)
            status = self._seen(order.job)
            if status is None or status.state in {"failed", "stopped"}:
                if self._work is not None and self._work.job == order.job:
                    raise JobBusy(f"job {order.job} is being stopped; order it again in some seconds")
                status = self._accept(order, bbox, status)
            return status

    def status(self, job: str, *, owner: str) -> Status:  # noqa: ARG002 - there is one user
        """What became of a job."""
        with self._change:
            status = self._seen(job)
        if status is None:
            raise UnknownJob(f"there is no job {job}")
        return status

    def jobs(self, *, owner: str) -> list[Status]:  # noqa: ARG002
        """All jobs, newest first."""
        with self._change:
            return [self._corrected(status) for status in self._jobs.all()][::-1]

    def progress(self, status: Status) -> int:
        """Percent of the job's units that are done."""
        return percent_done(self._store, status)

    def dismiss(self, job: str, *, owner: str) -> Status:
        """Stop a job."""
        with self._change:
            status = self.status(job, owner=owner)
            if job in self._queue:
                self._queue.remove(job)
                return self._write(status.moved(state="stopped", message=DISMISSED, finished=_now()))
            if self._work is not None and self._work.job == job:
                self._work.dismissed = True
                self._work.stop()
                return self.status(job, owner=owner)
        if status.state == "running":
            raise JobBusy(f"job {job} was started on the command line; stop it there (Ctrl-C)")
        return status

    def result(self, job: str, *, owner: str) -> Result:
        """What a job delivered. Raises NotReady also where another job has put its own files there since."""
        status = self.status(job, owner=owner)
        result = read_result(self._store, status)
        # Orders by HTTP have a folder each; of the command line's more than one may be in a folder.
        if not Path(status.out).is_relative_to(self._store.path("served")):
            self._jobs.check_replaced(status)
        return result

    def link(self, job: str, name: str) -> str:
        """Where the server gives a result file."""
        return f"{self._address}/jobs/{job}/results/{quote(name, safe='')}"

    def file(self, job: str, name: str) -> tuple[Path, str, str]:
        """(a result file, its digest, its media type): one that the result names, nothing else.

        Raises UnknownJob, NotReady.
        """
        result, status = self.result(job, owner=""), self.status(job, owner="")
        path = Path(status.out) / name
        if name not in result.files or not path.is_file():
            raise NotReady(f"job {job} has no file {name[:80]!r} (any more); its results say what it has")
        kinds = {output.file: output.media_type for output in registered(status.process).outputs.values()}
        return path, result.files[name], kinds.get(name, "application/octet-stream")

    def _claim(self, place: str, job: str) -> None:
        """Note which job a key belongs to. Raises InvalidInput where that is another one."""
        if not self._store.exists(place):
            self._store.write(place, [job.encode()])
        kept = self._store.read(place).decode()
        if kept != job:
            raise InvalidInput(f"this key belongs to job {kept} with other inputs: use a new Idempotency-Key")

    def _accept(self, order: Order, bbox: BBox, before: Status | None) -> Status:
        """Write an order down and put it into the queue; the attempt is counted by whoever runs it."""
        request = json.dumps({"process": order.process, "inputs": order.typed, "out": str(order.out)}, indent=1)
        self._store.write(f"jobs/{order.job}/request.json", [request.encode()])
        now = _now()
        status = Status(
            job=order.job,
            process=order.process,
            attempt=before.attempt if before else 0,
            state="accepted",
            created=before.created if before else now,
            updated=now,
            out=str(order.out),
            bbox=bbox.to_list(),
        )
        self._queue.append(order.job)
        self._change.notify_all()
        return self._write(status)

    def _seen(self, job: str) -> Status | None:
        status = self._jobs.status(job)
        return status and self._corrected(status)

    def _corrected(self, status: Status) -> Status:
        """A status with what this process knows better than the store: that the job's end has been asked for."""
        work = self._work
        ending = work is not None and work.job == status.job and work.dismissed
        if ending and status.state in {"accepted", "running"}:
            return status.moved(state="stopped", message=DISMISSED)
        return status

    def _write(self, status: Status) -> Status:
        status = status.moved(updated=_now(), message=redact(status.message, self._settings))
        self._store.write(f"jobs/{status.job}/status.json", [status.model_dump_json(indent=1).encode()])
        return status

    def _run(self) -> None:
        """Work off the queue."""
        while True:
            with self._change:
                self._change.wait_for(lambda: self._closed or self._queue)
                if self._closed:
                    return
                job = self._queue.popleft()
                try:
                    self._work = work = _Work(job, self._settings)
                except OSError as error:  # no process, no memory: the next one may be luckier
                    self._note_end(job, f"it could not be started: {error.strerror}")
                    continue
            last = work.wait()
            with self._change:
                self._work = None
                if work.dismissed:
                    self._note_end(job, "")
                elif not self._closed:
                    self._note_end(job, last or "its process was killed")

    def _note_end(self, job: str, failure: str) -> None:
        """Say in the status how a job ended that could not say it itself; without a failure it was dismissed."""
        status = self._jobs.status(job)
        if status is None or status.state != "accepted":
            return
        ended = status.moved(state="stopped", message=DISMISSED, finished=_now())
        with suppress(EoShardsError, OSError):  # a full disk: the next job may be luckier
            self._write(ended.moved(state="failed", message=failure, error="WorkerLost") if failure else ended)


class _Work:
    """A job that runs, in a process of its own."""

    def __init__(self, job: str, settings: Settings) -> None:
        self.job = job
        self.dismissed = False
        # -P: a folder named like one of ours in the present one is not ours. A session of its own: Ctrl-C is for the
        # server, which then stops the job.
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-P", "-m", "cli.served", job],
            env=os.environ | {"EO_SHARDS_HOME": str(settings.home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._deadline: threading.Timer | None = None

    def stop(self) -> None:
        """Ask it to end, and see to it."""
        if self._deadline is None:
            self._process.terminate()
            self._deadline = threading.Timer(STOP_SECONDS, self._process.kill)
            self._deadline.daemon = True
            self._deadline.start()

    def wait(self) -> str:
        """Wait for its end; gives the last line that it said."""
        assert self._process.stderr is not None
        last = ""
        for line in self._process.stderr:
            last = line.strip() or last
        self._process.wait()
        if self._deadline is not None:
            self._deadline.cancel()
        return last.removeprefix("eo-shards: ")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
