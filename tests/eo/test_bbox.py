"""Bounding boxes: what is read, what is refused, and which points lie inside."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from eo.bbox import BBox
from eo.errors import InvalidInput


class Model(BaseModel):
    bbox: BBox


@pytest.mark.parametrize(
    "given_value",
    [
        "11.2,46.4,11.6,46.7",
        " 11.2, 46.4, 11.6, 46.7 ",
        "[11.2,46.4,11.6,46.7]",
        [11.2, 46.4, 11.6, 46.7],
        ("11.2", 46.4, 11.6, np.float64(46.7)),
    ],
)
def test_text_and_sequences_are_read(given_value: object) -> None:
    assert BBox.parse(given_value) == BBox(11.2, 46.4, 11.6, 46.7)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1,2,3", "3 numbers instead of four"),
        ("", "1 numbers"),
        ("a,b,c,d", "'a' is not a number"),
        ("nan,1,2,3", "finite"),
        ("1,1,inf,3", "finite"),
        ("11.2,46.7,11.6,46.4", "swap the latitudes"),
        ("1,1,1,2", "area is zero"),
        ("1,2,3,2", "area is zero"),
        ("180,0,-180,1", "area is zero"),
        ("181,0,182,1", "min_lon 181 is outside -180..180"),
        ("0,-91,1,1", "min_lat -91 is outside -90..90"),
        ("46.4,111.2,46.7,111.6", "the order is min_lon"),
        ("-180,-90,180,90", "360 degrees of longitude, more than the 60"),
        ("11.6,46.4,11.2,46.7", "swap the two longitudes"),
        ("0,-40,1,40", "80 degrees of latitude, more than the 60"),
        ([1, 2, 3, True], "True is not a number"),
        ({"a": 1}, "expected four numbers"),
        (None, "expected four numbers"),
    ],
)
def test_what_is_no_box_is_refused_with_the_remedy(value: object, words: str) -> None:
    with pytest.raises(InvalidInput, match="bbox") as caught:
        BBox.parse(value)
    assert words in str(caught.value)


def test_it_is_a_field_of_pydantic_models() -> None:
    assert Model.model_validate({"bbox": "1,2,3,4"}).bbox == BBox(1, 2, 3, 4)
    assert Model(bbox=BBox(1, 2, 3, 4)).model_dump() == {"bbox": [1, 2, 3, 4]}
    assert Model.model_validate_json(Model(bbox=BBox(1, 2, 3, 4)).model_dump_json()).bbox == BBox(1, 2, 3, 4)
    schema: dict[str, Any] = Model.model_json_schema()["properties"]["bbox"]
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 4, 4)
    with pytest.raises(ValidationError, match="swap the latitudes"):
        Model.model_validate({"bbox": "1,4,3,2"})


def test_a_box_that_only_touches_the_antimeridian_does_not_cross_it() -> None:
    assert BBox.parse("170,0,-180,1") == BBox(170, 0, 180, 1)
    assert BBox.parse("180,0,-170,1") == BBox(-180, 0, -170, 1)
    assert [str(part) for part in BBox.parse("179,0,-178,1").parts()] == ["179,0,180,1", "-180,0,-178,1"]


@given(west=st.floats(-180, 179.9), width=st.floats(0.001, 59), south=st.floats(-90, 80), height=st.floats(0.001, 9))
def test_unwrapped_box_ring_and_polygon_agree(west: float, width: float, south: float, height: float) -> None:
    east = west + width
    box = BBox(west, south, east - 360 if east > 180 else east, south + height)
    left, bottom, right, top = box.unwrapped()
    assert math.isclose(right - left, box.width, abs_tol=1e-9)
    assert box.centre_lon - 180 <= left < right < box.centre_lon + 180
    lon, lat = box.ring(4)
    assert len(lon) == 17
    assert (lon[0], lat[0]) == (lon[-1], lat[-1])
    assert (lon.min(), lon.max(), lat.min(), lat.max()) == pytest.approx((left, right, bottom, top))
    assert box.polygon().bounds == pytest.approx((left, bottom, right, top))
    assert sum(part.width for part in box.parts()) == pytest.approx(box.width)


@given(
    west=st.floats(-180, 179),
    east=st.floats(-180, 180),
    at=st.floats(0.05, 0.95),
    lon=st.floats(-180, 180),
    near=st.integers(-3, 3),
)
def test_abutting_boxes_share_no_point_and_lose_none(
    west: float, east: float, at: float, lon: float, near: int
) -> None:
    width = (east - west) % 360
    if not 0.01 < width < 60:
        return
    whole = BBox(west, 0, east, 1)
    middle = west + at * width
    middle = middle - 360 if middle > 180 else middle
    halves = BBox(west, 0, middle, 1), BBox(middle, 0, east, 1)
    # Any point, and the ones within some roundings of the common edge.
    edge = middle
    for _ in range(abs(near)):
        edge = float(np.nextafter(edge, math.copysign(400, near)))
    lons = np.array([lon, min(max(edge, -180), 180), west, 180.0, -180.0])
    lats = np.full(5, 0.5)
    together = halves[0].contains(lons, lats).astype(int) + halves[1].contains(lons, lats)
    assert np.array_equal(together, whole.contains(lons, lats).astype(int))


def test_points_are_inside_half_open_on_all_sides_of_the_globe() -> None:
    box = BBox.parse("179,-17,-179,-16")
    lon = np.array([179, 180, -180, 181, -179, -179.5, 178.9, np.nan, np.inf])
    assert box.contains(lon, np.full(9, -16.5)).tolist() == [True, True, True, False, False, True, False, False, False]
    assert box.contains(np.array([180.0, 180.0]), np.array([-17.0, -16.0])).tolist() == [True, False]
    assert BBox(-180, 0, -170, 1).contains(np.array([180.0, -180.0, 185]), np.full(3, 0.5)).all()


def test_meridians_are_counted_around_the_centre() -> None:
    box = BBox.parse("170,0,-160,1")
    assert box.centre_lon == -175
    assert box.unwrap(np.array([170.0, 180, -180, -160, 4, 6])).tolist() == [-190, -180, -180, -160, 4, -354]


@pytest.mark.parametrize(
    "box",
    [(11.2, 46.4, 11.6, 46.7), (179.99, -17.0, -179.99, -16.9), (-180.0, 60.0, -179.9, 60.1), (0.0, 84.0, 1.0, 85.0)],
)
def test_a_box_around_another_is_so_many_metres_larger(box: tuple[float, float, float, float]) -> None:
    inner = BBox(*box)
    outer = inner.around(1_800)
    (west, south, east, north), (left, bottom, right, top) = inner.unwrapped(), outer.unwrapped()
    turn = 360 * round((left - west) / 360)
    for lon in (west - left + turn, right - turn - east):
        assert 1_800 <= lon * 111_320 * math.cos(math.radians(max(abs(south), abs(north)))) < 2_000
    for lat in (south - bottom, top - north):
        assert 1_800 <= lat * 111_700 < 2_000


def test_no_box_around_another_leaves_the_earth_or_is_too_large() -> None:
    assert BBox(10.0, 89.9, 11.0, 90.0).around(50_000).max_lat == 90
    assert BBox(0.0, 0.0, 60.0, 60.0).around(1_800) == BBox(0.0, 0.0, 60.0, 60.0)
