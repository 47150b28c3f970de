"""The fetch stage: one block of one source, decoded once, written in the source's own grid."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.catalog import is_class
from eo.errors import CorruptData
from eo.grid import RasterGrid, Window
from eo.job import ElevationSource, ImageSource, Part, Unit
from eo.resample import mean_dn
from eo.sources import elevation, images, raster
from eo.unit_io import UnitIO


def fetch(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the first stage has no state
    """Bring one block into the cube."""
    source = io.plan.sources[unit.array]
    if isinstance(source, ElevationSource):
        window = unit.window.shifted(*source.origin)
        values = elevation.read(source, window, settings=io.settings, traffic=io.traffic)
        io.cube.write(unit.array, unit.window, values)
        return Part(unit=unit.id, counts={"posts": values.size, "voids": int(np.isnan(values).sum())})
    return _fetch_image(unit, source, io)


def _fetch_image(unit: Unit, source: ImageSource, io: UnitIO) -> Part:
    """Decode a block cell by cell: memory stays that of a cell however large the block is."""
    name = images.file_name(source.asset)
    rows, cols = source.cell
    whole_in = io.scratch if source.whole else None
    with (
        images.at_hand(
            source.adapter, source.asset, settings=io.settings, traffic=io.traffic, whole_in=whole_in, upload=io.upload
        ) as file,
        raster.opened(file, name=name, level=source.level) as dataset,
        ExitStack() as later,
    ):
        _check(dataset, source, name, levels=_factor(source) // source.mean)
        finest = cache(lambda: later.enter_context(raster.opened(file, name=name)))
        for cell in _lattice(source, unit.window, rows, cols):
            values = _values(dataset, source, cell, source.mean, name)
            if source.level >= 0:
                _mend(values, finest, source, cell, name)
            io.cube.write(unit.array, cell, values)
    return Part(unit=unit.id, counts={"pixels": unit.window.pixels})


def _mend(values: NDArray[Any], finest: Callable[[], Any], source: ImageSource, cell: Window, name: str) -> None:
    """Read the tiles of a cell that meet "no data" again, from the file's own pixels.

    Levels are wavelets' or averages of zeros that say "no data" too: there, pixels are averaged one by one. What a level
    has in one tile of the file does not come from another, so whatever the cells are, the pixels are the same.
    """
    rows, cols = source.tile
    for tile in _lattice(source, cell, rows, cols):
        inside = values[tile.slices(cell)]
        if inside.any() and not inside.all():
            inside[...] = _values(finest(), source, tile, _factor(source), name)


def _lattice(source: ImageSource, window: Window, rows: int, cols: int) -> Iterator[Window]:
    """A window of the array, cut along a lattice that begins where the file does."""
    return window.cells(cols, rows, col=-source.origin[0], row=-source.origin[1])


def _factor(source: ImageSource) -> int:
    """File pixels per pixel of the array, along one axis."""
    return round(source.grid.dx / source.file_grid.dx)


def _read(dataset: Any, source: ImageSource, window: Window, mean: int, name: str) -> NDArray[Any]:  # noqa: ANN401
    """The pixels of the open level under a window of the array, `mean` by `mean` for each of it."""
    wide = Window(*(edge * mean for edge in window.shifted(*source.origin).to_list()))
    values: NDArray[Any] = raster.read_window(dataset, source.asset.band, wide, name)
    return values


READ_AT_ONCE = 2048
"""Edge of the pieces, in pixels of the open level, in which a cell of coarser pixels is read (see budget.READ_AT_ONCE)."""


def _values(dataset: Any, source: ImageSource, cell: Window, mean: int, name: str) -> NDArray[Any]:  # noqa: ANN401
    """A cell from `mean` by `mean` pixels of the open level each, read piece by piece."""
    if mean == 1:
        return _decimated(_read(dataset, source, cell, 1, name), source, 1, name)
    edge = max(1, READ_AT_ONCE // mean)
    values = np.empty(cell.shape, np.uint8 if is_class(source.band) else np.uint16)
    for piece in cell.cells(edge, edge):
        values[piece.slices(cell)] = _decimated(_read(dataset, source, piece, mean, name), source, mean, name)
    return values


def _decimated(values: NDArray[Any], source: ImageSource, mean: int, name: str) -> NDArray[Any]:
    """Blocks of pixels as one: the mean of numbers, the pixel next to the middle of classes and masks."""
    wanted = np.uint8 if is_class(source.band) else np.uint16
    if values.dtype != wanted:
        low, high = np.iinfo(wanted).min, np.iinfo(wanted).max
        if values.dtype.kind not in "iu" or values.min() < low or values.max() > high:
            raise CorruptData(
                f"{name} holds {values.dtype} from {values.min()} to {values.max()}; "
                f"{source.band} is expected as integers from {low} to {high}"
            )
        values = values.astype(wanted)
    if mean == 1:
        return values
    if is_class(source.band):
        return np.ascontiguousarray(values[mean // 2 :: mean, mean // 2 :: mean])
    return mean_dn(values, mean)


WRONG = "the catalogue is wrong about it; choose another scene or report the item"


def _check(dataset: Any, source: ImageSource, name: str, *, levels: int) -> None:  # noqa: ANN401 - rasterio's
    """Compare the file, opened at a level of pixels `levels` times its own, with what the plan believed of it."""
    planned: RasterGrid = source.file_grid
    at = dataset.transform
    found = (at.c, at.f, dataset.width * levels, dataset.height * levels)
    if dataset.count < source.asset.band:
        raise CorruptData(f"{name} has {dataset.count} bands, the catalogue promises band {source.asset.band}")
    crs = raster.crs_names(dataset.crs.to_wkt())[0] if dataset.crs else planned.crs
    if crs != planned.crs:
        raise CorruptData(f"{name} is in {crs}, but the plan expects {planned.crs}: {WRONG}")
    if not np.allclose((at.a, -at.e), (levels * planned.dx, levels * planned.dy), rtol=1e-6, atol=0):
        raise CorruptData(
            f"{name} has pixels of {at.a / levels:g} x {-at.e / levels:g}, but the plan expects "
            f"{planned.dx:g} x {planned.dy:g}: {WRONG}"
        )
    same = np.allclose(found[:2], (planned.x, planned.y), rtol=0, atol=1e-3 * planned.dx)
    if not same or found[2:] != (planned.width, planned.height):
        raise CorruptData(
            f"{name} begins at {found[0]}, {found[1]} with {found[2]} x {found[3]} pixels, but the plan expects "
            f"{planned.x}, {planned.y} with {planned.width} x {planned.height}: {WRONG}"
        )
