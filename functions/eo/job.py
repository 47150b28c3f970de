"""The records of a job: what was ordered, what will be done, what each unit left.

All of them are JSON on the store. A plan is the whole truth about a job: units read it and nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from pydantic import BaseModel, Field

from eo.bbox import BBox
from eo.catalog import Asset, Scene
from eo.grid import RasterGrid, TargetGrid, Window
from eo.radiometry import Radiometry
from eo.stage import Record, Sources, Stage, sources_of, tiling_of
from eo.store import Body
from eo.tiling import Tiling
from eo.usage import UsageTotal

if TYPE_CHECKING:
    from eo.unit_io import ResultIO, UnitIO


class ImageSource(Record):
    """How one band of one scene comes into its cube array."""

    kind: Literal["image"] = "image"
    adapter: str
    """Catalogue the asset belongs to, which decides on credentials and connections."""
    scene: int
    """Index into the plan's scenes."""
    band: str
    asset: Asset
    file_grid: RasterGrid
    """The file's own grid at full resolution, which fetch compares with what it opens."""
    grid: RasterGrid
    """Grid of the cube array: the part of the file that is needed, after decimation."""
    origin: tuple[int, int]
    """(column, row) of the array's first pixel, in decimated pixels of the file."""
    level: int = -1
    """Overview (JPEG 2000 resolution) level that is read, -1 for full resolution."""
    mean: int = 1
    """Edge of the pixel blocks that are averaged (or, for classes and masks, sampled) after reading the level."""
    tile: tuple[int, int]
    """(rows, columns) of one file tile in decimated pixels, or of the fewest tiles that are a whole number of them."""
    cell: tuple[int, int]
    """(rows, columns) of what is read together: whole tiles and whole chunks."""
    whole: bool = False
    """Whether the file is fetched whole before it is decoded."""
    context: bool = False
    """Whether it is the coarse band of a whole granule, and not what the target grid is made from."""


class ElevationSource(Record):
    """How one sheet of elevation (one lattice, one CRS) comes into its cube array."""

    kind: Literal["elevation"] = "elevation"
    adapter: str
    grid: RasterGrid
    """Grid of the cube array. Longitudes of geographic sheets are unwrapped, so they may leave +-180."""
    origin: tuple[int, int]
    """(column, row) of the array's first pixel on the adapter's own lattice (unwrapped)."""
    href: str
    """File, folder or URL prefix; never with credentials in it."""
    files: tuple[str, ...] = ()
    """What below it is read: files by their addresses, or the store itself."""
    ascending: bool = False
    """Whether the file's rows run from south to north; the cube's never do."""
    variable: str = ""
    """Name of the variable or band."""
    flags: Mapping[str, Any] = Field(default_factory=dict)
    """What else the adapter found out when the job was planned."""


class ArraySpec(Record):
    """Zarr metadata of one cube array; only the plan writes them."""

    name: str
    shape: tuple[int, int]
    chunks: tuple[int, int]
    dtype: str
    fill: float | int | str = 0
    """Zarr fill value; "NaN" for not a number, which JSON lacks."""


class TargetArray(Record):
    """Where a variable on the target grid is kept: an array of its own, or an alias of a scene's."""

    array: str
    window: Window
    """The array's pixels, in absolute columns and rows of the target grid."""


class Prediction(Record):
    """What the job will take, worked out before anything runs."""

    pixels: int
    points: int
    result_bytes: int
    scratch_bytes: int
    unit_memory_bytes: int
    """The largest peak of any unit, worker included."""
    units: dict[str, int]
    parts: int
    """Bodies that the fan-in joins."""
    usage: UsageTotal = UsageTotal()
    """What the calls will take, in the figures in which the result says what they took."""


class Plan(Record):
    """The whole truth about a job."""

    job: str
    generation: int = 1
    """Attempt at which the work on it began; what earlier ones left does not count, and stays where nobody looks."""
    process: str
    version: str
    software: str
    inputs: dict[str, Any]
    bbox: BBox
    grid: TargetGrid
    chunk: int
    shard: int
    lattice: tuple[int, int]
    """(column, row) on which chunks and shards are anchored."""
    scenes: tuple[Scene, ...]
    scene_names: tuple[str, ...] = ()
    """What the scenes are called in the cube, and the ids of the units over scenes."""
    contexts: tuple[RasterGrid, ...] = ()
    """The coarse grid of each scene's whole granule, in the scene's own CRS; empty where no context is wanted."""
    uncovered: float = 0.0
    """Share of the bbox that no chosen footprint covers."""
    radiometry: dict[str, Radiometry]
    """By band: what the DNs on the target grid mean."""
    vertical_crs: str | None = None
    """Vertical CRS of the elevation in the cube, None where the DEM does not say."""
    elevation_name: str | None = None
    arrays: tuple[ArraySpec, ...]
    sources: dict[str, ImageSource | ElevationSource]
    """By cube array."""
    targets: dict[str, TargetArray]
    """By variable: bands, valid, scene, elevation."""
    stages: tuple[Stage, ...]
    predicted: Prediction
    notes: tuple[str, ...] = ()
    """What the user should know: no mask for L1C, ground that no scene covers, and the like."""

    @property
    def work(self) -> str:
        """Where its units leave what they make."""
        return f"scratch/{self.job}/{self.generation}"

    def context(self, scene: int) -> str:
        """Group of a scene's coarse arrays in the cube."""
        return f"context/{self.scene_names[scene]}"

    @property
    def sources_wanted(self) -> Sources:
        """What its stages want in the cube."""
        return sources_of(self.stages)

    @property
    def square(self) -> int:
        """Edge in pixels of what the job takes whole (`Sources.squares`); 1 where that is pixels."""
        return max(1, self.sources_wanted.squares // self.grid.resolution)

    @property
    def tiling(self) -> Tiling | None:
        """Where the tiles of its stage over tiles lie, None where there is none."""
        return tiling_of(self.stages)


class Unit(Record):
    """One call of a stage's map: a block of a cube array, a shard of the target grid, a scene's coarse grid, or tiles."""

    id: str
    """Scene: its name in the cube."""
    window: Window
    """Block: pixels of the array. Shard: absolute columns and rows of the target grid. Scene: all of its coarse grid.
    Tiles: their numbers (`Tiling`)."""
    array: str = ""
    """Block: name of the cube array. Scene: the group of its coarse arrays (`Plan.context`)."""


class Part(Record):
    """What a unit leaves when it is done. Without timings, so that equal work leaves equal bytes."""

    unit: str
    keys: dict[str, str] = Field(default_factory=dict)
    """Objects it wrote beside the cube, by role (`body`, `thumbnail`)."""
    sizes: dict[str, int] = Field(default_factory=dict)
    """Bytes, by role."""
    digests: dict[str, str] = Field(default_factory=dict)
    """SHA-256 in hex, by role."""
    counts: dict[str, int] = Field(default_factory=dict)
    """Mergeable sums."""
    extremes: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Mergeable (minimum, maximum) by name."""

    def body(self, role: str) -> Body:
        """The object of a role."""
        return Body(self.keys[role], self.sizes[role], self.digests[role])


class Result(Record):
    """What a finished job delivered."""

    files: dict[str, str]
    """SHA-256 in hex, by file name; of a joined file the composite one (`eo.checksums`)."""
    summary: dict[str, Any]
    """`bytes` and `notes`, and `points` or a `message` that says in a few words how much was made."""
    usage: UsageTotal | None = None
    """What the job took; no product, so it differs from run to run."""

    @property
    def message(self) -> str:
        """How much was made, in a few words."""
        return str(self.summary.get("message") or f"{self.summary.get('points', 0):,} points")


class Output(Record):
    """A file that a process delivers."""

    title: str
    description: str
    file: str
    """Its name in the result."""
    media_type: str


class Process(Protocol):
    """What a user can order. One class per service; the registry names it."""

    id: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    version: ClassVar[str]
    Inputs: ClassVar[type[BaseModel]]
    outputs: ClassVar[Mapping[str, Output]]
    """By the name that it has over HTTP."""

    def stages(self, inputs: Any) -> list[Stage]:  # noqa: ANN401 - each process has its own Inputs
        """The stages of a job with these inputs."""
        ...

    def sampled(self, inputs: Any) -> float:  # noqa: ANN401
        """Share of the pixels that end in the result."""
        ...

    def bytes_per_point(self, inputs: Any) -> tuple[int, ...]:  # noqa: ANN401
        """Bytes of the result for each such pixel, by what is joined of the shards' bodies apart from the others."""
        ...

    def check(self, plan: Plan) -> Sequence[str]:
        """Refuse a plan that cannot work, before anything of it is done; gives notes of its own on one that can.

        Raises InvalidInput.
        """
        ...

    def merge(self, parts: list[Part], io: "ResultIO") -> Result:
        """Make the result of the last stage's parts."""
        ...


class MapFunction(Protocol):
    """A stage's map: a pure function of the cube window and the state of the reduce before it."""

    def __call__(self, unit: Unit, state: Any, io: "UnitIO") -> Part:  # noqa: ANN401 - JSON
        """Do one unit."""
        ...


class Status(Record):
    """The only object of a job that changes."""

    job: str
    process: str
    attempt: int
    state: Literal["accepted", "running", "successful", "failed", "stopped"]
    message: str = ""
    error: str = ""
    """Name of the class in `eo.errors` that ended the last attempt that failed."""
    afresh: int = 1
    """Attempt since which the work of earlier ones does not count."""
    sequencer: str = ""
    """Of the last upload that asked for an attempt: a second delivery of it does not ask for another."""
    created: str
    """RFC 3339, UTC, as the other times."""
    updated: str
    started: str | None = None
    """When the present attempt began to work."""
    finished: str | None = None
    out: str = ""
    """Folder of the result, for the local engine."""
    bbox: list[float] | None = None
    """West, south, east and north as they were ordered, to tell jobs apart; None where older software took the order."""

    def moved(self, **changes: Any) -> Self:  # noqa: ANN401
        """A copy with these fields changed."""
        return self.model_copy(update=changes)
