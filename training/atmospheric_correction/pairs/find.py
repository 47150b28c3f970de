"""Which products below some folders make pairs: by datatake and MGRS tile, from their own metadata.

Names of folders are not trusted: they get renamed. What cannot be used is reported by name, and the rest goes on.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product as combinations
from pathlib import Path
from typing import NamedTuple

from eo.errors import CorruptData, EoShardsError, InvalidInput
from eo.grid import RasterGrid
from eo.safe import SUFFIXES, ProductMetadata, TileMetadata, read_product, read_tile
from eo.safe_xml import Document
from eo.sources import raster
from plan.candidate import tile_of
from plan.safe_catalog import metadata_file, products

_AOT = re.compile(r"_AOT_(\d+)m$")


class Key(NamedTuple):
    """What both products of a pair have in common."""

    spacecraft: str
    start: str
    """Sensing start of the datatake, to the second."""
    orbit: int
    """Relative orbit."""
    tile: str
    """MGRS tile without the leading T."""


@dataclass(frozen=True)
class Layer:
    """One image file of a product, whose header has been read."""

    path: Path
    grid: RasterGrid

    @property
    def step(self) -> float:
        """Metres along a pixel."""
        return self.grid.dx


@dataclass(frozen=True)
class Side:
    """A product: one side of a pair."""

    path: Path
    meta: ProductMetadata
    tile: TileMetadata
    granule: Path
    key: Key
    layers: dict[str, Layer]
    """The bands that were asked for, and SCL and AOT where there are any."""
    aot_quantification: float = 1000.0

    @property
    def name(self) -> str:
        """The product's, as its metadata has it."""
        return self.meta.uri.removesuffix(".SAFE")


@dataclass(frozen=True)
class Pair:
    """Top of atmosphere and surface of one place and moment."""

    toa: Side
    boa: Side

    @property
    def tile(self) -> str:
        """MGRS tile, such as 33TWM."""
        return self.toa.key.tile

    @property
    def grid(self) -> RasterGrid:
        """The pixels of the finest band of the L1C."""
        return min((layer.grid for layer in self.toa.layers.values()), key=lambda grid: grid.dx)


@dataclass(frozen=True)
class Found:
    """Pairs in order of tile and time, and what was not usable."""

    pairs: list[Pair]
    reports: list[str] = field(default_factory=list)
    """One line each, with the product's name, what is wrong and what helps."""


def find(folders: Sequence[Path], bands: Sequence[str], *, mixed_baselines: str = "use") -> Found:
    """Find the pairs below some folders that have these bands. Raises InvalidInput where a folder does not exist."""
    for folder in folders:
        if not folder.is_dir():
            raise InvalidInput(f"products folder {folder} does not exist; name one that holds .SAFE folders")
    reports: list[str] = []
    sides: dict[Key, dict[str, list[Side]]] = defaultdict(lambda: {"L1C": [], "L2A": []})
    for path in sorted({path.resolve() for folder in folders for path in products(folder)}):
        try:
            side = read_side(path, bands)
        except (EoShardsError, OSError) as error:
            reports.append(f"{path.name}: {error}")
            continue
        sides[side.key][side.meta.level].append(side)
    pairs = []
    for key in sorted(sides, key=lambda key: (key.tile, key.start, key)):
        levels = sides[key]
        if not all(levels.values()):
            have, lack = ("L1C", "L2A") if levels["L1C"] else ("L2A", "L1C")
            reports += [
                f"{side.name}: no {lack} of its datatake and tile; get it, or remove this" for side in levels[have]
            ]
            continue
        pair = _chosen(levels["L1C"], levels["L2A"])
        reports += [
            f"{side.name}: another processing of the same {level} is used, {used.name}; remove one of them"
            for level, used in (("L1C", pair.toa), ("L2A", pair.boa))
            for side in levels[level]
            if side is not used
        ]
        if pair.toa.meta.baseline != pair.boa.meta.baseline:
            reports.append(_mixed(pair, mixed_baselines))
            if mixed_baselines == "skip":
                continue
        problem = _mismatch(pair)
        if problem:
            reports.append(problem)
        else:
            pairs.append(pair)
    return Found(pairs, reports)


def read_side(path: Path, bands: Iterable[str], *, partial: bool = False) -> Side:
    """Read a product's metadata and the headers of its bands; of those that it lists where it may be `partial`.

    Raises CorruptData, InvalidInput and NothingFound where it is damaged or lacks something.
    """
    source = metadata_file(path)
    if source is None:
        raise CorruptData("it has no MTD_MSIL1C.xml or MTD_MSIL2A.xml; get the product again")
    meta = read_product(source)
    granules = sorted(path.glob("GRANULE/*/MTD_TL.xml"))
    if len(granules) != 1:
        raise InvalidInput(f"it has {len(granules)} granules instead of one; get its single-tile product")
    document, tile = Document(source), read_tile(granules[0])
    layers = {band: _layer(path, meta, band, tile) for band in bands if not partial or meta.image(band)}
    if meta.level == "L2A":
        layers["SCL"] = _layer(path, meta, "SCL", tile)
        aot = min(((int(match[1]), each) for each in meta.image_files if (match := _AOT.search(each))), default=None)
        if aot is not None and (file := _file(path, aot[1])) is not None:
            layers["AOT"] = _header(file)
    mgrs = tile_of(meta.uri, tile.tile_id)
    if mgrs is None:
        raise CorruptData(f"neither {meta.uri} nor {tile.tile_id} has an MGRS tile; get the product again")
    told = document.root.findtext(".//AOT_QUANTIFICATION_VALUE")
    return Side(
        path=path,
        meta=meta,
        tile=tile,
        granule=granules[0].parent,
        key=Key(
            meta.spacecraft,
            f"{document.time('DATATAKE_SENSING_START'):%Y%m%dT%H%M%S}",
            document.integer("SENSING_ORBIT_NUMBER"),
            mgrs,
        ),
        layers=layers,
        aot_quantification=document.number("AOT_QUANTIFICATION_VALUE") if told else 1000.0,
    )


def _layer(path: Path, meta: ProductMetadata, band: str, tile: TileMetadata) -> Layer:
    image = meta.image(band)
    if image is None:
        raise CorruptData(f"it lists no image of {band}; get the whole product, or ask for other bands")
    if band != "SCL":
        meta.radiometry(band)  # offsets without this band's are found before any pixel is read
    file = _file(path, image[1])
    if file is None:
        raise CorruptData(f"{Path(image[1]).name} is listed but not there; get the product again")
    layer = _header(file)
    declared = next(iter(tile.grids.values()))
    if (layer.grid.crs, layer.grid.x, layer.grid.y) != (declared.crs, declared.x, declared.y):
        raise CorruptData(
            f"{file.name} begins at ({layer.grid.x:.0f}, {layer.grid.y:.0f}) of {layer.grid.crs}, its granule at "
            f"({declared.x:.0f}, {declared.y:.0f}) of {declared.crs}; get the product again"
        )
    return layer


def _file(path: Path, image: str) -> Path | None:
    return next((file for suffix in SUFFIXES if (file := path / f"{image}{suffix}").is_file()), None)


def _header(file: Path) -> Layer:
    with raster.opened(str(file), name=file.name) as dataset:
        return Layer(file, raster.inspect(dataset, file.name).grid)


def _chosen(toa: list[Side], boa: list[Side]) -> Pair:
    """Of several processings those of one baseline, then the latest."""
    one, other = max(
        combinations(toa, boa),
        key=lambda two: (
            two[0].meta.baseline == two[1].meta.baseline,
            two[0].meta.baseline,
            two[1].meta.baseline,
            two[0].meta.uri,
            two[1].meta.uri,
        ),
    )
    return Pair(one, other)


def _mixed(pair: Pair, what: str) -> str:
    done = "it is used" if what == "use" else "it is left out"
    return (
        f"{pair.toa.name}: baseline {pair.toa.meta.baseline}, but {pair.boa.meta.baseline} of {pair.boa.name}, which may be "
        f"made from another processing; {done} (mixed_baselines says so): get products of one baseline"
    )


def _mismatch(pair: Pair) -> str | None:
    """Both sides must lie on one grid, and files' pixels must be whole multiples of the finest one's."""
    base = pair.grid
    for side in (pair.toa, pair.boa):
        for name, layer in side.layers.items():
            times = layer.step / base.dx
            off = (layer.grid.crs, layer.grid.x, layer.grid.y) != (base.crs, base.x, base.y)
            if off or not (times.is_integer() or (1 / times).is_integer()):
                return (
                    f"{side.name}: {name} has pixels of {layer.step:g} m from ({layer.grid.x:.0f}, {layer.grid.y:.0f}), which "
                    f"are no multiples of the {base.dx:g} m from ({base.x:.0f}, {base.y:.0f}) of {pair.toa.name}; get both again"
                )
    return None
