"""Sets of a few patches in memory, whose labels can be learnt in a few steps, in the place of folders."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.land_cover.data import module
from training.land_cover.data.patches import Resampling, Split

SEEDS: dict[Split, int] = {"train": 0, "validation": 1, "test": 2}
SIZES: dict[Split, int] = {"train": 32, "validation": 16, "test": 16}


class TinySet:
    """Each class that is there brightens a band, or roughens it."""

    def __init__(
        self, split: Split, bands: tuple[str, ...], *, synthetic: bool = True, size: int | None = None
    ) -> None:
        draw = np.random.default_rng(SEEDS[split])
        count = SIZES[split] if size is None else size
        self.split, self.bands, self.synthetic = split, bands, synthetic
        self.names = [f"{split}-{place}" for place in range(count)]
        self.labels: NDArray[np.uint8] = (draw.random((count, len(CLASSES))) < 0.3).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> NDArray[np.float32]:
        patch = np.random.default_rng((SEEDS[self.split], index)).normal(0.3, 0.02, (len(self.bands), 120, 120))
        for place in np.flatnonzero(self.labels[index]):
            twice, band = divmod(place, len(self.bands))
            patch[band, :: twice + 1] += 0.1
            patch[band, 1 :: twice + 1] -= 0.1 * twice
        return patch.astype(np.float32)


def put(monkeypatch: pytest.MonkeyPatch, *, synthetic: bool = True, empty: Split | None = None) -> None:
    """From now on such sets are what any folder holds; one named "missing" holds nothing."""

    def opened(folder: Path, split: Split, bands: tuple[str, ...], _resampling: Resampling) -> TinySet:
        if folder.name == "missing":
            raise InvalidInput(f"{folder} is no folder: give another")
        return TinySet(split, bands, synthetic=synthetic, size=0 if split == empty else None)

    monkeypatch.setattr(module, "opened", opened)
