"""Where a job's pixels lie and how they are cut: target grid, lattice, shards; and the units over scenes and tiles."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import shapely
from shapely import Polygon

from eo.bbox import BBox
from eo.catalog import Scene
from eo.errors import InvalidInput
from eo.grid import RasterGrid, TargetGrid, Window, is_sibling
from eo.job import Unit
from eo.stage import Sources
from eo.tiling import Tiling
from plan.files import Files
from plan.scene_sources import Decimated
from plan.target import check_metres, choose_crs, projected_ring, requested_crs, target_grid

if TYPE_CHECKING:
    from eo.inputs import CubeInputs

MAX_CODE = 32
"""Characters of an authority code such as EPSG:32632; a CRS without one is WKT, which is longer."""


def job_grid(scenes: list[Scene], files: Files, inputs: "CubeInputs", wanted: Sources) -> tuple[TargetGrid, int | None]:
    """(the target grid, index of the scene whose pixels it follows or None).

    Raises InvalidInput where a scene does not count in metres, or no CRS with a code suits the job.
    """
    band = wanted.bands[0]
    crs_of = [files.crs(index, band) for index in range(len(scenes))]
    for scene, crs in zip(scenes, crs_of, strict=True):
        check_metres(crs, f"scene {scene.id}", "warp it to a projected CRS first, such as its UTM zone")
    crs = choose_crs(scenes, crs_of, inputs.bbox) if inputs.crs is None else requested_crs(inputs.crs, inputs.bbox)
    if ":" not in crs or len(crs) > MAX_CODE:
        raise InvalidInput(
            "the scenes' CRS has no authority code, which the result needs to name it: give --crs, such as --crs EPSG:32632"
        )
    first = next((i for i, other in enumerate(crs_of) if other == crs or is_sibling(other, crs)), None)
    native = files.info(first or 0, band).grid
    pixel = native.dx
    if inputs.resolution is not None and inputs.resolution < 0.5 * pixel:
        raise InvalidInput(
            f"resolution {inputs.resolution} m is finer than half the scene's {pixel:g} m pixels: "
            f"ask for {max(1, round(pixel))} m or more"
        )
    corner = None if first is None else native.to_sibling(crs)
    resolution = inputs.resolution or max(1, round(pixel))
    square = square_of(wanted, resolution)
    # Squares lie on the CRS's own coordinates, and so do the pixels then.
    grid = target_grid(crs=crs, corner=corner if square == 1 else None, resolution=resolution, bbox=inputs.bbox)
    return replace(grid, window=grid.window.snapped(square, square)), first


def square_of(wanted: Sources, resolution: int) -> int:
    """Edge in pixels of the squares that are taken whole, 1 for none. Raises InvalidInput where they are no whole pixels."""
    if wanted.squares % resolution:
        raise InvalidInput(
            f"resolution {resolution} m does not divide the {wanted.squares:,} m of the squares that are taken whole: choose "
            "one that does, such as 10"
        )
    return max(1, wanted.squares // resolution)


def grid_lattice(grid: TargetGrid, first: int | None, files: Files, wanted: Sources) -> tuple[int, int]:
    """(column, row) at which the first scene's file begins, so that shards meet whole chunks of it."""
    if first is None:
        return 0, 0
    file = Decimated.of(files.info(first, wanted.bands[0]), grid.resolution, classes=False)
    return grid.offset_of(file.grid.to_sibling(grid.crs)) or (0, 0)


def shard_windows(grid: TargetGrid, bbox: BBox, edge: int, anchor: tuple[int, int], square: int = 1) -> list[Window]:
    """The job's window cut along the lattice, without the shards that the bbox misses with all squares that they meet."""
    area = Polygon(projected_ring(grid.crs, bbox)).buffer(grid.resolution)
    shapely.prepare(area)

    def met(window: Window) -> bool:
        whole = window.snapped(square, square)
        left, right = grid.x(whole.col), grid.x(whole.col_end)
        return bool(area.intersects(shapely.box(left, grid.y(whole.row_end), right, grid.y(whole.row))))

    return [window for window in grid.window.cells(edge, edge, col=anchor[0], row=anchor[1]) if met(window)]


def shard_units(windows: list[Window], edge: int, anchor: tuple[int, int]) -> list[Unit]:
    """Name shards by their place on the job's lattice, counted from the job's corner, so that names sort by rows."""
    places = [((w.row - anchor[1]) // edge, (w.col - anchor[0]) // edge) for w in windows]
    top, left = min(row for row, _ in places), min(col for _, col in places)
    return [
        Unit(id=f"r{row - top:05d}c{col - left:05d}", window=window)
        for (row, col), window in zip(places, windows, strict=True)
    ]


def scene_units(names: Sequence[str], contexts: Sequence[RasterGrid]) -> list[Unit]:
    """One unit for each scene, of all of its context; none where no context is wanted."""
    if not contexts:
        return []
    return [
        Unit(id=name, window=grid.window, array=f"context/{name}") for name, grid in zip(names, contexts, strict=True)
    ]


def tile_units(windows: Sequence[Window], tiling: Tiling) -> list[Unit]:
    """Groups of the tiles that contribute to shards, each tile in one of them; named by their place, as shards are.

    A group is a rectangle: where shards are missing it may hold tiles that none needs, and they are of nothing.
    """
    numbers = {(row, col) for window in windows for row, col in _numbers(tiling.touching(window))}
    top, left = min(row for row, _ in numbers), min(col for _, col in numbers)
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, col in sorted(numbers):
        groups.setdefault(((row - top) // tiling.block, (col - left) // tiling.block), []).append((row, col))
    return [Unit(id=f"r{row:05d}c{col:05d}", window=_around(members)) for (row, col), members in sorted(groups.items())]


def _numbers(tiles: Window) -> Iterator[tuple[int, int]]:
    return itertools.product(range(tiles.row, tiles.row_end), range(tiles.col, tiles.col_end))


def _around(members: Sequence[tuple[int, int]]) -> Window:
    """The smallest window of tiles that holds these (row, column)."""
    rows, cols = [row for row, _ in members], [col for _, col in members]
    return Window(min(cols), min(rows), max(cols) - min(cols) + 1, max(rows) - min(rows) + 1)
