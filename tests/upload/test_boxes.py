"""Boxes of polygons, on both sides of every meridian."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eo.bbox import BBox
from eo.errors import InvalidInput
from upload.boxes import box, overlap


def ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def several(*rings: Any) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": [[each] for each in rings]}


def test_a_polygon_has_the_box_of_its_outer_ring() -> None:
    assert box(polygon([[11.2, 46], [11.7, 46.5], [11.1, 46.9], [11.2, 46]])).to_list() == [11.1, 46, 11.7, 46.9]
    assert box(polygon(ring(1, 2, 3, 4), ring(1.5, 2.5, 2, 3))).to_list() == [1, 2, 3, 4]
    assert box(polygon([[1, 2, 900], [3, 2, 900], [3, 4, 5], [1, 2, 900]])).to_list() == [1, 2, 3, 4]


def test_parts_are_one_box() -> None:
    assert box(several(ring(10, 1, 11, 2), ring(12, -3, 13, 0))).to_list() == [10, -3, 13, 2]


def test_a_polygon_cut_at_the_antimeridian_is_in_one_piece_again() -> None:
    """As RFC 7946 wants it (3.1.9), and as tools write it that do not know of it."""
    wanted = [179.2, -17, -179.3, -16]
    assert box(several(ring(179.2, -17, 180, -16), ring(-180, -17, -179.3, -16))).to_list() == wanted
    assert box(several(ring(-180, -17, -179.3, -16), ring(179.2, -17, 180, -16))).to_list() == wanted
    assert box(polygon(ring(179.2, -17, -179.3, -16))).to_list() == wanted
    assert box(polygon(ring(179.2, -17, 180.7, -16))).to_list() == pytest.approx(wanted)
    assert box(polygon(ring(-180.8, -17, -179.3, -16))).to_list() == pytest.approx(wanted)


def test_what_only_touches_the_antimeridian_does_not_cross_it() -> None:
    assert box(polygon(ring(179, 0, 180, 1))).to_list() == [179, 0, 180, 1]
    assert box(polygon(ring(-180, 0, -179, 1))).to_list() == [-180, 0, -179, 1]


@given(st.floats(-180, 179.9), st.floats(0.001, 50), st.floats(-80, 80), st.lists(st.floats(0.05, 0.95), max_size=4))
def test_any_box_is_found_again_however_it_is_cut(west: float, width: float, south: float, cuts: list[float]) -> None:
    east = west + width
    meridians = sorted({west, east, *(west + width * cut for cut in cuts), *([180.0] if west < 180 < east else [])})
    rings = []
    for left, right in pairwise(meridians):
        turn = 360 if left >= 180 else 0
        rings.append(ring(left - turn, south, right - turn, south + 1))
    found = box(several(*rings))
    assert found.min_lon == (west if west < 180 else west - 360)
    assert found.width == pytest.approx(width)
    assert (found.min_lat, found.max_lat) == (south, south + 1)


@pytest.mark.parametrize(
    ("geometry", "reason"),
    [
        (None, "None"),
        ({"type": "Point", "coordinates": [1, 2]}, "'Point', which has no area"),
        ({"type": "GeometryCollection", "geometries": []}, "no area"),
        ({"type": "Polygon"}, "fewer than four|no coordinates"),
        ({"type": "Polygon", "coordinates": []}, "fewer than four"),
        ({"type": "MultiPolygon", "coordinates": []}, "no coordinates"),
        (polygon([[0, 0], [1, 1], [0, 0]]), "fewer than four positions"),
        (polygon([[0, 0], [1, "1"], [1, 1], [0, 0]]), "not two numbers"),
        (polygon([[0, 0], [1, True], [1, 1], [0, 0]]), "not two numbers"),
        (polygon([[0, 0], [1], [1, 1], [0, 0]]), "not two numbers"),
        (polygon(ring(671_240, 5_168_180, 671_300, 5_168_200)), "reproject it"),
        (polygon(ring(0, 0, 61, 1)), "61 degrees of longitude"),
        (several(ring(0, 0, 1, 1), ring(100, 0, 101, 1)), "more than the 60"),
        (polygon([[0, 0], [1, 0], [2, 0], [0, 0]]), "its area is zero"),
    ],
)
def test_what_has_no_box_says_why(geometry: Any, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        box(geometry)


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ((0, 0, 2, 2), (1, 1, 3, 3), [1, 1, 2, 2]),
        ((0, 0, 1, 1), (1, 0, 2, 1), None),
        ((0, 0, 1, 1), (5, 5, 6, 6), None),
        ((179, 0, -179, 1), (-179.5, 0, -178, 1), [-179.5, 0, -179, 1]),
        ((-179.5, 0, -178, 1), (179, 0, -179, 1), [-179.5, 0, -179, 1]),
        ((179, 0, -179, 1), (178, 0, 179.5, 1), [179, 0, 179.5, 1]),
    ],
)
def test_what_two_boxes_share(one: Any, other: Any, shared: Any) -> None:
    found = overlap(BBox(*one), BBox(*other))
    assert (found and found.to_list()) == shared
