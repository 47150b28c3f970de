"""What the data of a training can be told."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from eo.errors import InvalidInput
from training.land_cover.bands import DEFAULT, EDGE, chosen
from training.land_cover.data.patches import Resampling


def _chosen(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - whatever the caller gave
    try:
        return chosen(value)
    except InvalidInput as error:
        raise ValueError(str(error)) from None


class DataConfig(BaseModel):
    """Where the patches are, what is taken of them and what training does to them. Augmentation never touches others."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)  # the command line's help

    folder: Path
    """BigEarthNet v2 or v1 as distributed, or converted to Zarr."""
    bands: Annotated[tuple[str, ...], BeforeValidator(_chosen)] = DEFAULT
    """7, 10, 11, 12 or names with commas between them."""
    resampling: Resampling = "nearest"
    """How bands of 20 and 60 m come to 10 m."""
    batch: Annotated[int, Field(ge=1, le=4096)] = 64
    """Patches of a step."""
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    """Processes that read patches; 0 reads in the training's own."""
    seed: int = 2026
    flips: bool = True
    """Left to right and top to bottom, each for half of the patches."""
    rotations: bool = True
    """By 0, 90, 180 or 270 degrees."""
    crop: Annotated[int, Field(ge=0, lt=EDGE)] = 12
    """Pixels by which a patch is moved at most, what it lacks then being mirrored; 0 leaves it where it is. Its scale
    stays, since a pixel is always 10 m."""
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Deviation of a gain common to all bands and of one for each; 0 for none."""
    band_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance of each band to be replaced by its mean over the training split; one band always stays."""
