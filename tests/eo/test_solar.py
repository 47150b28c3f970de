"""The sun's place, against published values and what ESA computed for real granules."""

from __future__ import annotations

import datetime as dt
import math
import re

import numpy as np
import pytest
from pyproj import Transformer

from eo import solar
from eo.grid import RasterGrid
from eo.safe import read_tile
from real_data import FOLDER, test_data

TILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("**/MTD_TL.xml"))


def utc(*fields: int) -> dt.datetime:
    return dt.datetime(*fields, tzinfo=dt.UTC)  # type: ignore[arg-type]


def test_the_example_of_nrel() -> None:
    """Reda and Andreas, Solar Position Algorithm (NREL/TP-560-34302), table A5.1: without refraction 39.872046 degrees high."""
    zenith, azimuth = solar.position(utc(2003, 10, 17, 19, 30, 30), -105.1786, 39.742476)
    assert zenith == pytest.approx(90 - 39.872046, abs=0.01)
    assert azimuth == pytest.approx(194.340241, abs=0.01)


@pytest.mark.parametrize(
    ("time", "declination"),
    # Solstices and equinoxes of the Astronomical Almanac.
    [(utc(2015, 3, 20, 22, 45), 0), (utc(2020, 6, 20, 21, 44), 23.4366), (utc(2026, 12, 21, 20, 50), -23.4364)],
)
def test_the_seasons(time: dt.datetime, declination: float) -> None:
    """At the pole the sun is as high as its declination."""
    zenith, _ = solar.position(time, 0, 90)
    assert zenith == pytest.approx(90 - declination, abs=0.01)


@pytest.mark.parametrize("path", TILES or ["safe_metadata"])
def test_real_granules(path: str) -> None:
    tile_path = test_data(path)
    tile = read_tile(tile_path)
    left, bottom, right, top = tile.grids[10].bounds
    middle = (left + right) / 2, (bottom + top) / 2
    lon, lat = Transformer.from_crs(tile.grids[10].crs, "OGC:CRS84", always_xy=True).transform(*middle)
    zenith, azimuth = solar.position(tile.sensed, lon, lat)
    # In 2018 a tile was dated by its data strip, half a minute and more before it was seen.
    limit, turn = (0.25, 1.2) if re.search("N02.0", tile.tile_id) else (0.01, 0.04)
    assert zenith == pytest.approx(tile.sun_zenith, abs=limit)
    assert azimuth == pytest.approx(tile.sun_azimuth, abs=turn)
    corners, centre = solar.over(tile.grids[10], tile.sensed)
    assert centre == azimuth
    # A granule is not seen in one moment: the sun turns by 0.07 degrees meanwhile.
    np.testing.assert_allclose(corners, tile.sun_corners, rtol=0, atol=limit + 0.03)


def test_places_are_an_array() -> None:
    lon, lat = np.meshgrid(np.linspace(-180, 180, 7), np.linspace(-90, 90, 5))
    zenith, azimuth = solar.position(utc(2026, 7, 12, 10), lon, lat)
    assert zenith.shape == azimuth.shape == lon.shape
    assert np.all((zenith >= 0) & (zenith <= 180) & (azimuth >= 0) & (azimuth < 360))
    one, turn = solar.position(utc(2026, 7, 12, 10), lon[3, 2], lat[3, 2])
    assert (one, turn) == (zenith[3, 2], azimuth[3, 2])
    # -180 and 180 are one meridian.
    np.testing.assert_allclose(zenith[:, 0], zenith[:, -1], atol=1e-9)


def test_the_sun_goes_round_by_way_of_the_south_in_the_north() -> None:
    hours = [solar.position(utc(2026, 3, 25, hour), 15, 47) for hour in range(6, 17)]
    turns = [float(azimuth) for _, azimuth in hours]
    assert turns == sorted(turns)
    assert 90 < turns[0] < 180 < turns[-1] < 270
    assert float(solar.position(utc(2026, 3, 25, 11), 15, -33)[1]) % 360 == pytest.approx(0, abs=5)


def test_the_zone_of_the_clock_does_not_matter() -> None:
    there = dt.timezone(dt.timedelta(hours=5, minutes=30))
    time = utc(2026, 7, 12, 10)
    assert solar.position(time, 9, 47) == solar.position(time.astimezone(there), 9, 47)


def test_the_zenith_itself() -> None:
    """Where cosines lose digits: the azimuth turns, and the zenith is a small positive angle."""
    zenith, _ = solar.position(utc(2026, 3, 20, 12), np.linspace(-1, 5, 601), np.zeros(601))
    assert 0 <= zenith.min() < 0.2
    assert math.isfinite(zenith.sum())


def test_a_grid_has_its_corners_in_order() -> None:
    (ul, ur), (ll, lr) = solar.over(
        RasterGrid("EPSG:32632", 600_000, 5_300_000, 10, 10, 10_980, 10_980), utc(2026, 7, 12, 8)
    )[0]
    # In the morning the sun is in the east, and in the north it is always lower.
    assert ul > ur
    assert ll > lr
    assert ul > ll
    assert ur > lr
