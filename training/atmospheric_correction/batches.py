"""Batches of one kind or of several in turn, so that training resumes exactly."""

from collections.abc import Iterator
from typing import Protocol

from torch.utils.data import IterableDataset

from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.pairs.coarse import coarse_sets
from training.atmospheric_correction.pairs.config import PairConfig, Split
from training.atmospheric_correction.pairs.splits import SPLITS
from training.atmospheric_correction.pixelsets import Batch, PixelSets


class Numbered(Protocol):
    """Batches by number."""

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        ...


class Batches(IterableDataset[Batch]):
    """Endless batches of the sources in turn, from number `start` on."""

    def __init__(self, sources: list[Numbered], *, start: int = 0) -> None:
        self._sources, self._next = sources, start

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield self.batch(self._next)
            self._next += 1

    def from_number(self, number: int) -> "Batches":
        """The same from another number on."""
        return Batches(self._sources, start=number)

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        turn, which = divmod(number, len(self._sources))
        return self._sources[which].batch(turn)


def batches(config: TrainConfig, emulator: Emulator, split: Split) -> Batches:
    """What a training reads of a split: simulated scenes of a seed of its own, real ones of other tiles.

    Raises InvalidInput where a folder or DEM of real pairs cannot be used, NothingFound where no pair is usable.
    """
    sources: list[Numbered] = []
    scenes = config.batch if split == "train" else 64
    if config.data != "pairs":
        seed = config.seed + SPLITS.index(split)
        sources.append(PixelSets(emulator, seed=seed, scenes=scenes))
    if config.data != "simulated":
        real = PairConfig(folders=config.pairs, split=split, dem=config.dem, seed=config.seed)
        sources.append(coarse_sets(real, scenes=scenes))
    return Batches(sources)
