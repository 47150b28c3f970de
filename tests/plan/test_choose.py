"""Which scenes are chosen, and what stays uncovered."""

import json
import random
import time
from typing import Any

import pytest
import shapely

from eo.bbox import BBox
from eo.errors import CorruptData, NothingFound
from peers.stac_items import grid_items
from plan.candidate import Candidate, tile_of
from plan.choose import choose, geometries
from real_data import test_data

BOX = BBox(10, 46, 11, 47)


def polygon(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def scene(
    name: str, cloud: float | None = 5, day: int = 1, footprint: dict[str, Any] | None = None, **more: Any
) -> Candidate:
    area = footprint or polygon(9, 45, 12, 48)
    return Candidate(name, "sentinel-2-l2a", f"2026-07-{day:02d}T10:10:00.025000Z", cloud, area, **more)


def chosen(*candidates: Candidate, bbox: BBox = BOX, **options: Any) -> list[str]:
    return [c.id for c in choose(candidates, bbox, **options).candidates]


def test_the_clearest_comes_first_then_the_newest_and_unknown_last() -> None:
    left, right = polygon(9, 45, 10.5, 48), polygon(10.5, 45, 12, 48)
    assert chosen(scene("cloudy", 30), scene("clear", 1), scene("unknown", None, 9)) == ["clear"]
    assert chosen(scene("old", 1, 1), scene("new", 1, 9)) == ["new"]
    assert chosen(scene("a", 1), scene("b", 1)) == chosen(scene("b", 1), scene("a", 1)) == ["b"]
    assert chosen(scene("unknown", None, 1, left), scene("known", 90, 1, right)) == ["known", "unknown"]


def test_a_scene_is_added_only_for_new_ground() -> None:
    west, middle, east = polygon(9, 45, 10.6, 48), polygon(10.2, 45, 10.59, 48), polygon(10.4, 45, 12, 48)
    choice = choose([scene("w", 1, 1, west), scene("m", 2, 1, middle), scene("e", 3, 1, east)], BOX)
    assert [c.id for c in choice.candidates] == ["w", "e"]
    assert choice.uncovered == 0


def test_gaps_thinner_than_a_pixel_bring_no_scene() -> None:
    west, east = polygon(9, 45, 10.5, 48), polygon(10.50001, 45, 12, 48)
    assert chosen(scene("w", 1, 1, west), scene("e", 2, 1, east), scene("all", 9)) == ["w", "e"]
    wide = polygon(10.501, 45, 12, 48)
    assert chosen(scene("w", 1, 1, west), scene("e", 2, 1, wide), scene("all", 9)) == ["w", "e", "all"]


def test_a_tiny_box_is_covered_too() -> None:
    assert chosen(scene("a"), bbox=BBox(10, 46, 10.00001, 46.00001)) == ["a"]


def test_what_stays_uncovered_is_told() -> None:
    assert choose([scene("w", 1, 1, polygon(9, 45, 10.25, 48))], BOX).uncovered == pytest.approx(0.75)


def test_cloud_limit_passes_scenes_without_a_figure() -> None:
    assert chosen(scene("cloudy", 21), scene("unknown", None), max_cloud_cover=20) == ["unknown"]
    assert chosen(scene("just", 20.0), max_cloud_cover=20) == ["just"]


def test_nothing_left_says_how_many_there_were() -> None:
    with pytest.raises(NothingFound, match="no scene matches bbox 10,46,11,47"):
        choose([], BOX)
    with pytest.raises(NothingFound, match=r"2 scenes match.*at most 20 % cloud; the clearest has 30.0 %"):
        choose([scene("a", 30), scene("b", 40)], BOX, max_cloud_cover=20)
    with pytest.raises(NothingFound, match="no footprint covers"):
        choose([scene("a", 3, 1, polygon(0, 0, 1, 1))], BOX)


def test_the_newest_processing_of_a_datatake_wins_whatever_its_clouds() -> None:
    same: dict[str, Any] = {"tile": "32TPS", "platform": "sentinel-2a"}
    old, new = scene("old", 9.9, baseline="03.01", **same), scene("new", 10.1, baseline="05.00", **same)
    assert chosen(old, new) == ["new"]
    assert chosen(old, scene("later", 10.1, 2, baseline="05.00", **same)) == ["old"]
    # Two halves of one datatake, of one baseline, are both looked at.
    halves = (
        scene("n", 1, 1, polygon(9, 46.5, 12, 48), baseline="05.00", **same),
        scene("s", 2, 1, polygon(9, 45, 12, 46.5), baseline="05.00", **same),
    )
    assert chosen(*halves) == ["n", "s"]


@pytest.mark.parametrize(
    "footprint",
    [
        polygon(178, -18, 182, -16),
        polygon(178, -18, -178, -16),
        polygon(-182, -18, -178, -16),
        {
            "type": "MultiPolygon",
            "coordinates": [polygon(178, -18, 180, -16)["coordinates"], polygon(-180, -18, -178, -16)["coordinates"]],
        },
    ],
    ids=["beyond 180", "jumps", "below -180", "split"],
)
@pytest.mark.parametrize("bbox", ["179,-17.5,-179,-16.5", "179,-17.5,179.9,-16.5", "-179.9,-17.5,-179,-16.5"])
def test_footprints_across_the_antimeridian_in_every_form(footprint: dict[str, Any], bbox: str) -> None:
    assert choose([scene("a", 1, 1, footprint)], BBox.parse(bbox)).uncovered == 0


def test_a_footprint_on_the_other_side_of_the_globe_covers_nothing() -> None:
    far = polygon(-170.5, 45, -169, 48)  # astride the meridian opposite to the box
    with pytest.raises(NothingFound):
        choose([scene("far", 1, 1, far)], BBox(10, 46, 11, 47))


def test_holes_and_invalid_rings_are_understood() -> None:
    ring = [[9, 45], [12, 45], [12, 48], [9, 48], [9, 45]]
    hole = [[10.2, 46.2], [10.2, 46.8], [10.8, 46.8], [10.8, 46.2], [10.2, 46.2]]
    with_hole = {"type": "Polygon", "coordinates": [ring, hole]}
    assert choose([scene("a", 1, 1, with_hole)], BOX).uncovered == pytest.approx(0.36)
    bow = {"type": "Polygon", "coordinates": [[[9, 45, 0], [12, 48, 0], [12, 45, 0], [9, 48, 0], [9, 45, 0]]]}
    (repaired,) = geometries([bow], 10)
    assert repaired.is_valid
    assert repaired.area == pytest.approx(4.5)


@pytest.mark.parametrize(
    "footprint",
    [
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": [[["x", 2]] * 4]},
    ],
)
def test_a_footprint_that_is_no_polygon_is_named(footprint: dict[str, Any]) -> None:
    with pytest.raises(CorruptData, match="item bad: its footprint is not a polygon"):
        choose([scene("good"), scene("bad", 1, 1, footprint)], BOX)


def test_real_neighbours_are_both_chosen() -> None:
    paths = test_data("austria_l2a_120m").glob("*/*.json")
    found = [Candidate.from_item(json.loads(path.read_text())) for path in paths]
    choice = choose(found, BBox(15.2, 45.6, 16.2, 46.6), max_cloud_cover=20)
    assert {c.tile for c in choice.candidates} == {"33TWM", "33TWL"}
    assert choice.uncovered == 0


def test_real_footprint_across_the_antimeridian() -> None:
    name = "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE"
    item = json.loads(test_data("safe_metadata", "stactools", name, "expected_output.json").read_text())
    (shape,) = geometries([item["geometry"]], 180)
    assert shape.geom_type == "Polygon"
    assert shape.bounds == pytest.approx((179.23921, -17.25485, 180.28455, -16.247763))
    assert choose([Candidate.from_item(item)], BBox.parse("179.5,-17,-179.9,-16.5")).uncovered == 0


@pytest.mark.parametrize(
    ("text", "tile"),
    [
        ("MGRS-32TPS", "32TPS"),
        ("S2B_MSIL2A_20250302T095029_N0511_R079_T33UXP_20250302T104753", "33UXP"),
        ("S2A_T01KAB_20230821T221944_L2A", "01KAB"),
        ("S2B_1KAB_20230821_0_L2A", "01KAB"),
        ("something else", None),
        (None, None),
    ],
)
def test_tiles_are_found_in_names(text: str | None, tile: str | None) -> None:
    assert tile_of(text) == tile


def test_nine_thousand_scenes_are_quick() -> None:
    found = [Candidate.from_item(item) for item in grid_items(days=360)]
    assert len(found) > 9000
    random.Random(1).shuffle(found)
    bbox = BBox.parse("3.2833,45.3833,11.2,50.1833")
    started = time.process_time()
    choice = choose(found, bbox, max_cloud_cover=20)
    assert time.process_time() - started < 3
    assert choice.uncovered == 0
    # Against the plain way: every scene adds ground to those before it, and together they cover the box.
    rest: Any = bbox.polygon()
    for candidate in choice.candidates:
        left = rest.difference(shapely.geometry.shape(candidate.footprint))
        assert left.area < rest.area
        rest = left
    assert rest.area < 1e-6
    assert 40 < len(choice.candidates) < 150
