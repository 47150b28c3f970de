"""The life of a local job: ordered, planned, run, delivered, found again."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.explain import explain
from eo.engine import LocalEngine, Progress, Spent
from eo.errors import EoShardsError, InvalidInput, JobBusy
from eo.job import Plan, Result, Status
from eo.records import read_plan
from eo.settings import Settings
from eo.store import FolderStore
from merge.fan_in import fan_in
from plan.budget import check_disk
from plan.planner import make_plan
from registry import process


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
        try:
            return process(self.process).Inputs.model_validate(self.typed)
        except ValidationError as error:
            raise InvalidInput(explain(error)) from None


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


class Jobs:
    """The jobs of this machine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = FolderStore(settings.home)

    def plan(self, order: Order) -> Plan:
        """Plan without doing or keeping anything. Raises what planning raises."""
        planned = make_plan(process(order.process), order.inputs(), job=order.job, settings=self.settings)
        check_disk(planned.plan.predicted, scratch=self.settings.home, out=order.out)
        return planned.plan

    def run(self, order: Order, *, new: bool = False, keep_cube: bool = False, progress: Progress | None = None) -> Outcome:
        """Run a job, go on with it, or find it finished and intact."""
        order.inputs()
        job = order.job
        with self.store.locked(f"jobs/{job}/lock"):
            if new:
                self._forget(job)
            finished = self._finished(job, order.out)
            if finished is not None:
                return Outcome(job, order.out, finished, Spent(), read_plan(self.store, job), already=True)
            status = self._accepted(order)
            try:
                return self._go_on(order, status, keep_cube=keep_cube, progress=progress)
            except KeyboardInterrupt:
                self._note(status.moved(state="stopped", message="stopped by the user"))
                raise
            except EoShardsError as error:
                self._note(status.moved(state="failed", message=str(error)))
                raise
            except BaseException as error:
                self._note(status.moved(state="failed", message=type(error).__name__))
                raise

    def _go_on(self, order: Order, status: Status, *, keep_cube: bool, progress: Progress | None) -> Outcome:
        job = order.job
        engine = LocalEngine(self.store, self.settings, progress)
        if self.store.exists(f"jobs/{job}/plan.json") and self.store.path(f"scratch/{job}/cube.zarr/zarr.json").exists():
            plan = read_plan(self.store, job)
        else:
            planned = make_plan(process(order.process), order.inputs(), job=job, settings=self.settings)
            plan = planned.plan
            check_disk(plan.predicted, scratch=self.settings.home, out=order.out)
            engine.start(plan, planned.units)
        self._link_result(job, order.out)
        parts, spent = engine.run(plan, status.attempt)
        result = fan_in(plan, parts, store=self.store)
        self._note(status.moved(state="successful", message=f"{result.summary.get('points', 0):,} points"))
        if not keep_cube:
            self.store.delete(f"scratch/{job}")
        return Outcome(job, order.out, result, spent, plan)

    def _link_result(self, job: str, out: Path) -> None:
        """Let the store's result folder be the user's: files are written there under temporary names and renamed."""
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"--out {out} cannot be made a folder ({error.strerror}); choose another one") from None
        link = self.store.path(f"jobs/{job}/result")
        if not link.is_symlink():
            link.symlink_to(out)

    def _accepted(self, order: Order) -> Status:
        """Take the next attempt."""
        now = _now()
        request = {"process": order.process, "inputs": order.typed, "out": str(order.out)}
        self.store.write(f"jobs/{order.job}/request.json", [json.dumps(request, indent=1).encode()])
        before = self.status(order.job)
        status = Status(
            job=order.job,
            process=order.process,
            attempt=before.attempt + 1 if before else 1,
            state="running",
            created=before.created if before else now,
            updated=now,
            out=str(order.out),
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
            delivered = FolderStore(out)
            if all(delivered.exists(name) and delivered.digest(name) == d for name, d in result.files.items()):
                return result
        return None

    def _note(self, status: Status) -> None:
        status = status.moved(updated=_now())
        self.store.write(f"jobs/{status.job}/status.json", [status.model_dump_json(indent=1).encode()])

    def status(self, job: str) -> Status | None:
        """What became of a job; None where it is not known."""
        try:
            return Status.model_validate_json(self.store.read(f"jobs/{job}/status.json"))
        except (KeyError, ValueError):
            return None

    def all(self) -> Iterator[Status]:
        """All jobs, the newest last."""
        folder = self.store.path("jobs")
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        found = [status for name in names if (status := self.status(name)) is not None]
        yield from sorted(found, key=lambda status: (status.created, status.job))

    def order(self, job: str) -> Order:
        """The order of a known job. Raises InvalidInput where it is not known or ambiguous."""
        matches = [status.job for status in self.all() if status.job.startswith(job)]
        if len(matches) != 1:
            known = "several jobs start with it" if matches else "there is none"
            raise InvalidInput(f"job {job!r}: {known}; `eo-shards jobs` lists them")
        request = json.loads(self.store.read(f"jobs/{matches[0]}/request.json"))
        return Order(request["process"], request["inputs"], Path(request["out"]))

    def clean(self, job: str) -> int:
        """Delete a job's scratch space; returns the bytes that are free again. A running job is left alone."""
        with self.store.locked(f"jobs/{job}/lock"):
            return self.store.delete(f"scratch/{job}")

    def clean_all(self) -> dict[str, int]:
        """Delete the scratch space of all jobs that are not running: bytes by job."""
        folder = self.store.path("scratch")
        freed: dict[str, int] = {}
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            with suppress(JobBusy):
                freed[path.name] = self.clean(path.name)
        return freed

    def _forget(self, job: str) -> None:
        """Delete what a job has left, except its lock, which this process holds, and what it delivered."""
        self.store.delete(f"scratch/{job}")
        link = self.store.path(f"jobs/{job}/result")
        if link.is_symlink():
            link.unlink()
        for name in ("plan.json", "status.json", "result.json", "request.json", "units"):
            if self.store.path(f"jobs/{job}/{name}").exists():
                self.store.delete(f"jobs/{job}/{name}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
