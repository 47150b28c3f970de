"""Whole jobs through the command `eo-shards`, each in a state and result folder of its own."""

from __future__ import annotations

import re
import statistics
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bench.bare import decode_cpu
from bench.data import folder, scene
from bench.meter import COMMAND, PYTHON, Spent, measured
from bench.table import Row

if TYPE_CHECKING:
    from bench.data import BenchScene

SIDE = 4096
REPEATS = 3
BARS = {0.2: 1.6, 1.0: 1.8}
WORKER_MB = 600


@dataclass(frozen=True)
class Job:
    """One run of the command."""

    spent: Spent
    points: int
    worker_rss: int
    """Peak resident set of the largest worker, in bytes."""
    stages: dict[str, float]
    """CPU seconds by stage, as the command tells them."""


def run(known: BenchScene, fraction: float, workers: int) -> Job:
    """Run a job once. Raises BenchmarkCrashed where it fails."""
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        spent = measured(
            [
                *(COMMAND, "run", "point-cloud", *known.options()),
                *("--sampled-fraction", f"{fraction:g}", "--out", f"{place}/out"),
            ],
            env={"EO_SHARDS_HOME": f"{place}/home", "EO_SHARDS_WORKERS": str(workers)},
        )
        with Path(f"{place}/out/point_cloud.ply").open("rb") as file:
            head = file.read(1 << 16)
    found = re.search(rb"element vertex (\d+)\n", head)
    assert found is not None
    told = re.search(r"largest worker ([\d,]+) MB", spent.output)
    # The fork server and the workers are the interpreter's processes, the command itself is called eo-shards.
    polled = max((peak for name, peak in spent.process_rss.items() if name.startswith("python")), default=0)
    reported = 1_000_000 * int(told.group(1).replace(",", "")) if told else 0
    stages = {
        name: float(cpu) for name, cpu in re.findall(r"(\w+) ([\d.]+) s", spent.output.partition("CPU by stage:")[2])
    }
    return Job(spent, int(found.group(1)), max(polled, reported), stages)


@cache
def start_up(workers: int) -> float:
    """CPU seconds of a job's processes that only import."""
    command = [PYTHON, "-m", "bench.startup", str(workers)]
    return statistics.median(measured(command, watch=False).cpu for _ in range(REPEATS))


@cache
def runs(size: int, fraction: float, workers: int) -> tuple[Job, ...]:
    """Jobs on a 10 m scene: three on the one that bars are set for, else one."""
    return tuple(run(scene(size), fraction, workers) for _ in range(REPEATS if size == SIDE else 1))


def median_cpu(size: int, fraction: float, workers: int) -> float:
    """CPU of the process tree, start-up included."""
    return statistics.median(job.spent.cpu for job in runs(size, fraction, workers))


def decode_rows() -> list[Row]:
    """Whole jobs as multiples of the decoding that they cannot do without."""
    known = scene(SIDE)
    # Twice as often as needed, before and after the jobs: other work on the machine moves both.
    first, interpreter = decode_cpu([*known.bands, known.scl])
    ratios: list[tuple[float, int, float]] = [
        (fraction, workers, median_cpu(SIDE, fraction, workers)) for fraction in BARS for workers in (1, 2)
    ]
    second, _ = decode_cpu([*known.bands, known.scl])
    decode = statistics.mean((first, second))
    rows = [
        Row(f"bare decode of the {known.label} scene, SCL included", decode, "CPU s"),
        Row("bare decode speed", 3.25 * known.pixels / decode / 1e6, "Mpx/s", better="higher"),
        Row("start-up of the bare decode (left out)", interpreter, "CPU s"),
        *(Row(f"start-up of a job, {workers} worker(s) (left out)", start_up(workers), "CPU s") for workers in (1, 2)),
    ]
    for fraction, workers, cpu in ratios:
        name = f"job on {known.label}, fraction {fraction:g}, {workers} worker(s)"
        rows.append(Row(f"{name}: CPU / bare decode", (cpu - start_up(workers)) / decode, "x", BARS[fraction]))
        rows.append(Row(f"{name}: the same with start-up on both sides", cpu / (decode + interpreter), "x"))
        for stage in runs(SIDE, fraction, workers)[0].stages:
            if workers == 1:
                share = statistics.median(job.stages[stage] for job in runs(SIDE, fraction, workers))
                rows.append(Row(f"{name}: {stage}", share / decode, "x"))
    return rows


def memory_rows() -> list[Row]:
    """Peak memory does not grow with the job."""
    rows = []
    for size in (2048, 4096, 8192):
        done = runs(size, 0.2, 2)
        worker, tree = max(job.worker_rss for job in done), max(job.spent.tree_rss for job in done)
        rows.append(Row(f"peak RSS of any worker, {size}^2, fraction 0.2", worker / 1e6, "MB", WORKER_MB))
        rows.append(Row(f"peak RSS of the whole tree, {size}^2, 2 workers", tree / 1e6, "MB"))
    return rows


def growth_rows() -> list[Row]:
    """Points against CPU and wall, for 1 and 2 workers."""
    rows = []
    for workers in (1, 2):
        for size in (1024, 2048, 4096):
            for fraction in (0.05, 0.2, 1.0):
                done = runs(size, fraction, workers)
                wall = statistics.median(job.spent.wall for job in done)
                name = (
                    f"growth: {size}^2, fraction {fraction:g}, {workers} worker(s), {done[0].points / 1e6:.3g} M points"
                )
                rows.append(Row(f"{name}: CPU", median_cpu(size, fraction, workers), "CPU s"))
                rows.append(Row(f"{name}: wall", wall, "s"))
    return rows
