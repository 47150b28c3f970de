"""The life of a local job: ordered, planned, run, delivered, found again."""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cli.deliver import check_out, deliver, intact
from eo.bbox import BBox
from eo.engine import LocalEngine, Progress, Spent
from eo.errors import (
    CorruptData,
    EoShardsError,
    InvalidInput,
    JobBusy,
    LostWork,
    NothingFound,
    NotReady,
    TooLarge,
)
from eo.folder_store import FolderStore
from eo.job import Plan, Result, Status
from eo.order import validated
from eo.records import read_plan
from eo.runner import laid_out
from eo.settings import Settings, redact
from eo.usage import Meter, metered
from plan.kept import kept_plan
from registry import process

if TYPE_CHECKING:
    from plan.planner import Planned


@dataclass(frozen=True)
class Order:
    """What a user asked for: inputs as typed, and where the result goes."""

    process: str
    typed: dict[str, Any]
    out: Path

    @property
    def job(self) -> str:
        """The same order is the same job."""
        text = json.dumps([self.process, self.typed, str(self.out)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def inputs(self) -> Any:  # noqa: ANN401 - each process has its own Inputs
        """Validate. Raises InvalidInput naming the first fault."""
        return validated(process(self.process), self.typed)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    job: str
    out: Path
    result: Result
    spent: Spent
    plan: Plan
    already: bool = False
    """Whether the job had been finished before."""
    seconds: float = 0.0
    """Wall time of the run, from the order to the files."""


class Jobs:
    """The jobs of this machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = FolderStore(settings.home)

    def plan(self, order: Order) -> tuple[Plan, str | None]:
        """(the plan, what `run` would say where the disks have no room), without doing or keeping anything.

        A plan may be made on a laptop for a job that runs elsewhere. Raises what planning raises.
        """
        plan = self._made(order).plan
        try:
            self._check_disk(plan, order)
        except TooLarge as error:
            return plan, str(error)
        return plan, None

    def run(
        self, order: Order, *, new: bool = False, keep_cube: bool = False, progress: Progress | None = None
    ) -> Outcome:
        """Run a job, go on with it, or find it finished and intact. Raises JobBusy where another process works on it."""
        started = time.monotonic()
        outcome = self._run(order, new=new, keep_cube=keep_cube, progress=progress)
        return replace(outcome, seconds=time.monotonic() - started)

    def _run(self, order: Order, *, new: bool, keep_cube: bool, progress: Progress | None) -> Outcome:
        bbox = order.inputs().bbox
        check_out(order.out)
        job = order.job
        with self.store.locked(f"jobs/{job}/lock"):
            if new:
                self._forget(job)
            finished = self._finished(job, order.out)
            if finished is not None:
                return Outcome(job, order.out, finished, Spent(), read_plan(self.store, job), already=True)
            status = self._accepted(order, bbox)
            try:
                return self._go_on(order, status, keep_cube=keep_cube, progress=progress)
            except BaseException as error:
                self._note_failure(status, error)
                raise

    def _go_on(self, order: Order, status: Status, *, keep_cube: bool, progress: Progress | None) -> Outcome:
        job = order.job
        with LocalEngine(self.store, self.settings, progress) as engine:
            engine.warm(process(order.process).stages(order.inputs()))
            kept = kept_plan(self.store, job)
            if kept is None:
                plan = self._planned(order, status.attempt, engine)
            else:
                plan = kept.plan
                if not laid_out(self.store, plan):
                    engine.start(plan, kept.units)
            parts, spent = engine.run(plan, status.attempt)
        with metered(self.store, job, "merge", "merge", status.attempt, self.settings) as meter:
            every = {output.file for output in process(order.process).outputs.values()}
            result = deliver(plan, parts, store=self.store, out=order.out, files=every, meter=meter)
        self._note(status.moved(state="successful", message=result.message, finished=_now()))
        if not keep_cube:
            self.store.delete(f"scratch/{job}")
        return Outcome(job, order.out, result, spent, plan)

    def _planned(self, order: Order, attempt: int, engine: LocalEngine) -> Plan:
        """Plan a job and lay out its cube. A plan that is refused leaves nothing, not even the record of what it took."""
        meter = Meter(self.store, order.job, "plan", "plan", attempt, self.settings)
        planned = self._made(order)
        meter.source.add(planned.traffic)
        self._check_disk(planned.plan, order)
        self.store.delete(f"scratch/{order.job}")
        engine.start(planned.plan, planned.units, meter)
        meter.end()
        return planned.plan

    def _made(self, order: Order) -> "Planned":
        # Imported here: a job that is finished needs no catalogues, and nothing of what reads them.
        from plan.planner import make_plan  # noqa: PLC0415

        return make_plan(process(order.process), order.inputs(), job=order.job, settings=self.settings)

    def _check_disk(self, plan: Plan, order: Order) -> None:
        from plan.budget import check_disk  # noqa: PLC0415

        check_disk(plan.predicted, scratch=self.settings.home, out=order.out)

    def _accepted(self, order: Order, bbox: BBox) -> Status:
        """Take the next attempt."""
        now = _now()
        request = json.dumps({"process": order.process, "inputs": order.typed, "out": str(order.out)}, indent=1)
        self.store.write(f"jobs/{order.job}/request.json", [request.encode()])
        before = self.status(order.job)
        status = Status(
            job=order.job,
            process=order.process,
            attempt=before.attempt + 1 if before else 1,
            state="running",
            created=before.created if before else now,
            updated=now,
            started=now,
            out=str(order.out),
            bbox=bbox.to_list(),
        )
        self._note(status)
        return status

    def _finished(self, job: str, out: Path) -> Result | None:
        """The result of a finished job whose files still are what they were."""
        status = self.status(job)
        if status is None or status.state != "successful":
            return None
        with suppress(KeyError, ValueError, EoShardsError):
            result = Result.model_validate_json(self.store.read(f"jobs/{job}/result.json"))
            if intact(result, out):
                return result
        return None

    def _note(self, status: Status) -> None:
        status = status.moved(updated=_now(), message=redact(status.message, self.settings))
        self.store.write(f"jobs/{status.job}/status.json", [status.model_dump_json(indent=1).encode()])

    def _note_failure(self, status: Status, error: BaseException) -> None:
        """Say in the status why an attempt ended; what it left stays, where going on can help."""
        known = self.status(status.job)
        if known is not None and (known.attempt, known.state) == (status.attempt, "successful"):
            return  # interrupted while it deleted its scratch space: the result is there
        state: Literal["stopped", "failed"] = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        told = str(error) if isinstance(error, EoShardsError) else type(error).__name__
        with suppress(EoShardsError, OSError):  # a full disk: the first error is the one to be told
            failed = status.moved(state=state, error="" if state == "stopped" else type(error).__name__)
            self._note(failed.moved(message="stopped by the user" if state == "stopped" else told, finished=_now()))
            if isinstance(error, NothingFound):
                # Nothing will be found in the same cube again: the next attempt looks at the sources afresh.
                self._drop(status.job)
            elif isinstance(error, LostWork):
                with suppress(LostWork):  # a plan that is lost itself is made anew, with all that it stands for
                    self.store.delete(read_plan(self.store, status.job).work)

    def status(self, job: str) -> Status | None:
        """What became of a job; None where it is not known."""
        try:
            status = Status.model_validate_json(self.store.read(f"jobs/{job}/status.json"))
        except (KeyError, ValueError):
            return None
        if status.state == "running" and not self.store.is_locked(f"jobs/{job}/lock"):
            return status.moved(state="stopped", message="its process was killed")
        return status

    def all(self) -> Iterator[Status]:
        """All jobs, the newest last."""
        folder = self.store.path("jobs")
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        found = [status for name in names if (status := self.status(name)) is not None]
        yield from sorted(found, key=lambda status: (status.created, status.job))

    def check_replaced(self, status: Status) -> None:
        """Raise NotReady where a later job has put its files in the place of those of a job that has ended well."""
        for other in self.all():
            later = (other.finished or "") > (status.finished or "")
            if later and (other.state, other.process, other.out) == ("successful", status.process, status.out):
                raise NotReady(
                    f"job {other.job} has put its result into {status.out}, in the place of that of "
                    f"{status.job}; order it again into another folder"
                )

    def order(self, job: str) -> Order:
        """The order of a known job. Raises InvalidInput where it is not known or ambiguous."""
        matches = [status.job for status in self.all() if status.job.startswith(job)]
        if len(matches) != 1:
            known = "several jobs start with it" if matches else "there is none"
            raise InvalidInput(f"job {job!r}: {known}; `eo-shards jobs` lists them")
        try:
            request = json.loads(self.store.read(f"jobs/{matches[0]}/request.json"))
            return Order(request["process"], request["inputs"], Path(request["out"]))
        except (KeyError, ValueError, TypeError):
            raise CorruptData(
                f"the request of job {matches[0]} is not readable; order it again as it was typed"
            ) from None

    def clean(self, order: Order) -> dict[str, int]:
        """Delete a job's scratch space: bytes that are free again, by job. Raises JobBusy where the job is running."""
        return {order.job: self._clean(order.job)}

    def clean_all(self) -> dict[str, int]:
        """Delete the scratch space of all jobs that are not running: bytes by job."""
        freed: dict[str, int] = {}
        for job in self.store.names("scratch"):
            with suppress(JobBusy):
                freed[job] = self._clean(job)
        return freed

    def _clean(self, job: str) -> int:
        with self.store.locked(f"jobs/{job}/lock"):
            return self.store.delete(f"scratch/{job}")

    def _drop(self, job: str) -> None:
        """Delete a job's plan and its scratch space."""
        self.store.delete(f"jobs/{job}/plan.json")
        self.store.delete(f"jobs/{job}/units")
        self.store.delete(f"scratch/{job}")

    def _forget(self, job: str) -> None:
        """Delete what a job has left, except its lock, which this process holds, and what it delivered."""
        self._drop(job)
        for name in ("status.json", "result.json", "request.json"):
            self.store.delete(f"jobs/{job}/{name}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
