"""What a published network says of the held-out patches: in 8 bits its answers are its own, and so are its thresholds."""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import torch
from torch import Tensor, nn

from eo.errors import InvalidInput
from eo.model import Model
from land_cover.cards import INPUT, OUTPUT
from training.land_cover.config import TrainConfig
from training.land_cover.data.module import LandCoverData
from training.land_cover.train import Judged, judged

MOST_LOST = 0.01
"""Of macro F1 on validation: what 8 bits may cost."""
FINITE = 1e-7
"""Probabilities nearer to 0 or 1 have this logit's: one of 0 has none."""


class _Published(nn.Module):
    """The runtime's answers as logits, calibrated as they are published."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def forward(self, patches: Tensor) -> Tensor:
        found = self._model.run(**{INPUT: patches.cpu().numpy()})[OUTPUT]
        return torch.logit(torch.from_numpy(found), eps=FINITE)


def judged_as_published(model: Model, before: Judged, config: TrainConfig) -> Judged:
    """Thresholds and scores of a published model, in place of those of the net from which it was made.

    Raises InvalidInput where it has lost more than MOST_LOST.
    """
    found = judged(_Published(model), config.model_copy(update={"calibration": "none"}), LandCoverData(config))
    was, now = (each.scores["validation"]["chosen"]["macro"]["f1"] for each in (before, found))
    if now < was - MOST_LOST:
        raise InvalidInput(
            f"8 bits take macro F1 on validation from {was:.3f} to {now:.3f}, {MOST_LOST} may be lost: publish {config.architecture} "
            "with --weights float16"
        )
    return found
