"""A zipped Sentinel-2 product in SAFE format: its metadata, and its images one by one."""

import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from eo import auxiliary
from eo.archive import Archive
from eo.catalog import MASKS, Asset, is_class
from eo.errors import CorruptData, InvalidInput, NothingFound
from eo.safe import SUFFIXES, read_product, read_tile
from eo.safe_xml import MAX_XML
from eo.traffic import Traffic

ADAPTER = "upload"
"""What plans call images in an uploaded product."""
SHA2_256 = "1220"
"""Multihash prefix: function 0x12, 32 bytes (https://github.com/multiformats/multicodec)."""
_METADATA = re.compile(r"(?:(?!__MACOSX/).*/)?MTD_MSIL(?:1C|2A)\.xml")
"""Where a product's metadata lies; in `__MACOSX` macOS keeps what no other system wants."""
CLASSIFICATION = "QI_DATA/MSK_CLASSI_B00.jp2"
"""In a granule's folder: masks at 60 m, one a band (`eo.catalog.MASKS`); products before baseline 04.00 lack it."""
AUXILIARY = tuple(f"AUX_DATA/{name}" for name in auxiliary.FILES)
"""In a granule's folder: the weather models' atmosphere (`eo.auxiliary`); early products lack it."""
_TILE = re.compile(r"GRANULE/[^/]+/MTD_TL\.xml")


class SafeZip:
    """The product in a zip. Raises InvalidInput where there is none or several, CorruptData where it is damaged."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        found = [name for name in archive.names if _METADATA.fullmatch(name)]
        if len(found) != 1:
            raise InvalidInput(
                f"{archive.name} holds {len(found)} Sentinel-2 products instead of one "
                f"({'each has its MTD_MSIL*.xml' if found else 'there is no MTD_MSIL1C.xml or MTD_MSIL2A.xml in it'}): "
                "zip one product's .SAFE folder"
            )
        self.root = found[0].rpartition("/")[0] + "/" if "/" in found[0] else ""
        """What the names of the product's files begin with."""
        tiles = [name for name in archive.names if name.startswith(self.root) and _TILE.fullmatch(self._inner(name))]
        if len(tiles) != 1:
            # Products from before December 2016 hold many tiles of one datatake; there are single-tile ones of all dates.
            raise InvalidInput(f"{archive.name} has {len(tiles)} granules instead of one: get its single-tile product")
        self.metadata_names = (found[0], tiles[0])
        self.granule = tiles[0].rpartition("/")[0]
        """What the names of its granule's files begin with, without the slash."""
        self.product = read_product(archive.read(found[0], limit=MAX_XML))
        self.tile = read_tile(archive.read(tiles[0], limit=MAX_XML))

    def image(self, band: str) -> str | None:
        """Name of the file of a band, None where the product has none. Raises CorruptData where the zip lacks it."""
        if band in MASKS:
            return self._beside(CLASSIFICATION)
        listed = self.product.image(band)
        if listed is None:
            return None
        for suffix in SUFFIXES:
            name = f"{self.root}{listed[1]}{suffix}"
            if name in self.archive.names:
                self.archive.check(name)
                return name
        raise CorruptData(
            f"{listed[1]}.jp2 is not in {self.archive.name}, although its product lists it: zip the whole .SAFE folder"
        )

    def images(self, bands: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, str]:
        """By band: the name of its file; `optional` ones where there are any, as classes. Raises NothingFound elsewhere."""
        found = {band: self.image(band) for band in (*bands, *optional)}
        missing = [band for band in bands if found[band] is None and band not in optional and not is_class(band)]
        if missing:
            raise NothingFound(f"product {self.product.uri} has no band {missing[0]}: upload another product")
        return {band: name for band, name in found.items() if name is not None}

    @property
    def auxiliary(self) -> list[str]:
        """Names of the files of the weather models' atmosphere that it has, without those that are none by their size."""
        found = [name for path in AUXILIARY if (name := self._beside(path)) is not None]
        return [name for name in found if self.archive.size(name) <= auxiliary.MAX_FILE]

    def extract(self, name: str, folder: Path) -> str:
        """Unpack a file to its place below a folder; gives its SHA-256 in hex."""
        path = folder / self._inner(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return self.archive.extract(name, path)

    def _beside(self, path: str) -> str | None:
        """Name of a file in the granule's folder that not all products have."""
        name = f"{self.granule}/{path}"
        if name not in self.archive.names:
            return None
        self.archive.check(name)
        return name

    def _inner(self, name: str) -> str:
        """A name as the product has it."""
        return name.removeprefix(self.root)


def url(bucket: str, key: str) -> str:
    """How plans name an uploaded zip."""
    return f"s3://{bucket}/{quote(key)}"


def href(zip_url: str, member: str) -> str:
    """How plans name a file in it."""
    return f"{zip_url}!/{quote(member)}"


def unpacked(asset: Asset, path: Path, *, upload: Callable[[str], BinaryIO], traffic: Traffic) -> Path:
    """Unpack the file of an asset that `href` named. Raises CorruptData where it is not what was planned."""
    key, _, member = (unquote(part) for part in urlsplit(asset.href).path.removeprefix("/").partition("!/"))
    again = "upload the product again, under another name, and leave it there until its job has ended"
    try:
        file = upload(key)
    except KeyError:
        raise CorruptData(f"{key} was deleted before it was read: {again}") from None
    with closing(file), Archive(file, key) as archive:
        if member not in archive.names:
            raise CorruptData(f"{key} was replaced before it was read: {again}")
        traffic.requests += 1
        traffic.bytes += archive.packed(member)
        if SHA2_256 + archive.extract(member, path) != asset.checksum:
            raise CorruptData(f"{key} was replaced before {member} was read: {again}")
    return path
