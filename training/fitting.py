"""What trainings have in common: how a step is done and watched, when the learning rate falls, when it ends."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import logging
import os
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from eo.errors import CorruptData

Batch = TypeVar("Batch")
LAST = "last.ckpt"
"""The newest checkpoint, from which a training goes on."""
BEST = "best.ckpt"
"""The one of the best held-out epoch."""
NEEDLESS = ("Checkpoint directory .* exists and is not empty", r"`isinstance\(treespec, LeafSpec\)` is deprecated")
"""Warnings that nobody can act on: work of a training is kept in one folder, and Lightning has not followed PyTorch."""


class Fit(Protocol):
    """What a configuration says of how long a training takes and how it computes."""

    @property
    def epochs(self) -> int:
        """At most."""

    @property
    def patience(self) -> int:
        """Epochs without improvement after which it ends."""

    @property
    def precision(self) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
        """As Lightning calls it."""

    @property
    def progress(self) -> bool:
        """Whether bars are shown."""


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
        self._log("train", seen)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Log the loss of a batch that is held out."""
        _, seen = self.loss(batch)
        self._log("val", seen)

    def on_validation_epoch_end(self) -> None:
        """Look at the learning rate now: Lightning would after the checkpoint, which then lacked this epoch."""
        scheduler: Any = self.lr_schedulers()
        if isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step(self.trainer.callback_metrics["val_loss"])
        else:
            scheduler.step()

    def _log(self, of: str, seen: dict[str, Tensor], *, weight: int = 1) -> None:
        """Show and log values of a batch, which weighs so much in the mean of an epoch."""
        # Means over all devices: each would else lower its learning rate, or end, by its own.
        values = {f"{of}_{name}": value for name, value in seen.items()}
        self.log_dict(values, prog_bar=True, batch_size=weight, sync_dist=True)

    def lr_scheduler_step(self, *_: Any) -> None:  # noqa: ANN401 - Lightning's
        """Nothing: see on_validation_epoch_end."""

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's
        """AdamW, and when its learning rate falls."""
        optimiser = torch.optim.AdamW(list(self.learnt()), lr=self._learning_rate, weight_decay=1e-4)
        schedule = ReduceLROnPlateau(optimiser, factor=0.5, patience=self._patience // 3)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "monitor": "val_loss"}}


class _Brought(Callback):
    """Lets a training go on in a folder that was brought from elsewhere, with the best score that it had there.

    Lightning forgets the score where the folder's path is another one: the next epoch would be the best, however bad it is.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_load_checkpoint(
        self, _trainer: lightning.Trainer, _module: lightning.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The states of other callbacks are read after this."""
        for state in checkpoint["callbacks"].values():
            if "best_k_models" in state:
                self._bring(state)

    def _bring(self, state: dict[str, Any]) -> None:
        """Rename the folder in the state of a ModelCheckpoint."""
        folder = os.path.realpath(self._folder)  # as ModelCheckpoint spells it
        state["dirpath"] = folder
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = state[name] and _within(folder, state[name])
        state["best_k_models"] = {_within(folder, path): score for path, score in state["best_k_models"].items()}


def _within(folder: str, path: str) -> str:
    return str(Path(folder, Path(path).name))


class _Stopped(Callback):
    """Lets a training that had stopped early learn no more where it goes on: Lightning would add an epoch to it."""

    def __init__(self, stop: EarlyStopping) -> None:
        self._stop = stop

    def on_train_start(self, trainer: lightning.Trainer, _module: lightning.LightningModule) -> None:
        """The state of `stop` has been read by now."""
        if self._stop.wait_count >= self._stop.patience:
            trainer.should_stop = True


def fitted(
    task: WatchedTask[Batch],
    config: Fit,
    folder: Path,
    *,
    held: Sequence[Batch] = (),
    seen: DataLoader[Batch] | None = None,
    data: lightning.LightningDataModule | None = None,
    limits: Sequence[Callback] = (),
    monitor: str = "val_loss",
    mode: Literal["min", "max"] = "min",
    log_every: int = 25,
    **more: Any,  # noqa: ANN401 - Lightning's
) -> dict[str, Any]:
    """Fit a task, which has its best weights then; how it went.

    Goes on from the last checkpoint in `folder` where there is one, and ends by what is logged as `monitor` over the
    batches `held` (the better the smaller, or the larger for the mode "max"), by `limits` or after so many epochs. `seen`
    is what it learns from, the task's own batches where None; `data` is in the place of both; `log_every` is in steps;
    `more` is for Lightning's Trainer. Gives epochs, steps, kept_step (that of the best weights), stopped and best_validation.
    Raises CorruptData where the folder has lost its best checkpoint, KeyboardInterrupt where it is stopped by one.
    """
    last = folder / LAST
    if last.exists() and not (folder / BEST).exists():
        raise CorruptData(
            f"{folder} has {LAST} and not {BEST}, which a training has from its first epoch on: bring both, or begin again "
            "in another folder"
        )
    best = ModelCheckpoint(
        folder, filename=BEST.removesuffix(".ckpt"), monitor=monitor, mode=mode, enable_version_counter=False
    )
    newest = ModelCheckpoint(folder, filename=LAST.removesuffix(".ckpt"), enable_version_counter=False)
    stop = EarlyStopping(monitor, mode=mode, patience=config.patience)
    callbacks = [best, newest, stop, _Stopped(stop), _Brought(folder), *limits]
    with _needful():
        trainer = lightning.Trainer(**_choices(config, folder, callbacks, log_every=log_every) | more)
        with _stoppable(trainer, last):
            trainer.fit(
                task,
                seen,
                None if data is not None else DataLoader(held, batch_size=None),
                datamodule=data,
                ckpt_path=str(last) if last.exists() else None,
                weights_only=False,
            )
    # Not best.best_model_path: a folder that was brought from elsewhere is at another place than the checkpoint says.
    kept = torch.load(folder / BEST, weights_only=False, map_location="cpu")
    task.load_state_dict(kept["state_dict"])
    return {
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "kept_step": kept["global_step"],
        "stopped": _end(stop, trainer, config),
        "best_validation": float("nan") if best.best_model_score is None else float(best.best_model_score),
    }


def _choices(config: Fit, folder: Path, callbacks: Sequence[Callback], *, log_every: int) -> dict[str, Any]:
    """What Lightning's Trainer is told of every training."""
    return {
        "max_epochs": config.epochs,
        "accelerator": "auto",
        "devices": "auto",
        "strategy": "auto",
        "precision": config.precision,
        "callbacks": [*callbacks, *([TQDMProgressBar(refresh_rate=10)] if config.progress else [])],
        "enable_progress_bar": config.progress,
        "enable_model_summary": False,
        "logger": CSVLogger(folder, name="log"),
        "gradient_clip_val": 1.0,
        "log_every_n_steps": log_every,
        "num_sanity_val_steps": 0,
    }


def _end(stop: EarlyStopping, trainer: lightning.Trainer, config: Fit) -> str:
    """How a training ended, as `eo.card.Training` has it."""
    if stop.stopped_epoch:
        return "early stopping"
    return "ended as planned" if trainer.current_epoch >= config.epochs else "cut short"


@contextmanager
def _stoppable(trainer: lightning.Trainer, last: Path) -> Iterator[None]:
    """Let KeyboardInterrupt be one, saying what to do: Lightning makes an exit with status 1 of it.

    It also has later ones ignored, for good.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SIGTERMException:
        raise
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, before)
        where = "it goes on from its last checkpoint" if last.exists() else "it begins anew, there is no checkpoint yet"
        raise KeyboardInterrupt(f"run the same command again: {where}") from None


@contextmanager
def _needful() -> Iterator[None]:
    """Keep advertisements and NEEDLESS from the terminal, and nothing else."""
    log = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    log.addFilter(_is_no_tip)
    try:
        with warnings.catch_warnings():
            for message in NEEDLESS:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        log.removeFilter(_is_no_tip)


def _is_no_tip(record: logging.LogRecord) -> bool:
    return "Tip: For seamless" not in record.getMessage()
