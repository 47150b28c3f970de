"""Rasters that `eo-shards run atmospheric-correction` has made, as what comparisons read."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.item import QUALITY_FILE, SURFACE
from atmospheric_correction.quality import CORRECTED, FALLBACK
from eo.errors import CorruptData, EoShardsError
from eo.grid import RasterGrid, Window
from eo.sources import raster

GOOD = (CORRECTED, FALLBACK)
"""Codes of quality whose reflectance is meant to be right."""


@dataclass(frozen=True)
class Result:
    """`surface_reflectance.tif` with `quality.tif` beside it."""

    path: Path
    grid: RasterGrid
    bands: dict[str, tuple[int, float, float]]
    """(number in the file from 1, scale, offset) by band: reflectance = DN scale + offset."""
    nodata: float
    scenes: tuple[tuple[str, datetime], ...]
    """(id, time) of the scenes that it is of."""
    model: str
    """Name of the corrector."""

    def read(self, band: str, window: Window) -> NDArray[np.float32]:
        """Surface reflectance of a window of its grid, NaN where there is none. Raises CorruptData."""
        number, scale, offset = self.bands[band]
        with raster.opened(str(self.path), name=self.path.name) as dataset:
            dn: NDArray[Any] = raster.read_window(dataset, number, window, self.path.name)
        values = (dn * scale + offset).astype(np.float32)
        values[dn == self.nodata] = np.nan
        return values

    def good(self, window: Window) -> NDArray[np.bool_]:
        """Where the quality says that the ground was corrected. Raises CorruptData."""
        path = self.path.with_name(QUALITY_FILE)
        with raster.opened(str(path), name=path.name) as dataset:
            return np.isin(raster.read_window(dataset, 1, window, path.name), GOOD)


def results(folder: Path) -> tuple[list[Result], list[str]]:
    """(all results below a folder in order of their paths, a line for each that cannot be used)."""
    found, reports = [], []
    for path in sorted(folder.rglob(SURFACE)):
        try:
            found.append(_described(path))
        except (EoShardsError, OSError) as error:
            reports.append(f"{path}: {error}")
    return found, reports


def _described(path: Path) -> Result:
    with raster.opened(str(path), name=path.name) as dataset:
        grid = raster.inspect(dataset, path.name).grid
        names = [name or "" for name in dataset.descriptions]
        bands = {
            name: (index + 1, dataset.scales[index], dataset.offsets[index])
            for index, name in enumerate(names)
            if name.startswith("B")
        }
        tags, nodata = dataset.tags(), dataset.nodata
    quality = path.with_name(QUALITY_FILE)
    with raster.opened(str(quality), name=quality.name) as dataset:
        if (dataset.height, dataset.width) != (grid.height, grid.width):
            raise CorruptData(f"{quality.name} has other pixels than {path.name}; correct the scene again")
    scenes = []
    for text in tags.get("SCENES", "").split("; "):
        name, _, moment = text.partition(" ")
        try:
            time = datetime.fromisoformat(moment)
        except ValueError:
            raise CorruptData(
                f"its SCENES {tags.get('SCENES', '')!r} are no ids with times; correct the scene again"
            ) from None
        scenes.append((name, time if time.tzinfo else time.replace(tzinfo=UTC)))
    if not bands:
        raise CorruptData(f"its bands are called {names}, none is B02, B03, ...; correct the scene again")
    model = tags.get("MODEL", "corrected").split()[0]
    return Result(path, grid, bands, 0 if nodata is None else nodata, tuple(scenes), model)
