"""The process `point-cloud`: every Sentinel-2 pixel lifted to its elevation."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, model_validator

from eo.correction import CorrectionInputs, check, correction
from eo.imagery import imagery
from eo.inputs import CubeInputs, ElevationInputs
from eo.job import Output, Part, Plan, Result
from eo.stage import Stage
from eo.unit_io import ResultIO

BANDS = ("B04", "B03", "B02")
"""Red, green, blue."""
BYTES_PER_POINT = {"local": 15, "absolute": 27}


class PointCloudInputs(CorrectionInputs, CubeInputs, ElevationInputs):
    """Inputs of a point cloud."""

    correct: Annotated[
        bool, Field(description="colour by surface reflectance: correct the atmosphere of sentinel-2-l1c first")
    ] = False

    sampled_fraction: Annotated[
        float, Field(gt=0, le=1, allow_inf_nan=False, description="share of the pixels that become points")
    ] = 0.2
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
    """A coloured point cloud as binary PLY, with its STAC item and two pictures."""

    id: ClassVar[str] = "point-cloud"
    title: ClassVar[str] = "Coloured point cloud"
    description: ClassVar[str] = (
        "Every Sentinel-2 pixel in a bounding box lifted to its elevation, as a binary PLY with CRS and colours"
    )
    version: ClassVar[str] = "1.0.0"
    Inputs: ClassVar[type[BaseModel]] = PointCloudInputs
    outputs: ClassVar[Mapping[str, Output]] = {
        "point_cloud": Output(
            title="Point cloud",
            description="binary PLY; its comments say CRS, heights, origin and sources",
            file="point_cloud.ply",
            media_type="application/ply",
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
    }

    def stages(self, inputs: PointCloudInputs) -> list[Stage]:
        """Cube first, then points."""
        classes = inputs.mask_clouds and inputs.collection == "sentinel-2-l2a"
        return [
            *(
                correction(tuple(sorted(BANDS)), inputs, elevation=True)
                if inputs.correct
                else imagery(BANDS, classes=classes, elevation=True)
            ),
            Stage(name="drape", map="point_cloud.drape:drape", over="shards", bytes_per_pixel=30),
        ]

    def sampled(self, inputs: PointCloudInputs) -> float:
        """Share of the pixels that become points."""
        return inputs.sampled_fraction

    def bytes_per_point(self, inputs: PointCloudInputs) -> int:
        """Bytes of a vertex."""
        return BYTES_PER_POINT[inputs.coordinates]

    def check(self, plan: Plan) -> tuple[str, ...]:
        """Refuse what cannot be corrected, where that is asked for."""
        if plan.inputs["correct"]:
            check(plan)
        return ()

    def merge(self, parts: list[Part], io: ResultIO) -> Result:
        """Join the bodies, draw the pictures, describe the result."""
        from point_cloud.result import merge  # noqa: PLC0415 - plan and api need no pictures

        return merge(parts, io)
