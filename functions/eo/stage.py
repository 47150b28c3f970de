"""What a process asks for: the sources of its cube, and its stages."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from eo.catalog import CLASSES
from eo.tiling import Tiling

Resampling = Literal["nearest", "bilinear", "bicubic"]
"""How bands are brought onto a grid of other pixels (`eo.resample`)."""


class Record(BaseModel):
    """A frozen JSON record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sources(Record):
    """What a process wants in its cube."""

    bands: tuple[str, ...]
    """Reflectance bands by Sentinel-2 name, such as B04."""
    classes: bool = False
    """Whether the scene classification (SCL) is needed, for masking or as a variable."""
    elevation: bool = False
    """Whether elevation is needed on the target grid."""
    context: tuple[str, ...] = ()
    """Bands that are wanted of the whole granule of every scene, coarse (`eo.imagery.CONTEXT_METRES`), whatever the bbox."""
    context_optional: tuple[str, ...] = ()
    """Bands and masks that are wanted likewise of the scenes that have them: B10, MSK_OPAQUE."""
    context_elevation: bool = False
    """Whether elevation is needed on the granules' coarse grids."""
    resampling: Resampling = "bilinear"
    """How bands are brought onto the target grid where they do not lie on it. Classes are always those of the nearest."""
    squares: Annotated[int, Field(ge=0)] = 0
    """Edge in metres of squares of the target CRS, with corners at multiples of it, of which the job takes all pixels where
    the bbox holds one; 0 for none but those of the bbox. The target grid's own pixels then begin at the CRS's zero."""
    masked: bool = False
    """Whether the variable `masked` is needed: 1 where there is data, but none that the classes call ground."""
    classified: bool = False
    """Whether the variable `SCL` is needed: the class of each pixel in the scene that it comes from, 0 where there is none."""
    mask_snow: bool = False
    """Whether snow (class 11) is no ground either."""

    @property
    def all_bands(self) -> tuple[str, ...]:
        """What the target grid needs: the bands, and the classes where they are needed."""
        return (*self.bands, CLASSES) if self.classes else self.bands

    @property
    def required(self) -> tuple[str, ...]:
        """What every scene must have (classes may be missing), for the target grid and the contexts."""
        return tuple(dict.fromkeys((*self.all_bands, *self.context)))


class Made(Record):
    """An array that a stage's map writes, one unit each of its windows."""

    name: str
    over: Literal["shards", "scenes", "tiles"]
    """On the target grid, as the variable and array `name`; for each scene as `context/<scene>/<name>`; or as
    `tiles/<name>`, with a chunk for what each tile contributes (`Tiling.stored`)."""
    dtype: Literal["uint8", "uint16", "float32"]
    fill: float | int | str = 0
    """Zarr fill value; "NaN" for not a number."""


class Stage(Record):
    """One map over units, with an optional reduce of small, mergeable statistics."""

    name: str
    """Unique in the plan; also the folder of its parts."""
    map: str
    """`package.module:function`, called as `(unit, state, io) -> Part`."""
    over: Literal["blocks", "shards", "scenes", "tiles"]
    """Which units it maps over: blocks of sources, shards of the target grid, whole scenes on their coarse grids, or
    groups of the tiles that contribute to shards."""
    reduce: str | None = None
    """`package.module:function`, called as `(parts) -> state`; the next stage receives its result."""
    halo: int = 0
    """Pixels that the map reads around its shard and crops afterwards."""
    bytes_per_pixel: int = 0
    """Peak bytes that the map holds for each pixel of its unit, beside the worker's base. Over tiles: of one tile."""
    seconds_per_megapixel: float = 0.0
    """CPU seconds that the map takes for a million pixels of its units beyond what others over such units do."""
    sources: Sources | None = None
    """What this stage brings into the cube; only the stage that fetches has it."""
    makes: tuple[Made, ...] = ()
    """Arrays that the map writes, beside those that fetch and align do."""
    tiling: Tiling | None = None
    """Of a stage over tiles, of which a plan has one at most."""

    @model_validator(mode="after")
    def _tiles_lie_somewhere(self) -> Self:
        if (self.over == "tiles") != (self.tiling is not None):
            raise ValueError(
                f"stage {self.name} is over {self.over} and has the tiling {self.tiling}: one needs the other"
            )
        return self


def sources_of(stages: Sequence[Stage]) -> Sources:
    """What the stage that fetches brings."""
    return next(stage.sources for stage in stages if stage.sources is not None)


def tiling_of(stages: Sequence[Stage]) -> Tiling | None:
    """The tiling of the stage over tiles, None where there is none."""
    return next((stage.tiling for stage in stages if stage.tiling is not None), None)
