"""Training of a tiny net: it learns, goes on where it was, and what is published answers as it does."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")
from lightning.pytorch.callbacks import Callback  # noqa: E402

import tiny_patches  # noqa: E402
from eo.card import Energy  # noqa: E402
from eo.errors import InvalidInput  # noqa: E402
from training.fitting import BEST  # noqa: E402
from training.land_cover import train as training_module  # noqa: E402
from training.land_cover.bands import BANDS  # noqa: E402
from training.land_cover.config import TrainConfig  # noqa: E402
from training.land_cover.data.module import LandCoverData  # noqa: E402
from training.land_cover.losses import made  # noqa: E402
from training.land_cover.predict import predicted  # noqa: E402
from training.land_cover.task import Pace, Task  # noqa: E402
from training.land_cover.train import DONE, SAID, SCORES, train  # noqa: E402
from training.publish import energy as metering  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from training.land_cover.net import LandCoverNet
    from training.land_cover.train import Trained


def _put(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    tiny_patches.put(monkeypatch)
    monkeypatch.setattr(metering, "_tracker", lambda _country: None)  # it looks at the machine for seconds first


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    _put(monkeypatch)


def config(folder: Path, **changes: Any) -> TrainConfig:
    told = {
        "folder": folder, "architecture": "test_resnet", "batch": 16, "epochs": 2, "warmup": 0, "learning_rate": 2e-3,
        "progress": False,
    }  # fmt: skip
    return TrainConfig.model_validate(told | changes)


def weights(net: LandCoverNet) -> Tensor:
    return torch.cat([value.flatten().double() for value in net.state_dict().values()])


def loss_of(net: LandCoverNet) -> float:
    found = predicted(net, tiny_patches.TinySet("train", BANDS[10]), batch=16).predictions
    return float(made("bce")(found.logits, found.labels.float()))


class Killed(Callback):  # type: ignore[misc, unused-ignore]
    """A machine that goes away in the middle of the second epoch."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.current_epoch == 1:
            raise RuntimeError("the machine is gone")


def test_a_few_steps_make_the_loss_smaller_and_the_work_says_how(tmp_path: Path) -> None:
    told = config(tmp_path, epochs=6, batch=8, balance=False, flips=False, rotations=False, crop=0, learning_rate=1e-2)
    torch.manual_seed(told.seed)
    fresh = Task(told, None).net
    fresh.start([torch.from_numpy(np.stack([tiny_patches.TinySet("train", told.bands).read(i) for i in range(32)]))])
    trained = train(told, tmp_path / "work", country="NOR")
    assert loss_of(trained.net) < 0.75 * loss_of(fresh)
    assert trained.how["steps"] == 24
    assert 0 < trained.how["kept_step"] <= 24
    assert trained.how["patches"] == tiny_patches.SIZES
    assert trained.how["synthetic"]
    assert trained.how["train_per_second"] > 0
    scores = json.loads((tmp_path / "work" / SCORES).read_text())
    assert scores.keys() == {"validation", "test"}
    # Chosen on validation, so there at least as good as one half.
    assert scores["validation"]["chosen"]["macro"]["f1"] >= scores["validation"]["usual"]["macro"]["f1"]
    assert len(scores["test"]["confusion"]) == len(trained.judged.thresholds) == 19
    metrics = next((tmp_path / "work" / "log").rglob("metrics.csv")).read_text()
    assert "val_ap" in metrics
    assert "train_loss" in metrics


def test_the_loss_of_validation_is_the_mean_over_its_patches(tmp_path: Path) -> None:
    told = config(tmp_path, epochs=1, batch=14, balance=False)  # batches of 14 and 2 patches
    train(told, tmp_path / "work", country="NOR")
    task = Task(told, None)
    task.load_state_dict(torch.load(tmp_path / "work" / BEST, weights_only=False)["state_dict"])
    found = predicted(task.net.eval(), tiny_patches.TinySet("validation", told.bands), batch=16).predictions
    rows = list(csv.DictReader(next((tmp_path / "work" / "log").rglob("metrics.csv")).open()))
    (said,) = [float(row["val_loss"]) for row in rows if row["val_loss"]]
    assert said == pytest.approx(float(made("bce")(found.logits, found.labels.float())), rel=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_training_that_was_stopped_ends_with_the_same_weights(
    schedule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = config(tmp_path, batch=32, schedule=schedule, dropout=0.3, jitter=0.1, crop=4, band_dropout=0.1)
    whole = train(told, tmp_path / "whole", country="NOR")
    with monkeypatch.context() as patched:
        patched.setattr(training_module, "Pace", type("Pace", (Killed, Pace), {}))
        with pytest.raises(RuntimeError, match="gone"):
            train(told, tmp_path / "halves", country="NOR")
    spent = Energy.model_validate_json((tmp_path / "halves" / metering.KEPT).read_bytes())
    halves = train(told, tmp_path / "halves", country="NOR")
    assert halves.how["steps"] == whole.how["steps"] == 2
    assert torch.equal(weights(whole.net), weights(halves.net))
    assert halves.judged.thresholds == whole.judged.thresholds
    assert halves.energy.kwh > spent.kwh > 0


def test_a_training_that_stopped_early_and_lost_its_scores_learns_no_more(tmp_path: Path) -> None:
    told = config(tmp_path, batch=32, epochs=14, patience=3, monitor="loss", learning_rate=3e-2)
    first = train(told, tmp_path / "work", country="NOR")
    assert first.how["stopped"] == "early stopping"
    (tmp_path / "work" / DONE).unlink()  # as if the machine had gone away while it was judged
    again = train(told, tmp_path / "work", country="NOR")
    assert again.how | {"train_per_second": None} == first.how | {"train_per_second": None}
    assert torch.equal(weights(again.net), weights(first.net))


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Trained]:
    """A folder whose training in `work` has ended, and what came of it."""
    folder = tmp_path_factory.mktemp("ended")
    with pytest.MonkeyPatch.context() as patched:
        _put(patched)
        return folder, train(config(folder, epochs=1), folder / "work", country="NOR")


def test_what_has_ended_is_read_and_not_trained_again(
    ended: tuple[Path, Trained], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, first = ended
    monkeypatch.setattr(training_module, "fitted", None)
    again = train(config(folder, epochs=1), folder / "work", country="NOR")
    assert torch.equal(weights(first.net), weights(again.net))
    assert (again.judged.thresholds, again.how, again.energy) == (first.judged.thresholds, first.how, first.energy)
    assert torch.equal(again.judged.line.scale, first.judged.line.scale)
    assert (folder / "work" / DONE).exists()


def test_a_folder_of_another_training_is_not_gone_on_from(ended: tuple[Path, Trained]) -> None:
    folder, _ = ended
    with pytest.raises(InvalidInput, match=r"learning_rate is 0\.1, .* began with 0\.002: .*another folder of work"):
        train(config(folder, epochs=1, learning_rate=0.1), folder / "work", country="NOR")


def test_another_seed_gives_other_weights(ended: tuple[Path, Trained], tmp_path: Path) -> None:
    other = train(config(ended[0], epochs=1, seed=7), tmp_path, country="NOR")
    assert not torch.equal(weights(ended[1].net), weights(other.net))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_an_empty_split_is_told_before_anything_is_trained(
    split: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_patches.put(monkeypatch, empty=split)
    monkeypatch.setattr(training_module, "fitted", None)
    with pytest.raises(InvalidInput, match=f"0 patches of the {split} split"):
        train(config(tmp_path), tmp_path / "work", country="NOR")
    assert not (tmp_path / "work" / SAID).exists(), "the right folder would be refused as another one"


def test_a_log_that_needs_a_missing_package_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("No module named 'tensorboard'")

    monkeypatch.setattr(training_module, "TensorBoardLogger", missing)
    with pytest.raises(InvalidInput, match="needs the package tensorboard"):
        train(config(tmp_path, log="tensorboard"), tmp_path / "work", country="NOR")


def test_training_is_shuffled_anew_each_epoch_and_others_are_not(tmp_path: Path) -> None:
    data = LandCoverData(config(tmp_path, flips=False, rotations=False, crop=0, jitter=0))
    labels = torch.from_numpy(data.patches("train").labels).float()
    loader = data.train_dataloader()
    orders = []
    for epoch in (0, 1):
        loader.sampler.set_epoch(epoch)
        orders.append(torch.cat([each for _, each in loader]))
    assert not torch.equal(orders[0], labels)
    assert not torch.equal(orders[0], orders[1])
    assert sorted(orders[0].tolist()) == sorted(labels.tolist())
    held = torch.cat([each for _, each in data.val_dataloader()])
    assert torch.equal(held, torch.from_numpy(data.patches("validation").labels).float())


def test_a_step_takes_its_loss_of_logits(tmp_path: Path) -> None:
    task = Task(config(tmp_path, loss="bce"), None)
    task.net.start([torch.rand(4, 10, 120, 120)])
    seen: list[Tensor] = []
    task.net.register_forward_hook(lambda *told: seen.append(told[-1].detach()))
    patches, labels = next(iter(LandCoverData(config(tmp_path)).val_dataloader()))
    loss, told = task.loss((patches, labels))
    loss.backward()
    # The gradient of cross-entropy by a logit is probability less label, if there is one sigmoid and no softmax.
    by_hand = (torch.sigmoid(seen[0]) - labels).sum(0) / labels.numel()
    torch.testing.assert_close(task.net.backbone.fc.bias.grad, by_hand)
    assert loss is told["loss"]


def test_biases_and_norms_do_not_decay(tmp_path: Path) -> None:
    task = Task(config(tmp_path, weight_decay=0.3), None)
    decayed, kept = task.configure_optimizers()["optimizer"].param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.3, 0.0)
    assert all(each.ndim > 1 for each in decayed["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(list(task.net.parameters()))
