"""Thresholds and calibration: the best on validation, and of no other split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision
from eo.errors import InvalidInput  # noqa: E402
from training.land_cover import calibration  # noqa: E402
from training.land_cover.metrics import labelled  # noqa: E402
from training.land_cover.thresholds import USUAL, Predictions, chosen  # noqa: E402

if TYPE_CHECKING:
    from training.land_cover.data.patches import Split


def predictions(probabilities: Any, labels: Any, split: Split = "validation") -> Predictions:
    return Predictions(split, torch.logit(torch.tensor(probabilities).float()), torch.tensor(labels))


def f1(said: Any, there: Any) -> float:
    hits = int((said & there).sum())
    return 2 * hits / max(int(said.sum() + there.sum()), 1)


def test_a_threshold_is_that_of_the_largest_f1_of_all_there_could_be() -> None:
    draw = np.random.default_rng(3)
    labels = (draw.random((300, 3)) < (0.5, 0.2, 0.04)).astype(np.int64)
    probabilities = 1 / (1 + np.exp(-(draw.normal(size=(300, 3)) + 1.5 * labels - (0.5, 2.0, 4.0))))
    found = predictions(probabilities, labels)
    for place, threshold in enumerate(chosen(found)):
        column, there = found.probabilities[:, place].numpy(), labels[:, place] > 0
        best = max(f1(column >= each, there) for each in column)
        assert f1(column >= threshold, there) == pytest.approx(best)
        assert best > f1(column >= USUAL, there) or place == 0


def test_a_threshold_lies_between_the_probabilities_that_it_parts() -> None:
    (threshold,) = chosen(predictions([[0.9], [0.7], [0.2], [0.1]], [[1], [1], [0], [0]]))
    assert threshold == pytest.approx(0.45, abs=1e-5)


def test_equal_probabilities_are_not_parted() -> None:
    (threshold,) = chosen(predictions([[0.6], [0.6], [0.6], [0.1]], [[1], [0], [1], [0]]))
    assert threshold == pytest.approx(0.35, abs=1e-5)


def test_a_class_that_never_occurs_on_validation_has_the_usual_threshold() -> None:
    assert chosen(predictions([[0.9, 0.2], [0.3, 0.1]], [[1, 0], [0, 0]]))[1] == USUAL


def test_a_label_that_is_always_there_is_always_said() -> None:
    found = predictions([[0.4], [0.3]], [[1], [1]])
    assert labelled(found.probabilities, chosen(found)).tolist() == [[1], [1]]


@pytest.mark.parametrize("split", ["train", "test"])
def test_other_splits_than_validation_choose_nothing(split: Split) -> None:
    found = predictions([[0.9], [0.2]], [[1], [0]], split)
    with pytest.raises(InvalidInput, match=f"{split} split .* choose them on validation"):
        chosen(found)
    with pytest.raises(InvalidInput, match=f"{split} split .* fit it on validation"):
        calibration.fitted(found, "platt")


def drawn(scale: float, shift: float, count: int = 4000) -> tuple[Predictions, Any]:
    """Predictions whose true logits are a line of what is said, and the true ones."""
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(count, 2, generator=generator) * 2
    labels = (torch.rand(count, 2, generator=generator) < torch.sigmoid(true)).long()
    return Predictions("validation", (true - shift) / scale, labels), true


def test_platt_scaling_finds_the_line_that_was_taken_away() -> None:
    said, true = drawn(scale=0.4, shift=-1.5)
    line = calibration.fitted(said, "platt")
    assert line.scale.tolist() == pytest.approx([0.4, 0.4], rel=0.1)
    assert line.shift.tolist() == pytest.approx([-1.5, -1.5], rel=0.1)
    assert float((torch.sigmoid(line.of(said.logits)) - torch.sigmoid(true)).abs().mean()) < 0.02


def test_a_temperature_is_one_scale_for_all_and_no_shift() -> None:
    said, _ = drawn(scale=0.5, shift=0.0)
    line = calibration.fitted(said, "temperature")
    assert line.scale.tolist() == pytest.approx([0.5, 0.5], rel=0.1)
    assert line.shift.tolist() == [0, 0]
    untouched = calibration.fitted(said, "none")
    assert torch.equal(untouched.of(said.logits), said.logits)


def test_a_class_without_an_example_keeps_finite_probabilities() -> None:
    said, _ = drawn(scale=1.0, shift=0.0)
    labels = said.labels.clone()
    labels[:, 1] = 0
    line = calibration.fitted(Predictions("validation", said.logits, labels), "platt")
    assert torch.isfinite(line.scale).all()
    assert float(line.shift[1]) < -1
    assert torch.isfinite(line.shift).all()
