"""Which patches a folder of BigEarthNet has, with their labels and splits, before any pixel is read."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput

METADATA = "metadata.parquet"
V2_FOLDER, V1_FOLDER = "BigEarthNet-S2", "BigEarthNet-v1.0"
V1_LABELS = "_labels_metadata.json"
GENERATED = "synthetic.json"
"""What the generator leaves beside the patches: their parameters and digest."""
NO_COUNTRY = "Synthetic"
"""Country of generated patches, which say so themselves where that file is not copied with them."""


@dataclass(frozen=True)
class Index:
    """Patches as columns; all have the same length."""

    source: Path
    """File or folder that says so."""
    names: list[str]
    folders: list[Path]
    """Folder of each patch's files."""
    labels: NDArray[np.uint8]
    """(patches, 19)."""
    splits: NDArray[np.str_]
    countries: list[str]
    """Empty where the data set does not say."""
    synthetic: bool

    def only(self, split: str) -> "Index":
        """Those of a split. Raises InvalidInput where there are none."""
        chosen = np.flatnonzero(self.splits == split)
        if not chosen.size:
            there = ", ".join(sorted(set(self.splits.tolist()))) or "no patch at all"
            raise InvalidInput(
                f"{self.source} has no patch of the split {split}, but of {there}: give the whole data set, or lists of splits"
            )
        return self.taken(chosen)

    def taken(self, chosen: NDArray[np.intp]) -> "Index":
        """Those of these places."""
        return replace(
            self,
            names=[self.names[at] for at in chosen],
            folders=[self.folders[at] for at in chosen],
            labels=self.labels[chosen],
            splits=self.splits[chosen],
            countries=[self.countries[at] for at in chosen],
        )


def indexed(folder: Path) -> Index:
    """The patches of a folder of BigEarthNet v2 (reBEN) or v1 as distributed.

    Raises InvalidInput where it is neither, CorruptData where its metadata cannot be read or have unknown labels.
    """
    from training.land_cover.data.reben import reben  # noqa: PLC0415 - they need this module
    from training.land_cover.data.version1 import version1  # noqa: PLC0415

    for metadata in (folder / METADATA, folder.parent / METADATA):
        if metadata.is_file() and (metadata.parent == folder or folder.name == V2_FOLDER):
            patches = metadata.parent / V2_FOLDER
            return reben(metadata, patches if patches.is_dir() else folder)
    patches = folder / V1_FOLDER if (folder / V1_FOLDER).is_dir() else folder
    if any(path.is_file() for path in patches.glob(f"*/*{V1_LABELS}")):
        return version1(patches)
    raise InvalidInput(
        f"{folder} has neither {METADATA} (BigEarthNet v2) nor patches with *{V1_LABELS} (v1), and is no converted store: "
        f"give the folder that has {METADATA} and {V2_FOLDER}"
    )
