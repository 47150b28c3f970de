"""Losses of multi-label classification. All take logits: a sigmoid before them would flatten what is far off.

Labels are 0 or 1, any number of them at once: nothing here is a softmax, which would let classes compete.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from eo.errors import InvalidInput

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (n, classes), labels (n, classes) of 0 and 1, both float32) to their mean loss."""
Name = Literal["bce", "asymmetric", "focal"]
MARGIN = 0.05
"""Of asymmetric loss: absent labels found less likely than this are learnt already."""


def positive_weights(labels: Tensor, *, most: float) -> Tensor:
    """How much more a label counts where it is there: absent / present in the training split, (classes,) float32.

    `labels` (n, classes) are those of the training split, 0 or 1. Between 1 / `most` and `most`: a class that is all but
    missing would else drown the others. Raises InvalidInput where there are no labels at all.
    """
    if len(labels) == 0:
        raise InvalidInput("positive weights of 0 training labels: the training split is empty, name another folder")
    present = labels.float().sum(0)
    return ((len(labels) - present) / present.clamp(min=1e-6)).clamp(1 / most, most)


def made(name: Name, *, weights: Tensor | None = None, focus: float = 2.0) -> Loss:
    """The loss of that name. `weights` (classes,) are of present labels, for bce and focal; `focus` is the exponent gamma.

    "bce": cross-entropy of each label. "focal": the same times (1 - p)^focus of the truth, so that what is learnt already
    counts little (Lin et al. 2017, doi:10.1109/ICCV.2017.324). "asymmetric": focal for absent labels alone, shifted by
    MARGIN (Ridnik et al. 2021, arXiv:2009.14119, gamma+ 0).
    """
    if name == "bce":
        return lambda logits, labels: binary_cross_entropy_with_logits(logits, labels, pos_weight=_on(weights, logits))
    if name == "focal":
        return lambda logits, labels: _focal(logits, labels, _on(weights, logits), focus)
    return lambda logits, labels: _asymmetric(logits, labels, focus)


def _on(weights: Tensor | None, logits: Tensor) -> Tensor | None:
    return None if weights is None else weights.to(logits)


def _focal(logits: Tensor, labels: Tensor, weights: Tensor | None, focus: float) -> Tensor:
    each = binary_cross_entropy_with_logits(logits, labels, pos_weight=weights, reduction="none")
    # 1 - p of the truth, from the logit of the truth, which is the other's negative.
    wrong = torch.sigmoid(torch.where(labels > 0, -logits, logits))
    return (each * wrong**focus).mean()


def _asymmetric(logits: Tensor, labels: Tensor, focus: float) -> Tensor:
    probability = torch.sigmoid(logits)
    shifted = (probability - MARGIN).clamp(min=0)
    absent = -torch.log1p(-shifted) * shifted**focus  # never infinite: shifted is 0.95 at most
    return torch.where(labels > 0, -logsigmoid(logits), absent).mean()
