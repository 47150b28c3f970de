"""Where the sun stands, by the formulas of low precision that meteorology uses."""

import datetime as dt

import numpy as np
import numpy.typing as npt

from eo.catalog import Corners
from eo.grid import RasterGrid

Degrees = npt.NDArray[np.float64]

J2000 = dt.datetime(2000, 1, 1, 12, tzinfo=dt.UTC)


def position(time: dt.datetime, lon: npt.ArrayLike, lat: npt.ArrayLike) -> tuple[Degrees, Degrees]:
    """(zenith, azimuth) of the sun's centre in degrees at places in degrees, without refraction; of their shape.

    Azimuth is clockwise from north, in [0, 360). Meeus, Astronomical Algorithms (2nd edition, 1998), chapters 12
    (sidereal time), 13 and 25 (the sun to 0.01 degrees from 1900 to 2100), as the Solar Calculator of NOAA does it
    (https://gml.noaa.gov/grad/solcalc/calcdetails.html), whose equation of time is left out for sidereal time. Of what
    is left out, parallax lowers the sun by 0.0024 degrees at most, and UTC for UT1 turns it by 0.004.
    """
    days = (time.astimezone(dt.UTC) - J2000) / dt.timedelta(days=1)
    century = (days + 69.2 / 86400) / 36525  # in terrestrial time, ahead of UTC by 67 to 70 s from 2015 on
    anomaly = np.radians(357.52911 + century * (35999.05029 - 0.0001537 * century))
    centre = (
        np.sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + np.sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + np.sin(3 * anomaly) * 0.000289
    )
    node = np.radians(125.04 - 1934.136 * century)
    # Apparent: with aberration and nutation.
    along = np.radians(
        280.46646 + century * (36000.76983 + 0.0003032 * century) + centre - 0.00569 - 0.00478 * np.sin(node)
    )
    tilt = np.radians(
        23.4392911 - century * (0.0130042 + century * (1.64e-7 - 5.04e-7 * century)) + 0.00256 * np.cos(node)
    )
    declination = np.arcsin(np.sin(tilt) * np.sin(along))
    ascension = np.arctan2(np.cos(tilt) * np.sin(along), np.cos(along))
    nutation = -0.00478 * np.sin(node) * np.cos(tilt)
    sidereal = 280.46061837 + 360.98564736629 * days + nutation
    hour = np.radians(sidereal + np.asarray(lon, np.float64)) - ascension
    place = np.radians(np.asarray(lat, np.float64))
    # As vectors to the east, the north and up, which are exact near the zenith too.
    east = -np.cos(declination) * np.sin(hour)
    north = np.cos(place) * np.sin(declination) - np.sin(place) * np.cos(declination) * np.cos(hour)
    up = np.sin(place) * np.sin(declination) + np.cos(place) * np.cos(declination) * np.cos(hour)
    zenith = np.degrees(np.arctan2(np.hypot(east, north), up))
    return zenith, np.degrees(np.arctan2(east, north)) % 360


def over(grid: RasterGrid, time: dt.datetime) -> tuple[Corners, float]:
    """(zenith at the outer corners of a grid, azimuth at its centre), in degrees; raises ProjError where it is nowhere."""
    from pyproj import Transformer  # noqa: PLC0415 - 60 ms, which only plans need

    left, bottom, right, top = grid.bounds
    x = [left, right, left, right, (left + right) / 2]
    y = [top, top, bottom, bottom, (bottom + top) / 2]
    places = Transformer.from_crs(grid.crs, "OGC:CRS84", always_xy=True).transform(x, y, errcheck=True)
    return at_corners(*places, time)


def at_corners(lon: npt.ArrayLike, lat: npt.ArrayLike, time: dt.datetime) -> tuple[Corners, float]:
    """(zenith at four places, azimuth at the fifth); the places as `Corners` has them, then the centre."""
    zenith, azimuth = position(time, lon, lat)
    ul, ur, ll, lr = (float(value) for value in zenith[:4])
    return ((ul, ur), (ll, lr)), float(azimuth[4])
