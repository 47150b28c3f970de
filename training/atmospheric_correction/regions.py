"""Means of products over a small square on the ground."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError

from eo.errors import EoShardsError, InvalidInput
from eo.grid import RasterGrid, Window
from plan.safe_catalog import products
from training.atmospheric_correction.corrected import Result, results
from training.atmospheric_correction.pairs.find import Side, read_side
from training.atmospheric_correction.pairs.reading import GROUND, nearest, reflectance
from training.atmospheric_correction.stations import AOT


@dataclass(frozen=True)
class Region:
    """A square around a place, along the axes of the product's CRS."""

    lon: float
    lat: float
    size: float
    """Metres along its edge."""

    def window(self, grid: RasterGrid) -> Window | None:
        """The pixels whose centres are inside, also where they are beyond the grid; None without any, or elsewhere."""
        try:
            x, y = Transformer.from_crs("OGC:CRS84", grid.crs, always_xy=True).transform(
                self.lon, self.lat, errcheck=True
            )
        except ProjError:
            return None
        half = self.size / 2
        col, col_end = (math.ceil((x + side - grid.x) / grid.dx - 0.5) for side in (-half, half))
        row, row_end = (math.ceil((grid.y - y + side) / grid.dy - 0.5) for side in (-half, half))
        if col >= col_end or row >= row_end:
            return None
        window = Window(col, row, col_end - col, row_end - row)
        return None if window.intersection(grid.window) is None else window


@dataclass(frozen=True)
class Mean:
    """Of a region's good pixels."""

    value: float
    share: float
    """Of the region's pixels that are good."""
    n: int
    """Good pixels."""


@dataclass(frozen=True)
class Product:
    """Something that has values at places and one time."""

    name: str
    kind: str
    """L1C, L2A, or the name of the corrector."""
    time: datetime
    source: Side | Result

    def mean(self, quantity: str, region: Region) -> Mean | None:
        """Mean of a band's reflectance, or of AOT, over a region; None where it has none there. Raises CorruptData."""
        source = self.source
        if isinstance(source, Result):
            if quantity not in source.bands:
                return None
            window = region.window(source.grid)
            inside = None if window is None else window.intersection(source.grid.window)
            if window is None or inside is None:
                return None
            return _mean(source.read(quantity, inside), source.good(inside), window)
        layer = source.layers.get("AOT" if quantity == AOT else quantity)
        window = None if layer is None else region.window(layer.grid)
        inside = None if layer is None or window is None else window.intersection(layer.grid.window)
        if layer is None or window is None or inside is None:
            return None
        good = np.ones(inside.shape, bool)
        if "SCL" in source.layers:
            good = np.isin(nearest(source.layers["SCL"], layer.grid, inside), GROUND)
        if quantity == AOT:
            dn = nearest(layer, layer.grid, inside)
            values = np.where(dn > 0, dn / np.float32(source.aot_quantification), np.float32("nan"))
        else:
            values = reflectance(source, quantity, layer.grid, inside, layer.step)
        return _mean(values, good, window)


def _mean(values: NDArray[np.floating], good: NDArray[np.bool_], whole: Window) -> Mean | None:
    good = good & np.isfinite(values)
    n = int(good.sum())
    return Mean(float(values[good].mean(dtype=np.float64)), n / whole.pixels, n) if n else None


def found(folder: Path, quantities: Sequence[str]) -> tuple[list[Product], list[str]]:
    """(SAFE products and corrected rasters below a folder, a line for each that cannot be used).

    Raises InvalidInput where there is no such folder.
    """
    if not folder.is_dir():
        raise InvalidInput(f"products folder {folder} does not exist; name one with .SAFE products or results")
    made, reports = results(folder)
    listed: list[Product] = []
    for result in made:
        if len(result.scenes) > 1:
            reports.append(
                f"{result.path}: made of {len(result.scenes)} scenes, its time is unclear; correct one alone"
            )
            continue
        name, time = result.scenes[0]
        listed.append(Product(name, result.model, time, result))
    bands = [name for name in quantities if name != AOT]
    for path in products(folder):
        try:
            side = read_side(path, bands, partial=True)
        except (EoShardsError, OSError) as error:
            reports.append(f"{path.name}: {error}")
            continue
        listed.append(Product(side.name, side.meta.level, side.tile.sensed, side))
    return listed, reports
