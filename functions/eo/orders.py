"""The job service of the bundle: orders become jobs on the bucket and executions of the workflow."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

from eo import life
from eo.bundle import Bundle
from eo.errors import InvalidInput, UnknownJob
from eo.executions import Executions, StepFunctions
from eo.job import Result, Status
from eo.order import Request, digest, job_id, validated
from eo.records import percent_done, read_result
from eo.service import Service
from registry import process as registered

if TYPE_CHECKING:
    from eo.bucket_store import BucketStore

LINK_SECONDS = 900
"""How long a presigned link works; it dies earlier with the credentials that signed it, which is why none is kept."""
START_SECONDS = 300
"""After so long an accepted job should have an execution."""
READERS = 16
"""Statuses that a list of jobs reads at once."""
ENDED = {"FAILED", "TIMED_OUT", "ABORTED"}


class BucketService:
    """Jobs of a bucket, each seen by its owner alone."""

    def __init__(self, store: "BucketStore", executions: Executions) -> None:
        self._store = store
        self._executions = executions

    def order(
        self,
        process: str,
        inputs: Mapping[str, Any],
        *,
        owner: str,
        key: str,
        origin: Mapping[str, Any] | None = None,
    ) -> Status:
        """Take an order (see `eo.service`). Started again after any failure, it goes on where it was."""
        bbox = validated(registered(process), inputs).bbox
        job = job_id(owner, key)
        request = Request(
            process=process, inputs=dict(inputs), owner=digest(owner), key=digest(key), origin=dict(origin or {})
        )
        if not self._store.create(f"jobs/{job}/request.json", request.model_dump_json(indent=1).encode()):
            kept = self._request(job)
            if (kept.process, kept.inputs) != (process, request.inputs):
                raise InvalidInput(
                    f"this key belongs to job {job} of process {kept.process} with other inputs: use a new Idempotency-Key"
                )
        sequencer = str(request.origin.get("sequencer", ""))
        status = life.first(self._store, job, process, bbox, sequencer)
        self._store.create(f"owners/{request.owner}/{job}", b"")
        status = self._settled(status)
        if status.state in {"failed", "stopped"}:
            status = life.next_attempt(self._store, status, sequencer)
        if status.state == "accepted":
            self._executions.start(job, status.attempt)
        return status

    def status(self, job: str, *, owner: str) -> Status:
        """What became of a job, also where its execution ended without a word."""
        self._own(job, owner)
        return self._settled(life.read_status(self._store, job))

    def _settled(self, status: Status) -> Status:
        """What became of a job, by its execution where that knows better."""
        late = _age(status.updated) > START_SECONDS
        if status.state in life.FINAL or not (late or status.state == "running"):
            return status
        state = self._executions.state(status.job, status.attempt)
        if state is None and status.state == "accepted":
            # Whoever accepted it died before it was started: nobody else will.
            self._executions.start(status.job, status.attempt)
            return status
        if state is not None and state not in ENDED:
            return status
        return life.end(
            self._store,
            status.job,
            status.attempt,
            state="failed",
            message=f"its execution ended as {state or 'one that is forgotten'}; order it again with the same key to go on",
            error="Unexpected",
        )

    def jobs(self, *, owner: str) -> list[Status]:
        """The owner's jobs, newest first."""
        prefix = f"owners/{digest(owner)}/"
        names = [key.removeprefix(prefix) for key in self._store.keys(prefix)]
        with ThreadPoolExecutor(READERS) as pool:
            found = [status for status in pool.map(self._known, names) if status is not None]
        return sorted(found, key=lambda status: (status.created, status.job), reverse=True)

    def _known(self, job: str) -> Status | None:
        """What became of a job, None where somebody has removed it from the bucket."""
        try:
            return life.read_status(self._store, job)
        except UnknownJob:
            return None

    def progress(self, status: Status) -> int:
        """Percent of the job's units that are done."""
        return percent_done(self._store, status)

    def dismiss(self, job: str, *, owner: str) -> Status:
        """Stop a job: first its status, so that nothing that still runs can make it successful."""
        self._own(job, owner)
        attempt = life.read_status(self._store, job).attempt
        status = life.end(self._store, job, attempt, state="stopped", message="dismissed by its owner")
        if status.state == "stopped":
            self._executions.stop(job, attempt)
        return status

    def result(self, job: str, *, owner: str) -> Result:
        """What a job delivered."""
        return read_result(self._store, self.status(job, owner=owner))

    def link(self, job: str, name: str) -> str:
        """A presigned URL of a result file."""
        return self._store.presigned(f"jobs/{job}/result/{name}", seconds=LINK_SECONDS, file_name=name)

    def _request(self, job: str) -> Request:
        try:
            return Request.model_validate_json(self._store.read(f"jobs/{job}/request.json"))
        except KeyError:
            raise UnknownJob(f"there is no job {job}") from None

    def _own(self, job: str, owner: str) -> None:
        """Raises UnknownJob where the job is somebody else's, in the words of one that does not exist."""
        if self._request(job).owner != digest(owner):
            raise UnknownJob(f"there is no job {job}")


def _age(time_of: str) -> float:
    """Seconds since a time of a record."""
    return time.time() - datetime.fromisoformat(time_of).timestamp()


def bucket_service(environment: Bundle | None = None) -> Service:
    """The service of this deployment."""
    bundle = environment or Bundle.from_environment()
    return BucketService(bundle.store(), StepFunctions(bundle.state_machine))
