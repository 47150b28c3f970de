"""The job's elevation as arrays of the cube."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from eo.errors import NothingFound
from eo.grid import TargetGrid, Window
from eo.job import ArraySpec, ElevationSource, Unit
from eo.sources.lattice import Lattice
from plan.cells import extent, touched
from plan.scene_sources import needed

SUBCHUNK = 1024
"""Largest chunk edge in the cube. Stores keep megabytes together; a shard needs a corner of that."""


@dataclass
class Sheets:
    """Sheets of elevation and the blocks that fetch them."""

    sources: dict[str, ElevationSource] = field(default_factory=dict)
    arrays: list[ArraySpec] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    bytes_in: int = 0


def sheets(lattices: Sequence[Lattice], *, grid: TargetGrid, shards: Sequence[Window], centre_lon: float) -> Sheets:
    """Plan the elevation part of the fetch stage. Raises NothingFound where no lattice meets the job."""
    result = Sheets()
    for number, lattice in enumerate(lattices):
        windows = needed(grid, shards, lattice.grid, centre_lon)
        if not windows:
            continue
        size = (lattice.grid.height, lattice.grid.width)
        cells = touched(windows, lattice.cell)
        part = extent(cells, lattice.cell, size)
        name = f"dem/{number}"
        result.sources[name] = ElevationSource(
            adapter=lattice.adapter,
            grid=lattice.grid.cropped(part),
            origin=(part.col, part.row),
            href=lattice.href,
            ascending=lattice.ascending,
            variable=lattice.variable,
            flags=dict(lattice.flags),
        )
        chunks = (divisor(lattice.cell[0]), divisor(lattice.cell[1]))
        result.arrays.append(
            ArraySpec(
                name=name,
                shape=part.shape,
                chunks=(min(chunks[0], part.height), min(chunks[1], part.width)),
                dtype="float32",
                fill="NaN",
            )
        )
        for cell in sorted(cells):
            window = extent({cell}, lattice.cell, size).shifted(-part.col, -part.row)
            result.units.append(Unit(id=f"dem{number}.r{window.row:06d}c{window.col:06d}", window=window, array=name))
            result.bytes_in += 4 * window.pixels
    if not result.units:
        places = "; ".join(str(tuple(round(edge, 4) for edge in lattice.grid.bounds)) for lattice in lattices)
        raise NothingFound(
            f"the DEM does not reach the job: it covers {places} in {lattices[0].grid.crs[:40]}; choose another dem or bbox"
            if lattices
            else "the DEM has nothing there; choose another dem or bbox"
        )
    return result


def divisor(edge: int) -> int:
    """Return the largest divisor of a cell's edge that a chunk may have; the edge itself where all are tiny."""
    return next((d for d in range(min(edge, SUBCHUNK), 63, -1) if edge % d == 0), edge)
