"""What the metadata of a Sentinel-2 product in SAFE format says about its numbers and its place.

Elements are those of the Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD): `MTD_MSIL1C.xml` and
`MTD_MSIL2A.xml` describe a product, `MTD_TL.xml` a granule. Their namespaces change with the document's version, so
elements are found by local name.
"""

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal
from xml.etree import ElementTree as ET  # _parse says why this is safe

from eo.errors import CorruptData
from eo.grid import RasterGrid
from eo.radiometry import Radiometry

BAND_NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Band names by `band_id`, as each product's own `Spectral_Information_List` pairs them (bandId 8 is B8A)."""

Source = str | os.PathLike[str] | bytes
"""A path, or the content of the file."""

_IMAGE = re.compile(r"_(B\d[\dA]|SCL)(?:_(\d+)m)?$")
_NATIVE = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60, "B10": 60}
"""Pixel size in metres of the bands that are not 20 m; L1C file names do not say it."""
SUFFIXES = (".jp2", ".tif")
"""What the names of image files may end with; products list them without."""

_LEVELS: dict[str, Literal["L1C", "L2A"]] = {"Level-1C": "L1C", "Level-2A": "L2A"}
MAX_XML = 4 << 20
"""Bytes of a metadata file: the largest of real ones have 0.6 MB, and elements without text take 40 times their size."""


@dataclass(frozen=True, slots=True)
class ProductMetadata:
    """One product: `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`."""

    level: Literal["L1C", "L2A"]
    """Top of atmosphere (L1C) or surface (L2A) reflectance."""
    baseline: str
    """Processing baseline, such as 05.09."""
    uri: str
    """Name of the product's folder, with .SAFE."""
    sensed: datetime
    """Start of sensing, in UTC."""
    spacecraft: str
    """Such as Sentinel-2A."""
    cloud_cover: float | None
    """Percent."""
    footprint: tuple[tuple[float, float], ...] | None
    """Closed ring of (longitude, latitude) in degrees; across the antimeridian it jumps from 180 to -180."""
    quantification: int
    """The DN of reflectance 1."""
    offsets: dict[str, int]
    """Added to the DNs of a band before they are divided. 0 for all where the product names none (baselines < 04.00)."""
    nodata: int
    """The DN of pixels without data."""
    saturated: int
    """The DN of saturated pixels."""
    image_files: tuple[str, ...]
    """Paths inside the product, without the file name's extension, as the product lists them."""

    def image(self, band: str) -> tuple[int, str] | None:
        """(pixel size in metres, path without suffix) of a band's finest image, or of SCL's; None where it has none."""
        found = (
            (int(match[2] or _NATIVE.get(band, 20)), path)
            for path in self.image_files
            if (match := _IMAGE.search(path)) and match[1] == band
        )
        return min(found, default=None)

    def radiometry(self, band: str) -> Radiometry:
        """Tell how the DNs of a band are meant; CorruptData where the product has offsets but none for this band."""
        if band not in self.offsets:
            raise CorruptData(
                f"{self.uri} names offsets for {sorted(self.offsets)}, not for {band}; get the product again"
            )
        return Radiometry(self.offsets[band], self.quantification)


@dataclass(frozen=True, slots=True)
class TileMetadata:
    """One granule: `MTD_TL.xml`."""

    tile_id: str
    """Such as S2A_OPER_MSI_L1C_TL_VGS4_20210908T070248_A032448_T46RER_N03.01."""
    sensed: datetime
    """Time of sensing of the tile, in UTC."""
    grids: dict[int, RasterGrid]
    """Where the pixels lie, by resolution in metres (10, 20, 60)."""
    sun_zenith: float
    """Mean over the tile, in degrees."""
    sun_azimuth: float
    """Mean over the tile, in degrees clockwise from north."""
    view: dict[str, tuple[float, float]]
    """Mean (zenith, azimuth) of every band in degrees; without the bands for which the product gives no number."""


def read_product(source: Source) -> ProductMetadata:
    """Read `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`; CorruptData where it is not one or lacks something."""
    document = _Document(source)
    document.require_root("Level-1C_User_Product", "Level-2A_User_Product")
    level = _LEVELS.get(document.text("PROCESSING_LEVEL").removesuffix("p"))  # early L2A: "Level-2Ap", p for pilot
    if level is None:
        raise document.error(f"its PROCESSING_LEVEL is {document.text('PROCESSING_LEVEL')!r}, none of {list(_LEVELS)}")
    prefix = "BOA_" if level == "L2A" else ""
    special = {
        each.findtext("SPECIAL_VALUE_TEXT", ""): document.integer("SPECIAL_VALUE_INDEX", each)
        for each in document.root.iter("Special_Values")
    }
    for name in ("NODATA", "SATURATED"):
        if name not in special:
            raise document.error(f"it has the special values {special}, without {name}")
    clouds = document.root.find(".//Cloud_Coverage_Assessment")
    return ProductMetadata(
        level=level,
        baseline=document.text("PROCESSING_BASELINE"),
        uri=document.text("PRODUCT_URI"),
        sensed=document.time("PRODUCT_START_TIME"),
        spacecraft=document.text("SPACECRAFT_NAME"),
        cloud_cover=None if clouds is None else document.number("Cloud_Coverage_Assessment"),
        footprint=_footprint(document),
        quantification=document.integer(f"{prefix}QUANTIFICATION_VALUE"),
        offsets=_offsets(document, "BOA_ADD_OFFSET" if level == "L2A" else "RADIO_ADD_OFFSET"),
        nodata=special["NODATA"],
        saturated=special["SATURATED"],
        image_files=tuple(_image_files(document)),
    )


def read_tile(source: Source) -> TileMetadata:
    """Read `MTD_TL.xml`; CorruptData where it is not one or lacks something."""
    document = _Document(source)
    document.require_root("Level-1C_Tile_ID", "Level-2A_Tile_ID")
    crs = document.text("HORIZONTAL_CS_CODE")
    sizes = {document.attribute(size, "resolution"): size for size in document.root.iter("Size")}
    grids = {}
    for corner in document.root.iter("Geoposition"):
        resolution = document.attribute(corner, "resolution")
        if resolution not in sizes:
            raise document.error(f"it has no Size for the resolution {resolution} m")
        x, y, dx, dy = (document.number(name, corner) for name in ("ULX", "ULY", "XDIM", "YDIM"))
        width, height = (document.integer(name, sizes[resolution]) for name in ("NCOLS", "NROWS"))
        if dx != resolution or dy != -resolution or width < 1 or height < 1:
            raise document.error(f"its grid of {resolution} m has {width} x {height} pixels of {dx} x {dy} m")
        grids[resolution] = RasterGrid(crs, x, y, dx, -dy, width, height)
    if not grids:
        raise document.error("it has no Geoposition")
    sun = document.element("Mean_Sun_Angle")
    return TileMetadata(
        tile_id=document.text("TILE_ID"),
        sensed=document.time("SENSING_TIME"),
        grids=grids,
        sun_zenith=document.number("ZENITH_ANGLE", sun),
        sun_azimuth=document.number("AZIMUTH_ANGLE", sun),
        view=_view(document),
    )


class _Document:
    """A parsed file and the ways of getting a checked value out of it."""

    def __init__(self, source: Source) -> None:
        self.name = "SAFE metadata" if isinstance(source, bytes) else Path(source).name
        self.root = self._parse(source if isinstance(source, bytes) else self._read(Path(source)))

    @staticmethod
    def _read(path: Path) -> bytes:
        """A file, but no more of it than shows that it is too large."""
        with path.open("rb") as file:
            return file.read(MAX_XML + 1)

    def _parse(self, data: bytes) -> ET.Element:
        """Parse UTF-8 without a document type.

        Entities, the way to billion laughs and to other files, can only be declared in a document type, which no SAFE
        file has. Refusing it before the parser sees it is all that defusedxml would add, without the dependency. The
        text is decoded here and the parser ignores the encoding that the file declares, so none can hide it.
        """
        if len(data) > MAX_XML:
            raise self.error(f"it has more than {MAX_XML:,} bytes")
        try:
            text = data.decode("utf-8-sig")
            if "<!DOCTYPE" in text or "<!ENTITY" in text:
                raise self.error("it declares a document type or entities, which Sentinel-2 metadata never does")
            if "\0" in text:  # the parser would take it for UTF-16, in which a document type looks different
                raise self.error("it contains NUL, so it is not UTF-8")
            root = ET.fromstring(text)  # noqa: S314 - entities were refused above
        except UnicodeDecodeError as error:
            raise self.error(f"it is not UTF-8: {error}") from None
        except ET.ParseError as error:
            raise self.error(f"it is not well-formed XML: {error}") from None
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    def error(self, found: str) -> CorruptData:
        return CorruptData(f"{self.name} cannot be used: {found}; get the product again")

    def require_root(self, *names: str) -> None:
        if self.root.tag not in names:
            raise self.error(f"it is a {self.root.tag!r}, not one of {names}")

    def element(self, name: str, parent: ET.Element | None = None) -> ET.Element:
        found = (self.root if parent is None else parent).find(f".//{name}")
        if found is None:
            raise self.error(f"it has no {name}")
        return found

    def text(self, name: str, parent: ET.Element | None = None) -> str:
        text = (self.element(name, parent).text or "").strip()
        if not text:
            raise self.error(f"its {name} is empty")
        return text

    def number(self, name: str, parent: ET.Element | None = None) -> float:
        text = self.text(name, parent)
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"its {name} is {text!r}, no number")
        return value

    def integer(self, name: str, parent: ET.Element | None = None) -> int:
        value = self.number(name, parent)
        if not value.is_integer():
            raise self.error(f"its {name} is {value}, no whole number")
        return int(value)

    def time(self, name: str) -> datetime:
        text = self.text(name)
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            raise self.error(f"its {name} is {text!r}, no time") from None
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)

    def attribute(self, element: ET.Element, name: str) -> int:
        text = element.get(name, "")
        if not re.fullmatch(r"[0-9]{1,6}", text):
            raise self.error(f"a {element.tag} has {name}={text!r}, no number")
        return int(text)

    def band(self, element: ET.Element, attribute: str) -> str:
        number = self.attribute(element, attribute)
        if number >= len(BAND_NAMES):
            raise self.error(f"a {element.tag} has {attribute}={number}, there are only {len(BAND_NAMES)} bands")
        return BAND_NAMES[number]


def _offsets(document: _Document, name: str) -> dict[str, int]:
    """Offset of every band, by the id that each entry carries: their order is not promised."""
    offsets: dict[str, int] = {}
    for element in document.root.iter(name):
        band = document.band(element, "band_id")
        text = (element.text or "").strip()
        if band in offsets or not re.fullmatch(r"[+-]?[0-9]{1,6}", text):
            raise document.error(f"its {name} of {band} is {text!r}, or there are two; one whole number is needed")
        offsets[band] = int(text)
    return offsets or dict.fromkeys(BAND_NAMES, 0)


def _view(document: _Document) -> dict[str, tuple[float, float]]:
    """Mean viewing angles by band."""
    view = {}
    for element in document.root.iter("Mean_Viewing_Incidence_Angle"):
        texts = [element.findtext(f"{name}_ANGLE", "") for name in ("ZENITH", "AZIMUTH")]
        if any(text.strip().lower() == "nan" for text in texts):
            continue
        zenith, azimuth = (document.number(f"{name}_ANGLE", element) for name in ("ZENITH", "AZIMUTH"))
        view[document.band(element, "bandId")] = zenith, azimuth
    return view


def _footprint(document: _Document) -> tuple[tuple[float, float], ...] | None:
    """Ring of (longitude, latitude); the file has latitude first, as EPSG:4326 does."""
    element = document.root.find(".//Product_Footprint//EXT_POS_LIST")
    if element is None:
        return None
    try:
        values = [float(text) for text in (element.text or "").split()]
    except ValueError as error:
        raise document.error(f"its footprint has {error}") from None
    ring = tuple(zip(values[1::2], values[::2], strict=False))
    if len(values) % 2 or len(ring) < 4 or not all(abs(lon) <= 180 and abs(lat) <= 90 for lon, lat in ring):
        raise document.error(f"its footprint of {len(values)} numbers is no ring of latitudes and longitudes")
    return ring


def _image_files(document: _Document) -> Iterator[str]:
    """Check the listed paths: they are opened later, and must not lead out of the product."""
    for element in document.root.iter("IMAGE_FILE"):
        path = (element.text or "").strip()
        if not path or "\\" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise document.error(f"its IMAGE_FILE {path!r} is no path inside the product")
        yield path
