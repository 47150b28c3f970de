"""The baseline finds what means and deviations tell, and nothing where they tell nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eo.errors import InvalidInput
from training.land_cover import baseline
from training.land_cover.data.patches import Split

BANDS = ("B02", "B03")


class Told:
    """Patches of which the first class is bright, the second varied, and the third neither."""

    synthetic = True
    bands = BANDS

    def __init__(self, split: Split, count: int, seed: int) -> None:
        self.split = split
        self.rng = np.random.default_rng(seed)
        self.names = [str(number) for number in range(count)]
        self.labels = (self.rng.random((count, 19)) < 0.3).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> np.ndarray:
        bright, varied = self.labels[index, :2]
        noise = np.random.default_rng(index).standard_normal((2, 120, 120))
        return (0.1 * (1 + bright) * (1 + (0.1 + 0.2 * varied) * noise)).astype(np.float32)


def test_it_finds_what_levels_tell_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {split: Told(split, 150, seed) for seed, split in enumerate(("train", "validation", "test"))}
    monkeypatch.setattr(baseline, "opened", lambda _folder, split, *_: sets[split])
    found = baseline.baseline(Path(), BANDS)
    assert found.f1[:2].tolist() == [1, 1]
    assert found.f1[2:].max() < 0.7
    assert found.macro_f1 == pytest.approx(found.f1.mean())


def test_a_class_that_neither_occurs_nor_is_said_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {split: Told(split, 150, seed) for seed, split in enumerate(("train", "validation", "test"))}
    for each in sets.values():
        each.labels[:, 5] = 0
    monkeypatch.setattr(baseline, "opened", lambda _folder, split, *_: sets[split])
    found = baseline.baseline(Path(), BANDS)
    assert np.isnan(found.f1).nonzero()[0].tolist() == [5]
    assert found.macro_f1 == pytest.approx(np.delete(found.f1, 5).mean())


def test_features_are_means_and_deviations() -> None:
    told = Told("train", 3, 0)
    values = told.read(2).astype(float)
    expected = [*values.mean((1, 2)), *values.std((1, 2))]
    np.testing.assert_allclose(baseline.features(told)[2], expected)


def test_f1_is_that_worked_out_by_hand() -> None:
    said = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0]], bool)
    true = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.uint8)
    assert baseline.f1(said, true).tolist() == pytest.approx([2 * 2 / (3 + 3), 0, 0])


def test_the_fit_is_the_best_there_is() -> None:
    rng = torch.Generator().manual_seed(1)
    values = torch.randn(200, 3, generator=rng, dtype=torch.float64)
    labels = (values[:, :1] + 0.5 * torch.randn(200, 1, generator=rng, dtype=torch.float64) > 0).double()
    net = baseline.fitted(values, labels)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(net(values), labels)
    total = loss + baseline.PENALTY * net.weight.square().sum()
    for gradient in torch.autograd.grad(total, list(net.parameters())):
        assert gradient.abs().max() < 1e-4


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert baseline.main(["--data", str(tmp_path)]) == InvalidInput.exit_code
    assert "has neither" in capsys.readouterr().err
    assert baseline.main(["--data", str(tmp_path), "--bands", "9"]) == InvalidInput.exit_code
