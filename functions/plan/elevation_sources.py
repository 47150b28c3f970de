"""The job's elevation as arrays of the cube."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eo.bbox import MAX_SPAN, BBox
from eo.errors import NothingFound
from eo.geolocate import LONLAT, Geolocation, outline
from eo.grid import RasterGrid, TargetGrid, Window
from eo.imagery import context_strips
from eo.job import ArraySpec, ElevationSource, Unit
from eo.sources import elevation
from eo.sources.lattice import Lattice
from plan.cells import extent, touched
from plan.scene_sources import needed

SUBCHUNK = 1024
"""Largest chunk edge in the cube. Stores keep megabytes together; a shard needs a corner of that."""


COG_POSTS = 1 << 20
"""Posts of a tile of a GLO-30 file."""
BYTES_PER_POST = 12
"""Posts as read, as float32 and compressed, while they are written (measured: test_budget)."""
BYTES_PER_STORED_POST = 8
"""A chunk of a foreign Zarr store, which comes whole: compressed and decoded."""


@dataclass
class Sheets:
    """Sheets of elevation and the blocks that fetch them."""

    sources: dict[str, ElevationSource] = field(default_factory=dict)
    arrays: list[ArraySpec] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    requests: int = 0
    bytes_in: int = 0
    memory: int = 0
    """Most bytes that a block holds, or a strip of a context."""
    withheld: list[str] = field(default_factory=list)
    """Tiles of land that the job touches and the source does not give."""


def around(bbox: BBox, contexts: Sequence[RasterGrid]) -> BBox:
    """A box that holds a job and the granules of its contexts, and has the job's central meridian.

    All longitudes of a job are counted around that meridian, those of its lattices of elevation too.
    """
    if not contexts:
        return bbox
    centre = bbox.centre_lon
    west, south, east, north = bbox.unwrapped()
    half = (east - west) / 2
    for grid in contexts:
        lon, lat = outline(Geolocation(grid, LONLAT, centre), grid.window)
        # Of pixel centres, and straight between nine points of an edge: a sixteenth more is ample.
        up = (lat.max() - lat.min()) / 16
        half = max(half, float(abs(lon - centre).max() + (lon.max() - lon.min()) / 16))
        south, north = min(south, float(lat.min() - up)), max(north, float(lat.max() + up))
    half = min(half, MAX_SPAN / 2.001)
    west, east = centre - half, centre + half
    # Rounding must not move -180 to the other side, where longitudes are counted from 0 to 360.
    east += 1e-12 * half
    return BBox(west + 360 * (west < -180), max(south, -90.0), east - 360 * (east > 180), min(north, 90.0))


def sheets(
    lattices: Sequence[Lattice],
    *,
    grid: TargetGrid,
    shards: Sequence[Window],
    centre_lon: float,
    contexts: Sequence[RasterGrid] = (),
) -> Sheets:
    """Plan the elevation part of the fetch stage: under shards of the target grid, and under all of the contexts.

    Raises NothingFound where no lattice meets the job.
    Cells, which the source keeps together, can have millions of posts, so a block is what is needed of one.
    """
    result = Sheets()
    for number, lattice in enumerate(lattices):
        windows = needed(grid, shards, lattice.grid, centre_lon)
        for context in contexts:
            strips = needed(context, list(context_strips(context)), lattice.grid, centre_lon)
            # Read together by the context stage: many, of a DEM with finer posts than Sentinel-2's pixels.
            result.memory = max([result.memory, *(strip.pixels * BYTES_PER_POST for strip in strips)])
            windows += strips
        if not windows:
            continue
        size = (lattice.grid.height, lattice.grid.width)
        chunks = (divisor(lattice.cell[0]), divisor(lattice.cell[1]))
        pieces = touched(windows, chunks)
        part = extent(pieces, chunks, size)
        name = f"dem/{number}"
        cells = [extent(own, chunks, size) for own in by_cell(pieces, chunks, lattice.cell)]
        result.sources[name] = ElevationSource(
            adapter=lattice.adapter,
            grid=lattice.grid.cropped(part),
            origin=(part.col, part.row),
            href=lattice.href,
            files=tuple(dict.fromkeys(path for cell in cells for path in elevation.files(lattice, cell))),
            ascending=lattice.ascending,
            variable=lattice.variable,
            flags=dict(lattice.flags),
        )
        result.arrays.append(
            ArraySpec(
                name=name,
                shape=part.shape,
                chunks=(min(chunks[0], part.height), min(chunks[1], part.width)),
                dtype="float32",
                fill="NaN",
            )
        )
        for here in cells:
            window = here.shifted(-part.col, -part.row)
            result.units.append(Unit(id=f"dem{number}.r{window.row:06d}c{window.col:06d}", window=window, array=name))
            _add_cost(result, lattice, here)
    if not result.units:
        places = "; ".join(str(tuple(round(edge, 4) for edge in lattice.grid.bounds)) for lattice in lattices)
        raise NothingFound(
            f"the DEM does not reach the job: it covers {places} in {lattices[0].grid.crs[:40]}; choose another dem or bbox"
            if lattices
            else "the DEM has nothing there; choose another dem or bbox"
        )
    return result


def by_cell(pieces: set[tuple[int, int]], chunks: tuple[int, int], cell: tuple[int, int]) -> list[set[tuple[int, int]]]:
    """Chunks in groups that lie in one cell."""
    groups: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for row, col in sorted(pieces):
        groups.setdefault((row * chunks[0] // cell[0], col * chunks[1] // cell[1]), set()).add((row, col))
    return [members for _, members in sorted(groups.items())]


def _add_cost(result: Sheets, lattice: Lattice, window: Window) -> None:
    """Add what reading a window of a lattice takes."""
    stored = lattice.cell[0] * lattice.cell[1] if lattice.variable else 0
    result.memory = max(result.memory, stored * BYTES_PER_STORED_POST + window.pixels * BYTES_PER_POST)
    kind = elevation.kind(lattice, window)
    if kind == "void":
        result.withheld.append(elevation.tile(lattice, window))
    if lattice.adapter in elevation.REMOTE and kind == "there":
        # The metadata of a file or an array, then what it says; tiles of a COG are some million posts each.
        result.requests += 2 if lattice.variable else 1 + -(-window.pixels // COG_POSTS)
        result.bytes_in += 4 * max(stored, window.pixels)


def divisor(edge: int) -> int:
    """Return the largest divisor of a cell's edge that a chunk may have; the edge itself where all are tiny."""
    return next((d for d in range(min(edge, SUBCHUNK), 63, -1) if edge % d == 0), edge)
