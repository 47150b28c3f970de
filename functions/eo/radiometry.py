"""Reflectance from digital numbers (DN), and colours from reflectance, exactly.

reflectance = (DN + offset) / quantification, with both numbers from the product's metadata: Sentinel-2 has had an
offset of -1000 since processing baseline 04.00 (and in reprocessed older products), which its date does not tell.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData, InvalidInput

NODATA = 0
"""The DN that says "no data" in every Sentinel-2 band."""
SATURATION = 65_535
"""The DN of saturated pixels (Sentinel-2 Products Specification Document, Special_Values)."""

_DN = np.arange(1 << 16, dtype=np.int64)
_SCL_CODES = 12
_LARGEST_DN = 65535


def _scl_masked(*others: int) -> NDArray[np.bool_]:
    masked = np.ones(256, np.bool_)
    masked[:_SCL_CODES] = False
    masked[[0, 1, 3, 8, 9, 10, *others]] = True
    masked.flags.writeable = False
    return masked


SCL_MASKED = _scl_masked()
"""bool (256,), read-only: which codes of the L2A scene classification are not ground.

0 no data, 1 saturated or defective, 3 cloud shadow, 8 and 9 cloud, 10 thin cirrus (Sentinel-2 Products Specification
Document, "Scene Classification"), and 12 and more, which do not exist but appear in lossy copies. 11, snow, is ground.
"""
SCL_MASKED_WITH_SNOW = _scl_masked(11)
"""The same where snow is no ground, for what knows nothing of it."""


@dataclass(frozen=True, slots=True)
class Radiometry:
    """How the DNs of a band are meant."""

    offset: int
    """Added to a DN, in DN."""
    quantification: int = 10_000
    """The DN, offset included, of reflectance 1."""

    def __post_init__(self) -> None:
        if self.quantification <= 0:
            raise CorruptData(
                f"quantification is {self.quantification}; it must be above 0, check the product's metadata"
            )

    @classmethod
    def from_scale_offset(cls, scale: float, offset: float) -> Self:
        """Read STAC's `raster:scale` and `raster:offset`: reflectance = DN * scale + offset.

        0.0001 and -0.1 are taken as the decimals that they are written as and give 10000 and -1000. Raises CorruptData
        where they do not stand for integers: other products than Sentinel-2's.
        """
        exact_scale, exact_offset = _decimal(scale), _decimal(offset)
        if exact_scale is None or exact_offset is None or exact_scale <= 0:
            raise CorruptData(f"scale {scale!r} and offset {offset!r} are no radiometry; the scale must be above 0")
        quantification, dn_offset = 1 / exact_scale, exact_offset / exact_scale
        if quantification.denominator != 1 or dn_offset.denominator != 1:
            raise CorruptData(
                f"scale {scale!r} and offset {offset!r} mean a quantification of {float(quantification):.17g} and an "
                f"offset of {float(dn_offset):.17g} DN, which must be whole numbers; check the catalogue's item"
            )
        return cls(int(dn_offset), int(quantification))


@lru_cache(maxsize=64)
def stretch_lut(radiometry: Radiometry, max_reflectance: float) -> NDArray[np.uint8]:
    """Colour of every DN: uint8 (65536,), floor(255 clip(rho / max_reflectance, 0, 1) + 1/2).

    `max_reflectance` is taken as the decimal that it is written as, and all is computed in rational numbers, so ties
    round up everywhere and on every machine. Raises InvalidInput unless 0 < max_reflectance < infinity.
    """
    exact_max = _decimal(max_reflectance)
    if exact_max is None or exact_max <= 0:
        raise InvalidInput(f"max_reflectance is {max_reflectance}; it must be a finite number above 0, such as 0.3")
    # A colour is reached where 255 rho / max >= colour - 1/2: 255 thresholds instead of 65,536 divisions.
    step = radiometry.quantification * exact_max / 255
    first_dn = [math.ceil((colour - Fraction(1, 2)) * step) - radiometry.offset for colour in range(1, 256)]
    first_dn = [min(max(dn, 0), _LARGEST_DN + 1) for dn in first_dn]  # a huge maximum leaves the range of int64
    lut = np.searchsorted(np.array(first_dn, np.int64), _DN, side="right").astype(np.uint8)
    lut.flags.writeable = False
    return lut


def shift_lut(radiometry: Radiometry, common_offset: int) -> NDArray[np.uint16]:
    """Every DN as it would be with another offset, at equal reflectance: uint16 (65536,).

    0, no data, stays 0; others move up, so none becomes 0, and stop at 65535. Raises InvalidInput where the common
    offset is the larger one, since DNs would then fall below 1.
    """
    shift = radiometry.offset - common_offset
    if shift < 0:
        raise InvalidInput(
            f"offset {radiometry.offset} cannot be expressed as {common_offset}, DNs would become negative; "
            "take the most negative offset as the common one"
        )
    shifted = np.minimum(_DN + min(shift, _LARGEST_DN), _LARGEST_DN).astype(np.uint16)
    shifted[NODATA] = NODATA
    return shifted


def common(radiometries: Iterable[Radiometry]) -> Radiometry:
    """Choose the radiometry that all can be expressed in by `shift_lut`: the most negative offset.

    Raises InvalidInput where there are none, or where their quantifications differ.
    """
    found = list(radiometries)
    quantifications = sorted({each.quantification for each in found})
    if len(quantifications) != 1:
        raise InvalidInput(
            f"scenes with the quantifications {quantifications} cannot share one cube, exactly one is needed; "
            "choose scenes of one collection"
        )
    return Radiometry(min(each.offset for each in found), quantifications[0])


def reflectance(
    dn: NDArray[np.uint16], radiometries: Sequence[Radiometry], *, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Reflectance of DNs (bands, rows, columns) with data: (DN + offset) / quantification, not clipped.

    The sum is exact, and rounded once by the division: equal reflectances have equal bits, whatever the offset.
    """
    shape = (-1,) + (1,) * (dn.ndim - 1)
    offsets = np.array([each.offset for each in radiometries], np.float32).reshape(shape)
    made: NDArray[np.float32] = np.add(dn, offsets, dtype=np.float32, out=out)
    made /= np.array([each.quantification for each in radiometries], np.float32).reshape(shape)
    return made


def _decimal(value: float) -> Fraction | None:
    """Give the decimal number that a float is written as, None for infinities and NaN."""
    return Fraction(repr(float(value))) if math.isfinite(value) else None
