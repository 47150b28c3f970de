"""The fan-in of a COPC file: header, tables and the nodes that shards share; what shards made is copied as it is.

Shards are taken along a space-filling curve, so that those of a node come one after the other: what is held is one open
node a level, and under 200 bytes for each node of the file. What passes through this process is the points of shared
nodes (`copc_shard`), 36 bytes each, and their chunks.
"""

import datetime as dt
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eo.job import Part, Plan, Unit
from eo.unit_io import ResultIO
from point_cloud import las
from point_cloud.copc import NODE, Info, hierarchy, hierarchy_evlr, with_ancestors
from point_cloud.copc_shard import ENTRY, listed, storeys
from point_cloud.las import Header
from point_cloud.laz import TABLE_PLACE, Compressor, chunk_table, laszip_vlr
from point_cloud.octree import CENTIMETRES, Octree, centimetres, octree
from point_cloud.place import origin
from point_cloud.wkt import wkt

Place = tuple[int, int, int]
"""(level, x, y) of the columns of nodes."""
Extremes = Mapping[str, tuple[float, float]]
"""(smallest, largest) x, y and z in metres, and `gps_time`."""
BODY, REST = "copc", "rest"
"""Roles of what a shard leaves."""


def write(name: str, parts: Sequence[Part], extremes: Extremes, io: ResultIO, *, about: str) -> None:
    """Write the COPC file of these shards as a result file; `about` is what it says of itself in words."""
    plan = io.plan
    cube = Cube.of(plan, extremes["z"])
    pairs = zip(io.units(plan.stages[-1].name), parts, strict=True)
    ordered = sorted(pairs, key=lambda pair: _along_curve(pair[0], cube.tree))
    collected = Collected(cube, [unit for unit, _ in ordered])
    shared = io.put("shared", collected.chunks(io.read_all([part.body(REST) for _, part in ordered])))
    chunks = collected.nodes()
    bodies = [shared, *(part.body(BODY) for _, part in ordered)]
    head = Head(plan, cube, extremes, about, chunks)
    tail = io.put("tail", head.tail())
    io.concatenate(name, head.encode(), [body for body in (*bodies, tail) if body.size])


def _along_curve(unit: Unit, tree: Octree) -> int:
    """Place of a shard on a Morton curve."""
    col, row = unit.window.col - tree.col, unit.window.row - tree.row
    return sum((col >> bit & 1) << 2 * bit | (row >> bit & 1) << 2 * bit + 1 for bit in range(32))


@dataclass(frozen=True, slots=True)
class Cube:
    """The cube of an octree, now that it is known how high the points are."""

    tree: Octree
    floor: int
    """Its lower side in centimetres: a multiple of the height of nodes of level 1."""
    above: int
    """Levels without points above the octree's root: 0 but where its cube is not as high as the points are."""

    @classmethod
    def of(cls, plan: Plan, z: tuple[float, float]) -> "Cube":
        """The cube around points of these elevations, in metres."""
        tree = octree(plan)
        low, high = (int(value) for value in centimetres(np.array(z, np.float32)))
        storey = tree.height(1)
        storeys_needed = high // storey - low // storey + 1
        return cls(tree, low // storey * storey, max(0, (storeys_needed - 1).bit_length() - 1))

    @property
    def edge(self) -> float:
        """Metres."""
        return float((self.tree.cell(0) << self.above) * self.tree.grid.resolution)

    @property
    def centre(self) -> tuple[float, float, float]:
        """Metres of the CRS."""
        grid, half = self.tree.grid, self.edge / 2
        south = grid.y(self.tree.row + self.tree.cell(0))
        return grid.x(self.tree.col) + half, south + half, self.floor / CENTIMETRES + half

    @property
    def spacing(self) -> float:
        """Metres between the points of the root."""
        return (self.tree.grid.resolution << (self.tree.depth + self.above)) / math.sqrt(self.tree.fraction)

    def placed(self, entries: NDArray[np.void]) -> NDArray[np.void]:
        """Nodes of shards, whose z counts from elevation 0, as they lie in the cube."""
        moved = entries.copy()
        # Level 0 is nobody's own, and of all others whole nodes lie below the floor.
        moved["z"] -= (self.floor // self.tree.height(1)) << (entries["level"] - 1)
        return moved


class Collected:
    """The nodes of all shards as they come."""

    def __init__(self, cube: Cube, units: Sequence[Unit]) -> None:
        self._cube = cube
        self._units = units
        self._own: list[NDArray[np.void]] = []
        self._shared: list[tuple[int, ...]] = []

    def nodes(self) -> NDArray[np.void]:
        """All that have points, in the order of the file, once the chunks are made."""
        return np.concatenate([np.array(self._shared, ENTRY), *map(self._cube.placed, self._own)])

    def chunks(self, rest: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks of shared nodes from what the shards left (`Shard.rest`), each when the last of its shards has come."""
        codec = Compressor()
        missing = Counter(place for unit in self._units for place in self._shares(unit))
        waiting: defaultdict[Place, list[NDArray[np.void]]] = defaultdict(list)
        for unit, data in zip(self._units, rest, strict=True):
            own, parts, points = listed(data)
            self._own.append(own)
            for part, end in zip(parts, np.cumsum(parts["points"]), strict=True):
                # A copy: else the little that coarse nodes wait for would hold all that the shard left.
                mine = points[end - part["points"] : end].copy()
                waiting[int(part["level"]), int(part["x"]), int(part["y"])].append(mine)
            for place in self._shares(unit):
                missing[place] -= 1
                if not missing[place] and place in waiting:
                    yield from self._made(codec, place, waiting.pop(place))

    def _shares(self, unit: Unit) -> Iterator[Place]:
        """The nodes that a shard shares with others."""
        tree = self._cube.tree
        for level in range(tree.depth + 1):
            for part in tree.parts(level, unit.window):
                if not tree.complete(level, part):
                    yield level, *tree.place(level, part)

    def _made(self, codec: Compressor, place: Place, parts: list[NDArray[np.void]]) -> Iterator[bytes]:
        """Chunks of the nodes that stand on one place, their points in the order of pixels, as a shard has them."""
        points = np.concatenate(parts)
        points = points[np.lexsort((points["x"], -points["y"].astype(np.int64)))]
        for z, inside in storeys(points, self._cube.tree.height(place[0]), self._cube.floor):
            chunk = codec.chunk(inside)
            self._shared.append((*place, z, inside.size, len(chunk)))
            yield chunk


class Head:
    """What stands before the chunks, and the tables behind them."""

    def __init__(self, plan: Plan, cube: Cube, extremes: Extremes, about: str, chunks: NDArray[np.void]) -> None:
        """`chunks` are of `ENTRY`, in the order of the file."""
        self._cube = cube
        self._extremes = extremes
        self._table = chunk_table(list(zip(chunks["points"].tolist(), chunks["bytes"].tolist(), strict=True)))
        self._header = Header(
            software=plan.software,
            day=max(dt.datetime.fromisoformat(scene.datetime) for scene in plan.scenes).date(),
            # The size of the first is known, what is in it is not yet.
            records=[self._info(0, 0), laszip_vlr(), las.wkt_vlr(wkt(plan)), las.text_vlr(about)],
            count=int(chunks["points"].sum()),
            offset=origin(plan),
            bounds=_bounds(extremes, origin(plan)),
            first_evlr=0,
        )
        sizes = chunks["bytes"].astype(np.uint64)
        first = self._header.size + TABLE_PLACE
        self._table_place = first + int(sizes.sum())
        nodes = np.zeros(chunks.size, NODE)
        for name in ("x", "y", "z", "bytes", "points"):
            nodes[name] = chunks[name]
        nodes["level"] = chunks["level"] + cube.above
        nodes["offset"] = first + np.cumsum(sizes) - sizes
        self._page = self._table_place + len(self._table) + las.EVLR_HEADER_SIZE
        self._pages, self._page_size = hierarchy(with_ancestors(nodes), self._page)

    def encode(self) -> bytes:
        """Header, records, and where the table of chunks is."""
        records = [self._info(self._page, self._page_size), *self._header.records[1:]]
        header = self._header.completed(records, self._page - las.EVLR_HEADER_SIZE)
        return header.encode() + self._table_place.to_bytes(TABLE_PLACE, "little")

    def tail(self) -> list[bytes]:
        """The table of chunks and the hierarchy."""
        return [self._table, hierarchy_evlr(self._pages)]

    def _info(self, page: int, size: int) -> bytes:
        cube = self._cube
        return Info(cube.centre, cube.edge / 2, cube.spacing, self._extremes["gps_time"], page, size).encode()


def _bounds(
    extremes: Extremes, offset: tuple[float, float, float]
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    """Smallest and largest x, y and z to the bit as readers make them: from whole centimetres."""

    def read(axis: str, from_: float) -> tuple[float, float]:
        if axis == "z":
            low, high = (int(value) for value in centimetres(np.array(extremes[axis], np.float32)))
        else:
            low, high = (round((value - from_) * CENTIMETRES) for value in extremes[axis])
        return low * las.SCALE + from_, high * las.SCALE + from_

    x, y, z = (read(axis, from_) for axis, from_ in zip("xyz", offset, strict=True))
    return x, y, z
