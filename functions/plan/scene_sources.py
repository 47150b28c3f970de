"""The chosen scenes as arrays of the cube: which part of which file, at which decimation, in which blocks."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eo import safe_zip
from eo.catalog import Asset, Scene, is_class
from eo.geolocate import MetreGrid, is_geographic, source_window, transformer
from eo.grid import RasterGrid, TargetGrid, Window
from eo.job import ArraySpec, ImageSource, Unit
from eo.range_file import BLOCK
from eo.sources import images
from eo.sources.raster import FileInfo, reading
from eo.stage import Sources
from plan import budget
from plan.cells import Cutting, blocks, cutting, extent, touched
from plan.files import Files
from plan.forecast import BYTES_PER_SECOND, SECONDS_PER_REQUEST

NEAR = 64
"""Pixels added to a raster's outline before shards are left out: what the outline may miss between its points."""


@dataclass
class Fetched:
    """What the fetch stage brings, and how."""

    sources: dict[str, ImageSource] = field(default_factory=dict)
    arrays: list[ArraySpec] = field(default_factory=list)
    units: list[Unit] = field(default_factory=list)
    requests: int = 0
    bytes_in: int = 0
    memory: int = 0
    """Most bytes that a block holds."""

    @property
    def used(self) -> list[int]:
        """Indices of the scenes of which something is fetched."""
        return sorted({source.scene for source in self.sources.values()})

    def keep_used(self, scenes: Sequence[Scene]) -> list[Scene]:
        """The scenes of which something is fetched; the sources are renumbered to count among them.

        A footprint can lie. A scene whose file does not reach the job must not count in its offsets or its lineage.
        """
        used = self.used
        self.sources = {
            name: source.model_copy(update={"scene": used.index(source.scene)}) for name, source in self.sources.items()
        }
        return [scenes[index] for index in used]

    def add(self, name: str, what: "BandFile", windows: Sequence[Window], chunk: int) -> None:
        """Bring the cells of a file that windows of it (in pixels as they are read) touch, as the cube's array `name`."""
        file, asset = what.file, what.asset
        cut = file.cutting(chunk)
        cells = touched(windows, cut.cell)
        part = extent(cells, cut.cell, file.size)
        remote = _remote(what.adapter, asset, file, cut, cells)
        self.sources[name] = ImageSource(
            adapter=what.adapter,
            scene=what.scene,
            band=what.band,
            asset=asset,
            file_grid=file.info.grid,
            grid=file.grid.cropped(part),
            origin=(part.col, part.row),
            level=file.level,
            mean=file.mean,
            tile=file.tile,
            cell=cut.cell,
            whole=remote.whole,
            context=what.context,
        )
        self.arrays.append(
            ArraySpec(
                name=name,
                shape=part.shape,
                chunks=(min(cut.chunks[0], part.height), min(cut.chunks[1], part.width)),
                dtype="uint8" if is_class(what.band) else "uint16",
            )
        )
        self.units += [
            _unit(name, window.shifted(-part.col, -part.row))
            for window in blocks(cells, cut.cell, file.size, whole=remote.one_call)
        ]
        self.requests += remote.requests
        self.bytes_in += remote.size
        memory = budget.image_memory(tile=file.info.tile, cell=cut.cell, factor=file.factor)
        self.memory = max(self.memory, memory)


@dataclass(frozen=True)
class Decimated:
    """A file as it is read at the job's resolution."""

    info: FileInfo
    grid: RasterGrid
    """Grid after decimation."""
    level: int
    """Overview level, -1 for full resolution."""
    mean: int
    """Edge of the blocks averaged (sampled, for classes and masks) after reading the level."""

    @classmethod
    def of(cls, info: FileInfo, resolution: int, *, classes: bool) -> "Decimated":
        """Choose the cheapest way to pixels not coarser than the resolution in metres."""
        how = reading(info, resolution, classes=classes)
        file, factor = info.grid, how.factor
        grid = RasterGrid(
            file.crs, file.x, file.y, file.dx * factor, file.dy * factor, file.width // factor, file.height // factor
        )
        return cls(info, grid, how.level, how.mean)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) after decimation."""
        return self.grid.height, self.grid.width

    @property
    def factor(self) -> int:
        """File pixels per pixel, along one axis."""
        return round(self.grid.dx / self.info.grid.dx)

    @property
    def tile(self) -> tuple[int, int]:
        """(rows, columns) of the file's tiles after decimation; of as few of them as are whole pixels."""
        rows, cols = self.info.tile
        file = self.info.grid
        return _tile(rows, file.height, self.factor), _tile(cols, file.width, self.factor)

    def cutting(self, chunk: int) -> Cutting:
        """Chunks and cells that decode each of the file's tiles once."""
        return cutting(self.tile, self.size, chunk)


@dataclass(frozen=True)
class BandFile:
    """One band of one scene, and how it is read."""

    adapter: str
    scene: int
    """Index among the scenes."""
    band: str
    asset: Asset
    file: Decimated
    context: bool = False
    """Whether it is read for the scene's context."""


def _tile(edge: int, whole: int, factor: int) -> int:
    """Edge of a file's tile in decimated pixels; of as few tiles as are a whole number of them, where one is not."""
    return -(-edge // factor) if edge >= whole else edge // math.gcd(edge, factor)


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
    names = scene_names(scenes)
    needs: dict[tuple[int, RasterGrid], list[Window]] = {}
    for index, scene in enumerate(scenes):
        for band in (b for b in wanted.all_bands if b in scene.assets):
            file = Decimated.of(files.info(index, band), grid.resolution, classes=is_class(band))
            local = file.grid.to_sibling(grid.crs)
            if (index, local) not in needs:
                needs[index, local] = needed(grid, near(shards, local, grid), local, centre_lon)
            windows = needs[index, local]
            if windows:
                what = BandFile(adapter, index, band, scene.assets[band], file)
                result.add(f"scenes/{names[index]}/{band}", what, windows, chunk)
    return result


def _unit(name: str, window: Window) -> Unit:
    short = name.removeprefix("scenes/").replace("/", ".")
    return Unit(id=f"{short}.r{window.row:06d}c{window.col:06d}", window=window, array=name)


@dataclass(frozen=True)
class Remote:
    """How a file comes over the network; all zero for local ones."""

    whole: bool = False
    """Whether it is fetched whole before it is decoded."""
    one_call: bool = False
    """Whether one unit reads all that is needed of it."""
    requests: int = 0
    size: int = 0
    """Bytes."""


def _remote(adapter: str, asset: Asset, file: Decimated, cut: Cutting, cells: set[tuple[int, int]]) -> Remote:
    """Weigh one GET of all of a file against a range for each tile.

    A tile of a JPEG 2000 file without TLM markers takes a request for every tile before it, so the whole file is often
    sooner there than one would think.
    """
    if adapter == safe_zip.ADAPTER:
        # It is unpacked whole in any case, so one unit takes all of it.
        return Remote(whole=True, one_call=True, requests=1, size=asset.size or 0)
    if adapter not in images.REMOTE:
        return Remote()
    across = -(-file.size[1] // cut.cell[1])
    share = len(cells) / (across * -(-file.size[0] // cut.cell[0]))
    size = asset.size or 2 * file.info.grid.window.pixels
    # Tiles smaller than what one request brings come several at a time.
    tiles = min(len(cells), math.ceil(share * size / BLOCK))
    if file.info.driver != "JP2OpenJPEG":
        return Remote(requests=1 + tiles, size=int(size * share))
    before = 0 if file.info.tile_lengths else max(row * across + col for row, col in cells)
    ranges = 2 + tiles + min(before, math.ceil(size / BLOCK))
    whole = _seconds(1, size) < _seconds(ranges, share * size)
    return Remote(
        whole=whole, one_call=True, requests=1 if whole else ranges, size=size if whole else int(size * share)
    )


def _seconds(requests: int, size: float) -> float:
    """What a read takes, roughly."""
    return requests * SECONDS_PER_REQUEST + size / BYTES_PER_SECOND


def needed(grid: MetreGrid, shards: Sequence[Window], raster: RasterGrid, centre_lon: float) -> list[Window]:
    """Windows of a raster that are read for these shards; one pixel larger, for who reads counts from another origin."""
    windows = (source_window(grid, shard, raster, centre_lon) for shard in shards)
    grown = (window.grown(1).intersection(raster.window) for window in windows if window is not None)
    return [window for window in grown if window is not None]


def near(shards: Sequence[Window], raster: RasterGrid, grid: TargetGrid) -> list[Window]:
    """Shards that may meet a raster: all but those far from it, by its outline in the target CRS."""
    left, bottom, right, top = raster.bounds
    if raster.crs != grid.crs:
        if is_geographic(raster.crs):
            return list(shards)
        projection = transformer(raster.crs, grid.crs)
        left, bottom, right, top = projection.transform_bounds(left, bottom, right, top, densify_pts=21)
        if not np.isfinite([left, bottom, right, top]).all():
            return list(shards)
    # Align looks for what a shard needs with a margin that grows with the shard (`source_window`).
    edge = max((max(shard.width, shard.height) for shard in shards), default=0)
    extent_here = grid.window_of(left, bottom, right, top).grown(NEAR + edge // 64)
    return [shard for shard in shards if shard.intersection(extent_here)]


def scene_names(scenes: Sequence[Scene]) -> list[str]:
    """Names of the scenes' groups in the cube: their ids, as far as a path can hold them, and unique."""
    names: list[str] = []
    for index, scene in enumerate(scenes):
        name = re.sub(r"[^A-Za-z0-9_-]", "_", scene.id)[:100] or "scene"
        names.append(name if name not in names else f"{name}-{index}")
    return names
