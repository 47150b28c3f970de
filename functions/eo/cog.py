"""Cloud Optimized GeoTIFFs that nobody holds: shards write tiles, the fan-in writes what stands before them.

A unit of a stage leaves, for each level that its pixels determine, one object: the level's compressed tiles, one after the
other (`put`). The fan-in knows their sizes from a small index, so it can say where every tile will lie before any has
moved, makes the coarser levels, and joins all without reading the tiles of full resolution (`join`).
Every pixel of every level is the same whatever the shards' edge; the order of tiles in the file follows the shards.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eo.cog_coarse import Coarse, nested
from eo.cog_layout import Layout, Place, Raster, undivided
from eo.cog_tiles import own_levels
from eo.errors import AFRESH, LostWork
from eo.grid import Window
from eo.tiff import CLASSIC_LIMIT, Image, head

if TYPE_CHECKING:
    from eo.job import Part, Unit
    from eo.store import Body
    from eo.unit_io import ResultIO, UnitIO

_COUNT = np.dtype("<u4")


def put(io: "UnitIO", raster: Raster, whole: Layout, window: Window, bands: Sequence[NDArray[Any]]) -> None:
    """Leave the tiles of a shard's pixels: objects `<role>.<level>`, and `<role>.index` with the bytes of each tile.

    `bands` are of shape window.shape; what is no pixel of the job holds `raster.nodata`.
    """
    counts: list[int] = []
    for level, tiles in own_levels(bands, window, whole, raster):
        io.put(f"{raster.role}.{level}", _counted(tiles, counts))
    io.put(f"{raster.role}.index", [np.array(counts, _COUNT).tobytes()])


def _counted(tiles: Iterator[bytes], counts: list[int]) -> Iterator[bytes]:
    """The tiles that have bytes; the sizes of all go into `counts`."""
    for tile in tiles:
        counts.append(len(tile))
        if tile:
            yield tile


def join(
    io: "ResultIO",
    name: str,
    *,
    raster: Raster,
    whole: Layout,
    place: Place,
    shards: Sequence[tuple["Unit", "Part"]],
    metadata: Mapping[str, str] | None = None,
    classic_limit: int = CLASSIC_LIMIT,
) -> None:
    """Write the result file `name` from what `put` has left of the shards.

    Becomes a BigTIFF from `classic_limit` bytes on. Raises LostWork where an object is gone or not what was written.
    """
    left = _indexes(io, raster, whole, shards)
    coarse = _coarse(io, raster, whole, left)
    file = _File(raster, whole, place, metadata or {})
    for shard in left:
        for level, (tiles, counts) in enumerate(shard.levels):
            file.counts[level][tiles.slices(_ALL)] = counts
    made = bytearray()
    # The smallest overview first, full resolution last, as readers of a COG expect it.
    for level in range(whole.levels, whole.own, -1):
        made += file.add(level, coarse.tiles(level))
    bodies: list[Body] = []
    for level in range(whole.own, -1, -1):
        for shard in left:
            tiles, counts = shard.levels[level]
            file.order.append((level, tiles))
            bodies += [shard.part.body(f"{raster.role}.{level}")] if counts.any() else []
    io.concatenate(name, file.head(classic_limit) + bytes(made), bodies)


def write(
    io: "ResultIO",
    name: str,
    bands: Sequence[NDArray[Any]],
    *,
    raster: Raster,
    place: Place,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a small raster, which the fan-in holds as a whole, as a result file. `bands` are of shape (rows, columns)."""
    window = Window(0, 0, bands[0].shape[1], bands[0].shape[0])
    whole = undivided(window)
    made = [list(tiles) for _, tiles in own_levels(bands, window, whole, raster)]
    file = _File(raster, whole, place, metadata or {})
    data = [file.add(level, made[level]) for level in range(whole.levels, -1, -1)]
    io.write(name, b"".join([file.head(CLASSIC_LIMIT), *data]))


_ALL = Window(0, 0, 1, 1)
"""Origin of a level's tiles."""


class _File:
    """Which tiles a file has, and in which order."""

    def __init__(self, raster: Raster, whole: Layout, place: Place, metadata: Mapping[str, str]) -> None:
        self.counts: list[NDArray[np.uint32]] = [
            np.zeros(whole.tiles(level), np.uint32) for level in range(whole.levels + 1)
        ]
        """By level: bytes of each tile."""
        self.order: list[tuple[int, Window]] = []
        """(level, tiles of it that follow each other in row-major order), one after the other."""
        self._raster, self._whole, self._place, self._metadata = raster, whole, place, metadata

    def add(self, level: int, tiles: Sequence[bytes]) -> bytes:
        """Let all tiles of a level come next; returns them."""
        rows, cols = self._whole.tiles(level)
        self.counts[level][...] = np.array([len(tile) for tile in tiles], np.uint32).reshape(rows, cols)
        self.order.append((level, Window(0, 0, cols, rows)))
        return b"".join(tiles)

    def head(self, classic_limit: int) -> bytes:
        """All that stands before the first tile."""
        offsets: list[NDArray[np.uint64]] = [np.zeros(counts.shape, np.uint64) for counts in self.counts]
        size = len(self._directories(offsets, big=False))
        big = size + sum(int(counts.sum(dtype=np.int64)) for counts in self.counts) >= classic_limit
        start = np.uint64(len(self._directories(offsets, big=True)) if big else size)
        for level, tiles in self.order:
            counts = self.counts[level][tiles.slices(_ALL)].astype(np.uint64)
            ends = np.cumsum(counts, dtype=np.uint64).reshape(counts.shape) + start
            offsets[level][tiles.slices(_ALL)] = np.where(counts > 0, ends - counts, np.uint64(0))
            start = ends[-1, -1]
        return self._directories(offsets, big=big)

    def _directories(self, offsets: Sequence[NDArray[np.uint64]], *, big: bool) -> bytes:
        images = [
            Image(self._whole.shape(level), *tables)
            for level, tables in enumerate(zip(offsets, self.counts, strict=True))
        ]
        return head(
            images, tile=self._whole.tile, raster=self._raster, place=self._place, metadata=self._metadata, big=big
        )


@dataclass(frozen=True)
class _Shard:
    """What a unit has left of one raster."""

    part: "Part"
    levels: tuple[tuple[Window, NDArray[np.uint32]], ...]
    """By level: its tiles, and the bytes of each, (rows, columns)."""


def _indexes(io: "ResultIO", raster: Raster, whole: Layout, shards: Sequence[tuple["Unit", "Part"]]) -> list[_Shard]:
    """The sizes of all tiles. Raises LostWork where they are not those of the objects."""
    found = []
    indexes = io.read_all([part.body(f"{raster.role}.index") for _, part in shards])
    for (unit, part), data in zip(shards, indexes, strict=True):
        counts = np.frombuffer(data, _COUNT) if len(data) % _COUNT.itemsize == 0 else np.zeros(0, _COUNT)
        levels, at = [], 0
        for level in range(whole.own + 1):
            tiles = whole.within(unit.window, level)
            mine = counts[at : at + tiles.pixels]
            if mine.size != tiles.pixels or int(mine.sum(dtype=np.int64)) != part.sizes[f"{raster.role}.{level}"]:
                raise LostWork(f"the index of {raster.role} of unit {unit.id} does not fit its tiles; {AFRESH}")
            levels.append((tiles, mine.reshape(tiles.shape)))
            at += tiles.pixels
        found.append(_Shard(part, tuple(levels)))
    return found


def _coarse(io: "ResultIO", raster: Raster, whole: Layout, left: Sequence[_Shard]) -> Coarse:
    """The levels above the shards' own."""
    present: NDArray[np.bool_] = np.zeros(whole.tiles(whole.own), np.bool_)
    for shard in left:
        tiles, counts = shard.levels[whole.own]
        present[tiles.slices(_ALL)] = counts > 0
    coarse = Coarse(whole, raster, present)
    if whole.levels > whole.own:
        useful = [shard for shard in left if shard.levels[whole.own][1].any()]
        useful.sort(key=lambda shard: nested(shard.levels[whole.own][0].col, shard.levels[whole.own][0].row))
        bodies = io.read_all([shard.part.body(f"{raster.role}.{whole.own}") for shard in useful])
        for shard, body in zip(useful, bodies, strict=True):
            coarse.take(*shard.levels[whole.own], body)
    return coarse
