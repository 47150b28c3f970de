"""The life of a job on a bucket: `status.json`, the only object that changes, by conditional writes alone.

Each attempt is one execution of the workflow. Whoever loses a race looks again, so that a dismissed job never becomes
successful, and what is left of an old attempt never speaks for a new one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eo.errors import JobBusy, SourceUnavailable, UnknownJob
from eo.job import Status

if TYPE_CHECKING:
    from eo.bucket_store import BucketStore

FINAL = frozenset({"successful", "failed", "stopped"})
RACES = 20
"""How often a lost race is run again."""


def now() -> str:
    """The time as the records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_status(store: "BucketStore", job: str) -> Status:
    """What became of a job. Raises UnknownJob."""
    return _tagged(store, job)[0]


def first(store: "BucketStore", job: str, process: str) -> Status:
    """Accept a new job, or find what has become of it since."""
    status = Status(job=job, process=process, attempt=1, state="accepted", created=now(), updated=now())
    store.create(status_key(job), status.model_dump_json(indent=1).encode())
    return read_status(store, job)


def next_attempt(store: "BucketStore", status: Status) -> Status:
    """Accept a job once more that has ended without success; the error that ended it stays until work begins."""

    def accept(found: Status) -> Status | None:
        if found.attempt != status.attempt or found.state not in {"failed", "stopped"}:
            return None
        return found.moved(attempt=found.attempt + 1, state="accepted", message="", started=None, finished=None)

    return _change(store, status.job, accept)


def begin(store: "BucketStore", job: str, attempt: int) -> Status:
    """Note that an attempt works; gives the status as it was before. Raises JobBusy where it must not."""
    before = read_status(store, job)

    def run(found: Status) -> Status | None:
        nonlocal before
        before = found
        if found.attempt != attempt or found.state in FINAL:
            return None
        return found if found.state == "running" else found.moved(state="running", error="", started=now())

    after = _change(store, job, run)
    if after.attempt != attempt or after.state != "running":
        raise JobBusy(f"attempt {attempt} at job {job} is not to run: attempt {after.attempt} is {after.state}")
    return before


def end(store: "BucketStore", job: str, attempt: int, *, state: str, message: str, error: str = "") -> Status:
    """Note how an attempt ended, unless it was ended before or another one has begun."""

    def finish(found: Status) -> Status | None:
        if found.attempt != attempt or found.state in FINAL:
            return None
        return found.moved(state=state, message=message, error=error, finished=now())

    return _change(store, job, finish)


def _change(store: "BucketStore", job: str, change: Callable[[Status], Status | None]) -> Status:
    """Change a status, or leave it where the change says None; gives what it is then."""
    for _ in range(RACES):
        found, tag = _tagged(store, job)
        changed = change(found)
        if changed is None or changed == found:
            return found
        changed = changed.moved(updated=now())
        if store.replace(status_key(job), changed.model_dump_json(indent=1).encode(), tag):
            return changed
    raise SourceUnavailable(f"the status of job {job} changes too often; try again")


def _tagged(store: "BucketStore", job: str) -> tuple[Status, str]:
    try:
        data, tag = store.read_tagged(status_key(job))
        return Status.model_validate_json(data), tag
    except KeyError:
        raise UnknownJob(f"there is no job {job}") from None


def status_key(job: str) -> str:
    """Where the status of a job is kept."""
    return f"jobs/{job}/status.json"
