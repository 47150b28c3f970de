"""The index of BigEarthNet v1: a folder for each patch, with its labels of 43 classes in `<patch>_labels_metadata.json`.

The archive has no split. Lists of patch names do (train.csv, val.csv or validation.csv, test.csv, as published with the
19 classes); without them it is by geography (`geography.block_splits`). Patches that the archive's own lists name
as covered by seasonal snow, clouds or shadow are left out, and those of which no class is among the 19.
"""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData, InvalidInput
from training.land_cover.data.geography import Footprints, block_splits
from training.land_cover.data.index import V1_LABELS, Index
from training.land_cover.data.patches import SPLITS
from training.land_cover.labels import merged, multi_hot

LISTS = {"train": ("train.csv",), "validation": ("validation.csv", "val.csv"), "test": ("test.csv",)}
SPOILT = ("patches_with_seasonal_snow.csv", "patches_with_cloud_and_shadow.csv")
EPSG = re.compile(r'AUTHORITY\["EPSG", *"(\d+)"\]\]\s*$')
AGAIN = "get that patch of BigEarthNet v1 again, or remove its folder"


def version1(patches: Path) -> Index:
    """The index of a folder of patches. Raises CorruptData, naming the file, and InvalidInput where lists overlap."""
    spoilt = {name for file in SPOILT for place in (patches, patches.parent) for name in _listed(place / file)}
    names, labels, corners = [], [], []
    for folder in sorted(path for path in patches.iterdir() if path.is_dir()):
        file = folder / f"{folder.name}{V1_LABELS}"
        if folder.name in spoilt or not any(folder.iterdir()):
            continue
        said, corner = _read(file)
        kept = merged(said, str(file))
        if kept:
            names.append(folder.name)
            labels.append(multi_hot(kept, str(file)))
            corners.append(corner)
    found = Index(
        source=patches,
        names=names,
        folders=[patches / name for name in names],
        labels=np.stack(labels) if labels else np.zeros((0, 19), np.uint8),
        splits=_splits(patches, names, Footprints(np.array(corners, np.int64).reshape(-1, 5))),
        countries=[""] * len(names),
        synthetic=False,
    )
    return found.taken(np.flatnonzero(found.splits != ""))


def _read(file: Path) -> tuple[list[str], tuple[int, ...]]:
    """(labels, (EPSG code, left, bottom, right, top)) of a patch."""
    try:
        said: dict[str, Any] = json.loads(file.read_text("utf-8"))
        labels, at = said["labels"], said["coordinates"]
        code = EPSG.findall(said["projection"])[0]
        return [str(label) for label in labels], (int(code), *(int(at[key]) for key in ("ulx", "lry", "lrx", "uly")))
    except OSError as error:
        raise CorruptData(f"{file} cannot be read ({error.strerror}): {AGAIN}") from error
    except (ValueError, LookupError, TypeError) as error:
        raise CorruptData(f"{file} has no labels, coordinates and projection ({error!r}): {AGAIN}") from error


def _splits(patches: Path, names: list[str], footprints: Footprints) -> NDArray[np.str_]:
    """The split of each patch, "" for those of none."""
    lists = {split: _found(patches, LISTS[split]) for split in SPLITS}
    if not any(lists.values()):
        return block_splits(footprints)
    of: dict[str, str] = {}
    for split, listed in lists.items():
        for name in listed:
            if of.setdefault(name, split) != split:
                raise InvalidInput(f"{patches}: {name} is listed in {of[name]} and in {split}: remove it from one list")
    return np.array([of.get(name, "") for name in names], np.str_)


def _found(patches: Path, files: tuple[str, ...]) -> set[str]:
    return {name for file in files for place in (patches, patches.parent) for name in _listed(place / file)}


def _listed(file: Path) -> set[str]:
    """Patch names in the first column of a list without a header; none where there is no such file."""
    if not file.is_file():
        return set()
    with file.open(newline="", encoding="utf-8") as text:
        return {row[0].strip() for row in csv.reader(text) if row and row[0].strip()}
