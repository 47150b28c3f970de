"""GRIB files as ECMWF writes them: edition 1, one message a field, values packed in 16 bits."""

import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

TABLES = {"tco3": (128, 206), "tcwv": (128, 137), "msl": (128, 151), "u10": (128, 165), "z": (128, 129)}
TABLES |= {"aod469": (210, 213), "aod550": (210, 207), "duaod550": (210, 209)}
"""(table, parameter) of ECMWF (https://codes.ecmwf.int/grib/param-db)."""


def grib(fields: Mapping[str, ArrayLike], *, north: float = 46.0, west: float = 9.0, step: float = 0.125) -> bytes:
    """A file of fields by ECMWF's short names; rows from north to south (WMO No. 306, volume I.2, FM 92 GRIB edition 1)."""
    return b"".join(_message(TABLES[name], np.atleast_2d(values), north, west, step) for name, values in fields.items())


def _message(code: tuple[int, int], values: np.ndarray, north: float, west: float, step: float) -> bytes:
    rows, cols = values.shape
    table, parameter = code
    # Centre 98 is ECMWF; 0x80 says that the grid is described; level 1 is the surface.
    product = _three(28) + bytes([table, 98, 1, 255, 0x80, parameter, 1, 0, 0])
    product += bytes([23, 6, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0, 21, 0, 0, 0])  # 2023-06-05 09:00, in hours; 21st century
    south, east = north - step * (rows - 1), west + step * (cols - 1)
    grid = _three(32) + bytes([0, 255, 0]) + struct.pack(">HH", cols, rows) + _degrees(north) + _degrees(west)
    grid += (
        bytes([0x80]) + _degrees(south) + _degrees(east) + struct.pack(">HHB", *[round(step * 1000)] * 2, 0) + bytes(4)
    )
    low = _ibm(float(values.min()))
    base = _unibm(low)
    span = max(float(values.max()) - base, 1e-30)
    scale = int(np.ceil(np.log2(span / 65535)))
    packed = np.round((values - base) / 2.0**scale).clip(0, 65535).astype(">u2").tobytes()
    sign = 0x8000 | -scale if scale < 0 else scale
    data = _three(11 + len(packed) + 1) + bytes([8]) + struct.pack(">H", sign) + low + bytes([16]) + packed + bytes(1)
    whole = 8 + len(product) + len(grid) + len(data) + 4
    return b"GRIB" + _three(whole) + bytes([1]) + product + grid + data + b"7777"


def _three(value: int) -> bytes:
    return value.to_bytes(3, "big")


def _degrees(value: float) -> bytes:
    """Thousandths in three bytes, sign and magnitude."""
    size = round(abs(value) * 1000)
    return _three(size | (0x800000 if value < 0 else 0))


def _ibm(value: float) -> bytes:
    """A number of IBM's old hexadecimal form, rounded down."""
    if value == 0:
        return bytes(4)
    exponent = 64
    size = abs(value)
    while size >= 1:
        size, exponent = size / 16, exponent + 1
    while size < 1 / 16:
        size, exponent = size * 16, exponent - 1
    mantissa = int(np.floor(size * 2**24)) if value > 0 else int(np.ceil(size * 2**24))
    return bytes([exponent | (0x80 if value < 0 else 0)]) + _three(mantissa)


def _unibm(data: bytes) -> float:
    value = int.from_bytes(data[1:], "big") / 2**24 * 16.0 ** ((data[0] & 0x7F) - 64)
    return -value if data[0] & 0x80 else value
