"""The target grid: whose CRS, whose pixels, and what is refused."""

import numpy as np
import pytest

from eo.bbox import BBox
from eo.catalog import Scene
from eo.errors import InvalidInput
from eo.grid import RasterGrid
from plan.target import check_reach, choose_crs, pixels_inside, requested_crs, target_grid
from support import lonlat, projected, within


def scene(west: float, south: float, east: float, north: float) -> Scene:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    footprint = {"type": "Polygon", "coordinates": [ring]}
    return Scene("s", "c", "2026-07-01T00:00:00.000000Z", 0, "", None, footprint, {}, None, 2026, "")


def test_the_zone_that_covers_most_wins_in_the_order_of_filling() -> None:
    bbox = BBox(5.0, 46.0, 7.0, 47.0)
    left, right = scene(5, 46, 6.5, 47), scene(5.5, 46, 7, 47)
    assert choose_crs([left, right], ["EPSG:32631", "EPSG:32632"], bbox) == "EPSG:32631"
    assert choose_crs([right, left], ["EPSG:32632", "EPSG:32631"], bbox) == "EPSG:32632"


def test_bergen_lies_in_the_zone_of_its_scenes() -> None:
    bbox = BBox(5.0, 60.2, 5.6, 60.6)  # by its longitude it would be zone 31
    assert choose_crs([scene(4, 59.5, 6, 61)], ["EPSG:32632"], bbox) == "EPSG:32632"


def test_the_halves_of_a_zone_count_together() -> None:
    bbox = BBox(29.0, -0.4, 31.0, 0.5)
    north, south, other = scene(29, 0, 30.1, 1), scene(29, -1, 30.1, 0), scene(30.1, -1, 31, 1)
    crs = ["EPSG:32635", "EPSG:32735", "EPSG:32636"]
    assert choose_crs([north, south, other], crs, bbox) == "EPSG:32635"


def test_a_box_across_the_antimeridian_has_one_zone() -> None:
    bbox = BBox(179.9, -17.0, -179.5, -16.5)
    assert choose_crs([scene(-180, -18, -179, -16)], ["EPSG:32701"], bbox) == "EPSG:32701"


def test_far_from_the_meridian_a_crs_must_be_named() -> None:
    check_reach("EPSG:32632", BBox(3.2833, 45.3833, 11.2, 50.1833))
    check_reach("EPSG:3035", BBox(-9, 40, 30, 50))
    with pytest.raises(
        InvalidInput, match=r"9\.1 degrees from the central meridian 9 of EPSG:32632, more than 9: choose"
    ):
        check_reach("EPSG:32632", BBox(5, 46, 18.1, 47))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("EPSG:4326", "not projected in metres"),
        ("EPSG:2263", "not projected in metres"),
        ("EPSG:1", "not known to PROJ"),
    ],
)
def test_only_projected_crs_in_metres_are_taken(code: str, told: str) -> None:
    assert requested_crs("EPSG:3035", BBox(11, 46, 12, 47)) == "EPSG:3035"
    with pytest.raises(InvalidInput, match=told):
        requested_crs(code, BBox(11, 46, 12, 47))


def test_pixels_are_those_of_the_native_file() -> None:
    native = RasterGrid("EPSG:32632", 399_960, 5_200_020, 10, 10, 10_980, 10_980)
    bbox = BBox(8.0, 46.5, 8.2, 46.6)
    grid = target_grid(crs="EPSG:32632", corner=native, resolution=10, bbox=bbox)
    assert (grid.resolution, grid.phase_x, grid.phase_y) == (10, 0, 0)
    assert grid.offset_of(native) == (39_996, -520_002)
    coarse = target_grid(crs="EPSG:32632", corner=native, resolution=60, bbox=bbox)
    assert (coarse.phase_x, coarse.phase_y) == (0, 0) == (399_960 % 60, 5_200_020 % 60)
    odd = RasterGrid("EPSG:32632", 400_000, 5_200_007, 10, 10, 100, 100)
    assert target_grid(crs="EPSG:32632", corner=odd, resolution=10, bbox=bbox).phase_y == 7


def test_the_window_holds_every_pixel_of_the_box() -> None:
    bbox = BBox(8.0, 46.5, 8.05, 46.53)
    grid = target_grid(crs="EPSG:32632", corner=None, resolution=10, bbox=bbox)
    x, y = projected("EPSG:32632", [8.0, 8.05, 8.0, 8.05], [46.5, 46.5, 46.53, 46.53])
    window = grid.window
    assert grid.x(window.col) <= x.min() < x.max() <= grid.x(window.col_end)
    assert grid.y(window.row_end) <= y.min() < y.max() <= grid.y(window.row)
    assert window.width * 10 < x.max() - x.min() + 25
    rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end]
    lon, lat = lonlat("EPSG:32632", (cols + 0.5) * 10, -(rows + 0.5) * 10)
    inside = int(within(bbox.to_list(), lon, lat).sum())
    assert abs(pixels_inside(grid, bbox) - inside) <= window.width + window.height


def test_a_box_that_a_crs_cannot_show_is_refused() -> None:
    with pytest.raises(InvalidInput, match="choose another crs"):
        target_grid(crs="EPSG:32632", corner=None, resolution=10, bbox=BBox(98.9, -1, 99.1, 1))


def test_a_crs_of_another_part_of_the_world_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"EPSG:32601 .* made for -180 to -174 .* 169 degrees beyond, more than 30"):
        requested_crs("EPSG:32601", BBox(11, 46, 12, 47))
    assert requested_crs("EPSG:32634", BBox(11, 46, 12, 47)) == "EPSG:32634"
