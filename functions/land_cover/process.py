"""The process `land-cover`: Sentinel-2 L2A to the labels of BigEarthNet, patch by patch."""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from eo import estimate
from eo.card import NAME
from eo.cog_layout import COG, epsg
from eo.errors import InvalidInput, TooLarge
from eo.imagery import imagery
from eo.inputs import CubeInputs
from eo.job import ImageSource, Output, Part, Plan, Result
from eo.model import read_item
from eo.stage import Stage
from eo.unit_io import ResultIO
from land_cover import cards
from land_cover.files import (
    GEOJSON,
    ITEM,
    LABELS,
    MAP,
    MODEL_ITEM,
    NAMES,
    PARQUET,
    PROBABILITIES,
    STATISTICS,
    TABLE,
)
from land_cover.patches import EDGE, METRES, PATCH, TILING, patch_count

JUDGE_BYTES_PER_PIXEL = 20_000
"""Of a patch, of which a unit has 256: their bands and masks, and the network (measured: bench/land_cover_speed.py)."""
MAX_PATCHES = 1_000_000
"""Patches of a job: 1.44 million square kilometres. The merge holds 95 bytes of each, its raster's 76 with their copies and
one row group of the table at a time: measured, it then has 0.72 GB at most (a Lambda function's 1,769 MiB are 1.85)."""
GEOJSON_BYTES = 2_000
"""Of a patch in the GeoJSON, at most: one with all 19 labels and the longest name of a model has 1,911."""
MAX_PATCHES_ON_LAMBDA = 250_000
"""There the GeoJSON waits for S3 in the merge function's temporary folder, which has 512 MiB."""
TEN_METRES = ("B02", "B03", "B04", "B08")
"""Bands whose pixels are those of the target grid: they come first, for the first band decides on its phase."""


class LandCoverInputs(CubeInputs):
    """Inputs of a land-cover map."""

    collection: Annotated[Literal["sentinel-2-l2a"], Field(description="surface reflectance (L2A)")] = "sentinel-2-l2a"
    resolution: Annotated[
        Annotated[int, Field(ge=1, le=10_000)] | None,
        # Else the first band would decide, and a model of bands of 20 m alone would get others than it knows.
        BeforeValidator(lambda value: METRES if value is None else value),
        Field(description="pixel size in metres: 10, as the models know"),
    ] = METRES
    model: Annotated[
        str, Field(pattern=NAME, max_length=80, description="model that judges the patches; its card names the bands")
    ] = "land-cover-resnet26"
    allow_demo_model: Annotated[
        bool,
        Field(
            description="let a model that has learnt from generated patches alone judge real scenes, and mark the result"
        ),
    ] = False
    mask_clouds: Annotated[
        bool,
        Field(description="leave out clouds, shadows, snow and defective pixels by the scene classification"),
    ] = True
    max_unusable: Annotated[
        float,
        Field(
            ge=0,
            le=0.5,
            allow_inf_nan=False,
            description="share of a patch's pixels that may be masked, missing or saturated, at most 0.5; with more it is not judged",
        ),
    ] = 0.05

    @model_validator(mode="after")
    def _pixels_of_ten_metres(self) -> "LandCoverInputs":
        if self.resolution != METRES:
            raise ValueError(
                f"resolution {self.resolution} m: patches are judged by {PATCH} x {PATCH} pixels of {METRES} m; leave resolution out"
            )
        return self


class LandCover:
    """Which of 19 land-cover classes each patch of 1,200 m has, with their probabilities."""

    id: ClassVar[str] = "land-cover"
    title: ClassVar[str] = "Land cover of patches"
    description: ClassVar[str] = (
        "The 19 classes of BigEarthNet for every patch of 1,200 m that a bounding box touches: labels and probabilities"
    )
    version: ClassVar[str] = "1.0.0"
    Inputs: ClassVar[type[BaseModel]] = LandCoverInputs
    outputs: ClassVar[Mapping[str, Output]] = {
        "patches": Output(
            title="Patches",
            description="GeoParquet in the CRS of the job: probabilities, labels above their thresholds, what became of each",
            file=PARQUET,
            media_type=TABLE,
        ),
        "geojson": Output(
            title="Patches as GeoJSON",
            description="the same in longitude and latitude",
            file=GEOJSON,
            media_type="application/geo+json",
        ),
        "probabilities": Output(
            title="Probabilities",
            description="a band for each class, a pixel for each patch; cloud-optimised GeoTIFF",
            file=PROBABILITIES,
            media_type=COG,
        ),
        "labels": Output(
            title="Most probable label",
            description="code of each patch's most probable class, with colours; cloud-optimised GeoTIFF",
            file=LABELS,
            media_type=COG,
        ),
        "label_names": Output(
            title="Names of the codes",
            description="for GDAL and QGIS, which look for them beside the GeoTIFF",
            file=NAMES,
            media_type="application/xml",
        ),
        "map": Output(title="Map", description="most probable labels with a legend", file=MAP, media_type="image/png"),
        "statistics": Output(
            title="Statistics",
            description="patches by class and by what became of them",
            file=STATISTICS,
            media_type="application/json",
        ),
        "item": Output(
            title="STAC item",
            description="what it is, where it lies, what it was made of and by which model",
            file=ITEM,
            media_type="application/geo+json",
        ),
        "model": Output(
            title="Model",
            description="STAC item (MLM) of the model: training, domain, results, limits",
            file=MODEL_ITEM,
            media_type="application/geo+json",
        ),
    }

    def stages(self, inputs: LandCoverInputs) -> list[Stage]:
        """Cube of the model's bands, then patches. Raises InvalidInput where there is no such model."""
        card = cards.card(inputs.model)
        return [
            *imagery(
                tuple(sorted(card.bands, key=lambda band: (band not in TEN_METRES, card.bands.index(band)))),
                classes=inputs.mask_clouds,
                elevation=False,
                resampling=card.resampling or "bilinear",
                squares=EDGE,
                masked=True,
                # BigEarthNet's authors leave its snowy and cloudy patches out of training, and so no model knows snow.
                mask_snow=True,
            ),
            Stage(
                name="judge",
                map="land_cover.judge:judge",
                over="tiles",
                tiling=TILING,
                bytes_per_pixel=JUDGE_BYTES_PER_PIXEL,
            ),
        ]

    def sampled(self, inputs: LandCoverInputs) -> float:  # noqa: ARG002 - the protocol's
        """All pixels count."""
        return 1.0

    def bytes_per_point(self, inputs: LandCoverInputs) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's
        """Bytes of a pixel in the files, at most: a patch's 14,400 have about 2,000."""
        return (1,)

    def check(self, plan: Plan) -> tuple[str, ...]:
        """Refuse what cannot be judged or written, before any work is done; say how much it is, and by what model."""
        from land_cover import scale  # noqa: PLC0415 - api needs no projections

        epsg(plan.grid.crs)
        scale.check(plan)
        for source in plan.sources.values():
            if isinstance(source, ImageSource) and source.band in TEN_METRES and source.grid.dx > METRES:
                raise InvalidInput(
                    f"{source.band} of scene {plan.scenes[source.scene].id} has pixels of {source.grid.dx:g} m, patches are "
                    f"judged by those of {METRES} m: give the product at full resolution"
                )
        patches = plan.grid.window.pixels // PATCH**2
        most = MAX_PATCHES_ON_LAMBDA if estimate.on_lambda() else MAX_PATCHES
        if patches > most:
            raise TooLarge(
                f"the job has {patches:,} patches around bbox {plan.bbox}, the merge takes at most {most:,}: order parts of "
                "the area as jobs of their own"
            )
        card = cards.card(plan.inputs["model"])
        cards.check_demo(plan, card)
        read_item(card.name)
        most = math.ceil(plan.predicted.pixels / PATCH**2)
        return (*filter(None, [cards.warning(card)]), f"up to {patch_count(most)} of {EDGE:,} m touch the bbox")

    def merge(self, parts: list[Part], io: ResultIO) -> Result:
        """Write tables, rasters and map; describe the result."""
        from eo import lineage  # noqa: PLC0415 - plan and api need no pictures
        from land_cover.result import merge  # noqa: PLC0415

        (model,) = lineage.models(io.plan)
        io.write(MODEL_ITEM, lineage.model_item(model["name"]))
        return merge(parts, io, model={**model, "href": f"./{MODEL_ITEM}"})
