"""Atmospheric correction as a part of any process: what can be asked of it, its stages, and what they leave in the cube.

The stages themselves live in `atmospheric_correction` and are named here, not imported.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from eo.catalog import MASKS
from eo.errors import InvalidInput
from eo.imagery import imagery
from eo.job import Plan
from eo.radiometry import Radiometry
from eo.stage import Made, Stage
from eo.tiling import Tiling

SURFACE = Radiometry(-1000, 10_000)
"""Of the DNs that are written: reflectance = (DN - 1000) / 10000, as in L2A products since baseline 04.00."""
PHYSICS, UNET = "physics", "unet-efficientnet-b2"
"""Correctors that need no net on the coarse grid."""
UNET_METRES = 10
"""Pixels that the U-Net knows."""
LOWEST_SUN = 80
"""Degrees from the zenith beyond which nobody would believe 6S: its air is flat, and light that low has come through the
curved one."""
STATISTICS = ("B01", "B02", "B03", "B04", "B8A", "B12")
"""Bands that tell aerosol from ground, looked at on the coarse grid of the whole granule."""
OPTIONAL = ("B09", "B10", *MASKS)
"""Taken likewise where a product has them: water vapour, cirrus, its own cloud masks."""
GAIN, BIAS, SIGMA, ALBEDO = "gain_", "bias_", "sigma_", "albedo_"
"""What arrays of the coarse grid begin with; then comes the band."""
QUALITY = "quality"
SIGMA_STEP = 16
"""Pixels between the lattice points for which 1-sigma is delivered."""


def _in_cm_atm(value: Any) -> Any:  # noqa: ANN401 - as it was typed
    """Refuse ozone in Dobson units, in which most tell it; all else is the field's own check."""
    try:
        units = float(value)
    except (TypeError, ValueError):
        return value
    if 100 <= units <= 700:
        raise ValueError(
            f"is in Dobson units, and wanted are cm-atm, from 0.1 to 0.7 (1 cm-atm is 1000 Dobson units): give {units / 1000:g}"
        )
    return value


class CorrectionInputs(BaseModel):
    """How to correct: for every process that may."""

    model: Annotated[
        Literal["atmosphere-field", "atmosphere-field-visible", "unet-efficientnet-b2", "physics"],
        Field(
            description="corrector: a net on coarse statistics of the whole granule, a U-Net on the pixels (B02 to B04), or 6S "
            "without learning"
        ),
    ] = "atmosphere-field"
    adjacency: Annotated[
        bool, Field(description="take out the light that a pixel's surroundings send into its line of sight")
    ] = True
    aot: Annotated[
        float | None,
        Field(ge=0, le=2, allow_inf_nan=False, description="aerosol optical thickness at 550 nm, for model physics"),
    ] = None
    aerosol: Annotated[
        Literal["continental", "maritime", "urban", "desert"], Field(description="aerosol type, for model physics")
    ] = "continental"
    water_vapour: Annotated[
        float | None,
        Field(
            ge=0, le=10, allow_inf_nan=False, description="g/cm2 over the scene's mean ground; default the product's"
        ),
    ] = None
    ozone: Annotated[
        Annotated[float, Field(ge=0.1, le=0.7, allow_inf_nan=False)] | None,
        BeforeValidator(_in_cm_atm),
        Field(description="cm-atm; default the product's, else 0.32"),
    ] = None

    @model_validator(mode="after")
    def _nets_find_aerosol(self) -> "CorrectionInputs":
        if self.model != "physics" and self.aot is not None:
            raise ValueError(f"model {self.model} finds the AOT itself: leave aot out, or choose model physics")
        if self.model != "physics" and self.aerosol != "continental":
            raise ValueError(
                f"model {self.model} finds the aerosol type itself, {self.aerosol} or not: leave aerosol out, or choose model "
                "physics"
            )
        return self


def surface(band: str) -> str:
    """The variable of the target grid that holds a band's surface DNs."""
    return f"surface_{band}"


def corrected(plan: Plan) -> tuple[str, ...]:
    """The bands that a plan corrects, in the order of their wavelengths."""
    return tuple(sorted(name.removeprefix("surface_") for name in plan.targets if name.startswith("surface_")))


def check(plan: Plan) -> None:
    """Refuse what no corrector can do. Raises InvalidInput."""
    if plan.inputs["model"] == UNET and plan.grid.resolution != UNET_METRES:
        raise InvalidInput(
            f"model {UNET} knows pixels of {UNET_METRES} m, not of {plan.grid.resolution} m: choose another model, or "
            f"resolution {UNET_METRES}"
        )
    for scene in plan.scenes:
        if scene.angles is not None and scene.angles.lowest_sun > LOWEST_SUN:
            raise InvalidInput(
                f"over scene {scene.id} the sun stands {scene.angles.lowest_sun:.1f} degrees from the zenith, and its air is "
                f"known up to {LOWEST_SUN}: choose another date (datetime) or another bbox"
            )


def correction(bands: tuple[str, ...], inputs: Any, *, elevation: bool) -> list[Stage]:  # noqa: ANN401 - CorrectionInputs
    """Stages from sources to surface DNs of the bands on the target grid; with `elevation`, that comes there too."""
    coarse = [GAIN, BIAS, SIGMA, *([] if inputs.adjacency else [ALBEDO])]
    statistics = tuple(dict.fromkeys((*STATISTICS, *bands)))
    unet = inputs.model == UNET
    return [
        *imagery(
            bands,
            classes=False,
            elevation=elevation,
            context=statistics,
            context_optional=OPTIONAL,
            context_elevation=True,
        ),
        Stage(
            name="field",
            map="atmospheric_correction.field:field",
            over="scenes",
            bytes_per_pixel=FIELD_BYTES_PER_PIXEL,
            makes=(
                *(
                    Made(name=f"{name}{band}", over="scenes", dtype="float32", fill="NaN")
                    for name in coarse
                    for band in bands
                ),
                Made(name=QUALITY, over="scenes", dtype="uint8"),
            ),
        ),
        *([_unet_tiles(bands)] if unet else []),
        Stage(
            name="correct",
            map="atmospheric_correction.correct:correct",
            over="shards",
            bytes_per_pixel=BLEND_BYTES_PER_PIXEL if unet else CORRECT_BYTES_PER_PIXEL,
            makes=(
                *(Made(name=surface(band), over="shards", dtype="uint16") for band in bands),
                Made(name=QUALITY, over="shards", dtype="uint8"),
            ),
        ),
    ]


def _unet_tiles(bands: tuple[str, ...]) -> Stage:
    """What each tile of the U-Net contributes, in reflectance: neighbouring shards share tiles, here each is computed once."""
    return Stage(
        name="tiles",
        map="atmospheric_correction.unet:tiles",
        over="tiles",
        tiling=UNET_TILING,
        bytes_per_pixel=TILES_BYTES_PER_PIXEL,
        makes=tuple(Made(name=band, over="tiles", dtype="float32") for band in bands),
    )


UNET_TILING = Tiling(stride=608, used=704, margin=32, block=3)
"""What the model's card says (tiles of 768 pixels with a halo of 128; the stage compares them), known without the model:
whoever takes an order, and plans it, may have none. A block of 9 tiles is a call of 5 CPU seconds."""
FIELD_BYTES_PER_PIXEL = 300
"""Some fifty layers of float32 and the transforms of two (measured: bench)."""
TILES_BYTES_PER_PIXEL = 600
"""Of a tile of 768 x 768: the net, what it holds at its widest, and the TOA of nine tiles (measured: 560)."""
BLEND_BYTES_PER_PIXEL = 100
"""As below, with a row of tiles (measured: 37), and the net of the tiles stage, which a worker keeps: its 330 MB spread over
a shard of 2048 x 2048, the smallest to need more than that stage (measured: 98)."""
CORRECT_BYTES_PER_PIXEL = 20
"""Origin, quality, DNs before and after, and copies (measured: bench)."""
