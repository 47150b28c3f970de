"""Patches: where they lie, and what is found out about each.

They are squares of BigEarthNet's size on absolute coordinates of the target CRS, so jobs that overlap have the same ones.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.grid import TargetGrid
from eo.tiling import Tiling
from land_cover.labels import CLASSES

PATCH, METRES = 120, 10
"""Pixels along an edge, and metres of a pixel: those of BigEarthNet."""
EDGE = PATCH * METRES
"""Metres along an edge. Corners lie at multiples of it."""
BLOCK = 16
"""Patches along an edge of what a unit judges: 256 of them take some 3 CPU seconds. Units do not lie on the cube's chunks,
and with blocks of 16 the chunks at their rims make it decode 2.3 times what it needs; with 8 it would be 4.2 times."""
TILING = Tiling(stride=PATCH, used=PATCH, margin=0, block=BLOCK)

OK, MASKED, INCOMPLETE, SATURATED = range(4)
STATUSES = ("ok", "masked", "incomplete", "saturated")
"""By code. A patch that is not ok is not judged, for want of pixels: what most of those that it lacks are.
Masked: cloud, shadow, snow or a defect, by the scene classification."""

RECORD = np.dtype(
    [
        ("col", "<i4"),
        ("row", "<i4"),
        ("status", "u1"),
        ("scene", "<u2"),
        ("scenes", "<u2"),
        *((name, "<u2") for name in ("masked", "missing", "saturated")),
        ("probabilities", "<f4", len(CLASSES)),
    ]
)
"""A patch: its numbers from the CRS's zero (rows go down), what became of it, the scene of most of its pixels (index plus
one, 0 for none) and how many it has, its pixels that nothing is known of by reason, and probabilities (NaN: not judged)."""

Records = NDArray[np.void]
"""Of `RECORD`, of shape (patches,)."""


def corner(records: Records) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(x, y) of the upper left corners, in metres of the target CRS."""
    return records["col"] * float(EDGE), records["row"] * -float(EDGE)


def lies_on(grid: TargetGrid) -> bool:
    """Whether a grid's pixels are those of the patches."""
    return grid.resolution == METRES and grid.phase_x == grid.phase_y == 0


def patch_count(count: int) -> str:
    """So many patches."""
    return f"{count:,} patch{'' if count == 1 else 'es'}"


def slug(text: str) -> str:
    """A class's name as that of a column or of a STAC class."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def most_probable(records: Records) -> NDArray[np.intp]:
    """Index of the most probable class of each patch, the first of equals; -1 where it was not judged."""
    probabilities: NDArray[Any] = records["probabilities"]
    judged = records["status"] == OK
    return np.where(judged, np.where(judged[:, None], probabilities, 0).argmax(axis=1), -1)
