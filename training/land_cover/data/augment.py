"""What is done to a training patch: drawn for it alone, from the seed, the epoch and its place in the split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.land_cover.data.config import DataConfig

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """The choices of a training; each can be left out."""

    config: DataConfig
    means: Floats
    """(bands,) reflectance that takes the place of a band that is dropped."""

    def __call__(self, patch: Floats, rng: np.random.Generator) -> Floats:
        """(bands, rows, columns) from the same; `patch` itself stays as it is."""
        config = self.config
        if config.flips:
            patch = flipped(patch, rng)
        if config.rotations:
            patch = np.rot90(patch, int(rng.integers(4)), (1, 2))
        if config.crop:
            patch = moved(patch, config.crop, rng)
        if config.jitter:
            patch = jittered(patch, config.jitter, rng)
        if config.band_dropout:
            patch = dropped(patch, config.band_dropout, self.means, rng)
        return np.ascontiguousarray(patch, np.float32)


def flipped(patch: Floats, rng: np.random.Generator) -> Floats:
    """Each direction for half of the patches."""
    down, across = np.where(rng.random(2) < 0.5, -1, 1)
    return patch[:, ::down, ::across]


def moved(patch: Floats, most: int, rng: np.random.Generator) -> Floats:
    """A window of the patch's own size, up to `most` pixels off in each direction; beyond its edge it is mirrored."""
    down, right = rng.integers(-most, most + 1, 2)
    rows, cols = (
        _mirrored(np.arange(size) + by, size) for size, by in zip(patch.shape[1:], (down, right), strict=True)
    )
    return patch[:, rows[:, None], cols[None]]


def _mirrored(at: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Places off the ends as their mirror images about the last pixels."""
    back = np.abs(at)
    return np.where(back >= size, 2 * (size - 1) - back, back)


def jittered(patch: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """Times a gain for all bands and one for each, both lognormal."""
    gains = np.exp(rng.normal(0, deviation) + rng.normal(0, deviation, len(patch)))
    return patch * gains[:, None, None].astype(np.float32)


def dropped(patch: Floats, chance: float, means: Floats, rng: np.random.Generator) -> Floats:
    """Bands replaced by their means, never all of them."""
    gone = rng.random(len(patch)) < chance
    if gone.all():
        gone[rng.integers(len(patch))] = False
    return np.where(gone[:, None, None], means[:, None, None], patch)
