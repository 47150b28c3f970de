"""The fetch stage: one block of one source, decoded once, written in the source's own grid."""

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.catalog import CLASSES
from eo.errors import CorruptData
from eo.grid import RasterGrid, Window
from eo.job import ElevationSource, ImageSource, Part, Unit
from eo.resample import mean_dn
from eo.sources import elevation, images
from eo.sources.raster import read_window
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
    name = source.asset.href.rsplit("/", 1)[-1]
    rows, cols = source.cell
    cells = list(unit.window.cells(cols, rows, col=-source.origin[0], row=-source.origin[1]))
    border: list[Window] = []
    with _opened(source, io, level=source.level) as dataset:
        _check(dataset, source, name, levels=_factor(source) // source.mean)
        for cell in cells:
            values = _decimated(_read(dataset, source, cell, source.mean, name), source, source.mean, name)
            if source.level >= 0 and values.any() and not values.all():
                border.append(cell)
            else:
                io.cube.write(unit.array, cell, values)
    if border:
        # Levels are wavelets' or averages of zeros that say "no data" too: there, pixels are averaged one by one.
        with _opened(source, io, level=-1) as dataset:
            for cell in border:
                io.cube.write(unit.array, cell, _averaged(dataset, source, cell, name))
    return Part(unit=unit.id, counts={"pixels": sum(cell.pixels for cell in cells)})


def _opened(source: ImageSource, io: UnitIO, *, level: int) -> AbstractContextManager[Any]:
    """The source's file at a resolution level."""
    whole_in = io.scratch if source.whole else None
    return images.opened(
        source.adapter, source.asset, settings=io.settings, traffic=io.traffic, level=level, whole_in=whole_in
    )


def _factor(source: ImageSource) -> int:
    """File pixels per pixel of the array, along one axis."""
    return round(source.grid.dx / source.file_grid.dx)


def _read(dataset: Any, source: ImageSource, window: Window, mean: int, name: str) -> NDArray[Any]:  # noqa: ANN401
    """The pixels of the open level under a window of the array, `mean` by `mean` for each of it."""
    wide = Window(*(edge * mean for edge in window.shifted(*source.origin).to_list()))
    values: NDArray[Any] = read_window(dataset, source.asset.band, wide, name)
    return values


READ_AT_ONCE = 2048
"""Edge of the pieces, in pixels of the file, in which a cell is read at full resolution."""


def _averaged(dataset: Any, source: ImageSource, cell: Window, name: str) -> NDArray[Any]:  # noqa: ANN401
    """A cell from the pixels of full resolution that have data."""
    factor = _factor(source)
    edge = max(1, READ_AT_ONCE // factor)
    values = np.empty(cell.shape, np.uint16)
    for piece in cell.cells(edge, edge):
        pixels = _read(dataset, source, piece, factor, name)
        values[piece.slices(cell)] = _decimated(pixels, source, factor, name)
    return values


def _decimated(values: NDArray[Any], source: ImageSource, mean: int, name: str) -> NDArray[Any]:
    """Blocks of pixels as one: the mean of numbers, the pixel next to the middle of classes."""
    wanted = np.uint8 if source.band == CLASSES else np.uint16
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
    if source.band == CLASSES:
        return np.ascontiguousarray(values[mean // 2 :: mean, mean // 2 :: mean])
    return mean_dn(values, mean)


def _check(dataset: Any, source: ImageSource, name: str, *, levels: int) -> None:  # noqa: ANN401 - rasterio's
    """Compare the file, opened at a level of pixels `levels` times its own, with what the plan believed of it."""
    planned: RasterGrid = source.file_grid
    found = (dataset.transform.c, dataset.transform.f, dataset.width * levels, dataset.height * levels)
    if dataset.count < source.asset.band:
        raise CorruptData(f"{name} has {dataset.count} bands, the catalogue promises band {source.asset.band}")
    same = np.allclose(found[:2], (planned.x, planned.y), rtol=0, atol=1e-3 * planned.dx)
    if not same or found[2:] != (planned.width, planned.height):
        raise CorruptData(
            f"{name} begins at {found[0]}, {found[1]} with {found[2]} x {found[3]} pixels, but the plan expects "
            f"{planned.x}, {planned.y} with {planned.width} x {planned.height}: the catalogue is wrong about it; "
            "choose another scene or report the item"
        )
