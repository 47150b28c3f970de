"""The head of a tiled GeoTIFF: all that stands before its pixels.

TIFF 6.0 and BigTIFF, little-endian; GeoTIFF 1.1 (https://docs.ogc.org/is/19-008r4/19-008r4.html) for the CRS; GDAL's tags for nodata, scale,
offset and names of bands (https://gdal.org/drivers/raster/gtiff.html), which QGIS and others read. Directories stand before the pixels, that
of full resolution first, as Cloud Optimized GeoTIFF wants it (https://docs.ogc.org/is/21-026/21-026.html). No date, no software: equal input, equal bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray

from eo.cog_layout import Place, Raster
from eo.cog_tiles import predictor

CLASSIC_LIMIT = 1 << 32
"""Bytes from which offsets need 64 bits."""
_ASCII, _SHORT, _LONG, _DOUBLE, _LONG8 = 2, 3, 4, 12, 16
_CODES = {_SHORT: "<u2", _LONG: "<u4", _DOUBLE: "<f8", _LONG8: "<u8"}
_DEFLATE = 8
_FORMATS = {"u": 1, "f": 3}
_LAYOUT = b"LAYOUT=IFDS_BEFORE_DATA\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
_GHOST = b"GDAL_STRUCTURAL_METADATA_SIZE=%06d bytes\n" % len(_LAYOUT) + _LAYOUT
"""Tells GDAL that directories come first (https://gdal.org/drivers/raster/cog.html#header-ghost-area).

It says no more than is true: tiles follow each other by shards, not by rows of the file.
"""

Tag = tuple[int, int, Any]
"""(tag, type, value or values)."""


@dataclass(frozen=True, slots=True)
class Image:
    """One level, as its directory describes it."""

    shape: tuple[int, int]
    """(rows, columns) of its pixels."""
    offsets: NDArray[np.uint64]
    """Of its tiles in the file, (rows, columns); 0 where there is none."""
    counts: NDArray[np.uint32]
    """Bytes of its tiles; 0 where there is none."""


def head(
    images: Sequence[Image],
    *,
    tile: int,
    raster: Raster,
    place: Place,
    metadata: Mapping[str, str],
    big: bool,
) -> bytes:
    """Everything before the first tile. Images: full resolution first. Its size depends on the numbers of tiles alone."""
    classic = struct.pack("<2sHI", b"II", 42, 8 + len(_GHOST))
    start = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16 + len(_GHOST)) if big else classic
    made = bytearray(start + _GHOST)
    for index, image in enumerate(images):
        common = _image(image, tile=tile, raster=raster, reduced=index > 0, big=big)
        described = [] if index else [*_place(place), (42112, _ASCII, _metadata(raster, metadata))]
        last = index == len(images) - 1
        made += _directory(sorted(common + described), len(made), big=big, last=last)
    return bytes(made)


def _image(image: Image, *, tile: int, raster: Raster, reduced: bool, big: bool) -> list[Tag]:
    """What every level says of itself."""
    dtype, bands = np.dtype(raster.dtype), len(raster.bands)
    tags: list[Tag] = [
        (254, _LONG, int(reduced)),
        (256, _LONG, image.shape[1]),
        (257, _LONG, image.shape[0]),
        (258, _SHORT, [8 * dtype.itemsize] * bands),
        (259, _SHORT, _DEFLATE),
        (
            262,
            _SHORT,
            3 if raster.palette else 1,
        ),  # a palette; or black is zero, and `_metadata` names colours in any order
        (277, _SHORT, bands),
        (284, _SHORT, 1),  # pixel by pixel
        (317, _SHORT, predictor(raster)),
        (322, _SHORT, tile),
        (323, _SHORT, tile),
        (324, _LONG8 if big else _LONG, image.offsets.ravel()),
        (325, _LONG, image.counts.ravel()),
        (339, _SHORT, [_FORMATS[dtype.kind]] * bands),
        (42113, _ASCII, _number(raster.nodata)),
    ]
    if raster.palette:
        colours = np.zeros((256, 3), np.uint16)
        colours[: len(raster.palette)] = raster.palette
        tags.append((320, _SHORT, (257 * colours).T.ravel()))  # all reds, all greens, all blues, from 0 to 65535
    if bands > 1:
        tags.append((338, _SHORT, [0] * (bands - 1)))
    return tags


def _place(place: Place) -> list[Tag]:
    """Where the pixels lie: scale, the first pixel's corner, and the CRS by its code."""
    keys = [(1024, 1), (1025, 1), (3072, place.epsg)]  # projected, pixels are areas, the CRS
    directory = [1, 1, 1, len(keys)]
    for key, value in keys:
        directory += [key, 0, 1, value]
    return [
        (33550, _DOUBLE, [place.pixel, place.pixel, 0.0]),
        (33922, _DOUBLE, [0.0, 0.0, 0.0, place.left, place.top, 0.0]),
        (34735, _SHORT, directory),
    ]


def _metadata(raster: Raster, metadata: Mapping[str, str]) -> str:
    """GDAL's XML: of the file, then of each band what is not the default."""
    items = [f"<Item name={quoteattr(name)}>{_twice(text)}</Item>" for name, text in metadata.items()]
    scaled = any((band.scale, band.offset) != (1.0, 0.0) for band in raster.bands)
    for index, band in enumerate(raster.bands):
        told = [("DESCRIPTION", "description", band.description), ("UNITTYPE", "unittype", band.unit)]
        if scaled:
            told += [("OFFSET", "offset", _number(band.offset)), ("SCALE", "scale", _number(band.scale))]
        # As GDAL writes colours that are not in the order of TIFF's own.
        told += [("COLORINTERP", "colorinterp", band.colour)]
        items += [
            f'<Item name="{name}" sample="{index}" role="{role}">{_twice(text)}</Item>'
            for name, role, text in told
            if text
        ]
    return "<GDALMetadata>\n" + "".join(f"  {item}\n" for item in items) + "</GDALMetadata>\n"


def _twice(text: str) -> str:
    """A text as GDAL expects it, which undoes XML's escapes a second time; without characters that XML cannot hold."""
    return escape(escape("".join(char if char.isprintable() else "?" for char in text)))


def _number(value: float) -> str:
    """A number as short as it can be."""
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


def _directory(tags: Sequence[Tag], at: int, *, big: bool, last: bool) -> bytes:
    """A directory that begins at this offset, with the values that do not fit into it behind."""
    counter, entry, inline = ("<Q", "<HHQ", 8) if big else ("<H", "<HHI", 4)
    size = struct.calcsize(counter) + len(tags) * (struct.calcsize(entry) + inline) + inline
    fields, values = bytearray(struct.pack(counter, len(tags))), bytearray()
    for tag, kind, value in tags:
        data, count = _value(kind, value)
        fields += struct.pack(entry, tag, kind, count)
        if len(data) <= inline:
            fields += data.ljust(inline, b"\0")
        else:
            fields += (at + size + len(values)).to_bytes(inline, "little")
            values += data + b"\0" * (-len(data) % 8)
    end = at + size + len(values)
    # The next directory begins where this one's values end, on an even byte.
    values += b"\0" * (end % 2)
    fields += (0 if last else end + end % 2).to_bytes(inline, "little")
    return bytes(fields + values)


def _value(kind: int, value: Any) -> tuple[bytes, int]:  # noqa: ANN401 - a text, a number, or several
    """(bytes, number of values)."""
    if kind == _ASCII:
        # UTF-8, as GDAL writes it. TIFF ends texts with a zero.
        data = value.encode() + b"\0"
        return data, len(data)
    numbers = np.atleast_1d(np.asarray(value)).astype(_CODES[kind])
    return numbers.tobytes(), numbers.size
