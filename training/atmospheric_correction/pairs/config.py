"""What is taken of a folder of products."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Split = Literal["train", "validation", "test"]
Share = Annotated[float, Field(ge=0, le=1)]


class PairConfig(BaseModel):
    """Choices of real pairs, from the command line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folders: Annotated[tuple[Path, ...], Field(min_length=1)]
    """Where products are looked for, at any depth."""
    split: Split = "train"
    bands: Annotated[tuple[str, ...], Field(min_length=1)] = ("B02", "B03", "B04", "B08")
    size: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 256
    """Edge of a patch in pixels of the finest band."""
    seed: int = 2026
    """Of the split by tile and of the order of patches."""
    max_invalid: Share = 0.3
    """Largest share of a patch's pixels that may be left out of its mask."""
    per_pair: Annotated[int, Field(ge=1)] | None = None
    """Patches of a pair at most; all of them where None."""
    dem: Path | None = None
    """Elevation (GeoTIFF, JPEG 2000 or Zarr): ground of 10 degrees and more is left out."""
    mixed_baselines: Literal["use", "skip"] = "use"
    """What is done with pairs whose two products have different baselines; either way they are reported."""
    shares: tuple[Share, Share, Share] = (0.8, 0.1, 0.1)
    """Of the tiles in train, validation and test."""
    tiles: dict[Split, tuple[str, ...]] | None = None
    """MGRS tiles of the splits, such as {"train": ("33TWM",)}, instead of shares; other tiles are left out."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"shares {self.shares} make {sum(self.shares):g}, they must make 1: change one of them")
        named = [tile for tiles in (self.tiles or {}).values() for tile in tiles]
        twice = sorted({tile for tile in named if named.count(tile) > 1})
        if twice:
            raise ValueError(f"tiles {twice} are named more than once, each may be in one split only: remove one")
        return self
