"""Training of `unet-efficientnet-b2` on simulated patches, pairs of real products, or both."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import datetime as dt
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor
from torch.utils.data import DataLoader

from eo.errors import InvalidInput
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.unet import UNet
from training.atmospheric_correction.unet_config import UNetConfig
from training.atmospheric_correction.unet_patches import (
    EDGE,
    Batch,
    Batches,
    Patches,
    Real,
    Simulated,
    Source,
    make_grounds,
)
from training.fitting import LAST, WatchedTask, fitted

VALIDATION = 8
"""Batches, always the same, of grounds and air of seeds of their own."""
HELD_PATCHES = 12
HELD_GROUNDS = 192
STARTING = 24
"""Batches from which normalisation and line are taken."""

Pairs = tuple[Patches, Patches]
"""Patches of real products to train on, and such of other places."""


class Task(WatchedTask[Batch]):
    """Errors of the ground's reflectance, pixel by pixel."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(learning_rate=config.learning_rate, patience=config.patience)
        # Convolutions on a CPU are 1.5 times faster with channels last.
        self.net = UNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Error of the ground's reflectance in hundredths: squared where small, straight beyond 0.02."""
        error = self.net(batch.toa.contiguous(memory_format=torch.channels_last)) - batch.rho
        robust = torch.nn.functional.smooth_l1_loss(100 * error, torch.zeros_like(error), beta=2.0, reduction="none")
        count = torch.clamp(3 * batch.known.sum(), min=1.0)
        loss = (robust * batch.known).sum() / count
        rmse = torch.sqrt((error.detach() ** 2 * batch.known).sum() / count)
        return loss, {"loss": loss, "rmse": rmse}


def sources(
    config: UNetConfig, emulator: Emulator, folder: Path, pairs: Pairs | None
) -> tuple[list[Source], list[Source]]:
    """(what is trained on, what is held out), in the order in which batches are taken from them.

    `pairs` are real patches to train on and such of other places. Simulated grounds are kept below `folder`. Raises
    InvalidInput where the configuration asks for pairs and there are none, or where they are smaller than the crop.
    """
    train: list[Source] = []
    held: list[Source] = []
    if config.data != "pairs":
        for put, seed, count, patches, crop in (
            (train, config.seed, config.grounds, config.batch, config.crop),
            (held, config.seed + 1, min(HELD_GROUNDS, config.grounds), HELD_PATCHES, EDGE),
        ):
            files = make_grounds(folder / "grounds", seed=seed, count=count, workers=config.workers)
            put.append(Simulated(files, emulator, seed=seed, patches=patches, crop=crop))
    if config.data != "simulated":
        counts = (0, 0) if pairs is None else tuple(map(len, pairs))
        if pairs is None or not all(counts):
            raise InvalidInput(
                f"data is {config.data}, which needs at least 1 patch of real pairs to train on and 1 to hold out, and there "
                f"are {counts[0]} and {counts[1]}: give folders with products of more tiles (--pairs), or --data simulated"
            )
        for put, part, seed, patches in (
            (train, pairs[0], config.seed, config.batch),
            (held, pairs[1], config.seed + 1, HELD_PATCHES),
        ):
            put.append(Real(part, seed=seed, patches=patches, crop=config.crop))
    return train, held


def train(
    config: UNetConfig, emulator: Emulator, folder: Path, pairs: Pairs | None = None
) -> tuple[UNet, dict[str, Any]]:
    """(the net with its best weights, how it went). Goes on from the last checkpoint in `folder` where there is one."""
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    seen, held = sources(config, emulator, folder, pairs)
    task = Task(config)
    last = folder / LAST
    done = torch.load(last, weights_only=False)["global_step"] if last.exists() else 0
    if not done:
        task.net.start([each.batch(number) for each in seen for number in range(STARTING)])
    limits = [Timer(dt.timedelta(minutes=config.minutes), interval="epoch", verbose=False)] if config.minutes else []
    how = fitted(
        task,
        config,
        folder,
        log_every=min(25, config.steps),
        seen=DataLoader(Batches(seen, count=config.steps, start=done), batch_size=None),
        held=[each.batch(number) for each in held for number in range(VALIDATION)],
        limits=limits,
    )
    return task.net.to(memory_format=torch.contiguous_format).eval(), how  # type: ignore[call-overload]
