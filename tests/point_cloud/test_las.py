"""What a LAS header says of time and place."""

from types import SimpleNamespace
from typing import Any

import pytest
from pyproj import CRS, Transformer

from point_cloud.las import gps_time
from point_cloud.wkt import wkt


@pytest.mark.parametrize(
    ("utc", "gps"),
    [
        # Around the leap seconds at the end of 2016 and of June 2015, as time services publish them.
        ("2017-01-01T00:00:00Z", 1_167_264_018),
        ("2016-12-31T23:59:59Z", 1_167_264_016),
        ("2015-07-01T00:00:00Z", 1_119_744_017),
        ("2015-06-30T23:59:59.500000Z", 1_119_744_015.5),
    ],
)
def test_gps_time_is_ahead_of_utc_by_the_leap_seconds_since_1980(utc: str, gps: float) -> None:
    assert gps_time(utc) == gps - 1e9


def text(crs: str, vertical: str | None) -> str:
    plan: Any = SimpleNamespace(grid=SimpleNamespace(crs=crs), vertical_crs=vertical)
    return wkt(plan)


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32756", "EPSG:3035", "EPSG:2056", "EPSG:3857"])
def test_the_crs_is_the_job_s_with_heights_above_the_geoid(crs: str) -> None:
    found = text(crs, "EPSG:3855")
    assert found.startswith("COMPD_CS[")
    flat, vertical = CRS.from_wkt(found).sub_crs_list
    assert vertical.to_epsg() == 3855
    place = Transformer.from_crs(crs, flat, always_xy=True).transform(500_000.0, 5_000_000.0)
    assert place == pytest.approx((500_000.0, 5_000_000.0), abs=1e-6)


@pytest.mark.parametrize(("crs", "begins"), [("EPSG:32632", "COMPD_CS["), ("EPSG:8857", "PROJCRS[")])
def test_heights_above_the_ellipsoid_are_those_of_the_crs_in_three_dimensions(crs: str, begins: str) -> None:
    """EPSG:8857 is Equal Earth, for which the older text has no words: then all of it is the newer."""
    found = text(crs, "EPSG:4979")
    assert found.startswith(begins)
    assert ("PROJCRS" in found) == (begins == "PROJCRS[")
    read = CRS.from_wkt(found)
    assert len(read.axis_info) == 3
    up = Transformer.from_crs(read, "EPSG:4979", always_xy=True).transform(500_000.0, 5_000_000.0, 321.0)[2]
    assert up == pytest.approx(321.0)


def test_where_nothing_is_known_of_heights_nothing_is_said() -> None:
    assert CRS.from_wkt(text("EPSG:32632", None)).to_epsg() == 32632
