"""What a training of `unet-efficientnet-b2` can be told."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class UNetConfig(BaseModel):
    """Choices of a training, from the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Literal["simulated", "pairs", "both"] = "simulated"
    """Simulated scenes, pairs of real products, or a batch of each in turn."""
    seed: int = 2026
    grounds: Annotated[int, Field(ge=1)] = 2000
    """Simulated pieces of ground, made once; each is seen under a new atmosphere whenever it is drawn."""
    batch: Annotated[int, Field(ge=2, le=4096)] = 12
    """Patches of a step."""
    crop: Annotated[int, Field(ge=64, le=256, multiple_of=32)] = 128
    """Pixels along a patch: small ones show the net more atmospheres in the same time."""
    epochs: Annotated[int, Field(ge=1)] = 400
    """At most; early stopping ends it before."""
    steps: Annotated[int, Field(ge=1)] = 100
    """Steps of an epoch."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Wall time after which it is cut short."""
    patience: Annotated[int, Field(ge=3)] = 12
    """Epochs without improvement after which it ends; a third of it lowers the learning rate."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 2e-3
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    workers: Annotated[int, Field(ge=1, le=256)] = 2
    """Processes that make the grounds."""
    progress: bool = True
