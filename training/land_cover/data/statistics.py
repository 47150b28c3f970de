"""What a split is like: how often classes are there, which of them together, and how bright its bands are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.land_cover.data.patches import PatchSet

SAMPLE = 2048
"""Patches from which means of bands are found, at most: 29 million pixels for each band."""
BINS, BRIGHTEST = 100, 0.6
"""Of histograms, in reflectance."""


def frequencies(labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(classes,): share of the patches that have each class; `labels` is (patches, classes) of 0 and 1."""
    shares: NDArray[np.float64] = labels.mean(0, dtype=np.float64)
    return shares


def cooccurrence(labels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(classes, classes): patches that have both, on the diagonal those that have one."""
    wide = labels.astype(np.int64)
    return wide.T @ wide


@dataclass(frozen=True)
class BandStatistics:
    """Of all pixels of some patches, in reflectance."""

    mean: NDArray[np.float64]
    """(bands,)."""
    std: NDArray[np.float64]
    histogram: NDArray[np.int64]
    """(bands, BINS) pixels over reflectance 0 to BRIGHTEST; what lies beyond counts at the ends."""
    patches: int


def band_statistics(patches: PatchSet, most: int = SAMPLE) -> BandStatistics:
    """Mean, deviation and histogram of each band over at most `most` patches, evenly over the set.

    Raises CorruptData, naming the file, where a patch cannot be read.
    """
    places = np.unique(np.linspace(0, len(patches) - 1, min(most, len(patches))).round().astype(int))
    bands = len(patches.bands)
    total, square = np.zeros((2, bands))
    histogram = np.zeros((bands, BINS), np.int64)
    for place in places:
        values = patches.read(int(place)).reshape(bands, -1).astype(np.float64)
        total += values.mean(1)
        square += (values**2).mean(1)
        bins = np.clip(values * (BINS / BRIGHTEST), 0, BINS - 1).astype(np.intp)
        histogram += np.stack([np.bincount(row, minlength=BINS) for row in bins])
    mean = total / len(places)
    std = np.sqrt(np.maximum(square / len(places) - mean**2, 0))
    return BandStatistics(mean, std, histogram, len(places))
