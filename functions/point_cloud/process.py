"""The process `point-cloud`: every Sentinel-2 pixel lifted to its elevation."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from eo import from_disk
from eo.correction import CorrectionInputs, check, correction
from eo.imagery import imagery
from eo.inputs import CubeInputs, ElevationInputs
from eo.job import Output, Part, Plan, Result
from eo.stage import Stage
from eo.unit_io import ResultIO

BANDS = ("B04", "B03", "B02")
"""Red, green, blue."""
BYTES_PER_POINT = {"local": 15, "absolute": 27}
COPC_BYTES_PER_POINT = 6
"""At most (measured: 3.3 to 3.7 on generated scenes; colours of real ones are noisier)."""
COPC_SECONDS = 0.35
"""CPU seconds for a million points: the codec, most of all (measured: bench)."""

Format = Literal["ply", "copc"]
FORMATS: tuple[Format, ...] = ("ply", "copc")
DRAPE_BYTES_PER_PIXEL, COPC_BYTES_PER_PIXEL = 30, 15
"""What a shard holds of a pixel, and what ranks, levels and a node's points take more: with room, for 17 and 25 in all were
measured above a process that holds nothing."""


def _words(value: Any) -> Any:  # noqa: ANN401 - as it was typed
    """A list of words, which the command line has with commas between them."""
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


def _once(value: tuple[Format, ...]) -> tuple[Format, ...]:
    """Each of them once, in one order: what is ordered is a set."""
    return tuple(each for each in FORMATS if each in value)


class PointCloudInputs(CorrectionInputs, CubeInputs, ElevationInputs):
    """Inputs of a point cloud."""

    correct: Annotated[
        bool, Field(description="colour by surface reflectance: correct the atmosphere of sentinel-2-l1c first")
    ] = False

    sampled_fraction: Annotated[
        float, Field(gt=0, le=1, allow_inf_nan=False, description="share of the pixels that become points")
    ] = 0.2
    format: Annotated[
        tuple[Format, ...],
        BeforeValidator(_words),
        AfterValidator(_once),
        Field(
            min_length=1,
            description="what to make, with commas between: a binary PLY, and a cloud-optimised LAZ (COPC) that viewers stream",
        ),
    ] = FORMATS
    max_points: Annotated[
        int | None, Field(ge=1, description="refuse the job if it could make more points than this")
    ] = None
    max_reflectance: Annotated[
        float,
        Field(gt=0, le=10, allow_inf_nan=False, description="reflectance shown as full brightness; 0 is black, linear"),
    ] = 0.3
    coordinates: Annotated[
        Literal["local", "absolute"],
        Field(description="float32 relative to an origin in the header, or float64 in the CRS"),
    ] = "local"

    @model_validator(mode="after")
    def _corrects_the_top_of_the_atmosphere(self) -> "PointCloudInputs":
        if self.correct and self.collection != "sentinel-2-l1c":
            raise ValueError(
                f"collection {self.collection} is surface reflectance already: leave correct out, or choose sentinel-2-l1c"
            )
        if not self.correct and (said := self.model_fields_set & CorrectionInputs.model_fields.keys()):
            names = ", ".join(sorted(said))
            raise ValueError(
                f"without correct nothing is corrected, by {names} or otherwise: give correct too, or leave that out"
            )
        return self


class PointCloud:
    """A coloured point cloud as binary PLY, as COPC, or both, with its STAC item and two pictures."""

    id: ClassVar[str] = "point-cloud"
    title: ClassVar[str] = "Coloured point cloud"
    description: ClassVar[str] = (
        "Every Sentinel-2 pixel in a bounding box lifted to its elevation, as a PLY and a COPC with CRS and colours"
    )
    version: ClassVar[str] = "1.1.0"
    Inputs: ClassVar[type[BaseModel]] = PointCloudInputs
    outputs: ClassVar[Mapping[str, Output]] = {
        "point_cloud": Output(
            title="Point cloud",
            description="binary PLY; its comments say CRS, heights, origin and sources",
            file="point_cloud.ply",
            media_type="application/ply",
        ),
        "copc": Output(
            title="Cloud-optimised point cloud",
            description="COPC 1.0 (LAZ): the same points to the centimetre, for viewers that stream what is in view",
            file="point_cloud.copc.laz",
            media_type="application/vnd.laszip+copc",
        ),
        "item": Output(
            title="STAC item",
            description="what it is, where it lies, what it was made of, with checksums",
            file="point_cloud.json",
            media_type="application/geo+json",
        ),
        "checksums": Output(
            title="Checksums",
            description="SHA-256 of every piece of the point cloud",
            file="checksums.json",
            media_type="application/json",
        ),
        "preview": Output(
            title="Preview", description="from above, hill-shaded", file="preview.png", media_type="image/png"
        ),
        "oblique": Output(
            title="Oblique view", description="from the south", file="oblique.png", media_type="image/png"
        ),
        "page": Output(
            title=from_disk.TITLE,
            description="what is in the folder, for a browser, and how to see the cloud from all sides",
            file=from_disk.INDEX,
            media_type=from_disk.TYPE,
        ),
    }

    def stages(self, inputs: PointCloudInputs) -> list[Stage]:
        """Cube first, then points."""
        copc = "copc" in inputs.format
        classified = copc and inputs.collection == "sentinel-2-l2a"
        classes = classified or (inputs.mask_clouds and inputs.collection == "sentinel-2-l2a")
        return [
            *(
                correction(tuple(sorted(BANDS)), inputs, elevation=True)
                if inputs.correct
                else imagery(BANDS, classes=classes, elevation=True, classified=classified)
            ),
            Stage(
                name="drape",
                map="point_cloud.drape:drape",
                over="shards",
                bytes_per_pixel=DRAPE_BYTES_PER_PIXEL + copc * COPC_BYTES_PER_PIXEL,
                seconds_per_megapixel=copc * COPC_SECONDS * inputs.sampled_fraction,
            ),
        ]

    def sampled(self, inputs: PointCloudInputs) -> float:
        """Share of the pixels that become points."""
        return inputs.sampled_fraction

    def bytes_per_point(self, inputs: PointCloudInputs) -> tuple[int, ...]:
        """Bytes of a point in each file."""
        sizes = {"ply": BYTES_PER_POINT[inputs.coordinates], "copc": COPC_BYTES_PER_POINT}
        return tuple(sizes[each] for each in inputs.format)

    def check(self, plan: Plan) -> tuple[str, ...]:
        """Refuse what cannot be corrected, where that is asked for."""
        if plan.inputs["correct"]:
            check(plan)
        return ()

    def merge(self, parts: list[Part], io: ResultIO) -> Result:
        """Join the bodies, draw the pictures, describe the result."""
        from point_cloud.result import merge  # noqa: PLC0415 - plan and api need no pictures

        return merge(parts, io)


def formats(plan: Plan) -> tuple[str, ...]:
    """The formats that a plan makes; plans of older software do not say, and made the one."""
    return tuple(plan.inputs.get("format", ("ply",)))
