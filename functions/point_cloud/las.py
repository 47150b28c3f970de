"""LAS 1.4 as the American Society for Photogrammetry and Remote Sensing defines it: points, header, records.

https://github.com/ASPRSorg/LAS (LAS 1.4 - R15). All numbers are little-endian and packed.
"""

import datetime as dt
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

SIGNATURE = b"LASF"
"""First bytes of a file."""
POINT_FORMAT = 7
"""Point Data Record Format: x, y, z, returns, class, GPS time and 16-bit red, green, blue."""
COMPRESSED = 0x80
"""Added to the format's number where points are LAZ."""
POINT = np.dtype(
    [
        ("x", "<i4"),
        ("y", "<i4"),
        ("z", "<i4"),
        ("intensity", "<u2"),
        ("returns", "u1"),
        ("flags", "u1"),
        ("classification", "u1"),
        ("user_data", "u1"),
        ("scan_angle", "<i2"),
        ("source", "<u2"),
        ("gps_time", "<f8"),
        ("red", "<u2"),
        ("green", "<u2"),
        ("blue", "<u2"),
    ]
)
"""A point of that format: 36 bytes."""
ONE_OF_ONE = 0x11
"""`returns` of a point that is the first return of one."""
SCALE = 0.01
"""Metres of the unit of x, y and z."""

HEADER_SIZE = 375
VLR_HEADER_SIZE, EVLR_HEADER_SIZE = 54, 60
ADJUSTED_GPS_TIME, WKT = 1 << 0, 1 << 4
"""Bits of the global encoding: times are GPS seconds less 10^9, and the CRS is WKT."""
_HEADER = struct.Struct("<4sHH16sBB32s32sHHHIIBHI5I12dQQIQ15Q")
_VLR = struct.Struct("<H16sHH32s")
_EVLR = struct.Struct("<H16sHQ32s")

GPS_EPOCH = dt.datetime(1980, 1, 6, tzinfo=dt.UTC)
LEAP_SECONDS = (
    (dt.datetime(2017, 1, 1, tzinfo=dt.UTC), 18),
    (dt.datetime(2015, 7, 1, tzinfo=dt.UTC), 17),
    (dt.datetime(2012, 7, 1, tzinfo=dt.UTC), 16),
)
"""What GPS time is ahead of UTC since then (IERS Bulletin C), as far back as Sentinel-2 goes."""
ADJUSTMENT = 1e9
"""Seconds that adjusted standard GPS time is behind standard GPS time, so that doubles resolve it better."""

UNCLASSIFIED, VEGETATION, WATER, SNOW = 1, 4, 9, 21
"""Classes of points of formats 6 to 10 (LAS 1.4 - R15, table 17). Vegetation is low, medium or high there (3, 4, 5)."""


CLASS_NAMES = {
    0: "never classified",
    UNCLASSIFIED: "unclassified",
    2: "ground",
    3: "low vegetation",
    VEGETATION: "vegetation",
    5: "high vegetation",
    6: "building",
    7: "low noise",
    WATER: "water",
    17: "bridge deck",
    18: "high noise",
    SNOW: "snow",
}


def is_las(file: Path) -> bool:
    """Whether a file begins as LAS, LAZ and COPC files do; whoever opens it says why it cannot be read."""
    with suppress(OSError), file.open("rb") as start:
        return start.read(len(SIGNATURE)) == SIGNATURE
    return False


def _ahead(utc: dt.datetime) -> int:
    """Seconds that GPS time is ahead of UTC."""
    return next((seconds for since, seconds in LEAP_SECONDS if utc >= since), LEAP_SECONDS[-1][1])


def gps_time(time: str) -> float:
    """Adjusted standard GPS time of an RFC 3339 time."""
    at = dt.datetime.fromisoformat(time)
    return (at - GPS_EPOCH).total_seconds() + _ahead(at) - ADJUSTMENT


def utc(time: float) -> str:
    """The RFC 3339 time, to the millisecond, of an adjusted standard GPS time."""
    at = GPS_EPOCH + dt.timedelta(seconds=time + ADJUSTMENT)
    return (at - dt.timedelta(seconds=_ahead(at))).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header that differ from file to file."""

    software: str
    """What wrote the file; 32 bytes of ASCII at most."""
    day: dt.date
    """What stands for the day of creation."""
    records: Sequence[bytes]
    """Variable length records behind the header."""
    count: int
    """Number of points."""
    offset: tuple[float, float, float]
    """Metres that are added to x, y and z times SCALE."""
    bounds: tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
    """(smallest, largest) x, y and z of the points, in metres."""
    first_evlr: int
    """Bytes before the extended variable length record, of which there is one."""

    @property
    def size(self) -> int:
        """Bytes before the points."""
        return HEADER_SIZE + sum(map(len, self.records))

    def completed(self, records: Sequence[bytes], first_evlr: int) -> "Header":
        """With records of the same sizes, and the place of the one at the end."""
        return replace(self, records=records, first_evlr=first_evlr)

    def encode(self) -> bytes:
        """Header and records. Fields of formats before 1.4 are 0, as the standard has it for these points."""
        (min_x, max_x), (min_y, max_y), (min_z, max_z) = self.bounds
        first, none = [self.count, *[0] * 14], [0] * 5
        header = _HEADER.pack(
            *(SIGNATURE, 0, ADJUSTED_GPS_TIME | WKT, b"", 1, 4),
            *(b"Sentinel-2 MSI", self.software.encode("ascii", "replace")[:32]),
            *(self.day.timetuple().tm_yday, self.day.year, HEADER_SIZE, self.size, len(self.records)),
            *(POINT_FORMAT | COMPRESSED, POINT.itemsize, 0, *none),
            *(SCALE, SCALE, SCALE, *self.offset, max_x, min_x, max_y, min_y, max_z, min_z),
            *(0, self.first_evlr, 1, self.count, *first),
        )
        return header + b"".join(self.records)


def vlr(user: str, record: int, description: str, data: bytes) -> bytes:
    """A variable length record."""
    return _VLR.pack(0, user.encode("ascii"), record, len(data), description.encode("ascii")) + data


def evlr_header(user: str, record: int, description: str, size: int) -> bytes:
    """What stands before the `size` bytes of an extended variable length record."""
    return _EVLR.pack(0, user.encode("ascii"), record, size, description.encode("ascii"))


def wkt_vlr(wkt: str) -> bytes:
    """The CRS."""
    return vlr("LASF_Projection", 2112, "OGC coordinate system WKT", wkt.encode() + b"\0")


def text_vlr(text: str) -> bytes:
    """Words about the whole file."""
    return vlr("LASF_Spec", 3, "Text area description", text.encode()[:60_000] + b"\0")
