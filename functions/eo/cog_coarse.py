"""The levels that are coarser than any shard knows, made from the shards' coarsest one.

Depth first: a tile is made as soon as the four below it are there, and then they are gone. Shards come in the order of a
quad tree, so what waits is a few tiles a level, not a raster.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.cog_layout import Layout, Raster
from eo.cog_tiles import Tile, decompressed, halved, packed
from eo.grid import Window

Place = tuple[int, int, int]
"""(level, row, column) of a tile."""


class Coarse:
    """The tiles of the levels above `whole.own`, as they come to be."""

    def __init__(self, whole: Layout, raster: Raster, present: NDArray[np.bool_]) -> None:
        """`present`: which tiles of the level `whole.own` there are, (rows, columns)."""
        self.made: dict[Place, bytes] = {}
        """What the file holds of each tile that has data."""
        self._whole, self._raster = whole, raster
        self._missing: dict[int, NDArray[np.intp]] = {}
        """By level: how many of the four below each tile are still to come."""
        self._waiting: dict[Place, Tile] = {}
        for level in range(whole.own + 1, whole.levels + 1):
            rows, cols = whole.tiles(level)
            even = np.zeros((2 * rows, 2 * cols), np.intp)
            even[: present.shape[0], : present.shape[1]] = present
            self._missing[level] = even.reshape(rows, 2, cols, 2).sum(axis=(1, 3))
            present = self._missing[level] > 0

    def take(self, tiles: Window, counts: NDArray[np.uint32], body: bytes) -> None:
        """Take the coarsest tiles that a shard made: their places, their bytes in row-major order, and all of these."""
        ends = np.cumsum(counts, dtype=np.int64).reshape(counts.shape)
        for row, col in _nested(counts.shape):
            if counts[row, col]:
                end = int(ends[row, col])
                data = memoryview(body)[end - int(counts[row, col]) : end]
                tile = decompressed(data, self._raster, self._whole.tile)
                self._add((self._whole.own, tiles.row + row, tiles.col + col), tile)

    def _add(self, place: Place, tile: Tile) -> None:
        """Put a tile into the one above it, and that one, where it is complete, into the next."""
        level, row, col = place
        while level < self._whole.levels:
            edge = self._whole.tile // 2
            quarter = Window(col % 2 * edge, row % 2 * edge, edge, edge)
            level, row, col = level + 1, row // 2, col // 2
            above = self._waiting.get((level, row, col))
            if above is None:
                above = self._waiting[level, row, col] = np.full(tile.shape, self._raster.nodata, self._raster.dtype)
            above[quarter.slices(Window(0, 0, 1, 1))] = halved(tile, self._raster)
            self._missing[level][row, col] -= 1
            if self._missing[level][row, col]:
                return
            tile = self._waiting.pop((level, row, col))
            self.made[level, row, col] = packed(tile, self._raster)

    def tiles(self, level: int) -> list[bytes]:
        """The tiles of a level in row-major order, b"" where one has no data."""
        rows, cols = self._whole.tiles(level)
        return [self.made.get((level, row, col), b"") for row in range(rows) for col in range(cols)]


def nested(col: int, row: int) -> int:
    """Place of a cell in the order of a quad tree (Morton 1966): the bits of its column and row, one after the other."""
    return sum((col >> bit & 1) << 2 * bit | (row >> bit & 1) << 2 * bit + 1 for bit in range(32))


def _nested(shape: tuple[Any, ...]) -> Iterator[tuple[int, int]]:
    """(row, column) of all cells, quad by quad."""
    cells = ((row, col) for row in range(shape[0]) for col in range(shape[1]))
    return iter(sorted(cells, key=lambda cell: nested(cell[1], cell[0])))
