"""The coarse bands of whole granules as arrays of the cube: what depends on a granule, and never on the job's extent."""

from collections.abc import Sequence
from itertools import pairwise

from eo.catalog import Scene, is_class
from eo.errors import CorruptData, InvalidInput
from eo.grid import RasterGrid
from eo.imagery import CONTEXT_METRES
from eo.stage import Sources
from plan.files import Files
from plan.scene_sources import BandFile, Decimated, Fetched

CELL = 256
"""Chunk edge of coarse bands, at most, and about what is read together."""
SAME = 1e-3
"""Share of a pixel by which the grids of a scene's bands may differ at any corner: what rounding of headers makes."""


def add_contexts(
    result: Fetched,
    scenes: Sequence[Scene],
    names: Sequence[str],
    files: Files,
    *,
    adapter: str,
    wanted: Sources,
    chunk: int,
) -> tuple[RasterGrid, ...]:
    """Add all of the coarse bands of the scenes that are used already; gives the grid of each of those.

    `names` are those of all scenes in the cube. Raises InvalidInput where a file is smaller than one coarse pixel, and
    CorruptData where two bands of a scene do not share a grid.
    """
    return tuple(
        _add(result, index, scenes[index], names[index], files, adapter, wanted, chunk) for index in result.used
    )


def _add(  # noqa: PLR0917 - of one scene what `add_contexts` takes of all
    result: Fetched,
    index: int,
    scene: Scene,
    name: str,
    files: Files,
    adapter: str,
    wanted: Sources,
    chunk: int,
) -> RasterGrid:
    optional = (band for band in wanted.context_optional if band in scene.assets)
    read = {
        band: Decimated.of(files.info(index, band), CONTEXT_METRES, classes=is_class(band))
        for band in dict.fromkeys((*wanted.context, *optional))
    }
    for band, file in read.items():
        if not file.grid.window.pixels:
            own = file.info.grid
            raise InvalidInput(
                f"{band} of scene {scene.id} has {own.width} x {own.height} pixels of {own.dx:g} m, less than one of "
                f"{CONTEXT_METRES} m, in which its atmosphere is looked at: choose a scene of {CONTEXT_METRES} m or more"
            )
    for (one, first), (other, second) in pairwise(read.items()):
        if not _same(first.grid, second.grid):
            raise CorruptData(
                f"{one} and {other} of scene {scene.id} do not cover the same ground: {_shown(first.grid)} and "
                f"{_shown(second.grid)} at {CONTEXT_METRES} m; choose another scene or report the item"
            )
    for band, file in read.items():
        what = BandFile(adapter, index, band, scene.assets[band], file, context=True)
        result.add(f"context/{name}/{band}", what, [file.grid.window], min(chunk, CELL))
    return next(iter(read.values())).grid


def _same(one: RasterGrid, other: RasterGrid) -> bool:
    """Whether two grids have the same pixels, but for rounding."""
    if (one.crs, one.width, one.height) != (other.crs, other.width, other.height):
        return False
    corners = zip(one.bounds, other.bounds, strict=True)
    return all(abs(a - b) <= SAME * one.dx for a, b in corners)


def _shown(grid: RasterGrid) -> str:
    return f"{grid.width} x {grid.height} pixels of {grid.dx:g} m from {grid.x:.2f}, {grid.y:.2f} in {grid.crs[:40]}"
