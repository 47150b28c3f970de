"""Sigma, scaled on whole simulated scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")

from training.atmospheric_correction import calibration, simulated  # noqa: E402
from training.atmospheric_correction.calibration import NORMAL, Asked, calibrated, ratios  # noqa: E402
from training.atmospheric_correction.config import TrainConfig  # noqa: E402
from training.atmospheric_correction.net import READ, AtmosphereField  # noqa: E402
from training.atmospheric_correction.scenes import OPTICS  # noqa: E402
from training.atmospheric_correction.simulated import held_out  # noqa: E402
from training.atmospheric_correction.testset import load_emulator  # noqa: E402

if TYPE_CHECKING:
    from training.atmospheric_correction.emulator import Emulator

SCENES = 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few scenes, and small ones."""
    monkeypatch.setattr(calibration, "SCENES", SCENES)
    monkeypatch.setattr(simulated, "LARGEST", simulated.SMALLEST + 1)


@pytest.fixture(scope="module")
def emulator() -> Emulator:
    return load_emulator().float()


def net(emulator: Emulator, *, doubt: float = 0.0) -> AtmosphereField:
    """One that has learnt nothing."""
    torch.manual_seed(2)
    made = AtmosphereField("visible", emulator).eval()
    with torch.no_grad():
        made.doubt[-1].bias += doubt
    return made


def within(made: AtmosphereField, emulator: Emulator) -> float:
    """Share of the errors within one sigma on the scenes that sigma was scaled on."""
    asked = Asked(made, ("aot", "mix", "sigma", *OPTICS), READ["visible"])
    found = list(ratios(asked, Asked(emulator, OPTICS), emulator, count=SCENES))
    return float((np.concatenate(found[len(found) // 3 :]) <= 1).mean())


def test_errors_lie_within_sigma_as_often_as_within_that_of_a_normal_distribution(emulator: Emulator) -> None:
    made = net(emulator)
    before = within(made, emulator)
    coverage = calibrated(made, TrainConfig(), emulator)
    assert within(made, emulator) == pytest.approx(NORMAL, abs=0.005)
    assert abs(before - NORMAL) > 0.05
    assert 0 <= coverage <= 1
    # What the net thought of its sigma before does not matter.
    other = net(emulator, doubt=0.4)
    assert calibrated(other, TrainConfig(), emulator) == pytest.approx(coverage, abs=0.005)
    torch.testing.assert_close(other.doubt[-1].bias, made.doubt[-1].bias, rtol=0, atol=1e-3)


def test_held_out_scenes_are_the_same_every_time_and_others_by_another_seed() -> None:
    exact = load_emulator()
    first, again, other = (next(held_out(exact, seed=seed, count=1)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.scene.piece["B02"], again.scene.piece["B02"])
    assert first.atmosphere == again.atmosphere != other.atmosphere
    assert 0.02 <= first.atmosphere.aot <= 0.8
