"""The align stage: what a shard needs, on the target grid, with each pixel's validity."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.catalog import CLASSES
from eo.geoid import ELLIPSOIDAL, undulation
from eo.geolocate import Geolocation, source_window, taken
from eo.grid import RasterGrid, Window
from eo.job import ImageSource, Part, Unit
from eo.radiometry import SCL_MASKED, SCL_MASKED_WITH_SNOW, Radiometry, shift_lut
from eo.resample import bicubic_dn, bilinear_dn, nearest
from eo.unit_io import UnitIO
from fetch.surface import elevation

Kernel = Callable[[NDArray[Any], NDArray[np.float64], NDArray[np.float64]], NDArray[Any]]
"""Values at points (u, v) in an array's own pixel coordinates."""


def align(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Bring one shard onto the target grid."""
    window = unit.window
    in_box = taken(io.plan.grid, io.plan.bbox, window, io.plan.square)
    valid, counts = _mosaic(window, in_box, io)
    counts["inside"] = int(np.count_nonzero(in_box))
    io.cube.write_target("valid", window, valid)
    if io.cube.has("elevation"):
        height = elevation(window, io)
        if io.plan.vertical_crs == ELLIPSOIDAL:
            height += undulation(io.plan.grid, window, io.plan.bbox.centre_lon)
        io.cube.write_target("elevation", window, height)
        counts["void"] = int(np.count_nonzero((valid > 0) & np.isnan(height)))
    return Part(unit=unit.id, counts=counts)


def _mosaic(window: Window, in_box: NDArray[np.bool_], io: UnitIO) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """(validity, counts); writes bands and scene index too, where they are not aliases of the only scene, and classes."""
    plan = io.plan
    bands = list(plan.radiometry)
    aliased = {band for band in bands if plan.targets[band].array in plan.sources}
    filled = {band: np.zeros(window.shape, np.uint16) for band in bands if band not in aliased}
    origin = np.zeros(window.shape, np.uint16)
    """Index of the scene plus one; 0 where none has filled yet."""
    seen = np.zeros(window.shape, bool)
    """Where some scene has data, masked or not."""
    classes = np.zeros(window.shape, np.uint8)
    no_ground = SCL_MASKED_WITH_SNOW if plan.sources_wanted.mask_snow else SCL_MASKED
    for index in range(len(plan.scenes)):
        own = _of_scene(index, io)
        if any(band not in own for band in bands) or not _reaches(own[bands[0]][1], window, io):
            continue
        values = {band: _band(*own[band], window, io) for band in bands}
        data = values[bands[0]] > 0
        for band in bands[1:]:
            data &= values[band] > 0
        seen |= data
        codes = _codes(*own[CLASSES], window, io) if CLASSES in own else classes
        if CLASSES in own and plan.inputs.get("mask_clouds", True):
            data &= ~no_ground.take(codes)
        fresh = data & (origin == 0)
        np.copyto(origin, index + 1, where=fresh)
        np.copyto(classes, codes, where=fresh)
        for band, target in filled.items():
            common = plan.radiometry[band]
            _fill(target, values[band], fresh, plan.scenes[index].assets[band].radiometry or common, common)
        if not (in_box & (origin == 0)).any():
            break
    masked = in_box & seen & (origin == 0)
    for name, target in {**filled, "scene": origin, "masked": masked.view(np.uint8), CLASSES: classes}.items():
        if io.cube.has(name):
            io.cube.write_target(name, window, target)
    valid = in_box & (origin > 0)
    found = {"empty": in_box & ~seen, "masked": masked, "valid": valid}
    return valid.view(np.uint8), {name: int(np.count_nonzero(pixels)) for name, pixels in found.items()}


def _fill(
    target: NDArray[np.uint16],
    values: NDArray[np.uint16],
    where: NDArray[np.bool_],
    own: Radiometry,
    common: Radiometry,
) -> None:
    """Put a scene's DNs in, as they would be in the common radiometry."""
    if own.offset == common.offset:  # as nearly always: a copy is ten times cheaper than a look-up
        np.copyto(target, values, where=where)
    else:
        target[where] = shift_lut(own, common.offset)[values[where]]


def _of_scene(index: int, io: UnitIO) -> dict[str, tuple[str, ImageSource]]:
    """By band: (array, source) of what a scene has for the target grid."""
    return {
        source.band: (name, source)
        for name, source in io.plan.sources.items()
        if isinstance(source, ImageSource) and source.scene == index and not source.context
    }


def _reaches(source: ImageSource, window: Window, io: UnitIO) -> bool:
    """Whether a source has pixels for a shard."""
    local = source.grid.to_sibling(io.plan.grid.crs)
    return source_window(io.plan.grid, window, local, io.plan.bbox.centre_lon) is not None


def _band(name: str, source: ImageSource, window: Window, io: UnitIO) -> NDArray[np.uint16]:
    """A scene's DNs on a window of the target grid: taken as they are where the grids agree, else resampled."""
    grid = io.plan.grid
    local = source.grid.to_sibling(grid.crs)
    offset = grid.offset_of(local)
    if offset is not None:
        if window.intersection(Window(*offset, local.width, local.height)) == window:
            return io.cube.read(name, window.shifted(-offset[0], -offset[1]))
        result = np.zeros(window.shape, np.uint16)
        common = window.intersection(Window(*offset, local.width, local.height))
        if common is not None:
            result[common.slices(window)] = io.cube.read(name, common.shifted(-offset[0], -offset[1]))
        return result
    return _resampled(name, local, window, io, kernel=KERNELS[io.plan.sources_wanted.resampling], dtype=np.uint16)


def _codes(name: str, source: ImageSource, window: Window, io: UnitIO) -> NDArray[np.uint8]:
    """Classes on a window of the target grid: those of the pixels in which the centres lie, 0 beyond the array."""
    grid = io.plan.grid
    local = source.grid.to_sibling(grid.crs)
    if local.crs != grid.crs:
        return _resampled(name, local, window, io, kernel=_code, dtype=np.uint8)
    # In one CRS a column decides on the column and a row on the row: no coordinates for each pixel.
    result = np.zeros(window.shape, np.uint8)
    cols = np.floor((grid.x(0.5) - local.x + np.arange(window.col, window.col_end) * grid.resolution) / local.dx)
    rows = np.floor((local.y - grid.y(0.5) + np.arange(window.row, window.row_end) * grid.resolution) / local.dy)
    on_cols = np.flatnonzero((cols >= 0) & (cols < local.width))
    on_rows = np.flatnonzero((rows >= 0) & (rows < local.height))
    if not (on_cols.size and on_rows.size):
        return result
    cols, rows = cols[on_cols].astype(np.intp), rows[on_rows].astype(np.intp)
    part = Window(int(cols[0]), int(rows[0]), int(cols[-1] - cols[0]) + 1, int(rows[-1] - rows[0]) + 1)
    codes = io.cube.read(name, part)
    # Both axes ascend without gaps: the pixels on the raster are one block.
    block = result[on_rows[0] : on_rows[-1] + 1, on_cols[0] : on_cols[-1] + 1]
    block[...] = codes.take(cols - part.col, axis=1).take(rows - part.row, axis=0)
    return result


def _code(values: NDArray[Any], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[Any]:
    return nearest(values, u, v, outside=0)


KERNELS: Mapping[str, Kernel] = {"nearest": _code, "bilinear": bilinear_dn, "bicubic": bicubic_dn}
"""By the name that `Sources.resampling` has for them: all take 0 for no data."""


def _resampled(
    name: str, local: RasterGrid, window: Window, io: UnitIO, *, kernel: Kernel, dtype: type
) -> NDArray[Any]:
    """Values of a cube array at the pixel centres of a window, by a kernel; 0 beyond the array."""
    centre = io.plan.bbox.centre_lon
    result = np.zeros(window.shape, np.dtype(dtype))
    part = source_window(io.plan.grid, window, local, centre)
    if part is None:
        return result
    values = io.cube.read(name, part)
    raster = local.cropped(part)
    if local.crs == io.plan.grid.crs:
        # In one CRS a column decides on the column and a row on the row: an open mesh says it all.
        cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
        u, v = raster.indices(*io.plan.grid.centres(cols[None, :], rows[:, None]))
        return kernel(values, u, v)
    for strip, x, y in Geolocation(io.plan.grid, local.crs, centre).strips(window):
        result[strip] = kernel(values, *raster.indices(x, y))
    return result
