"""The stages that make a cube, for every process that needs one."""

from collections.abc import Iterator

from eo.grid import RasterGrid, Window
from eo.stage import Made, Resampling, Sources, Stage

ALIGN_BYTES_PER_PIXEL = 40
"""Three bands, a mosaic of them, masks, classes and elevation, and their working copies (measured: bench)."""
ALIGN_BYTES_PER_BAND = 4
"""Of each further band: its DNs, and the mosaic's."""
CONTEXT_BYTES_PER_PIXEL = 60
"""Elevation on a coarse grid of 915 x 915 pixels, from posts of 30 m, and its working copies (measured: 37)."""

CONTEXT_METRES = 120
"""Pixel of a context, or the next finer whole multiple of the file's: all of Sentinel-2's pixels divide it."""
CONTEXT_CHUNK = 512
"""Chunk edge of what stages write on contexts, at most."""
CONTEXT_STRIP = 128
"""Rows of a context that are brought elevation together; they divide the chunk."""

ELEVATION = "elevation"
"""What elevation is called, on the target grid and in each context."""


def imagery(
    bands: tuple[str, ...],
    *,
    classes: bool,
    elevation: bool,
    context: tuple[str, ...] = (),
    context_optional: tuple[str, ...] = (),
    context_elevation: bool = False,
    resampling: Resampling = "bilinear",
    squares: int = 0,
    masked: bool = False,
    classified: bool = False,
    mask_snow: bool = False,
) -> list[Stage]:
    """Fetch source blocks, align them with the target grid, and lay elevation under the contexts where any are wanted.

    Without `context_elevation`, elevation of the contexts is NaN.
    """
    sources = Sources(
        bands=bands,
        classes=classes,
        elevation=elevation,
        context=context,
        context_optional=context_optional,
        context_elevation=context_elevation,
        resampling=resampling,
        squares=squares,
        masked=masked,
        classified=classified,
        mask_snow=mask_snow,
    )
    per_pixel = ALIGN_BYTES_PER_PIXEL + ALIGN_BYTES_PER_BAND * max(0, len(bands) - 3)
    stages = [
        Stage(name="fetch", map="fetch.blocks:fetch", over="blocks", sources=sources),
        Stage(name="align", map="fetch.align:align", over="shards", bytes_per_pixel=per_pixel),
    ]
    if context:
        stages.append(
            Stage(
                name="context",
                map="fetch.context:context",
                over="scenes",
                bytes_per_pixel=CONTEXT_BYTES_PER_PIXEL,
                makes=(Made(name=ELEVATION, over="scenes", dtype="float32", fill="NaN"),),
            )
        )
    return stages


def context_strips(grid: RasterGrid) -> Iterator[Window]:
    """The windows in which a context is brought elevation: the plan fetches for each what the stage reads for it."""
    return grid.window.cells(grid.width, CONTEXT_STRIP)
