"""What trainings have in common: how a step is done and watched, when the learning rate falls, when it ends."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.unet_config import UNetConfig

Batch = TypeVar("Batch")
LAST = "last.ckpt"
"""The newest checkpoint, from which a training goes on."""


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
        """Look at the learning rate now: Lightning would after the checkpoint, which then lacked this epoch."""
        scheduler: Any = self.lr_schedulers()
        scheduler.step(self.trainer.callback_metrics["val_loss"])

    def lr_scheduler_step(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Nothing: see on_validation_epoch_end."""

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's
        """AdamW, and when its learning rate falls."""
        optimiser = torch.optim.AdamW(list(self.learnt()), lr=self._learning_rate, weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=self._patience // 3)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


def fitted(
    task: WatchedTask[Batch],
    config: TrainConfig | UNetConfig,
    folder: Path,
    *,
    held: Sequence[Batch],
    seen: DataLoader[Batch] | None = None,
    limits: Sequence[Callback] = (),
    **more: Any,  # noqa: ANN401 - Lightning's
) -> dict[str, Any]:
    """Fit a task, which has its best weights then; how it went.

    Goes on from the last checkpoint in `folder` where there is one, and ends by the loss over the batches `held`, by
    `limits` or after so many epochs. `seen` is what it learns from, the task's own batches where None; `more` is for
    Lightning's Trainer. Gives epochs, steps, kept_step (that of the best weights), stopped and best_validation_loss.
    """
    last = folder / LAST
    best = ModelCheckpoint(folder, filename="best", monitor="val_loss", enable_version_counter=False)
    newest = ModelCheckpoint(folder, filename=last.stem, enable_version_counter=False)
    stop = EarlyStopping("val_loss", patience=config.patience)
    trainer = lightning.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices="auto",
        strategy="auto",
        precision=config.precision,
        callbacks=[best, newest, stop, *limits, *([TQDMProgressBar(refresh_rate=10)] if config.progress else [])],
        enable_progress_bar=config.progress,
        enable_model_summary=False,
        logger=CSVLogger(folder, name="log"),
        gradient_clip_val=1.0,
        log_every_n_steps=min(25, config.steps),
        num_sanity_val_steps=0,
        **more,
    )
    trainer.fit(
        task,
        seen,
        DataLoader(held, batch_size=None),
        ckpt_path=str(last) if last.exists() else None,
        weights_only=False,
    )
    kept = torch.load(best.best_model_path, weights_only=False)
    task.load_state_dict(kept["state_dict"])
    return {
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "kept_step": kept["global_step"],
        "stopped": "early stopping" if stop.stopped_epoch else "cut short",
        "best_validation_loss": float(best.best_model_score or float("nan")),
    }
