"""Patches as distributed: one GeoTIFF for each band."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from eo.errors import CorruptData
from training.land_cover.bands import ALL, EDGE, PIXELS
from training.land_cover.data.geography import Footprints
from training.land_cover.data.index import Index
from training.land_cover.data.patches import QUANTIFICATION, Resampling, Split
from training.land_cover.data.resampling import at_ten_metres

AGAIN = "get that patch again, or leave it out"


def band_file(folder: Path, band: str) -> Path:
    """The file of a band of the patch whose folder this is."""
    return folder / f"{folder.name}_{band}.tif"


def read_dn(folder: Path, bands: Sequence[str], resampling: Resampling) -> NDArray[np.uint16]:
    """(bands, 120, 120): digital numbers of a patch at 10 m.

    Raises CorruptData, naming the file, where one is missing, cannot be decoded or is not of its band's size.
    """
    made = np.empty((len(bands), EDGE, EDGE), np.uint16)
    for number, band in enumerate(bands):
        made[number] = at_ten_metres(_read(band_file(folder, band), PIXELS[band]), resampling)
    return made


def _read(path: Path, edge: int) -> NDArray[np.uint16]:
    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            if (dataset.count, dataset.shape, dataset.dtypes[0]) != (1, (edge, edge), "uint16"):
                raise CorruptData(
                    f"{path} has {dataset.count} bands of {dataset.shape} pixels of {dataset.dtypes[0]}, "
                    f"not one of ({edge}, {edge}) of uint16: {AGAIN}"
                )
            values: NDArray[np.uint16] = dataset.read(1)
            return values
    except (RasterioError, OSError) as error:
        if not path.exists():
            raise CorruptData(f"{path} is missing: {AGAIN}, or choose bands that all patches have") from error
        raise CorruptData(f"{path} cannot be read ({error}): {AGAIN}") from error


def footprint(folder: Path) -> tuple[int, int, int, int, int]:
    """(EPSG code, left, bottom, right, top) of a patch, as its smallest file says. Raises CorruptData."""
    path = next(
        (file for band in reversed(ALL) if (file := band_file(folder, band)).exists()), band_file(folder, "B02")
    )
    try:
        with rasterio.open(path, driver="GTiff") as dataset:
            code = dataset.crs.to_epsg() if dataset.crs else None
            if code is None:
                raise CorruptData(f"{path} does not say where it lies: {AGAIN}")
            left, bottom, right, top = (round(edge) for edge in dataset.bounds)
            return code, left, bottom, right, top
    except (RasterioError, OSError) as error:
        raise CorruptData(f"{path} cannot be read ({error}): {AGAIN}") from error


def footprints(index: Index) -> Footprints:
    """Where the patches of an index lie. Raises CorruptData, naming the file."""
    return Footprints(np.array([footprint(folder) for folder in index.folders], np.int64).reshape(-1, 5))


class TiffPatches:
    """A split of a folder as distributed; see `patches.PatchSet`."""

    def __init__(self, index: Index, split: Split, bands: tuple[str, ...], resampling: Resampling) -> None:
        """Raises InvalidInput where the split is empty."""
        self._index, self._resampling = index.only(split), resampling
        self.split, self.bands = split, bands
        self.names, self.labels, self.synthetic = self._index.names, self._index.labels, index.synthetic
        self.countries = self._index.countries

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> NDArray[np.float32]:
        """(bands, 120, 120) reflectance. Raises CorruptData, naming the file."""
        dn = read_dn(self._index.folders[index], self.bands, self._resampling)
        return dn.astype(np.float32) / np.float32(QUANTIFICATION)

    def footprints(self) -> Footprints:
        """Where they lie: one file of each is opened."""
        return footprints(self._index)
