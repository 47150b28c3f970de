"""The coarse lattice of absolute columns and rows from which pictures of a job are drawn.

Anchored like everything else, so the picture of the whole does not show where it was cut.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.grid import Window
from eo.job import Plan

EDGE = 2000
"""Lattice points along the longer side of the job, at most. Pictures are drawn from means over 2 x 2 of them."""


def step(plan: Plan) -> int:
    """Pixels between lattice points."""
    return max(1, -(-max(plan.grid.window.width, plan.grid.window.height) // EDGE))


def lattice(window: Window, every: int) -> Window:
    """The lattice points in a window, as a window of the lattice; may be empty (width or height 0)."""
    col, row = -(-window.col // every), -(-window.row // every)
    return Window(col, row, -(-window.col_end // every) - col, -(-window.row_end // every) - row)


def on_lattice(values: NDArray[Any], window: Window, every: int) -> NDArray[Any]:
    """A view of a window's values at its lattice points."""
    first = lattice(window, every)
    return values[first.row * every - window.row :: every, first.col * every - window.col :: every]


def thumbnail(values: NDArray[Any], window: Window, plan: Plan) -> NDArray[Any]:
    """The values of a window at the lattice points of its job's pictures."""
    return np.ascontiguousarray(on_lattice(values, window, step(plan)))
