"""Training of the field net: it learns, goes on where it was, and what is published answers as it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")

from eo.model import checked  # noqa: E402
from training.atmospheric_correction import calibration, simulated, testset  # noqa: E402
from training.atmospheric_correction.__main__ import main  # noqa: E402
from training.atmospheric_correction.batches import batches  # noqa: E402
from training.atmospheric_correction.config import TrainConfig  # noqa: E402
from training.atmospheric_correction.net import READ, AtmosphereField, invert  # noqa: E402
from training.atmospheric_correction.pixelsets import PixelSets  # noqa: E402
from training.atmospheric_correction.train import Task, train  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from training.atmospheric_correction.emulator import Emulator
    from training.atmospheric_correction.net import Variant
    from training.atmospheric_correction.pixelsets import Batch


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    torch.set_num_threads(1)
    return testset.load_emulator().float()


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(batch=8, steps=6, epochs=2, progress=False, **changes)


def weights(net: AtmosphereField) -> Tensor:
    return torch.cat([value.flatten() for value in net.state_dict().values()])


def loss_of(net: AtmosphereField | None, emulator: Emulator) -> float:
    torch.manual_seed(0)
    task = Task(config(), emulator)
    task.net = net or task.net
    held = PixelSets(emulator, seed=5, scenes=64)
    with torch.no_grad():
        return float(sum(task.loss(held.batch(number))[0] for number in range(3)))


def test_a_few_steps_make_the_loss_smaller(emulator: Emulator, tmp_path: Path) -> None:
    net, how = train(config(learning_rate=3e-3).model_copy(update={"steps": 60, "batch": 32}), emulator, tmp_path)
    assert how["steps"] == 120
    assert loss_of(net, emulator) < loss_of(None, emulator)


def test_a_training_that_was_stopped_ends_with_the_same_weights(emulator: Emulator, tmp_path: Path) -> None:
    whole, _ = train(config(), emulator, tmp_path / "whole")
    train(config().model_copy(update={"epochs": 1}), emulator, tmp_path / "halves")
    halves, how = train(config(), emulator, tmp_path / "halves")
    assert how["steps"] == 12
    assert torch.equal(weights(whole), weights(halves))


def test_another_seed_gives_other_weights(emulator: Emulator, tmp_path: Path) -> None:
    one, _ = train(config(), emulator, tmp_path / "one")
    other, _ = train(config(seed=7), emulator, tmp_path / "other")
    assert not torch.equal(weights(one), weights(other))


@pytest.mark.parametrize(
    ("model", "variant"), [("atmosphere-field", "six-bands"), ("atmosphere-field-visible", "visible")]
)
def test_the_command_publishes_a_model_that_the_runtime_opens(
    tmp_path: Path, model: str, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "SCENES", 3)
    monkeypatch.setattr(simulated, "LARGEST", simulated.SMALLEST + 1)
    short = ["--batch", "4", "--steps", "3", "--epochs", "1", "--progress", "false", "--threads", "1"]
    main(["--model", model, "--out", str(tmp_path / model), "--work", str(tmp_path / "work"), *short])
    published = checked(tmp_path / model)
    assert published.card.bands == READ[variant]
    assert published.card.training.stopped == "ended as planned"
    assert published.card.energy is not None
    assert published.card.uncertainty is not None
    assert published.card.parity is not None
    assert published.card.parity.max_abs_error <= published.card.parity.tolerance
    assert sum(file.bytes for file in published.card.files) <= 2_000_000


def test_the_command_says_what_is_wrong_with_a_choice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "atmosphere-field", "--out", str(tmp_path / "atmosphere-field"), "--batch", "1"])
    assert "--batch" in capsys.readouterr().err


def untrained(variant: Variant, emulator: Emulator) -> tuple[AtmosphereField, Batch]:
    """A net that has learnt nothing, and what it may be asked about."""
    torch.manual_seed(1)
    return AtmosphereField(variant, emulator).eval(), PixelSets(emulator, seed=3, scenes=2).batch(0)


def retrieved(net: AtmosphereField, batch: Batch) -> tuple[Tensor, ...]:
    """The atmosphere of each row: no row is another's neighbour, all are of one scene."""
    rows = len(batch.toa)
    own, all_ = torch.eye(rows), torch.ones(rows, rows)
    with torch.no_grad():
        return net.retrieve(batch.toa[..., net.read], batch.valid, batch.heights, own, all_, *batch.state.values())


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (["--data", "both"], "data both has 0 folders of real pairs, at least 1 is needed: give --pairs FOLDER"),
        (["--pairs", "here,there"], "data simulated takes no real pairs, and here, there is given"),
    ],
)
def test_real_pairs_need_folders_and_simulated_scenes_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], choice: list[str], said: str
) -> None:
    with pytest.raises(SystemExit):
        main(["--model", "atmosphere-field", "--out", str(tmp_path / "atmosphere-field"), *choice])
    assert said in capsys.readouterr().err


def test_pixels_whose_order_changes_give_the_same_atmosphere(emulator: Emulator) -> None:
    net, batch = untrained("six-bands", emulator)
    order = torch.randperm(batch.toa.shape[1])
    moved = batch._replace(toa=batch.toa[:, order], valid=batch.valid[:, order], heights=batch.heights[:, order])
    for first, second in zip(retrieved(net, batch), retrieved(net, moved), strict=True):
        torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_pixels_that_do_not_count_change_nothing(emulator: Emulator) -> None:
    net, batch = untrained("visible", emulator)
    spoiled = batch._replace(toa=torch.where(batch.valid[..., None] > 0, batch.toa, torch.full((), 0.7)))
    for first, second in zip(retrieved(net, batch), retrieved(net, spoiled), strict=True):
        torch.testing.assert_close(first, second)


def test_batches_depend_on_their_number_and_seed_alone(emulator: Emulator) -> None:
    made = batches(config(), emulator, "train")
    again = batches(config(), emulator, "train").from_number(3)
    torch.testing.assert_close(made.batch(3).toa, next(iter(again)).toa, rtol=0, atol=0)
    assert not torch.equal(made.batch(3).toa, made.batch(4).toa)
    assert not torch.equal(made.batch(3).toa[:8], batches(config(), emulator, "validation").batch(3).toa[:8])


def test_the_truth_of_a_batch_is_what_its_atmosphere_gives_back(emulator: Emulator) -> None:
    batch = PixelSets(emulator, seed=9, scenes=16).batch(0)
    known = batch.clean > 0
    assert known.float().mean() > 0.2
    assert torch.isfinite(batch.toa).all()
    # Under air that is all but empty TOA is the ground, so a corrector with any other air is told apart.
    said = emulator(
        aot=batch.aot,
        altitude=(batch.heights * batch.valid).sum(1) / batch.valid.sum(1),
        mix=torch.full((32, 4), 0.25),
        **batch.state,
    )
    found = invert(batch.toa, batch.env, [each[:, None] for each in said])
    error = (found - batch.rho).abs()[known][:, 1:4]
    assert error.median() < 0.03


def test_the_test_scenes_are_those_that_were_fixed_before_training() -> None:
    kept = (testset.DATA / "testset.sha256").read_text().strip()
    assert testset.digest() == kept


def test_the_test_atmospheres_are_as_promised() -> None:
    states = testset.atmospheres()
    main_, rest = states[:500], states[500:]
    aots = np.array([state.aot for state in main_])
    assert len(rest) == 200
    assert 0.02 <= aots.min() < 0.03
    assert 0.7 < aots.max() <= 0.8
    assert abs(np.log(aots).mean() - np.log([0.02, 0.8]).mean()) < 0.15
    mixed = [state for state in main_ if len(state.mix) > 1]
    assert len(mixed) == 100
    assert all("desert" not in state.mix for state in mixed)
    for kind in ("continental", "maritime", "urban", "desert"):
        assert sum(state.mix == {kind: 1.0} for state in main_) == 100
