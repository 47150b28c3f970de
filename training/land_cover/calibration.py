"""Logits that mean what they say: a scale and a shift, fitted to the validation split, part of the network that is published.

Positive weights in the loss make rare labels too likely, long trainings make all answers too sure. One straight line per
class (Platt 1999), or one scale for all (Guo et al. 2017, arXiv:1706.04599), takes most of that away and changes no ranking.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from eo.errors import InvalidInput
from training.land_cover.thresholds import Predictions

Calibration = Literal["none", "temperature", "platt"]
PRIOR = 1e-3
"""Weight, beside the mean loss, of staying with scale 1 and shift 0: classes without an example do."""
SMALLEST = 0.05
"""Of a scale: rankings are kept."""


class Line(NamedTuple):
    """Calibrated logits are `scale` times logits plus `shift`; both (classes,) float32."""

    scale: Tensor
    shift: Tensor

    def of(self, logits: Tensor) -> Tensor:
        """Logits (n, classes), calibrated."""
        return logits * self.scale + self.shift


def unchanged(classes: int) -> Line:
    """The line that changes nothing."""
    return Line(torch.ones(classes), torch.zeros(classes))


def fitted(predictions: Predictions, how: Calibration) -> Line:
    """The line of the least cross-entropy on the validation split. Raises InvalidInput for any other split."""
    if predictions.split != "validation":
        raise InvalidInput(
            f"calibration on the {predictions.split} split would flatter its scores: fit it on validation"
        )
    classes = predictions.logits.shape[1]
    if how == "none":
        return unchanged(classes)
    logits, labels = predictions.logits.double(), predictions.labels.double()
    own = 1 if how == "temperature" else classes
    scale = torch.ones(own, dtype=torch.float64, requires_grad=True)
    shift = torch.zeros(own, dtype=torch.float64, requires_grad=how == "platt")
    learnt = [each for each in (scale, shift) if each.requires_grad]
    optimiser = torch.optim.LBFGS(learnt, max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        straight = logits * scale.clamp(min=SMALLEST) + shift
        off = binary_cross_entropy_with_logits(straight, labels)
        # By class, as the mean loss is: each class weighs its own prior.
        value = off + PRIOR * ((scale - 1).square() + shift.square()).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)
    return Line(
        scale.detach().clamp(min=SMALLEST).float().expand(classes).clone(),
        shift.detach().float().expand(classes).clone(),
    )
