"""From the 43 classes of BigEarthNet v1 (CORINE Land Cover 2018, level 3) to the 19 that are used, and to 0s and 1s."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData
from land_cover.labels import CLASSES

MERGED: dict[str, str | None] = {
    "Continuous urban fabric": "Urban fabric",
    "Discontinuous urban fabric": "Urban fabric",
    "Industrial or commercial units": "Industrial or commercial units",
    "Road and rail networks and associated land": None,
    "Port areas": None,
    "Airports": None,
    "Mineral extraction sites": None,
    "Dump sites": None,
    "Construction sites": None,
    "Green urban areas": None,
    "Sport and leisure facilities": None,
    "Non-irrigated arable land": "Arable land",
    "Permanently irrigated land": "Arable land",
    "Rice fields": "Arable land",
    "Vineyards": "Permanent crops",
    "Fruit trees and berry plantations": "Permanent crops",
    "Olive groves": "Permanent crops",
    "Pastures": "Pastures",
    "Annual crops associated with permanent crops": "Permanent crops",
    "Complex cultivation patterns": "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation": (
        "Land principally occupied by agriculture, with significant areas of natural vegetation"
    ),
    "Agro-forestry areas": "Agro-forestry areas",
    "Broad-leaved forest": "Broad-leaved forest",
    "Coniferous forest": "Coniferous forest",
    "Mixed forest": "Mixed forest",
    "Natural grassland": "Natural grassland and sparsely vegetated areas",
    "Moors and heathland": "Moors, heathland and sclerophyllous vegetation",
    "Sclerophyllous vegetation": "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland/shrub": "Transitional woodland, shrub",
    "Beaches, dunes, sands": "Beaches, dunes, sands",
    "Bare rock": None,
    "Sparsely vegetated areas": "Natural grassland and sparsely vegetated areas",
    "Burnt areas": None,
    "Inland marshes": "Inland wetlands",
    "Peatbogs": "Inland wetlands",
    "Salt marshes": "Coastal wetlands",
    "Salines": "Coastal wetlands",
    "Intertidal flats": None,
    "Water courses": "Inland waters",
    "Water bodies": "Inland waters",
    "Coastal lagoons": "Marine waters",
    "Estuaries": "Marine waters",
    "Sea and ocean": "Marine waters",
}
"""What each class of v1 became, None where it was dropped: Sumbul et al. 2021, "BigEarthNet-MM" (IEEE GRSM 9(3), table 2;
arXiv:2105.07921; first in Sumbul et al. 2020, arXiv:2001.06372)."""


def merged(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """Labels of v1 as those of the 19, each once, in the order of CLASSES; none where all were dropped.

    Raises CorruptData, naming `where` they were read, for a label that v1 does not know.
    """
    labels = tuple(labels)
    unknown = [label for label in labels if label not in MERGED]
    if unknown:
        raise _unknown(unknown[0], where, "the 43 classes of BigEarthNet v1")
    found = {MERGED[label] for label in labels}
    return tuple(name for name in CLASSES if name in found)


def multi_hot(labels: Iterable[str], where: str) -> NDArray[np.uint8]:
    """(19,): 1 where a class of CLASSES is among the labels, else 0.

    Raises CorruptData, naming `where` they were read, for a label that is none of them.
    """
    hot = np.zeros(len(CLASSES), np.uint8)
    for label in labels:
        if label not in CLASSES:
            raise _unknown(label, where, "the 19 classes of BigEarthNet")
        hot[CLASSES.index(label)] = 1
    return hot


def _unknown(label: str, where: str, known: str) -> CorruptData:
    return CorruptData(f"{where}: {label!r} is none of {known}; correct or remove that label, or the patch")
