"""The cells of a context: squares of 61 x 61 of its pixels (7.3 km), for each of which an atmosphere is found.

They are counted from the granule's corner, so nothing that is found for a cell depends on the job's extent.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

CELL = 61
"""Context pixels along a cell: 15 cells make a granule of 915."""
PLENTY = 305
"""Context pixels along a side from which every second pixel, both ways, is enough to look at."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Cells:
    """How a context of a shape is cut."""

    shape: tuple[int, int]
    """(rows, columns) of the context."""

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of cells; the last ones may be narrower."""
        rows, cols = self.shape
        return -(-rows // CELL), -(-cols // CELL)

    @property
    def count(self) -> int:
        """Cells in all."""
        rows, cols = self.grid
        return rows * cols

    def sets(self, layers: NDArray[np.float32], used: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """(pixels (cells, n, layers), valid (cells, n)): each cell's used pixels, padded to equal length.

        `layers` are (layers, rows, columns), `used` (rows, columns). Every second pixel of large contexts.
        """
        step = 1 if min(self.shape) < PLENTY else 2
        rows, cols = self.grid
        taken = np.zeros((rows * CELL, cols * CELL), bool)
        taken[: self.shape[0], : self.shape[1]] = used
        padded = np.zeros((len(layers), rows * CELL, cols * CELL), np.float32)
        padded[:, : self.shape[0], : self.shape[1]] = np.where(used, layers, 0)
        # (cells' rows, rows in a cell, cells' columns, columns in a cell): steps count from each cell's corner.
        taken = taken.reshape(rows, CELL, cols, CELL)[:, ::step, :, ::step]
        padded = padded.reshape(len(layers), rows, CELL, cols, CELL)[:, :, ::step, :, ::step]
        valid = taken.transpose(0, 2, 1, 3).reshape(self.count, -1)
        pixels = padded.transpose(1, 3, 2, 4, 0).reshape(self.count, -1, len(layers))
        # Those that are used come first, so that what nobody uses can be cut off.
        order = np.argsort(~valid, axis=1, kind="stable")[:, : max(1, int(valid.sum(1).max(initial=0)))]
        pixels = np.take_along_axis(pixels, order[..., None], 1)
        return np.ascontiguousarray(pixels), np.take_along_axis(valid, order, 1).astype(np.float32)

    def neighbours(self) -> Floats:
        """(cells, cells): 1 where two cells touch, and for each itself."""
        rows, cols = np.divmod(np.arange(self.count), self.grid[1])
        near = (abs(rows[:, None] - rows) <= 1) & (abs(cols[:, None] - cols) <= 1)
        return near.astype(np.float32)

    def centres(self) -> tuple[Floats, Floats]:
        """(rows, columns) of the cells' centres as shares of the context, each (cells,)."""
        rows, cols = np.divmod(np.arange(self.count), self.grid[1])
        down, across = (
            np.minimum((at * CELL + CELL / 2) / edge, 1).astype(np.float32)
            for at, edge in zip((rows, cols), self.shape, strict=True)
        )
        return down, across

    def spreads(self) -> tuple[Floats, Floats]:
        """(rows x cells' rows, cells' columns x columns): weights that turn cells' values into context pixels', bilinear.

        Half a cell at the rim takes the outermost cell's value.
        """
        down, across = (_weights(edge, cells) for edge, cells in zip(self.shape, self.grid, strict=True))
        return down, np.ascontiguousarray(across.T)

    def spread(self, values: Floats) -> Floats:
        """Values of cells (cells,) on the context grid (rows, columns)."""
        down, across = self.spreads()
        return down @ values.reshape(self.grid) @ across


def _weights(edge: int, cells: int) -> Floats:
    """(edge, cells) weights of two cells each."""
    at = np.clip((np.arange(edge) + 0.5) / CELL - 0.5, 0, cells - 1)
    lower = np.minimum(at.astype(int), max(cells - 2, 0))
    upper = np.minimum(lower + 1, cells - 1)
    weights = np.zeros((edge, cells), np.float32)
    np.add.at(weights, (np.arange(edge), lower), 1 - (at - lower))
    np.add.at(weights, (np.arange(edge), upper), at - lower)
    return weights
