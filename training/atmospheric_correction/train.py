"""Training of `atmosphere-field` on simulated pixel sets, coarse pixels of real products, or both."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from atmospheric_correction.air import SCALE_HEIGHT
from training.atmospheric_correction.batches import batches
from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.net import AtmosphereField, invert
from training.atmospheric_correction.pixelsets import Batch
from training.fitting import WatchedTask, fitted

VALIDATION = 12
"""Batches, always the same, of a seed of their own."""
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 0.5])
"""Of the corrected bands in the loss."""


class Task(WatchedTask[Batch]):
    """Errors of the ground under the air that the net finds."""

    def __init__(self, config: TrainConfig, emulator: Emulator) -> None:
        super().__init__(learning_rate=config.learning_rate, patience=config.patience)
        self.net = AtmosphereField(config.variant, emulator.float())
        self._batches = batches(config, emulator, "train")

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of one epoch, made anew for each: they depend on the steps done, so a training resumes exactly."""
        return DataLoader(self._batches.from_number(self.trainer.global_step), batch_size=None)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Error of the ground's reflectance in hundredths, and the likelihood of the errors under the sigma."""
        error, log_sigma, known, aot = errors(self.net, batch)
        # A scene counts as much as another, whatever it has of pixels.
        size = torch.clamp(known.sum(1), min=1.0)
        weights = WEIGHTS.to(error)
        robust = torch.nn.functional.smooth_l1_loss(100 * error, torch.zeros_like(error), beta=4.0, reduction="none")
        off = ((robust * known).sum(1) / size * weights).mean()
        square = ((error.detach() ** 2) * known).sum(1) / size + 1e-7
        doubt = (log_sigma + 0.5 * square * torch.exp(-2 * log_sigma)).mean()
        # Real pairs may not know their AOT.
        thick = torch.nan_to_num((torch.log(aot) - torch.log(batch.aot[::2])).abs()).mean()
        loss = off + 0.03 * thick + 0.02 * doubt
        rmse = torch.sqrt(torch.clamp(square[:, :3], max=0.0025).mean())
        inside = ((error.detach().abs() < torch.exp(log_sigma)[:, None]) * known).sum() / (known.sum() * 4 + 1e-9)
        return loss, {"loss": loss, "rmse": rmse, "aot": thick, "inside": inside}


def errors(net: AtmosphereField, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What the net makes of the neighbourhoods of a batch.

    (error of the corrected bands (scenes, pixels, corrected), log of sigma (scenes, corrected), which pixels count
    (scenes, pixels, 1), AOT (scenes,)).
    """
    rows = batch.toa.shape[0]
    near = torch.eye(rows, device=batch.toa.device)
    scene = torch.block_diag(*[torch.ones(2, 2, device=batch.toa.device)] * (rows // 2))
    aot, mix, log_sigma = net.retrieve(
        batch.toa[..., net.read], batch.valid, batch.heights, near, scene, *batch.state.values()
    )
    here = slice(0, None, 2)
    altitude = (batch.heights * batch.valid).sum(1) / batch.valid.sum(1)
    told = {name: values[here] for name, values in batch.state.items()}
    said = net.emulator(aot=aot[here], altitude=altitude[here], mix=mix[here], **told)
    optics = [each[:, None][..., net.corrected] for each in said]
    # The air thins out with the pixels' own heights.
    rise = torch.exp(-(batch.heights[here] - altitude[here, None]) / SCALE_HEIGHT)[..., None]
    optics[0] = optics[0] * rise
    found = invert(batch.toa[here][..., net.corrected], batch.env[here][..., net.corrected], optics)
    return found - batch.rho[here][..., net.corrected], log_sigma[here], batch.clean[here][..., None], aot[here]


def train(config: TrainConfig, emulator: Emulator, folder: Path) -> tuple[AtmosphereField, dict[str, Any]]:
    """(the net with its best weights, how it went). Goes on from the last checkpoint in `folder` where there is one."""
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    task = Task(config, emulator)
    held = batches(config, emulator, "validation")
    how = fitted(
        task,
        config,
        folder,
        log_every=min(25, config.steps),
        held=[held.batch(number) for number in range(VALIDATION)],
        limit_train_batches=config.steps,
        reload_dataloaders_every_n_epochs=1,
    )
    return task.net.eval(), how
