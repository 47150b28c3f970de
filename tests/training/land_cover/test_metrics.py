"""Scores against counts by hand, and against plain definitions written another way."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("torchmetrics")
from training.land_cover.metrics import BINS, confusion, labelled, reliability, scores  # noqa: E402

PROBABILITIES = torch.tensor([[0.9, 0.6, 0.8], [0.7, 0.4, 0.1], [0.2, 0.7, 0.3], [0.1, 0.2, 0.6]])
LABELS = torch.tensor([[1, 1, 1], [0, 1, 0], [0, 1, 0], [1, 0, 0]])
HALVES = (0.5, 0.5, 0.5)


def average_precision(probabilities: Any, labels: Any) -> float:
    """Mean over what is there of the precision down to it, ranked by probability."""
    ranked = labels[np.argsort(-probabilities, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked > 0].mean())


def test_scores_are_those_of_counting_by_hand() -> None:
    told = scores(PROBABILITIES, LABELS, HALVES)
    # Said: [1,1,1], [1,0,0], [0,1,0], [0,0,1]. By class: 1 hit, 1 wrong, 1 missed; 2, 0, 1; 1, 1, 0.
    each = told["classes"]
    assert [row["precision"] for row in each] == pytest.approx([1 / 2, 1, 1 / 2])
    assert [row["recall"] for row in each] == pytest.approx([1 / 2, 2 / 3, 1])
    assert [row["f1"] for row in each] == pytest.approx([1 / 2, 4 / 5, 2 / 3])
    assert [row["label_accuracy"] for row in each] == pytest.approx([2 / 4, 3 / 4, 3 / 4])
    assert [row["patches"] for row in each] == [2, 3, 1]
    assert told["macro"]["f1"] == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert told["micro"]["f1"] == pytest.approx(2 * 4 / (2 * 4 + 2 + 2))
    assert told["micro"]["label_accuracy"] == pytest.approx(8 / 12)
    assert told["subset_accuracy"] == pytest.approx(2 / 4)


def test_average_precision_is_that_of_its_definition() -> None:
    draw = np.random.default_rng(0)
    labels = (draw.random((200, 4)) < 0.3).astype(np.int64)
    labels[:, 3] = 0
    probabilities = draw.random((200, 4)).astype(np.float32)
    told = scores(torch.from_numpy(probabilities), torch.from_numpy(labels), (0.5,) * 4)
    expected = [average_precision(probabilities[:, i], labels[:, i]) for i in range(3)]
    assert [row["average_precision"] for row in told["classes"][:3]] == pytest.approx(expected, abs=1e-5)
    assert told["classes"][3]["average_precision"] is None
    assert told["macro"]["average_precision"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert told["micro"]["average_precision"] == pytest.approx(
        average_precision(probabilities.ravel(), labels.ravel()), abs=1e-5
    )


def test_thresholds_are_each_class_its_own_and_a_label_is_what_reaches_its() -> None:
    assert labelled(PROBABILITIES, (0.1, 0.61, 0.8)).tolist() == [[1, 0, 1], [1, 0, 0], [1, 1, 0], [1, 0, 0]]
    assert labelled(torch.full((1, 19), 0.9), (0.5,) * 19).sum() == 19


def test_honest_probabilities_have_a_straight_curve_and_no_error() -> None:
    draw = torch.Generator().manual_seed(0)
    probabilities = torch.rand(20000, 2, generator=draw)
    honest = (torch.rand(20000, 2, generator=draw) < probabilities).long()
    told = scores(probabilities, honest, (0.5, 0.5))
    assert told["ece"] < 0.01
    curve = reliability(probabilities, honest)
    assert len(curve) == BINS
    assert sum(each["count"] for each in curve) == 40000
    assert all(abs(each["share"] - each["probability"]) < 0.04 for each in curve)
    too_sure = (torch.rand(20000, 2, generator=draw) < 0.5).long()
    assert scores(probabilities, too_sure, (0.5, 0.5))["ece"] == pytest.approx(0.25, abs=0.02)


def test_confusion_pairs_what_is_missed_with_what_is_made_up() -> None:
    labels = torch.tensor([[1, 0, 0], [1, 0, 1], [0, 1, 0]])
    said = torch.tensor([[0, 1, 0], [0, 1, 1], [0, 1, 0]])
    # Class 0 is missed twice, each time with class 1 said in vain; classes 1 and 2 are found once.
    assert confusion(said, labels).tolist() == [[0, 2, 0], [0, 1, 0], [0, 0, 1]]


def test_a_class_that_neither_occurs_nor_is_said_is_left_out_of_macro_scores() -> None:
    # Of five classes: found once and missed once; found once, once wrong; never said; said in vain; not there at all.
    labels = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
    said = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 0, 0, 0]])
    told = scores(said.float(), labels, (0.5,) * 5)
    assert [row["precision"] for row in told["classes"]] == [1, 1 / 2, 0, 0, None]
    assert [row["recall"] for row in told["classes"]] == [1 / 2, 1, 0, 0, None]
    assert [row["f1"] for row in told["classes"]] == [*[pytest.approx(2 / 3)] * 2, 0, 0, None]
    assert [row["label_accuracy"] for row in told["classes"]] == [1 / 2, 1 / 2, 1 / 2, 1 / 2, 1]
    # By hand: over the four classes that occur or are said.
    assert told["macro"]["precision"] == pytest.approx((1 + 1 / 2) / 4)
    assert told["macro"]["recall"] == pytest.approx((1 / 2 + 1) / 4)
    assert told["macro"]["f1"] == pytest.approx((2 / 3 + 2 / 3) / 4)
    assert told["macro"]["label_accuracy"] == pytest.approx((4 * 1 / 2 + 1) / 5)
    # Found 2, wrong 2, missed 2: an absent class adds nothing.
    assert told["micro"]["f1"] == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))


def test_scores_of_no_label_at_all_are_none_and_not_nought() -> None:
    told = scores(torch.zeros(3, 2), torch.zeros(3, 2, dtype=torch.int64), (0.5, 0.5))
    assert [told["macro"][name] for name in ("f1", "precision", "recall", "average_precision")] == [None] * 4
    assert told["macro"]["label_accuracy"] == 1
    assert told["micro"]["average_precision"] is None
