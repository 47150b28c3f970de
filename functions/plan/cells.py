"""Cutting what is needed of a source into blocks that decode each tile once and own their chunks."""

from collections.abc import Iterable
from dataclasses import dataclass

from eo.grid import Window

BLOCK_PIXELS = 2048 * 2048
"""Pixels of a block of small tiles, at most: enough to make a call worth while, small enough for many workers."""


@dataclass(frozen=True)
class Cutting:
    """How a source array is stored and fetched, along its rows and columns."""

    chunks: tuple[int, int]
    cell: tuple[int, int]
    """What is fetched together at least: whole tiles and whole chunks."""


def cutting(tile: tuple[int, int], size: tuple[int, int], chunk: int) -> Cutting:
    """Choose chunks and cells for a file of `size` in tiles of `tile` (rows, columns).

    Chunks are the plan's where whole tiles make whole chunks; else they are the least number of tiles that reaches it.
    """
    pairs = [_axis(t, s, chunk) for t, s in zip(tile, size, strict=True)]
    return Cutting(chunks=(pairs[0][0], pairs[1][0]), cell=(pairs[0][1], pairs[1][1]))


def _axis(tile: int, size: int, chunk: int) -> tuple[int, int]:
    """(chunk, cell) along one axis."""
    if tile >= size:
        return min(chunk, size), size
    if tile % chunk == 0:
        return chunk, tile
    edge = -(-chunk // tile) * tile
    return min(edge, size), min(edge, size)


def touched(windows: Iterable[Window], cell: tuple[int, int]) -> set[tuple[int, int]]:
    """Indices (row, column) of the cells that windows touch."""
    rows, cols = cell
    return {
        (row, col)
        for window in windows
        for row in range(window.row // rows, (window.row_end - 1) // rows + 1)
        for col in range(window.col // cols, (window.col_end - 1) // cols + 1)
    }


def extent(cells: set[tuple[int, int]], cell: tuple[int, int], size: tuple[int, int]) -> Window:
    """The window of whole cells around all of these, cut off where the file ends."""
    rows, cols = [r for r, _ in cells], [c for _, c in cells]
    window = Window(
        min(cols) * cell[1],
        min(rows) * cell[0],
        (max(cols) - min(cols) + 1) * cell[1],
        (max(rows) - min(rows) + 1) * cell[0],
    )
    whole = window.intersection(Window(0, 0, size[1], size[0]))
    assert whole is not None
    return whole


def blocks(cells: set[tuple[int, int]], cell: tuple[int, int], size: tuple[int, int], *, whole: bool) -> list[Window]:
    """Windows that hold every one of these cells once, row by row: all in one, or squares of some cells."""
    if whole:
        return [extent(cells, cell, size)]
    group = (_group(cell[0]), _group(cell[1]))
    groups: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for row, col in sorted(cells):
        groups.setdefault((row // group[0], col // group[1]), set()).add((row, col))
    return [extent(members, cell, size) for _, members in sorted(groups.items())]


def _group(edge: int) -> int:
    """Cells along one axis of a block."""
    return max(1, int(BLOCK_PIXELS**0.5) // edge)
