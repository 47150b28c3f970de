"""The same work on many things, by processes of their own, which Ctrl-C ends at once."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from rich.progress import track

from eo.errors import WorkerLost
from eo.workers import Workers

Task = TypeVar("Task")
Made = TypeVar("Made")


def mapped(
    function: Callable[[Task], Made], tasks: Sequence[Task], *, workers: int, what: str, quiet: bool
) -> list[Made]:
    """Results of a function of each task, in their order, with a bar that counts `what` unless quiet.

    One worker is this process. A worker that is killed is replaced, and what it did is done again; raises WorkerLost
    where that goes on. `concurrent.futures` would wait for its workers where the command is stopped, and for ever where
    one of them was stopped as well, as a terminal does, while it held the lock of their queue.
    """
    if workers == 1:
        return [function(task) for task in track(tasks, what, disable=quiet)]
    calls = {str(place): (place, task) for place, task in enumerate(tasks)}
    # Children of this process: what they take is counted with what it takes (`publish.energy`). Started afresh: one that
    # is forked would wait for the threads of Zarr or PyTorch for ever.
    with Workers(workers, memory=sys.maxsize, start="spawn") as pool:
        try:
            found = dict(track(pool.run(partial(_numbered, function), calls), what, total=len(calls), disable=quiet))
        except WorkerLost:
            raise WorkerLost(
                f"workers were killed again and again over the same {what}, most likely for want of memory: give fewer "
                f"than {workers} (--workers), then run the same command again"
            ) from None
    return [found[place] for place in range(len(tasks))]


def _numbered(function: Callable[[Task], Made], place: int, task: Task) -> tuple[int, Made]:
    return place, function(task)
