"""What every call takes, measured where it happens, and the sum over a job.

A call is one run of a function: a plan, a unit of a stage, a reduce, a merge. Each leaves a record of its own under
`scratch/<job>/usage/`, also when it fails. A call that is killed leaves none, and the start of a process before its
first call (on AWS: the init phase) is in none.
"""

import os
import resource
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from eo import estimate
from eo.traffic import CountedStore, StoreTraffic, Traffic

if TYPE_CHECKING:
    from eo.settings import Settings
    from eo.store import Store


class Asked(BaseModel):
    """What was asked of others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source_requests: int = 0
    """For files of scenes and elevation; searches of catalogues are not in it."""
    source_bytes: int = 0
    store_reads: int = 0
    store_writes: int = 0
    store_bytes_read: int = 0
    store_bytes_written: int = 0


class Usage(Asked):
    """What one call took; not a product, so it differs from run to run."""

    job: str
    stage: str
    """`plan`, a stage of the plan, `reduce` or `merge`."""
    unit: str
    attempt: int
    failed: bool = False
    seconds: float
    """Wall time."""
    cpu_seconds: float
    memory_mb: int
    """Memory configured for the call."""
    gb_seconds: float
    """What AWS Lambda bills: configured memory (1,024 MB are a GB) for the wall time."""
    peak_rss_bytes: int
    """Largest resident set of the process so far: calls before this one, which it did too, may have set it."""
    points: int = 0


class UsageTotal(Asked):
    """What a job takes or took, with an estimate of what that costs (`eo.estimate`)."""

    calls: int = 0
    failed_calls: int = 0
    seconds: float = 0.0
    """Wall time of all calls, one after the other."""
    cpu_seconds: float = 0.0
    gb_seconds: float = 0.0
    peak_rss_bytes: int = 0
    """Of the largest process."""
    transitions: int = 0
    """State transitions of the workflow."""
    cost_usd: float = 0.0
    energy_kwh: float = 0.0
    co2e_g: float = 0.0
    region: str = ""
    """AWS region whose grid was taken; empty: the mean of all."""
    factors: Mapping[str, float] = Field(default_factory=dict)
    """What the estimate was made with."""

    @classmethod
    def estimated(cls, *, stages: int, **sums: Any) -> Self:  # noqa: ANN401 - the fields above
        """A total of these sums; `stages` counts the maps of the workflow."""
        bare = cls(**sums)
        where = estimate.region()
        transitions = bare.calls * estimate.TRANSITIONS_PER_CALL + stages * estimate.TRANSITIONS_PER_STAGE
        energy = estimate.kwh(gb_seconds=bare.gb_seconds, cpu_seconds=bare.cpu_seconds, source_bytes=bare.source_bytes)
        cost = estimate.usd(
            gb_seconds=bare.gb_seconds,
            calls=bare.calls,
            reads=bare.store_reads,
            writes=bare.store_writes,
            transitions=transitions,
        )
        return bare.model_copy(
            update={
                "transitions": transitions,
                "cost_usd": round(cost, 7),
                "energy_kwh": round(energy, 9),
                "co2e_g": round(estimate.grams(energy, gb_seconds=bare.gb_seconds, where=where), 6),
                "region": where if where in estimate.GRAMS_PER_KWH else "",
                "factors": estimate.factors(where),
            }
        )

    @property
    def store_requests(self) -> int:
        """Requests to the job's own store."""
        return self.store_reads + self.store_writes


STATUS = Path("/proc/self/status")
SUMMED = ("seconds", "cpu_seconds", "gb_seconds", *Asked.model_fields)
NO_MAPS = {"plan", "reduce", "merge"}
"""What records call stages, but is no map over units."""


class Meter:
    """Counts one call from its making on."""

    def __init__(  # noqa: PLR0917 - the key of a record, in its order
        self, store: "Store", job: str, stage: str, unit: str, attempt: int, settings: "Settings"
    ) -> None:
        self._started, self._cpu = time.perf_counter(), time.process_time()
        self._key = {"job": job, "stage": stage, "unit": unit, "attempt": attempt}
        self._memory = configured_memory(settings)
        self.source = Traffic()
        """What was asked of sources; whoever asks adds to it."""
        self.asked = StoreTraffic()
        """What was asked of the store."""
        self.store = CountedStore(store, self.asked)
        """The store to use in this call."""
        self.points = 0
        self.usage: Usage
        """What its record says, once it has ended."""

    def reading(self, *, failed: bool = False) -> Usage:
        """What the call took until now, the writing of its record included."""
        seconds = time.perf_counter() - self._started
        return Usage(
            **self._key,
            failed=failed,
            seconds=round(seconds, 6),
            cpu_seconds=round(time.process_time() - self._cpu, 6),
            memory_mb=self._memory,
            gb_seconds=round(gb_seconds(seconds, self._memory), 6),
            peak_rss_bytes=peak_rss(),
            source_requests=self.source.requests,
            source_bytes=self.source.bytes,
            store_reads=self.asked.reads,
            store_writes=self.asked.writes + 1,
            store_bytes_read=self.asked.bytes_read,
            store_bytes_written=self.asked.bytes_written,
            points=self.points,
        )

    def end(self, *, failed: bool = False) -> None:
        """Leave the call's record.

        Its name ends in something random: a call that the workflow repeats within an attempt costs again.
        """
        self.usage = self.reading(failed=failed)
        key = "scratch/{job}/usage/{stage}/{unit}-{attempt}".format(**self._key)
        self.store.inner.write(f"{key}-{secrets.token_hex(4)}.json", [self.usage.model_dump_json().encode()])


@contextmanager
def metered(  # noqa: PLR0917
    store: "Store", job: str, stage: str, unit: str, attempt: int, settings: "Settings"
) -> Iterator[Meter]:
    """Measure a call, and leave its record when it ends or fails."""
    meter = Meter(store, job, stage, unit, attempt, settings)
    try:
        yield meter
    except BaseException:
        with suppress(Exception):  # the failure itself is to be told
            meter.end(failed=True)
        raise
    meter.end()


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes.

    From Linux itself where it says: `getrusage` counts what the process was before its program began, its parent's copy.
    """
    with suppress(OSError, StopIteration), STATUS.open() as lines:
        return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def configured_memory(settings: "Settings") -> int:
    """Memory of a call in MB: that of the Lambda function, else what a worker of this machine may use."""
    return int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE") or settings.worker_memory)


def gb_seconds(seconds: float, memory_mb: int) -> float:
    """What AWS Lambda bills for a call, in its GB of 1,024 MB."""
    return seconds * memory_mb / 1024


def spent(store: "Store", job: str, *also: Usage) -> UsageTotal:
    """The sum over all calls of a job that have ended, failed ones and earlier attempts included, and `also`."""
    keys = sorted(key for key in store.keys(f"scratch/{job}/usage/") if key.endswith(".json"))
    calls = list(also)
    for data in store.read_all(keys):
        with suppress(ValueError):  # a record that a power cut emptied is no reason to fail
            calls.append(Usage.model_validate_json(data))
    return total(calls)


def total(usages: Iterable[Usage]) -> UsageTotal:
    """The sum over some calls."""
    calls = list(usages)
    sums: dict[str, Any] = {name: sum(getattr(call, name) for call in calls) for name in SUMMED}
    for name in ("seconds", "cpu_seconds", "gb_seconds"):
        sums[name] = round(sums[name], 3)
    return UsageTotal.estimated(
        stages=len({call.stage for call in calls} - NO_MAPS),
        calls=len(calls),
        failed_calls=sum(call.failed for call in calls),
        peak_rss_bytes=max((call.peak_rss_bytes for call in calls), default=0),
        **sums,
    )
