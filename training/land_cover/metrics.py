"""How good labels are: scores per class, over classes (macro) and over all labels (micro), and how honest probabilities are.

torchmetrics counts. Accuracy has two meanings with several labels, and both are named: label-wise (the share of answers,
yes or no, that are right) and subset (the share of patches whose labels are all right).
"""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multilabel_accuracy,
    multilabel_average_precision,
    multilabel_exact_match,
    multilabel_f1_score,
    multilabel_precision,
    multilabel_recall,
)

FOUND = {"f1": multilabel_f1_score, "precision": multilabel_precision, "recall": multilabel_recall}
"""Scores of labels that are there or said, by name: of a class of which neither is, they are ratios of nothing."""
COUNTED = {**FOUND, "label_accuracy": multilabel_accuracy}
"""Scores of labels, by name."""
BINS = 15
"""Of the reliability curve and of its error, as in Guo et al. 2017 (arXiv:1706.04599)."""


def scores(probabilities: Tensor, labels: Tensor, thresholds: Sequence[float]) -> dict[str, Any]:
    """All that is told of a split: "macro", "micro" and "classes" (a list in their order), "subset_accuracy", "ece".

    `probabilities` (n, classes) float32, `labels` (n, classes) int64 of 0 and 1, a threshold for each class. Values are
    shares, 0 to 1. A score that is a ratio of nothing is None by class, and left out of macro averages:

    - F1, precision and recall of a class that neither occurs nor is said. torchmetrics (multilabel, macro) and scikit-learn
      (zero_division 0) count it as 0, which would blame the net for what a split lacks; torchmetrics' own macro of multiclass
      labels leaves it out, as this does. All 19 classes occur in the official splits, so published scores mean the same.
    - average precision of a class that does not occur, as torchmetrics does.

    A class that occurs and is never said has precision 0, one that is said and never occurs recall 0, and both count.
    Label-wise accuracy is a ratio of all patches, and its macro average one over all classes.
    """
    count = labels.shape[1]
    there = labels.sum(0) > 0
    said = labelled(probabilities, thresholds)
    known = there | (said.sum(0) > 0)
    each = {name: of(said, labels, count, average="none") for name, of in COUNTED.items()}
    told: dict[str, Any] = {
        "micro": {name: float(of(said, labels, count, average="micro")) for name, of in COUNTED.items()},
        "macro": {name: _mean(values[known] if name in FOUND else values) for name, values in each.items()},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some classes do not occur: they are None
        precise = multilabel_average_precision(probabilities, labels, count, average="none")
    errors = [
        float(binary_calibration_error(mine, true, n_bins=BINS)) for mine, true in _by_class(probabilities, labels)
    ]
    told["classes"] = [
        {name: float(values[place]) if known[place] or name not in FOUND else None for name, values in each.items()}
        | {
            "average_precision": float(precise[place]) if there[place] else None,
            "ece": errors[place],
            "threshold": float(thresholds[place]),
            "patches": int(labels[:, place].sum()),
        }
        for place in range(count)
    ]
    told["macro"]["average_precision"] = _mean(precise[there])
    told["micro"]["average_precision"] = (
        float(multilabel_average_precision(probabilities, labels, count, average="micro")) if there.any() else None
    )
    told["subset_accuracy"] = float(multilabel_exact_match(said, labels, count))
    told["ece"] = float(binary_calibration_error(probabilities.flatten(), labels.flatten(), n_bins=BINS))
    told["patches"] = len(labels)
    return told


def _mean(values: Tensor) -> float | None:
    return float(values.mean()) if len(values) else None


def _by_class(probabilities: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(probabilities.T.contiguous(), labels.T.contiguous(), strict=True)


def labelled(probabilities: Tensor, thresholds: Sequence[float]) -> Tensor:
    """(n, classes) int64: 1 where a probability reaches its class's threshold. Any number of labels, also none."""
    return (probabilities >= torch.tensor(thresholds, dtype=probabilities.dtype)).long()


def reliability(probabilities: Tensor, labels: Tensor) -> list[dict[str, float]]:
    """The curve of BINS bins of equal width over all labels: mean probability, share that is true, how many."""
    flat, true = probabilities.flatten().double(), labels.flatten().double()
    place = (flat * BINS).long().clamp(0, BINS - 1)
    count = torch.bincount(place, minlength=BINS)
    mean = torch.bincount(place, weights=flat, minlength=BINS) / count
    share = torch.bincount(place, weights=true, minlength=BINS) / count
    return [
        {"probability": float(mean[bin_]), "share": float(share[bin_]), "count": int(count[bin_])}
        for bin_ in range(BINS)
        if count[bin_]
    ]


def confusion(said: Tensor, labels: Tensor) -> Tensor:
    """(classes, classes) int64: patches in which the row's label is there and missed while the column's is said wrongly.

    With several labels no single answer stands for another; what is missed together with what is made up says most of it.
    The diagonal counts the labels that are there and found.
    """
    missed, wrong = (labels * (1 - said)).double(), ((1 - labels) * said).double()
    found = (labels * said).sum(0)
    return (missed.T @ wrong).round().long() + torch.diag(found)
