"""What a training can be told."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class TrainConfig(BaseModel):
    """Choices of a training, from the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Literal["simulated", "pairs", "both"] = "simulated"
    """Simulated scenes, real pairs of L1C and L2A products, or the one and the other in turn."""
    pairs: Annotated[
        tuple[Path, ...], BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value)
    ] = ()
    """Folders of real pairs."""
    dem: Path | None = None
    """Elevation under the real pairs."""
    variant: Literal["six-bands", "visible"] = "six-bands"
    """Bands whose statistics are read."""
    seed: int = 2026
    batch: Annotated[int, Field(ge=2, le=4096)] = 64
    """Scenes of a step."""
    epochs: Annotated[int, Field(ge=1)] = 400
    """At most; early stopping ends it before."""
    steps: Annotated[int, Field(ge=1)] = 200
    """Steps of what is called an epoch: simulated sets have no end. Fewer for a trial."""
    patience: Annotated[int, Field(ge=3)] = 15
    """Epochs without improvement after which it ends; a third of it lowers the learning rate."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1.5e-3
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    progress: bool = True

    @model_validator(mode="after")
    def _pairs_have_folders(self) -> Self:
        if self.data != "simulated" and not self.pairs:
            raise ValueError(
                f"data {self.data} has 0 folders of real pairs, at least 1 is needed: give --pairs FOLDER, or choose --data "
                "simulated"
            )
        if self.data == "simulated" and self.pairs:
            folders = ", ".join(map(str, self.pairs))
            raise ValueError(
                f"data simulated takes no real pairs, and {folders} is given: choose --data pairs or both, or leave --pairs out"
            )
        return self
