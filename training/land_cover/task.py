"""A step of a land-cover training, what is watched, and when the learning rate falls."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import time
import warnings
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau
from torchmetrics.classification import MultilabelAveragePrecision

from land_cover.labels import CLASSES
from training.fitting import WatchedTask
from training.land_cover.config import TrainConfig
from training.land_cover.losses import made
from training.land_cover.net import LandCoverNet

Batch = tuple[Tensor, Tensor]
"""(reflectance (n, bands, 120, 120), labels (n, 19) of 0 and 1), both float32."""
OPTIMISERS: dict[str, Any] = {
    "adamw": AdamW,
    "adam": Adam,
    "sgd": lambda groups, **told: SGD(groups, momentum=0.9, nesterov=True, **told),
}


class Task(WatchedTask[Batch]):
    """Errors of labels, from logits. `weights` (19,) are of present labels, None where the loss takes none."""

    def __init__(self, config: TrainConfig, weights: Tensor | None) -> None:
        super().__init__(learning_rate=config.learning_rate, patience=config.patience)
        self.config = config
        net = LandCoverNet(
            config.architecture,
            config.bands,
            indices=config.indices,
            size=config.size,
            upscaling=config.upscaling,
            dropout=config.dropout,
        )
        # Convolutions on a CPU are 1.5 times faster with channels last.
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._error = made(config.loss, weights=weights, focus=config.focus)
        self.precision_of = MultilabelAveragePrecision(len(CLASSES), average="macro")

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss of a batch, in float32 whatever the net computes in."""
        loss, _ = self._judged(batch)
        return loss, {"loss": loss}

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Log the loss of a batch that is held out, and keep its answers for the average precision of all."""
        loss, logits = self._judged(batch)
        self.precision_of.update(torch.sigmoid(logits), batch[1].long())
        # The last batch is a short one: means are over patches.
        self._log("val", {"loss": loss}, weight=len(logits))

    def on_validation_epoch_end(self) -> None:
        """Log the mean average precision over classes that occur, then look at the learning rate."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that some do not occur
            self.log("val_ap", self.precision_of.compute(), prog_bar=True, sync_dist=True)
        self.precision_of.reset()
        super().on_validation_epoch_end()

    def on_train_batch_start(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Draw what a step leaves out (dropout) from its number: a training that was stopped goes on as it would have.

        Not once an epoch: loaders draw numbers too, and begin at another place of the first epoch than of the next ones.
        """
        torch.manual_seed(self.config.seed + 1_000_003 * (self.global_step + 1) + 7919 * self.global_rank)

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's
        """The optimiser, without decay of biases and norms, and when its learning rate falls."""
        config = self.config
        learnt = list(self.learnt())
        groups = [
            {"params": [each for each in learnt if each.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [each for each in learnt if each.ndim <= 1], "weight_decay": 0.0},
        ]
        optimiser: Optimizer = OPTIMISERS[config.optimiser](groups, lr=config.learning_rate)
        schedule: Any = (
            ReduceLROnPlateau(optimiser, factor=0.5, patience=config.patience // 3)
            if config.schedule == "plateau"
            else LambdaLR(optimiser, config.rate_at)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}

    def _judged(self, batch: Batch) -> Batch:
        patches, labels = batch
        logits = self.net(patches.contiguous(memory_format=torch.channels_last)).float()
        return self._error(logits, labels), logits


class Pace(Callback):
    """How many patches are learnt from in a second, their loading included and validation not."""

    def __init__(self) -> None:
        self.patches, self.seconds, self._since = 0, 0.0, 0.0

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Time starts."""
        self._since = time.monotonic()

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        _module: nn.Module,
        _outputs: Any,  # noqa: ANN401 - Lightning's
        batch: Batch,
        _index: int,
    ) -> None:
        """Time up to here."""
        now = time.monotonic()
        self.patches += len(batch[0]) * trainer.world_size
        self.seconds += now - self._since
        self._since = now

    @property
    def per_second(self) -> float | None:
        """None where nothing was left to learn."""
        return self.patches / self.seconds if self.seconds else None
