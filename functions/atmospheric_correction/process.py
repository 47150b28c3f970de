"""The process `atmospheric-correction`: Sentinel-2 L1C to surface reflectance."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from eo.cog_layout import COG, Place, whole
from eo.correction import UNET, CorrectionInputs, check, correction
from eo.errors import InvalidInput
from eo.inputs import CubeInputs, ElevationInputs
from eo.job import Output, Part, Plan, Result
from eo.model import read_item
from eo.stage import Stage
from eo.unit_io import ResultIO

MODEL_ITEM = "model.json"
"""File of the result: the STAC item of the model that made it."""


class AtmosphericCorrectionInputs(CorrectionInputs, CubeInputs, ElevationInputs):
    """Inputs of an atmospheric correction."""

    collection: Annotated[Literal["sentinel-2-l1c"], Field(description="top of atmosphere (L1C)")] = "sentinel-2-l1c"
    bands: Annotated[
        tuple[Literal["B02", "B03", "B04", "B08"], ...],
        BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
        Field(min_length=1, description="bands to correct; B08 needs water vapour: given, the product's, or from B09"),
    ] = ("B02", "B03", "B04")
    mask_clouds: Annotated[bool, Field(description="write no reflectance under opaque clouds")] = True

    @model_validator(mode="after")
    def _each_band_once(self) -> "AtmosphericCorrectionInputs":
        if len(set(self.bands)) != len(self.bands):
            raise ValueError(f"bands {', '.join(self.bands)} name one twice: name each once")
        return self

    @model_validator(mode="after")
    def _the_unet_makes_three(self) -> "AtmosphericCorrectionInputs":
        if self.model == UNET and set(self.bands) != {"B02", "B03", "B04"}:
            raise ValueError(f"model {UNET} makes B02, B03 and B04, not {', '.join(self.bands)}: choose another model")
        return self


RASTER_BYTES_PER_PIXEL = 32
"""Bands side by side, their differences, and the overviews (measured: bench)."""


class AtmosphericCorrection:
    """Surface reflectance as cloud-optimised GeoTIFF, with quality, uncertainty and statistics."""

    id: ClassVar[str] = "atmospheric-correction"
    title: ClassVar[str] = "Atmospheric correction of Sentinel-2"
    description: ClassVar[str] = (
        "Top-of-atmosphere reflectance (L1C) of a bounding box to surface reflectance, with quality and uncertainty"
    )
    version: ClassVar[str] = "1.0.0"
    Inputs: ClassVar[type[BaseModel]] = AtmosphericCorrectionInputs
    outputs: ClassVar[Mapping[str, Output]] = {
        "surface_reflectance": Output(
            title="Surface reflectance",
            description="reflectance = (DN - 1000) / 10000, 0 is no data; cloud-optimised GeoTIFF",
            file="surface_reflectance.tif",
            media_type=COG,
        ),
        "quality": Output(
            title="Quality",
            description="clear, fallback, snow, cirrus, cloud, saturated, no data",
            file="quality.tif",
            media_type=COG,
        ),
        "uncertainty": Output(
            title="Uncertainty",
            description="1-sigma of each band's reflectance x 10000, at every 16th pixel",
            file="uncertainty.tif",
            media_type="image/tiff; application=geotiff",
        ),
        "item": Output(
            title="STAC item",
            description="what it is, where it lies, what it was made of and by which model",
            file="surface_reflectance.json",
            media_type="application/geo+json",
        ),
        "spectra": Output(
            title="Spectral statistics",
            description="of each band before and after, and pixels by quality",
            file="spectra.json",
            media_type="application/json",
        ),
        "checksums": Output(
            title="Checksums",
            description="SHA-256 of every piece of the joined files",
            file="checksums.json",
            media_type="application/json",
        ),
        "model": Output(
            title="Model",
            description="STAC item (MLM) of the model: training, domain, results, limits",
            file=MODEL_ITEM,
            media_type="application/geo+json",
        ),
        "before_after": Output(
            title="Before and after",
            description="top of atmosphere beside surface, one stretch",
            file="before_after.png",
            media_type="image/png",
        ),
    }

    def stages(self, inputs: AtmosphericCorrectionInputs) -> list[Stage]:
        """Cube, air, surface, files."""
        return [
            *correction(tuple(sorted(inputs.bands)), inputs, elevation=False),
            Stage(
                name="raster",
                map="atmospheric_correction.raster:encode",
                over="shards",
                bytes_per_pixel=RASTER_BYTES_PER_PIXEL,
            ),
        ]

    def sampled(self, inputs: AtmosphericCorrectionInputs) -> float:  # noqa: ARG002 - the protocol's
        """All pixels are corrected."""
        return 1.0

    def bytes_per_point(self, inputs: AtmosphericCorrectionInputs) -> tuple[int, ...]:
        """Bytes of a pixel in the files, at most."""
        return (2 * len(inputs.bands) + 1,)

    def check(self, plan: Plan) -> tuple[str, ...]:
        """Refuse what cannot be corrected or written, before any work is done."""
        check(plan)
        Place.of(plan.grid, whole(plan))
        # Whoever plans may have no models; whoever has them learns here that one is damaged.
        with suppress(InvalidInput):
            read_item(plan.inputs["model"])
        return ()

    def merge(self, parts: list[Part], io: ResultIO) -> Result:
        """Join the files, draw the picture, describe the result."""
        from atmospheric_correction.result import merge  # noqa: PLC0415 - plan and api need no pictures
        from eo import lineage  # noqa: PLC0415

        (model,) = lineage.models(io.plan)
        io.write(MODEL_ITEM, lineage.model_item(model["name"]))
        return merge(parts, io, model={**model, "href": f"./{MODEL_ITEM}"})
