"""Batches of patches for Lightning, in an order and with augmentations that a training can go on from exactly."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from collections.abc import Iterator
from functools import cached_property

import lightning
import numpy as np
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from training.land_cover.data.augment import Augmentation
from training.land_cover.data.config import DataConfig
from training.land_cover.data.patches import PatchSet, Split, opened
from training.land_cover.data.statistics import BandStatistics, band_statistics

Pair = tuple[Tensor, Tensor]
"""(reflectance (bands, 120, 120), labels (19,)), both float32; with a dimension more for a batch."""


class Patches(Dataset[Pair]):
    """A split as it is."""

    def __init__(self, patches: PatchSet) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, index: int) -> Pair:
        return _pair(self.patches.read(index), self.patches.labels[index])


class Augmented(Dataset[Pair]):
    """The training split, each patch changed by what its seed, epoch and place draw: equal whichever process reads it."""

    def __init__(self, patches: PatchSet, augmentation: Augmentation) -> None:
        self.patches, self._augmentation = patches, augmentation

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, at: tuple[int, int]) -> Pair:
        epoch, index = at
        rng = np.random.default_rng((self._augmentation.config.seed & 0xFFFFFFFF, epoch, index))
        return _pair(self._augmentation(self.patches.read(index), rng), self.patches.labels[index])


def _pair(reflectance: np.ndarray, labels: np.ndarray) -> Pair:
    return torch.from_numpy(reflectance), torch.from_numpy(labels.astype(np.float32))


class Shuffled(DistributedSampler[tuple[int, int]]):
    """(epoch, place) of all patches of an epoch in an order of its own, and of one process where there are several.

    Lightning sets the epoch, at a resumption too, and leaves a DistributedSampler as it is.
    """

    def __init__(self, dataset: Augmented, seed: int) -> None:
        several = distributed.is_available() and distributed.is_initialized()
        processes, own = (distributed.get_world_size(), distributed.get_rank()) if several else (1, 0)
        super().__init__(dataset, num_replicas=processes, rank=own, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((self.epoch, index) for index in super().__iter__())


class LandCoverData(lightning.LightningDataModule):
    """The three splits of a folder. Only training is shuffled and augmented."""

    def __init__(self, config: DataConfig) -> None:
        super().__init__()
        self.config = config
        self._sets: dict[Split, PatchSet] = {}

    def patches(self, split: Split) -> PatchSet:
        """A split, opened once. Raises what `patches.opened` raises."""
        if split not in self._sets:
            config = self.config
            self._sets[split] = opened(config.folder, split, config.bands, config.resampling)
        return self._sets[split]

    @property
    def synthetic(self) -> bool:
        """Whether the patches are generated."""
        return self.patches("train").synthetic

    @cached_property
    def statistics(self) -> BandStatistics:
        """Mean and deviation of the bands, of training patches alone."""
        return band_statistics(self.patches("train"))

    def train_dataloader(self) -> DataLoader[Pair]:
        """Shuffled and augmented; the last patches of an epoch that make no batch wait for another."""
        # The pass over patches is for those who drop bands only.
        bands = len(self.config.bands)
        means = self.statistics.mean.astype(np.float32) if self.config.band_dropout else np.zeros(bands, np.float32)
        data = Augmented(self.patches("train"), Augmentation(self.config, means))
        # A split that is smaller than a batch still makes one.
        return self._loader(data, sampler=Shuffled(data, self.config.seed), drop_last=len(data) >= self.config.batch)

    def val_dataloader(self) -> DataLoader[Pair]:
        """In order, as they are."""
        return self._loader(Patches(self.patches("validation")))

    def test_dataloader(self) -> DataLoader[Pair]:
        """In order, as they are."""
        return self._loader(Patches(self.patches("test")))

    def _loader(
        self, data: Dataset[Pair], *, sampler: Shuffled | None = None, drop_last: bool = False
    ) -> DataLoader[Pair]:
        workers = self.config.workers
        return DataLoader(
            data,
            batch_size=self.config.batch,
            sampler=sampler,
            drop_last=drop_last,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )
