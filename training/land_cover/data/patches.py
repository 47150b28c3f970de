"""What every source of patches is, and the way to the right one."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput

if TYPE_CHECKING:
    from training.land_cover.data.geography import Footprints

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Resampling = Literal["nearest", "bilinear", "bicubic"]
QUANTIFICATION = 10_000.0
"""DN of reflectance 1. BigEarthNet's patches, of v1 and v2, have no offset."""


class PatchSet(Protocol):
    """The patches of a split."""

    names: list[str]
    labels: NDArray[np.uint8]
    """(patches, 19): 0 or 1, in the order of CLASSES."""
    split: Split
    bands: tuple[str, ...]
    synthetic: bool
    """Whether they are generated: what is trained on them is a demonstration."""

    def __len__(self) -> int:
        """Patches."""
        ...

    def read(self, index: int) -> NDArray[np.float32]:
        """(bands, 120, 120): surface reflectance, not clipped. Raises CorruptData, naming the file."""
        ...


class PlacedPatches(PatchSet, Protocol):
    """Patches that say where they lie, as all that come from a folder do."""

    countries: list[str]
    """By patch; empty where the data set does not say."""

    def footprints(self) -> "Footprints":
        """Their ground. Raises CorruptData, naming the file."""
        ...


def opened(folder: Path, split: Split, bands: tuple[str, ...], resampling: Resampling) -> PlacedPatches:
    """The patches of a split in a folder: of BigEarthNet v2 or v1 as distributed, or converted to Zarr.

    Raises InvalidInput where the folder is none of them, has no patch of the split, or was converted by another
    resampling; CorruptData where its index cannot be read or has unknown labels.
    """
    from training.land_cover.data.archive import ZarrPatches, is_archive  # noqa: PLC0415 - they need this module
    from training.land_cover.data.geotiff import TiffPatches  # noqa: PLC0415
    from training.land_cover.data.index import indexed  # noqa: PLC0415

    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder: give that of BigEarthNet-S2, or one that was converted from it")
    if is_archive(folder):
        return ZarrPatches(folder, split, bands, resampling)
    return TiffPatches(indexed(folder), split, bands, resampling)
