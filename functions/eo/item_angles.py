"""Angles that a STAC item tells, in the words of the view extension and of older catalogues."""

import math
from collections.abc import Iterable, Mapping

from eo.catalog import Angles, Json
from eo.safe_xml import BAND_NAMES

_RADIUS, _ALTITUDE = 6371.0, 786.0
"""Of the earth and of Sentinel-2's orbit above it, in kilometres."""


def item_angles(properties: Json, assets: Mapping[str, Json]) -> Angles | None:
    """Angles by an item's properties and, for single bands, by those of their assets; None where they lack the sun's.

    The sun's zenith is a mean, so all corners have the same. What is no angle is taken for missing: nobody who only
    wants pixels is refused for it.
    """
    zenith = _sun_zenith(properties)
    azimuth = _number(properties, ("view:sun_azimuth", "s2:mean_solar_azimuth"), 0, 360)
    if zenith is None or azimuth is None:
        return None
    mean = _view(properties)
    by_band = {band: _view(assets[band]) if band in assets else None for band in BAND_NAMES}
    view = {band: found for band, own in by_band.items() if (found := own or mean) is not None}
    return Angles(((zenith, zenith), (zenith, zenith)), azimuth % 360, view, "item")


def _sun_zenith(properties: Json) -> float | None:
    elevation = _number(properties, ("view:sun_elevation",), -90, 90)
    if elevation is not None:
        return 90 - elevation
    return _number(properties, ("s2:mean_solar_zenith",), 0, 180)


def _view(values: Json) -> tuple[float, float] | None:
    """(zenith, azimuth) of the sensor as seen from the ground; None where one of them is missing."""
    azimuth = _number(values, ("view:azimuth",), 0, 360)
    zenith = _number(values, ("view:incidence_angle",), 0, 90)
    if zenith is None:
        # The angle at the satellite is a little smaller, for the earth is round (law of sines).
        nadir = _number(values, ("view:off_nadir",), 0, 60)
        zenith = None if nadir is None else _incidence(nadir)
    return None if zenith is None or azimuth is None else (zenith, azimuth % 360)


def _incidence(nadir: float) -> float:
    return math.degrees(math.asin(min(1.0, (1 + _ALTITUDE / _RADIUS) * math.sin(math.radians(nadir)))))


def _number(values: Json, names: Iterable[str], low: float, high: float) -> float | None:
    """The first of these values that is a number in a closed range."""
    for name in names:
        value = values.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
    return None
