"""From which probability on a class is a label: chosen on the validation split, and on no other."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from eo.errors import InvalidInput
from training.land_cover.data.patches import Split

USUAL = 0.5
"""What chosen thresholds are compared with, and the threshold of a class that the validation split lacks."""
LOWEST = 1e-4
"""Thresholds lie so far from 0 and 1 at least."""


@dataclass(frozen=True)
class Predictions:
    """What a net makes of a split, beside what is true."""

    split: Split
    logits: Tensor
    """(n, classes) float32."""
    labels: Tensor
    """(n, classes) int64, 0 or 1."""

    @property
    def probabilities(self) -> Tensor:
        """(n, classes) float32: the logits through one sigmoid."""
        return torch.sigmoid(self.logits)


def chosen(predictions: Predictions) -> tuple[float, ...]:
    """For each class the threshold of the largest F1 on the validation split; a label is what reaches it.

    In the middle between the two probabilities that it parts, so that rounding moves nothing across it. USUAL for a class
    that never occurs there. Raises InvalidInput for any other split: what chooses on the test split has seen the answers.
    """
    if predictions.split != "validation":
        raise InvalidInput(
            f"thresholds from the {predictions.split} split would make its scores worthless: choose them on validation"
        )
    probabilities, labels = predictions.probabilities.double().numpy(), predictions.labels.numpy()
    return tuple(_best(probabilities[:, place], labels[:, place] > 0) for place in range(labels.shape[1]))


def _best(probabilities: NDArray[np.float64], there: NDArray[np.bool_]) -> float:
    """The threshold of one class."""
    positives = int(there.sum())
    if positives == 0:
        return USUAL
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    hits = np.cumsum(there[order])
    said = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (said + positives)
    # Equal probabilities are said together or not at all.
    after = np.append(ranked[1:], 0.0)
    f1[ranked == after] = -1
    place = int(np.argmax(f1))
    return round(float(np.clip((ranked[place] + after[place]) / 2, LOWEST, 1 - LOWEST)), 6)
