"""The chosen scenes as arrays of the cube: which part of which file, at which decimation, in which blocks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from eo.catalog import CLASSES, Scene
from eo.geolocate import source_window
from eo.grid import RasterGrid, TargetGrid, Window
from eo.job import ArraySpec, ImageSource, Sources, Unit
from eo.sources import images
from eo.sources.raster import FileInfo, reading
from plan.cells import blocks, cutting, extent, touched
from plan.files import Files

SECONDS_PER_REQUEST = 0.05
"""What a range request costs beside its bytes: one round trip and the server's time to its first byte."""
BYTES_PER_SECOND = 20e6
"""What one connection to the Copernicus Data Space carries (its published quota)."""


@dataclass
class Fetched:
    """What the fetch stage brings, and how."""

    sources: dict[str, ImageSource] = field(default_factory=dict)
    arrays: list[ArraySpec] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    requests: int = 0
    bytes_in: int = 0


def decimated(info: FileInfo, resolution: int, *, classes: bool) -> tuple[RasterGrid, int, int]:
    """(grid after decimation, overview level, edge of the blocks averaged after reading it)."""
    how = reading(info, resolution, classes=classes)
    grid = info.grid
    factor = how.factor
    return (
        RasterGrid(
            grid.crs, grid.x, grid.y, grid.dx * factor, grid.dy * factor, grid.width // factor, grid.height // factor
        ),
        how.level,
        how.mean,
    )


def fetched(
    scenes: Sequence[Scene],
    files: Files,
    *,
    adapter: str,
    wanted: Sources,
    grid: TargetGrid,
    shards: Sequence[Window],
    centre_lon: float,
    chunk: int,
) -> Fetched:
    """Plan the image part of the fetch stage for these shards."""
    result = Fetched()
    bands = [*wanted.bands, *([CLASSES] if wanted.classes else [])]
    names = scene_names(scenes)
    needs: dict[tuple[int, RasterGrid], list[Window]] = {}
    for index, scene in enumerate(scenes):
        for band in (b for b in bands if b in scene.assets):
            info = files.info(index, band)
            small, level, mean = decimated(info, grid.resolution, classes=band == CLASSES)
            local = small.to_sibling(grid.crs)
            key = (index, local)
            if key not in needs:
                needs[key] = needed(grid, near(shards, local, grid), local, centre_lon)
            if needs[key]:
                _add(result, f"scenes/{names[index]}/{band}", index, scene, band, info, small, level, mean, needs[key], adapter, chunk)
    return result


def needed(grid: TargetGrid, shards: Sequence[Window], raster: RasterGrid, centre_lon: float) -> list[Window]:
    """Windows of a raster that align reads for these shards; one pixel larger, for align counts from another origin."""
    windows = (source_window(grid, shard, raster, centre_lon) for shard in shards)
    grown = (window.grown(1).intersection(raster.window) for window in windows if window is not None)
    return [window for window in grown if window is not None]


def near(shards: Sequence[Window], raster: RasterGrid, grid: TargetGrid) -> list[Window]:
    """Shards that may meet a raster: all but those far from it, where both count in one CRS."""
    if raster.crs != grid.crs:
        return list(shards)
    extent_here = grid.window_of(*raster.bounds).grown(4)
    return [shard for shard in shards if shard.intersection(extent_here)]


def scene_names(scenes: Sequence[Scene]) -> list[str]:
    """Names of the scenes' groups in the cube: their ids, as far as a path can hold them, and unique."""
    names: list[str] = []
    for index, scene in enumerate(scenes):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", scene.id)[:100] or "scene"
        names.append(name if name not in names else f"{name}-{index}")
    return names


def _add(
    result: Fetched,
    name: str,
    index: int,
    scene: Scene,
    band: str,
    info: FileInfo,
    small: RasterGrid,
    level: int,
    mean: int,
    windows: list[Window],
    adapter: str,
    chunk: int,
) -> None:
    """Add one band of one scene."""
    factor = round(small.dx / info.grid.dx)
    size = (small.height, small.width)
    tile = tuple(-(-edge // factor) if edge % factor == 0 or edge >= whole else edge for edge, whole in zip(info.tile, (info.grid.height, info.grid.width), strict=True))
    cut = cutting((tile[0], tile[1]), size, chunk)
    cells = touched(windows, cut.cell)
    part = extent(cells, cut.cell, size)
    remote_jp2 = adapter in images.REMOTE and info.driver == "JP2OpenJPEG"
    across = -(-size[1] // cut.cell[1])
    share = len(cells) / (across * -(-size[0] // cut.cell[0]))
    file_bytes = scene.assets[band].size or 2 * info.grid.window.pixels
    ranges = 2 + len(cells) + (0 if info.tile_lengths or not remote_jp2 else max(row * across + col for row, col in cells))
    whole = remote_jp2 and seconds(1, file_bytes) < seconds(ranges, share * file_bytes)
    result.sources[name] = ImageSource(
        adapter=adapter,
        scene=index,
        band=band,
        asset=scene.assets[band],
        file_grid=info.grid,
        grid=small.cropped(part),
        origin=(part.col, part.row),
        level=level,
        mean=mean,
        cell=cut.cell,
        whole=whole,
    )
    result.arrays.append(
        ArraySpec(
            name=name,
            shape=part.shape,
            chunks=(min(cut.chunks[0], part.height), min(cut.chunks[1], part.width)),
            dtype="uint8" if band == CLASSES else "uint16",
        )
    )
    for window in blocks(cells, cut.cell, size, whole=remote_jp2):
        inner = window.shifted(-part.col, -part.row)
        identity = f"{name.removeprefix('scenes/').replace('/', '.')}.r{inner.row:06d}c{inner.col:06d}"
        result.units.append(Unit(id=identity, window=inner, array=name))
    if adapter in images.REMOTE:
        result.bytes_in += file_bytes if whole else int(file_bytes * share)
        result.requests += 1 if whole else ranges


def seconds(requests: int, size: float) -> float:
    """What a read takes, roughly: one GET of all of a file beats many ranges sooner than one would think.

    A tile of a file without TLM markers needs a request for every tile before it.
    """
    return requests * SECONDS_PER_REQUEST + size / BYTES_PER_SECOND
