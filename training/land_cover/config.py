"""What a training of land cover can be told: the one source of the command line and of the sweep's rows."""

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from eo.card import Precision
from eo.errors import InvalidInput
from training.land_cover.calibration import Calibration
from training.land_cover.data.config import DataConfig
from training.land_cover.indices import INDICES, Index
from training.land_cover.losses import Name

Listed = BeforeValidator(
    lambda value: tuple(filter(None, value.split(","))) if isinstance(value, str) else value  # of a command line
)
FREE = {"progress", "workers", "log", "weights"}
"""Choices that may change when a training goes on."""
MONITORS = {"ap": ("val_ap", "max"), "loss": ("val_loss", "min")}
"""What decides on the best weights: its name in the log, and whether more or less of it is better."""


class TrainConfig(DataConfig):
    """Choices of a training, from the command line; those of its data are DataConfig's."""

    architecture: str = "resnet26"
    """Any name of timm's; vit_small_patch16 is vit_small_patch16_224. The command takes that of --out first."""
    indices: Annotated[tuple[Index, ...], Listed] = ()
    """Spectral indices beside the bands: NDVI, NDWI, NDBI, with commas between them."""
    size: Annotated[int, Field(ge=32, le=512)] | None = None
    """Pixels to which the 120 of a patch are brought; default 120, and 128 where an architecture needs a fixed input."""
    upscaling: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    """How they are."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of features that are left out before the last layer."""
    loss: Name = "bce"
    """Cross-entropy of each label, focal or asymmetric loss; all on logits."""
    balance: bool = True
    """Whether present labels of bce and focal weigh absent / present of the training split."""
    most_weight: Annotated[float, Field(ge=1)] = 10.0
    """The largest of these weights; its inverse is the smallest."""
    focus: Annotated[float, Field(ge=0, le=8)] = 2.0
    """Exponent gamma of focal and asymmetric loss."""
    optimiser: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Not of biases and norms."""
    schedule: Literal["cosine", "plateau"] = "cosine"
    """How the learning rate falls: to a hundredth over all epochs, or by half where the validation loss stands still."""
    warmup: Annotated[int, Field(ge=0)] = 2
    """Epochs over which it rises first, all but one at most; with cosine alone."""
    epochs: Annotated[int, Field(ge=1)] = 60
    """At most; early stopping ends it before."""
    patience: Annotated[int, Field(ge=3)] = 12
    """Epochs without improvement after which it ends; a third of it lowers the learning rate (plateau)."""
    monitor: Literal["ap", "loss"] = "ap"
    """What has to improve on validation: macro average precision, or the loss."""
    calibration: Calibration = "platt"
    """What is fitted to the logits of the validation split: nothing, one scale, or a scale and a shift for each class."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    weights: Precision = "float16"
    """Of published weights; int8 computes convolutions in 8 bits too: a third of the CPU, for networks made of them."""
    log: Literal["csv", "tensorboard"] = "csv"
    progress: bool = True

    @field_validator("architecture")
    @classmethod
    def _known(cls, architecture: str) -> str:
        from training.land_cover.net import timm_name  # noqa: PLC0415 - timm: nobody else here waits for it

        try:
            timm_name(architecture)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
        return architecture

    @field_validator("indices")
    @classmethod
    def _readable(cls, indices: tuple[Index, ...], info: Any) -> tuple[Index, ...]:  # noqa: ANN401 - pydantic's
        bands = info.data.get("bands", ())
        for index in indices:
            if lacking := set(INDICES[index]) - set(bands):
                raise ValueError(f"{index} needs {', '.join(sorted(lacking))}: add them to the bands, or leave it out")
        if len(set(indices)) < len(indices):
            raise ValueError(f"{', '.join(indices)}: name each once")
        return indices

    def rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch, from 0, by its largest: a line up over the warm-up, then half a cosine to 0.01."""
        warmup = min(self.warmup, self.epochs - 1)
        if epoch < warmup:
            return (epoch + 1) / (warmup + 1)
        done = min((epoch - warmup) / (self.epochs - warmup), 1.0)
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))
