"""What a net makes of patches that are read in order: for scores, normalisation and BatchNorm."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

from eo.errors import InvalidInput
from training.land_cover.data.module import Patches
from training.land_cover.data.patches import PatchSet
from training.land_cover.thresholds import Predictions


def device() -> str:
    """Where nets compute: on a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def batches(
    patches: PatchSet, *, batch: int, workers: int = 0, most: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """(reflectance (n, bands, 120, 120), labels (n, 19)), both float32, in order; `most` of them, evenly over the set.

    Raises InvalidInput where the set is empty.
    """
    if len(patches) == 0:
        raise InvalidInput(f"the {patches.split} split has 0 patches: name another folder")
    count = min(most or len(patches), len(patches))
    places = np.linspace(0, len(patches) - 1, count).round().astype(int).tolist()
    yield from DataLoader(Subset(Patches(patches), places), batch_size=batch, num_workers=workers)


class Answers(NamedTuple):
    """Predictions, and how fast they came."""

    predictions: Predictions
    per_second: float
    """Patches, their reading included."""


def predicted(net: nn.Module, patches: PatchSet, *, batch: int, workers: int = 0) -> Answers:
    """The logits of a net for all patches of a set, in float32, on a GPU where there is one; the net is on the CPU then."""
    net = net.to(device()).eval()
    since = time.monotonic()
    logits, labels = [], []
    with torch.inference_mode():
        for reflectance, true in batches(patches, batch=batch, workers=workers):
            logits.append(net(reflectance.to(device())).float().cpu())
            labels.append(true)
    net.cpu()
    pace = len(patches) / (time.monotonic() - since)
    return Answers(Predictions(patches.split, torch.cat(logits), torch.cat(labels).long()), pace)
