"""The fetch stage: one block of one source, decoded once, written in the source's own grid."""

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
    pixels = 0
    with images.opened(
        source.adapter,
        source.asset,
        settings=io.settings,
        traffic=io.traffic,
        level=source.level,
        whole_in=io.scratch if source.whole else None,
    ) as dataset:
        _check(dataset, source, name)
        rows, cols = source.cell
        for window in unit.window.cells(cols, rows, col=-source.origin[0], row=-source.origin[1]):
            file_window = window.shifted(*source.origin)
            wide = Window(*(edge * source.mean for edge in file_window.to_list()))
            values = _decimated(read_window(dataset, source.asset.band, wide, name), source, name)
            io.cube.write(unit.array, window, values)
            pixels += values.size
    return Part(unit=unit.id, counts={"pixels": pixels})


def _decimated(values: NDArray[Any], source: ImageSource, name: str) -> NDArray[Any]:
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
    if source.mean == 1:
        return values
    if source.band == CLASSES:
        middle = source.mean // 2
        return np.ascontiguousarray(values[middle :: source.mean, middle :: source.mean])
    return mean_dn(values, source.mean)


def _check(dataset: Any, source: ImageSource, name: str) -> None:  # noqa: ANN401 - rasterio's, which is imported late
    """Compare the file with what the plan believed of it."""
    planned: RasterGrid = source.file_grid
    factor = round(source.grid.dx / planned.dx / source.mean)
    found = (dataset.transform.c, dataset.transform.f, dataset.width * factor, dataset.height * factor)
    if dataset.count < source.asset.band:
        raise CorruptData(f"{name} has {dataset.count} bands, the catalogue promises band {source.asset.band}")
    same = np.allclose(found[:2], (planned.x, planned.y), rtol=0, atol=1e-3 * planned.dx)
    if not same or found[2:] != (planned.width, planned.height):
        raise CorruptData(
            f"{name} begins at {found[0]}, {found[1]} with {found[2]} x {found[3]} pixels, but the plan expects "
            f"{planned.x}, {planned.y} with {planned.width} x {planned.height}: the catalogue is wrong about it; "
            "choose another scene or report the item"
        )
