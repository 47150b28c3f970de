"""The arrays of the cube that stages after fetch write: on the target grid, on the scenes' coarse grids, and of tiles."""

from collections.abc import Sequence

from eo.catalog import CLASSES, Scene
from eo.grid import RasterGrid, TargetGrid, Window
from eo.imagery import CONTEXT_CHUNK
from eo.job import ArraySpec, TargetArray
from eo.stage import Made, Sources
from eo.tiling import TILES, Tiling
from plan.scene_sources import Fetched


def target_arrays(
    scenes: list[Scene],
    images: Fetched,
    wanted: Sources,
    makes: Sequence[Made] = (),
    *,
    grid: TargetGrid,
    anchor: tuple[int, int],
    chunk: int,
) -> tuple[list[ArraySpec], dict[str, TargetArray]]:
    """Arrays on the target grid, those that stages make among them, and where each variable is kept.

    The bands of a scene that is the only one and lies on the grid stay where they were fetched.
    """
    window = grid.window.shifted(-anchor[0], -anchor[1]).snapped(chunk, chunk).shifted(*anchor)
    arrays: list[ArraySpec] = []
    targets: dict[str, TargetArray] = {}

    def add(name: str, dtype: str, fill: float | str = 0) -> None:
        arrays.append(ArraySpec(name=name, shape=window.shape, chunks=(chunk, chunk), dtype=dtype, fill=fill))
        targets[name] = TargetArray(array=name, window=window)

    for band in wanted.bands:
        alias = sole_alias(band, images, grid)
        if alias is None:
            add(f"bands/{band}", "uint16")
            targets[band] = targets.pop(f"bands/{band}")
        else:
            targets[band] = alias
    add("valid", "uint8")
    if len(scenes) > 1:
        add("scene", "uint8" if len(scenes) < 255 else "uint16")
    if wanted.masked:
        add("masked", "uint8")
    if wanted.classified:
        add(CLASSES, "uint8")
    if wanted.elevation:
        add("elevation", "float32", "NaN")
    for made in makes:
        if made.over == "shards":
            add(made.name, made.dtype, made.fill)
    return arrays, targets


def sole_alias(band: str, images: Fetched, grid: TargetGrid) -> TargetArray | None:
    """The one scene's array of a band, where it is on the target grid."""
    own = [(name, source) for name, source in images.sources.items() if source.band == band and not source.context]
    if len({source.scene for source in images.sources.values()}) != 1 or len(own) != 1:
        return None
    name, source = own[0]
    local = source.grid.to_sibling(grid.crs)
    offset = grid.offset_of(local)
    return None if offset is None else TargetArray(array=name, window=Window(*offset, local.width, local.height))


def made_arrays(makes: Sequence[Made], names: Sequence[str], contexts: Sequence[RasterGrid]) -> list[ArraySpec]:
    """The arrays that stages write on contexts, of the scenes of these names; none where no context is wanted."""
    if not contexts:
        return []
    return [
        ArraySpec(
            name=f"context/{name}/{made.name}",
            shape=(grid.height, grid.width),
            chunks=(min(CONTEXT_CHUNK, grid.height), min(CONTEXT_CHUNK, grid.width)),
            dtype=made.dtype,
            fill=made.fill,
        )
        for name, grid in zip(names, contexts, strict=True)
        for made in makes
        if made.over == "scenes"
    ]


def tile_arrays(makes: Sequence[Made], tiling: Tiling | None, grid: TargetGrid) -> list[ArraySpec]:
    """The arrays of what tiles contribute, of all that reach into the job: a chunk each, so that each has one writer.

    None where no stage has tiles.
    """
    if tiling is None:
        return []
    tiles = tiling.touching(grid.window)
    return [
        ArraySpec(
            name=f"{TILES}/{made.name}",
            shape=tiling.stored(tiles, tiles).shape,
            chunks=(tiling.used, tiling.used),
            dtype=made.dtype,
            fill=made.fill,
        )
        for made in makes
        if made.over == "tiles"
    ]
