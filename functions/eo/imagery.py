"""The stages that make a cube, for every process that needs one."""

from eo.job import Sources, Stage

ALIGN_BYTES_PER_PIXEL = 40
"""Three bands, a mosaic of them, masks, classes and elevation, and their working copies (measured: bench)."""


def imagery(bands: tuple[str, ...], *, classes: bool, elevation: bool) -> list[Stage]:
    """Fetch source blocks, then align them with the target grid."""
    return [
        Stage(
            name="fetch",
            map="fetch.blocks:fetch",
            over="blocks",
            sources=Sources(bands=bands, classes=classes, elevation=elevation),
        ),
        Stage(name="align", map="fetch.align:align", over="shards", bytes_per_pixel=ALIGN_BYTES_PER_PIXEL),
    ]
