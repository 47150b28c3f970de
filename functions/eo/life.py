"""The life of a job on a bucket: `status.json`, the only object that changes, by conditional writes alone.

Each attempt is one execution of the workflow. Whoever loses a race looks again, so that a dismissed job never becomes
successful, and what is left of an old attempt never speaks for a new one.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from eo.bbox import BBox
from eo.errors import JobBusy, LostWork, NothingFound, SourceUnavailable, UnknownJob
from eo.job import Status

if TYPE_CHECKING:
    from eo.bucket_store import BucketStore

FINAL = frozenset({"successful", "failed", "stopped"})
AFRESH = frozenset({LostWork.__name__, NothingFound.__name__})
"""What cannot be gone on from: work that is lost, and a cube in which nothing was found."""
RACES = 20
"""How often a lost race is run again."""


def now() -> str:
    """The time as the records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_status(store: "BucketStore", job: str) -> Status:
    """What became of a job. Raises UnknownJob."""
    return _tagged(store, job)[0]


def first(store: "BucketStore", job: str, process: str, bbox: BBox, sequencer: str = "") -> Status:
    """Accept a new job, or find what has become of it since."""
    time = now()
    status = Status(
        job=job,
        process=process,
        attempt=1,
        state="accepted",
        sequencer=sequencer,
        created=time,
        updated=time,
        bbox=bbox.to_list(),
    )
    store.create(status_key(job), status.model_dump_json(indent=1).encode())
    return read_status(store, job)


def next_attempt(store: "BucketStore", status: Status, sequencer: str = "") -> Status:
    """Accept a job once more that has ended without success; the error that ended it stays until this attempt ends."""

    def accept(found: Status) -> Status | None:
        if found.attempt != status.attempt or found.state not in {"failed", "stopped"}:
            return None
        attempt = found.attempt + 1
        afresh = attempt if found.error in AFRESH else found.afresh
        if sequencer and not _later(sequencer, found.sequencer):
            return None
        return found.moved(
            attempt=attempt,
            afresh=afresh,
            sequencer=sequencer or found.sequencer,
            state="accepted",
            message="",
            started=None,
            finished=None,
        )

    return _change(store, status.job, accept)


def _later(sequencer: str, than: str) -> bool:
    """Whether an upload came after another one under the same key.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html: the shorter one is filled up
    with zeros at its end, then they compare as text.
    """
    length = max(len(sequencer), len(than))
    return sequencer.upper().ljust(length, "0") > than.upper().ljust(length, "0")


def begin(store: "BucketStore", job: str, attempt: int) -> Status:
    """Note that an attempt works. Raises JobBusy where it must not."""

    def run(found: Status) -> Status | None:
        if found.attempt != attempt or found.state != "accepted":
            return None
        return found.moved(state="running", started=now())

    status = _change(store, job, run)
    if status.attempt != attempt or status.state != "running":
        raise JobBusy(f"attempt {attempt} at job {job} is not to run: attempt {status.attempt} is {status.state}")
    return status


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
