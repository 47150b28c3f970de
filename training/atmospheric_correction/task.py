"""What trainings have in common: how a step is done and watched, and when the learning rate falls."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import lightning
import torch
from torch import Tensor, nn

Batch = TypeVar("Batch")


class WatchedTask(lightning.LightningModule, Generic[Batch]):
    """A step is its loss; AdamW, slower where the held-out loss stands still."""

    def __init__(self, *, learning_rate: float, patience: int) -> None:
        super().__init__()
        self._learning_rate, self._patience = learning_rate, patience

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """(loss of a batch, what is shown and logged: "loss" among it)."""
        raise NotImplementedError

    def learnt(self) -> Iterable[nn.Parameter]:
        """What is fitted."""
        return (each for each in self.parameters() if each.requires_grad)

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of a batch."""
        loss, seen = self.loss(batch)
        self.log_dict({f"train_{name}": value for name, value in seen.items()}, prog_bar=True, batch_size=1)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Log the loss of a batch that is held out."""
        _, seen = self.loss(batch)
        self.log_dict({f"val_{name}": value for name, value in seen.items()}, prog_bar=True, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Look at the learning rate now: Lightning would after the checkpoint, which then knew nothing of this epoch."""
        scheduler: Any = self.lr_schedulers()
        scheduler.step(self.trainer.callback_metrics["val_loss"])

    def lr_scheduler_step(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Nothing: see on_validation_epoch_end."""

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's
        """AdamW, and when its learning rate falls."""
        optimiser = torch.optim.AdamW(list(self.learnt()), lr=self._learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=self._patience // 3)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}
