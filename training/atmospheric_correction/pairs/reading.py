"""Windows of a pair: both reflectances and which pixels may be compared."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.grid import RasterGrid, Window
from eo.sources import raster
from training.atmospheric_correction.pairs.find import Layer, Pair, Side
from training.atmospheric_correction.pairs.slope import Slopes

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

GROUND = (4, 5, 6, 7)
"""Scene classes that are compared: vegetation, bare ground, water, unclassified. Not dark areas (2), in which Sen2Cor
puts shadows, and not snow (11)."""


@dataclass(frozen=True)
class Piece:
    """A window of a pair."""

    toa: Floats
    """(bands, rows, columns) reflectance; NaN where there is no data or saturation."""
    boa: Floats
    """As toa, of the surface."""
    mask: Mask
    """(rows, columns): where every band may be compared."""


def read(pair: Pair, window: Window, bands: tuple[str, ...], slopes: Slopes | None = None) -> Piece:
    """Read a window, counted in pixels of `pair.grid`. Raises CorruptData where a file cannot be decoded.

    Coarser bands are repeated; where the two sides of a band differ in pixel size, the finer is averaged first, since
    the coarser one does not know better.
    """
    base = pair.grid
    toa, boa = (np.empty((len(bands), *window.shape), np.float32) for _ in range(2))
    for number, band in enumerate(bands):
        step = max(pair.toa.layers[band].step, pair.boa.layers[band].step)
        toa[number] = reflectance(pair.toa, band, base, window, step)
        boa[number] = reflectance(pair.boa, band, base, window, step)
    mask = ground(pair, window) & np.isfinite(toa).all(0) & np.isfinite(boa).all(0)
    if slopes is not None:
        mask &= slopes.flat(window)
    return Piece(toa, boa, mask)


def ground(pair: Pair, window: Window) -> Mask:
    """Where the scene classification says that there is ground; nearest."""
    return np.isin(nearest(pair.boa.layers["SCL"], pair.grid, window), GROUND)


def aot(pair: Pair, window: Window) -> Floats | None:
    """Aerosol optical thickness at 550 nm as Sen2Cor found it, NaN where it has none; None without such a file."""
    layer = pair.boa.layers.get("AOT")
    if layer is None:
        return None
    dn = nearest(layer, pair.grid, window).astype(np.float32)
    return np.where(dn > 0, dn / np.float32(pair.boa.aot_quantification), np.float32("nan"))


def reflectance(side: Side, band: str, base: RasterGrid, window: Window, step: float) -> Floats:
    """A band at the pixels of a window of `base`, as means over `step` metres where the file is finer."""
    layer, meta = side.layers[band], side.meta
    radiometry = meta.radiometry(band)
    coarse = _around(base, window, max(step, layer.step))
    dn = _read(layer, coarse)
    values = (dn.astype(np.float32) + np.float32(radiometry.offset)) / np.float32(radiometry.quantification)
    values[(dn == meta.nodata) | (dn == meta.saturated)] = np.nan
    times = round(max(step, layer.step) / layer.step)
    if times > 1:
        rows, cols = (edge // times for edge in values.shape)
        values = values.reshape(rows, times, cols, times).mean((1, 3))
    return _repeated(values, coarse, base, window)


@dataclass(frozen=True)
class _Around:
    """Whole pixels of `step` metres around a window, as (row, column) from the granule's corner."""

    first: tuple[int, int]
    end: tuple[int, int]
    step: float


def _around(base: RasterGrid, window: Window, step: float) -> _Around:
    times = max(1, round(step / base.dx))
    ends = -(-window.row_end // times), -(-window.col_end // times)
    return _Around((window.row // times, window.col // times), ends, step)


def _read(layer: Layer, around: _Around) -> NDArray[Any]:
    """The file's pixels there, as many as make whole ones of `around`; 0 beyond the file's edge."""
    times = round(around.step / layer.step)
    (top, left), (bottom, right) = ([times * at for at in ends] for ends in (around.first, around.end))
    asked = Window(left, top, right - left, bottom - top)
    inside = asked.intersection(layer.grid.window)
    if inside is None:
        return np.zeros(asked.shape, np.uint16)
    with raster.opened(str(layer.path), name=layer.path.name) as dataset:
        pixels: NDArray[Any] = raster.read_window(dataset, 1, inside, layer.path.name)
    whole = np.zeros(asked.shape, pixels.dtype)
    whole[inside.slices(asked)] = pixels
    return whole


def nearest(layer: Layer, base: RasterGrid, window: Window) -> NDArray[Any]:
    """A file's pixels at a window of `base`, nearest: repeated where the file is coarser, every n-th where finer."""
    step = max(layer.step, base.dx)
    around = _around(base, window, step)
    times = round(step / layer.step)
    return _repeated(_read(layer, around)[times // 2 :: times, times // 2 :: times], around, base, window)


def _repeated(values: NDArray[Any], around: _Around, base: RasterGrid, window: Window) -> NDArray[Any]:
    times = max(1, round(around.step / base.dx))
    rows = np.arange(window.row, window.row_end) // times - around.first[0]
    cols = np.arange(window.col, window.col_end) // times - around.first[1]
    return values[rows[:, None], cols[None]]
