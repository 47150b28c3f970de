"""SAFE products as scenes, from their own metadata."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from eo.catalog import MASKS, Asset, Scene, is_class
from eo.errors import CorruptData, InvalidInput, NothingFound
from eo.grid import RasterGrid
from eo.safe import SUFFIXES, ProductMetadata, TileMetadata, read_product, read_tile
from plan.candidate import Candidate, tile_of
from plan.granule import METADATA, Folder, mask_assets


def products(folder: Path) -> list[Path]:
    """Find the .SAFE folders below a folder (or the folder itself), in order of their names."""
    if folder.name.endswith(".SAFE"):
        return [folder]
    found = []
    for directory, names, _ in os.walk(folder):
        found += [Path(directory, name) for name in names if name.endswith(".SAFE")]
        names[:] = [name for name in names if not name.endswith((".SAFE", ".zarr")) and not name.startswith(".")]
    return sorted(found)


def metadata_file(product: Path) -> Path | None:
    """Find the product's XML in its folder."""
    return next(iter(sorted(product.glob("MTD_MSIL*.xml"))), None)


def candidate(product: Path) -> tuple[Candidate, str]:
    """Read what a search has to know of a product; gives its level (L1C, L2A) too. Raises CorruptData."""
    meta, tile, _ = _read(product)
    name = meta.uri.removesuffix(".SAFE")
    found = Candidate(
        id=name,
        collection=f"sentinel-2-{meta.level.lower()}",
        datetime=f"{meta.sensed:%Y-%m-%dT%H:%M:%S.%fZ}",
        cloud_cover=meta.cloud_cover,
        footprint=_footprint(meta, tile),
        baseline=meta.baseline,
        platform=meta.spacecraft.lower(),
        tile=tile_of(name, tile.tile_id),
        path=product,
    )
    return found, meta.level


def scene(product: Path, *, folder: Path, bands: Sequence[str], optional: Sequence[str] = ()) -> Scene:
    """Make the scene of a product; its files have absolute paths inside the catalog folder.

    `optional` bands are taken where the product has them, as classes always are.
    Raises NothingFound where a band is missing, CorruptData where a file or the metadata is, and
    InvalidInput where a file is a link out of the folder.
    """
    meta, tile, granule = _read(product)
    slim, _ = candidate(product)
    wanted = dict.fromkeys((*bands, *optional))
    masks = [band for band in wanted if band in MASKS]
    assets = mask_assets(Folder(folder), str(granule.resolve()), masks, tile.grids.get(60))
    for band in wanted:
        found = meta.image(band)
        if found is not None:
            resolution, image = found
            assets[band] = Asset(
                href=_file(product, image, folder),
                radiometry=None if is_class(band) else meta.radiometry(band),
                declared=tile.grids.get(resolution),
            )
        elif band not in optional and not is_class(band):
            raise NothingFound(f"product {product.name} has no band {band}: choose another collection or product")
    return Scene(
        id=slim.id,
        collection=slim.collection,
        datetime=slim.datetime,
        cloud_cover=slim.cloud_cover,
        platform=slim.platform,
        baseline=slim.baseline,
        footprint=slim.footprint,
        assets=assets,
        crs=next(iter(tile.grids.values())).crs,
        year=meta.sensed.year,
        href=str(product.resolve()),
        angles=tile.angles,
    )


def _read(product: Path) -> tuple[ProductMetadata, TileMetadata, Path]:
    """Metadata of the product and of its one granule, and the folder of that."""
    path = metadata_file(product)
    if path is None:
        raise CorruptData(f"{product} has no MTD_MSIL1C.xml or MTD_MSIL2A.xml: get the product again, or remove it")
    meta = read_product(path)
    granules = sorted(product.glob(f"GRANULE/*/{METADATA}"))
    if len(granules) != 1:
        # Products from before December 2016 hold many tiles of one datatake; there are single-tile ones of all dates.
        raise InvalidInput(f"{product} has {len(granules)} granules instead of one: get its single-tile product")
    return meta, read_tile(granules[0]), granules[0].parent


def _file(product: Path, image: str, folder: Path) -> str:
    for suffix in SUFFIXES:
        path = (product / f"{image}{suffix}").resolve()
        if path.is_file():
            if not path.is_relative_to(folder.resolve()):
                raise InvalidInput(
                    f"{product / image}{suffix} lies outside of the catalog {folder}: copy the file into it"
                )
            return str(path)
    raise CorruptData(f"{product / image}.jp2 does not exist: the product lists a file that it lacks; get it again")


def _footprint(meta: ProductMetadata, tile: TileMetadata) -> dict[str, Any]:
    """Give the product's footprint, else the outline of its tile."""
    if meta.footprint is not None:
        return {"type": "Polygon", "coordinates": [[list(point) for point in meta.footprint]]}
    return {"type": "Polygon", "coordinates": [_outline(next(iter(tile.grids.values())))]}


def _outline(grid: RasterGrid) -> list[list[float]]:
    left, bottom, right, top = grid.bounds
    # Ten points an edge: the straight edges of a tile bend by 100 m and more in degrees.
    step = np.linspace(0, 1, 10, endpoint=False)
    x = np.concatenate([left + step * (right - left), 0 * step + right, right - step * (right - left), 0 * step + left])
    y = np.concatenate([0 * step + bottom, bottom + step * (top - bottom), 0 * step + top, top - step * (top - bottom)])
    lon, lat = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True).transform(x, y)
    ring = [[float(a), float(b)] for a, b in zip(lon, lat, strict=True)]
    return [*ring, ring[0]]
