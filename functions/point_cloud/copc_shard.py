"""What a shard leaves of a COPC file: the chunks of its own nodes, and the points of those that it shares with others.

Chunks are the shard's body, which the fan-in joins with others without looking into it. An index says which nodes they
are; behind it stand the points of the nodes that reach beyond the shard, as they are, for the fan-in to make chunks of.
Those are few: where D is the deepest level and a shard has s levels of its own, one in 4^(s + 1) of its points.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from eo.grid import Window
from eo.job import Plan
from point_cloud import las
from point_cloud.laz import Compressor
from point_cloud.octree import CENTIMETRES, Octree, centimetres
from point_cloud.place import origin_pixel

ENTRY = np.dtype([(name, "<i4") for name in ("level", "x", "y", "z", "points", "bytes")])
"""A node: its place in the octree, and what its chunk has. Without bytes, and z then, where its points wait for others.

z counts from elevation 0, since no shard knows where the cube's floor will be."""
NO_POINT = 255
"""Stands for the level of a pixel that is no point."""

CLASSES = {4: las.VEGETATION, 6: las.WATER, 11: las.SNOW}
"""By the code of the scene classification (SCL). It does not say how high vegetation is, hence the middle one of three. What
it calls not vegetated is soil, rock, roads and roofs alike, so that "ground" would be wrong: it stays unclassified."""
_CLASS = np.full(256, las.UNCLASSIFIED, np.uint8)
_CLASS[list(CLASSES)] = list(CLASSES.values())

Colours = Sequence[tuple[NDArray[np.uint8], NDArray[np.uint16]]]
"""(stretch, DNs) of red, green and blue."""


class Pixels:
    """The pixels of a shard, any of which may be a point."""

    def __init__(
        self,
        plan: Plan,
        window: Window,
        *,
        height: NDArray[np.float32],
        colours: Colours,
        scl: NDArray[np.uint8] | None,
        scene: NDArray[np.integer] | None,
    ) -> None:
        """All arrays have the window's shape.

        `height` is in metres; `scl` codes of the scene classification, `scene` the number of the scene that each pixel
        came from, from 1: None where there is no classification, or only one scene.
        """
        self.window = window
        origin_col, origin_row = origin_pixel(plan)
        step = plan.grid.resolution * CENTIMETRES
        # By column and by row: to look up is cheaper than to reckon for each point anew.
        self._x = ((np.arange(window.col, window.col_end) - origin_col) * step).astype(np.int32)
        self._y = ((origin_row - np.arange(window.row, window.row_end)) * step).astype(np.int32)
        self._height = height.ravel()
        # The standard's way from 8 bits to 16: times 256.
        self._colours = [(stretch.astype(np.uint16) << 8, dn.ravel()) for stretch, dn in colours]
        self._scl = None if scl is None else scl.ravel()
        self._scene = None if scene is None else scene.ravel()
        self._times = np.array([las.gps_time(scene.datetime) for scene in plan.scenes])

    def points(self, part: Window, inside: NDArray[np.intp]) -> NDArray[np.void]:
        """LAS points of some pixels of a part of the window, by their indices into the flat part."""
        rows, cols = _rows_and_columns(inside, part.width)
        rows += part.row - self.window.row
        cols += part.col - self.window.col
        at = rows * self.window.width
        at += cols
        made = np.zeros(at.size, las.POINT)
        made["x"] = self._x.take(cols)
        made["y"] = self._y.take(rows)
        made["z"] = centimetres(self._height.take(at))
        made["returns"] = las.ONE_OF_ONE
        made["classification"] = las.UNCLASSIFIED if self._scl is None else _CLASS.take(self._scl.take(at))
        made["gps_time"] = (
            self._times[0] if self._scene is None else self._times.take(self._scene.take(at) - np.intp(1))
        )
        for name, (stretch, dn) in zip(("red", "green", "blue"), self._colours, strict=True):
            made[name] = stretch.take(dn.take(at))
        return made


def _rows_and_columns(at: NDArray[np.intp], width: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of indices into a flat window. Widths of nodes are powers of two, but at the job's edge: division costs five times."""
    if width & (width - 1):
        return np.divmod(at, width)
    return at >> width.bit_length() - 1, at & width - 1


class Shard:
    """Makes the body of a shard, then what else it leaves."""

    def __init__(self, tree: Octree, pixels: Pixels, levels: NDArray[np.uint8]) -> None:
        """`levels` are those of the window's pixels, NO_POINT where they are none."""
        self._tree = tree
        self._pixels = pixels
        self._levels = levels
        self._made: list[tuple[int, ...]] = []
        self._waiting: list[tuple[int, ...]] = []
        self._rest: list[NDArray[np.void]] = []
        self.times = (math.inf, -math.inf)
        """Smallest and largest GPS time of the points, once the body is made."""

    def body(self) -> Iterator[bytes]:
        """Chunks of the shard's own nodes, coarse levels first, from the north, from below."""
        codec = Compressor()
        for level in range(self._tree.depth + 1):
            for part in self._tree.parts(level, self._pixels.window):
                inside = np.flatnonzero(self._levels[part.slices(self._pixels.window)] == level)
                if not inside.size:
                    continue
                points = self._pixels.points(part, inside)
                self.times = (
                    min(self.times[0], float(points["gps_time"].min())),
                    max(self.times[1], float(points["gps_time"].max())),
                )
                x, y = self._tree.place(level, part)
                if not self._tree.complete(level, part):
                    self._waiting.append((level, x, y, 0, points.size, 0))
                    self._rest.append(points)
                    continue
                for z, members in storeys(points, self._tree.height(level)):
                    chunk = codec.chunk(members)
                    self._made.append((level, x, y, z, members.size, len(chunk)))
                    yield chunk

    def rest(self) -> list[memoryview]:
        """The index of all nodes, those of the body first, then the points that wait. Made after the body."""
        listed = np.array(self._made + self._waiting, ENTRY)
        pieces = [np.array([listed.size], "<u4"), listed, *self._rest]
        return [piece.data.cast("B") for piece in pieces if piece.size]


def storeys(points: NDArray[np.void], height: int, floor: int = 0) -> Iterator[tuple[int, NDArray[np.void]]]:
    """(number, points) of the nodes that stand on each other, `height` centimetres each, from the floor's number 0."""
    first, last = ((int(end) - floor) // height for end in (points["z"].min(), points["z"].max()))
    if first == last:  # as nearly always
        yield first, points
        return
    numbers = (points["z"].astype(np.int64) - floor) // height
    for number in np.unique(numbers):
        yield int(number), points[numbers == number]


def listed(data: bytes) -> tuple[NDArray[np.void], NDArray[np.void], NDArray[np.void]]:
    """(nodes of the body, nodes that wait, their points) of what `Shard.rest` made."""
    count = int(np.frombuffer(data, "<u4", 1)[0])
    entries = np.frombuffer(data, ENTRY, count, 4)
    points = np.frombuffer(data, las.POINT, offset=4 + count * ENTRY.itemsize)
    made = entries["bytes"] > 0
    return entries[made], entries[~made], points
