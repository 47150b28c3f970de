"""Progress of long work: a bar on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from eo.engine import Progress
from eo.stage import Stage

EVERY_SECONDS = 5.0
"""Between plain lines; the first and last of a stage are always written."""


def labels(stage: Stage, points: int) -> tuple[str, str]:
    """(what the stage's units are called, the points so far, where there are any)."""
    units = "groups of tiles" if stage.over == "tiles" else stage.over
    return units, f", {points:,} points" if points else ""


@contextmanager
def shown() -> Iterator[Progress]:
    """Yield a function that shows progress on standard error."""
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _Lines()


class _Lines:
    """Plain lines, not too many."""

    def __init__(self) -> None:
        self._last = 0.0
        self._stage = ""
        self._started = 0.0
        self._before = 0

    def __call__(self, stage: Stage, done: int, total: int, points: int) -> None:
        now = time.monotonic()
        if stage.name != self._stage:
            self._stage, self._started, self._before = stage.name, now, done
        elif done < total and now - self._last < EVERY_SECONDS:
            return
        self._last = now
        made = done - self._before
        left = f", about {(now - self._started) / made * (total - done):.0f} s left" if made and done < total else ""
        unit, cloud = labels(stage, points)
        # Who reads the progress may stop reading (`2>&1 | head`); the work goes on.
        with suppress(BrokenPipeError):
            print(f"{stage.name}: {done} of {total} {unit}{cloud}{left}", file=sys.stderr, flush=True)


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    columns = (
        TextColumn("{task.description:<6}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}{task.fields[cloud]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, int] = {}

        def report(stage: Stage, done: int, total: int, points: int) -> None:
            unit, cloud = labels(stage, points)
            if stage.name not in tasks:
                tasks[stage.name] = bars.add_task(stage.name, total=total, unit=unit, cloud=cloud)
            bars.update(tasks[stage.name], completed=done, cloud=cloud)  # type: ignore[arg-type]

        yield report
