"""What trainings have in common: means over batches, and going on in a folder that was brought from elsewhere."""

from __future__ import annotations

import logging
import signal
import warnings
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")
from lightning.pytorch.callbacks import Callback  # noqa: E402
from lightning.pytorch.utilities.exceptions import SIGTERMException  # noqa: E402
from lightning.pytorch.utilities.rank_zero import rank_zero_info  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

from eo.errors import CorruptData  # noqa: E402
from training.fitting import BEST, LAST, WatchedTask, fitted  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

STEPS = 3
LOSSES = [[0.5], [0.1], [0.4], [0.3]]
"""Of the held-out batches, by epoch: the second is the best."""


class Fit:
    epochs, patience, precision, progress = len(LOSSES), 9, "32-true", False


class Scripted(WatchedTask[Any]):
    """Its held-out losses are what a list says."""

    def __init__(self, losses: list[list[float]]) -> None:
        super().__init__(learning_rate=1e-2, patience=9)
        self.layer, self._losses = torch.nn.Linear(1, 1), losses

    def loss(self, batch: Any) -> tuple[Any, dict[str, Any]]:
        loss = self.layer(batch).square().mean()
        return loss, {"loss": loss}

    def validation_step(self, batch: Any, index: int) -> None:
        self._log("val", {"loss": torch.tensor(self._losses[self.current_epoch][index])}, weight=len(batch))


class Unweighed(Scripted):
    """Logs as tasks do that do not say what a batch weighs."""

    def validation_step(self, _batch: Any, index: int) -> None:
        self._log("val", {"loss": torch.tensor(self._losses[self.current_epoch][index])})


class Killed(Callback):  # type: ignore[misc, unused-ignore]
    """A machine that goes away in the middle of the third epoch."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == 2:
            raise RuntimeError("the machine is gone")


def fit(task: Scripted, folder: Path, *limits: Callback, held: Any = None) -> dict[str, Any]:
    torch.manual_seed(0)
    seen: Any = DataLoader([torch.ones(2, 1)] * STEPS, batch_size=None)
    return fitted(task, Fit(), folder, seen=seen, held=held or [torch.ones(1, 1)], limits=limits)  # type: ignore[arg-type]


class Interrupted(Callback):  # type: ignore[misc, unused-ignore]
    """Ctrl-C in an epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == self._epoch:
            raise KeyboardInterrupt


@pytest.mark.parametrize(("epoch", "words"), [(0, "begins anew, there is no checkpoint"), (2, "goes on from its last")])
def test_a_training_that_is_stopped_says_what_the_same_command_will_do(tmp_path: Path, epoch: int, words: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=f"run the same command again: it {words}"):
        fit(Scripted(LOSSES), tmp_path, Interrupted(epoch))
    assert signal.getsignal(signal.SIGINT) == before
    assert fit(Scripted(LOSSES), tmp_path)["epochs"] == len(LOSSES)


def test_an_exit_that_is_none_of_ctrl_c_stays_one(tmp_path: Path) -> None:
    class Gone(Callback):  # type: ignore[misc, unused-ignore]
        def on_train_batch_end(self, *_: Any) -> None:
            raise SIGTERMException

    with pytest.raises(SIGTERMException):
        fit(Scripted(LOSSES), tmp_path, Gone())


def test_a_training_says_how_it_ended(tmp_path: Path) -> None:
    class Short(Callback):  # type: ignore[misc, unused-ignore]
        def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.current_epoch == 1

    assert fit(Scripted(LOSSES), tmp_path / "whole")["stopped"] == "ended as planned"
    assert fit(Scripted(LOSSES), tmp_path / "whole")["stopped"] == "ended as planned"
    assert fit(Scripted(LOSSES), tmp_path / "short", Short())["stopped"] == "cut short"


def test_a_training_is_silent_of_what_nobody_can_act_on_alone(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    class Speaking(Callback):  # type: ignore[misc, unused-ignore]
        def on_train_start(self, *_: Any) -> None:
            warnings.warn("the disk is slow", stacklevel=1)
            rank_zero_info("two GPUs are used")

    (tmp_path / "something").touch()
    with caplog.at_level(logging.INFO, "lightning.pytorch.utilities.rank_zero"):
        fit(Scripted(LOSSES), tmp_path, Speaking())
    told = [str(each.message) for each in recwarn]
    assert "the disk is slow" in told
    assert not [each for each in told if "is not empty" in each or "treespec" in each]
    assert "two GPUs are used" in caplog.text
    assert "Tip" not in caplog.text


@pytest.mark.parametrize("moved", [False, True])
def test_a_training_that_goes_on_elsewhere_keeps_its_best_weights(tmp_path: Path, *, moved: bool) -> None:
    folder = tmp_path / "there"
    with pytest.raises(RuntimeError, match="gone"):
        fit(Scripted(LOSSES), folder, Killed())
    kept = (folder / BEST).read_bytes()
    if moved:
        folder = folder.rename(tmp_path / "here")
    told = fit(Scripted(LOSSES), folder)
    assert (told["epochs"], told["steps"]) == (len(LOSSES), len(LOSSES) * STEPS)
    assert told["kept_step"] == 2 * STEPS
    assert told["best_validation"] == pytest.approx(0.1)
    assert (folder / BEST).read_bytes() == kept
    assert not (tmp_path / "there").exists() or not moved


def test_a_better_epoch_elsewhere_takes_the_place_of_the_best_one(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="gone"):
        fit(Scripted(LOSSES), tmp_path / "there", Killed())
    folder = (tmp_path / "there").rename(tmp_path / "here")
    told = fit(Scripted([*LOSSES[:3], [0.05]]), folder)
    assert (told["kept_step"], told["best_validation"]) == (4 * STEPS, pytest.approx(0.05))
    assert sorted(path.name for path in folder.glob("*.ckpt")) == [BEST, LAST]


def test_a_folder_without_its_best_checkpoint_is_not_gone_on_from(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="gone"):
        fit(Scripted(LOSSES), tmp_path, Killed())
    (tmp_path / BEST).unlink()
    with pytest.raises(CorruptData, match=r"has last\.ckpt and not best\.ckpt.* bring both, or begin again in another"):
        fit(Scripted(LOSSES), tmp_path)


@pytest.mark.parametrize(("task", "mean"), [(Scripted, (3 * 0.2 + 0.6) / 4), (Unweighed, (0.2 + 0.6) / 2)])
def test_batches_weigh_what_they_are_said_to_and_else_the_same(
    tmp_path: Path, task: type[Scripted], mean: float
) -> None:
    told = fit(task([[0.2, 0.6]] * len(LOSSES)), tmp_path, held=[torch.ones(3, 1), torch.ones(1, 1)])
    assert told["best_validation"] == pytest.approx(mean)
