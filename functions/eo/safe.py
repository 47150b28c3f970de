"""What the metadata of a Sentinel-2 product in SAFE format says about its numbers and its place.

Elements are those of the Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD): `MTD_MSIL1C.xml` and
`MTD_MSIL2A.xml` describe a product, `MTD_TL.xml` a granule.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

from eo.catalog import Angles, Corners, native_metres
from eo.errors import CorruptData
from eo.grid import RasterGrid
from eo.radiometry import Radiometry
from eo.safe_angles import sun_corners, views
from eo.safe_xml import BAND_NAMES, Document, Source

_IMAGE = re.compile(r"_(B\d[\dA]|SCL)(?:_(\d+)m)?$")
SUFFIXES = (".jp2", ".tif")
"""What the names of image files may end with; products list them without."""

_LEVELS: dict[str, Literal["L1C", "L2A"]] = {"Level-1C": "L1C", "Level-2A": "L2A"}


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
        """(pixel size in metres, path without suffix) of a band's finest image, or of SCL's; None where it has none.

        Not one of finer pixels than the sensor's, where there is another: B01 of 20 m is that of 60 m, resampled.
        """
        native = native_metres(band)
        found = [
            (int(match[2] or native), path)
            for path in self.image_files
            if (match := _IMAGE.search(path)) and match[1] == band
        ]
        return min(found, key=lambda image: (image[0] < native, *image), default=None)

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
    sun_corners: Corners
    """Zenith at the corners of the grids, in degrees; the mean where the product has no grid of it."""
    view: dict[str, tuple[float, float]]
    """Mean (zenith, azimuth) of every band in degrees; without the bands for which the product gives no number."""

    @property
    def angles(self) -> Angles:
        """Where the sun and the sensor stood."""
        return Angles(self.sun_corners, self.sun_azimuth, self.view, "product")


def read_product(source: Source) -> ProductMetadata:
    """Read `MTD_MSIL1C.xml` or `MTD_MSIL2A.xml`; CorruptData where it is not one or lacks something."""
    document = Document(source)
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
    document = Document(source)
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
    zenith = document.number("ZENITH_ANGLE", sun)
    extent = max(grids.values(), key=lambda grid: grid.width * grid.dx)
    return TileMetadata(
        tile_id=document.text("TILE_ID"),
        sensed=document.time("SENSING_TIME"),
        grids=grids,
        sun_zenith=zenith,
        sun_azimuth=document.number("AZIMUTH_ANGLE", sun),
        sun_corners=sun_corners(document, extent) or ((zenith, zenith), (zenith, zenith)),
        view=views(document),
    )


def _offsets(document: Document, name: str) -> dict[str, int]:
    """Offset of every band, by the id that each entry carries: their order is not promised."""
    offsets: dict[str, int] = {}
    for element in document.root.iter(name):
        band = document.band(element, "band_id")
        text = (element.text or "").strip()
        if band in offsets or not re.fullmatch(r"[+-]?[0-9]{1,6}", text):
            raise document.error(f"its {name} of {band} is {text!r}, or there are two; one whole number is needed")
        offsets[band] = int(text)
    return offsets or dict.fromkeys(BAND_NAMES, 0)


def _footprint(document: Document) -> tuple[tuple[float, float], ...] | None:
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


def _image_files(document: Document) -> Iterator[str]:
    """Check the listed paths: they are opened later, and must not lead out of the product."""
    for element in document.root.iter("IMAGE_FILE"):
        path = (element.text or "").strip()
        if not path or "\\" in path or PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise document.error(f"its IMAGE_FILE {path!r} is no path inside the product")
        yield path
