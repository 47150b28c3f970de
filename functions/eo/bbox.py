"""The bounding box of a job: degrees of longitude and latitude on WGS 84 (OGC:CRS84)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from eo.errors import InvalidInput

if TYPE_CHECKING:
    from shapely import Polygon

MAX_SPAN = 60.0
"""Widest and highest bbox in degrees. A job has one projected CRS and few UTM zones, so a wider box is a mistake
(longitudes swapped, the whole world); what fits but is still too much is refused by the plan, with its own numbers."""

METRES_PER_DEGREE = 110_574
"""Of latitude, at the equator, where a degree is shortest."""

ORDER = "min_lon,min_lat,max_lon,max_lat, e.g. 11.2,46.4,11.6,46.7"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BBox:
    """A half-open box [min_lon, max_lon) x [min_lat, max_lat): abutting boxes share no point.

    `min_lon > max_lon` means across the antimeridian. A box that only touches it does not cross:
    180 as western and -180 as eastern edge are rewritten as their other name.
    """

    min_lon: float
    """Western edge, degrees in [-180, 180)."""
    min_lat: float
    """Southern edge, degrees in [-90, 90)."""
    max_lon: float
    """Eastern edge, degrees in (-180, 180]."""
    max_lat: float
    """Northern edge, degrees in (-90, 90]."""

    def __post_init__(self) -> None:
        """Check the four numbers; raises InvalidInput."""
        _check(self.min_lon, self.min_lat, self.max_lon, self.max_lat)
        if self.min_lon == 180:
            object.__setattr__(self, "min_lon", -180.0)
        if self.max_lon == -180:
            object.__setattr__(self, "max_lon", 180.0)
        if self.width > MAX_SPAN:
            swapped = self.min_lon > self.max_lon
            remedy = (
                "swap the two longitudes (min_lon > max_lon means across the antimeridian)" if swapped else "cut it"
            )
            raise InvalidInput(
                f"bbox {self}: {self.width:g} degrees of longitude, more than the {MAX_SPAN:g} that one job may span: {remedy}"
            )
        if self.height > MAX_SPAN:
            raise InvalidInput(
                f"bbox {self}: {self.height:g} degrees of latitude, more than the {MAX_SPAN:g} that one job may span: cut it"
            )

    def __str__(self) -> str:
        return f"{self.min_lon:.12g},{self.min_lat:.12g},{self.max_lon:.12g},{self.max_lat:.12g}"

    @classmethod
    def parse(cls, value: object) -> Self:
        """Read "a,b,c,d" or a sequence of four numbers; raises InvalidInput."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            parts: Sequence[object] = value.strip().removeprefix("[").removesuffix("]").split(",")
        elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            parts = value
        else:
            raise InvalidInput(f"bbox {_shown(value)}: expected four numbers, {ORDER}")
        if len(parts) != 4:
            raise InvalidInput(f"bbox {_shown(value)}: {len(parts)} numbers instead of four, {ORDER}")
        return cls(*(_number(part, value) for part in parts))

    @property
    def crosses_antimeridian(self) -> bool:
        """Whether the box lies on both sides of 180 degrees."""
        return self.min_lon > self.max_lon

    @property
    def width(self) -> float:
        """Degrees of longitude, > 0."""
        return self.max_lon - self.min_lon + (360 if self.crosses_antimeridian else 0)

    @property
    def height(self) -> float:
        """Degrees of latitude, > 0."""
        return self.max_lat - self.min_lat

    @property
    def centre_lon(self) -> float:
        """The meridian in the middle, degrees in [-180, 180)."""
        centre = self.min_lon + self.width / 2
        return centre - 360 if centre >= 180 else centre

    def unwrap(self, lon: Floats | float) -> Floats:
        """The same meridians counted within [centre - 180, centre + 180), where the box is in one piece."""
        values = np.asarray(lon, dtype=np.float64)
        turns: Floats = np.floor((values - (self.centre_lon - 180)) / 360)
        return values - 360 * turns

    def contains(self, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
        """Which points (degrees, any shape) lie in the half-open box; NaN and infinite ones do not."""
        lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
        # Compared as they are, without unwrapping: adding 360 rounds, and a point within one rounding of an edge
        # could then belong to neither of two abutting boxes.
        if lon.size and not (lon.min() >= -180 and lon.max() <= 180):
            with np.errstate(invalid="ignore"):
                lon = np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon)
        if self.crosses_antimeridian:
            inside = (lon >= self.min_lon) | (lon < self.max_lon)
        else:
            inside = (lon >= self.min_lon) & (lon < self.max_lon)
            if self.min_lon == -180:
                inside |= lon == 180
        inside &= lat >= self.min_lat
        inside &= lat < self.max_lat
        return inside

    def unwrapped(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) with west < east, in the longitudes of `unwrap`."""
        # From the centre, not through `unwrap`: a box 60 degrees wide never reaches its limits.
        west = self.min_lon if self.min_lon <= self.centre_lon else self.min_lon - 360
        east = self.max_lon if self.max_lon >= self.centre_lon else self.max_lon + 360
        return west, self.min_lat, east, self.max_lat

    def ring(self, points: int = 32) -> tuple[Floats, Floats]:
        """(lon, lat) of the outline, counter-clockwise and closed, for projecting: 4 `points` + 1 values each.

        `points` per edge, because straight edges in degrees bend in a projected CRS. Longitudes as `unwrap` has them.
        """
        west, south, east, north = self.unwrapped()
        step = np.arange(points, dtype=np.float64) / points
        along_lon, along_lat = step * (east - west), step * (north - south)
        full = np.ones(points)
        lon = np.concatenate([west + along_lon, full * east, east - along_lon, full * west, [west]])
        lat = np.concatenate([full * south, south + along_lat, full * north, north - along_lat, [south]])
        return lon, lat

    def around(self, metres: float) -> "BBox":
        """A larger box, by at least so many metres on every side, as far as boxes and the poles allow."""
        up = min(metres / METRES_PER_DEGREE, (MAX_SPAN - self.height) / 2)
        south, north = max(self.min_lat - up, -90.0), min(self.max_lat + up, 90.0)
        narrow = max(math.cos(math.radians(max(abs(south), abs(north)))), 0.01)
        across = min(up / narrow, (MAX_SPAN - self.width) / 2)
        west, east = ((lon + 180) % 360 - 180 for lon in (self.min_lon - across, self.max_lon + across))
        return BBox(west, south, east, north)

    def parts(self) -> list["BBox"]:
        """One box, or the two on either side of the antimeridian."""
        if not self.crosses_antimeridian:
            return [self]
        return [
            BBox(self.min_lon, self.min_lat, 180.0, self.max_lat),
            BBox(-180.0, self.min_lat, self.max_lon, self.max_lat),
        ]

    def polygon(self) -> "Polygon":
        """The box as a polygon in the longitudes of `unwrap`."""
        from shapely import box  # noqa: PLC0415 - workers need `contains` alone and start faster without shapely

        return box(*self.unwrapped())

    def to_list(self) -> list[float]:
        """[min_lon, min_lat, max_lon, max_lat], the form of STAC and GeoJSON."""
        return [self.min_lon, self.min_lat, self.max_lon, self.max_lat]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept what `parse` accepts; write a list."""
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_list)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the list of four numbers."""
        return {
            "type": "array",
            "items": {"type": "number"},
            "minItems": 4,
            "maxItems": 4,
            "description": "min_lon, min_lat, max_lon, max_lat in degrees (CRS84); min_lon > max_lon means across the antimeridian",
        }

    @classmethod
    def _validate(cls, value: Any) -> Self:  # noqa: ANN401 - pydantic hands over whatever came in
        try:
            return cls.parse(value)
        except InvalidInput as error:
            # A custom error, so that pydantic reports it together with the faults of other fields.
            raise PydanticCustomError("bbox", "{reason}", {"reason": str(error)}) from error


def _check(west: float, south: float, east: float, north: float) -> None:
    """Refuse what cannot be a box; raises InvalidInput."""
    shown = ",".join(f"{value:.12g}" for value in (west, south, east, north))
    if not all(math.isfinite(value) for value in (west, south, east, north)):
        raise InvalidInput(f"bbox {shown}: every number has to be finite, {ORDER}")
    for name, value, limit in (
        ("min_lon", west, 180),
        ("max_lon", east, 180),
        ("min_lat", south, 90),
        ("max_lat", north, 90),
    ):
        if abs(value) > limit:
            raise InvalidInput(
                f"bbox {shown}: {name} {value:g} is outside -{limit}..{limit} degrees; the order is {ORDER}"
            )
    if south > north:
        raise InvalidInput(
            f"bbox {shown}: min_lat {south:g} is north of max_lat {north:g}: swap the latitudes; the order is {ORDER}"
        )
    if south == north or west == east or (west, east) == (180, -180):
        raise InvalidInput(f"bbox {shown}: its area is zero; widen it, {ORDER}")


def _number(part: object, value: object) -> float:
    """One coordinate; booleans and texts that are not numbers are refused."""
    if isinstance(part, str | int | float | np.number) and not isinstance(part, bool):
        try:
            return float(part)
        except (ValueError, OverflowError):
            pass
    raise InvalidInput(f"bbox {_shown(value)}: {_shown(part)} is not a number; expected {ORDER}")


def _shown(value: object) -> str:
    """What was given, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
