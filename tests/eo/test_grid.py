"""Windows and grids: cutting, cropping and counting pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from eo.grid import RasterGrid, TargetGrid, Window, is_sibling, utm_zone

COORDINATES, SIDES = st.integers(-60, 60), st.integers(1, 40)
WINDOWS = st.builds(Window, COORDINATES, COORDINATES, SIDES, SIDES)


def pixels(window: Window | None) -> set[tuple[int, int]]:
    if window is None:
        return set()
    return {(col, row) for col in range(window.col, window.col_end) for row in range(window.row, window.row_end)}


@given(WINDOWS, WINDOWS)
def test_an_intersection_is_what_both_have(one: Window, other: Window) -> None:
    assert pixels(one.intersection(other)) == pixels(one) & pixels(other)


@given(WINDOWS, SIDES, SIDES, COORDINATES, COORDINATES)
def test_cells_hold_every_pixel_once_and_lie_on_the_lattice(
    window: Window, width: int, height: int, col: int, row: int
) -> None:
    cells = list(window.cells(width, height, col=col, row=row))
    assert sum(cell.pixels for cell in cells) == window.pixels
    assert set().union(*map(pixels, cells)) == pixels(window)
    for cell in cells:
        assert (cell.col - col) // width == (cell.col_end - 1 - col) // width
        assert (cell.row - row) // height == (cell.row_end - 1 - row) // height
    assert [(c.row, c.col) for c in cells] == sorted((c.row, c.col) for c in cells)


@given(WINDOWS, SIDES, SIDES)
def test_snapping_gives_the_least_of_whole_cells(window: Window, width: int, height: int) -> None:
    snapped = window.snapped(width, height)
    assert pixels(window) <= pixels(snapped)
    assert [snapped.col % width, snapped.width % width, snapped.row % height, snapped.height % height] == [0] * 4
    assert 0 <= window.col - snapped.col < width
    assert 0 <= snapped.row_end - window.row_end < height


@given(WINDOWS, st.integers(0, 5), COORDINATES, COORDINATES)
def test_slices_pick_the_window_out_of_an_array(window: Window, margin: int, cols: int, rows: int) -> None:
    outer = window.grown(margin)
    array = np.arange(outer.pixels).reshape(outer.shape)
    found = array[window.slices(outer)]
    assert found.shape == window.shape
    assert found[0, 0] == margin * outer.width + margin
    assert window.shifted(cols, rows).slices(outer.shifted(cols, rows)) == window.slices(outer)


WHOLE = st.sampled_from([
    RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, 1_296_000, 648_000),
    RasterGrid("EPSG:32633", 465181.0522318204, 5080254.63349641, 9.99479222007154, 9.997448467363668, 100_000, 100_000),
    RasterGrid("EPSG:32632", 399_960, 5_100_000, 10, 10, 10_980, 10_980),
])  # fmt: skip


@given(
    WHOLE,
    st.tuples(*[st.integers(0, 9_000)] * 2),
    st.tuples(*[st.integers(0, 900)] * 2),
    st.tuples(*[st.floats(0, 50)] * 2),
)
def test_weights_keep_their_bits_however_a_raster_is_cropped(
    whole: RasterGrid, at: tuple[int, int], more: tuple[int, int], place: tuple[float, float]
) -> None:
    """For places on the part. Of a number near 0, whole columns would round bits off; but such places are on the first
    pixels of the whole raster, where no part that begins elsewhere is asked."""
    (col, row), (more_cols, more_rows) = at, more
    u, v = col + more_cols + place[0], row + more_rows + place[1]
    x, y = np.array([whole.x + u * whole.dx]), np.array([whole.y - v * whole.dy])
    part = whole.cropped(Window(col, row, 1_000, 1_000)).cropped(Window(more_cols, more_rows, 50, 50))
    a, b = whole.indices(x, y)
    c, d = part.indices(x, y)
    assert a[0] - c[0] == col + more_cols
    assert b[0] - d[0] == row + more_rows
    assert abs(a[0] - (u - 0.5)) < 1e-5
    assert abs(b[0] - (v - 0.5)) < 1e-5
    np.testing.assert_array_equal(part.column_centres()[:3], whole.column_centres()[col + more_cols :][:3])


def test_a_crop_begins_at_its_first_pixel() -> None:
    part = RasterGrid("EPSG:32632", 399_960, 5_100_000, 10, 20, 100, 100).cropped(Window(3, 5, 7, 9))
    assert (part.x, part.y, part.width, part.height) == (399_990, 5_099_900, 7, 9)
    assert part.bounds == (399_990, 5_099_720, 400_060, 5_099_900)
    assert part.window == Window(0, 0, 7, 9)


@pytest.mark.parametrize(("crs", "other"), [("EPSG:32632", "EPSG:32732"), ("EPSG:32701", "EPSG:32601")])
def test_siblings_are_the_same_pixels_in_the_other_halfs_numbers(crs: str, other: str) -> None:
    grid = RasterGrid(crs, 499_980, 100_000 if crs[5:8] == "326" else 10_100_000, 10, 10, 100, 200)
    part = grid.cropped(Window(4, 6, 10, 10))
    moved = part.to_sibling(other)
    x, y = Transformer.from_crs(crs, other, always_xy=True).transform(part.x, part.y)
    assert (moved.x, moved.y) == pytest.approx((x, y), abs=1e-6)
    assert moved == grid.to_sibling(other).cropped(Window(4, 6, 10, 10))
    assert moved.to_sibling(crs) == part
    assert part.to_sibling("EPSG:32633") is part
    assert part.to_sibling(crs) is part


@pytest.mark.parametrize(
    ("crs", "zone"),
    [
        ("EPSG:32601", (1, False)),
        ("EPSG:32760", (60, True)),
        ("EPSG:32600", None),
        ("EPSG:32661", None),
        ("EPSG:3035", None),
        ("EPSG:326", None),
        ("ESRI:32632x", None),
    ],
)
def test_zones_are_told_from_codes(crs: str, zone: tuple[int, bool] | None) -> None:
    assert utm_zone(crs) == zone


def test_siblings_share_their_zone() -> None:
    assert is_sibling("EPSG:32632", "EPSG:32732")
    assert not is_sibling("EPSG:32632", "EPSG:32632")
    assert not is_sibling("EPSG:32632", "EPSG:32733")
    assert not is_sibling("EPSG:3035", "EPSG:32732")


GRID = TargetGrid("EPSG:32632", 10, 4, 7, Window(0, 0, 1, 1))


@given(st.floats(-1e5, 1e6), st.floats(-1e6, 1e7), st.floats(0, 500), st.floats(0, 500))
def test_the_window_of_bounds_is_the_least_that_holds_them(
    left: float, bottom: float, width: float, height: float
) -> None:
    window = GRID.window_of(left, bottom, left + width, bottom + height)
    assert GRID.x(window.col) <= left < GRID.x(window.col + 1)
    assert GRID.y(window.row) >= bottom + height > GRID.y(window.row + 1)
    assert GRID.x(window.col_end) >= left + width
    assert GRID.y(window.row_end) <= bottom
    assert window.width == 1 or GRID.x(window.col_end - 1) < left + width
    assert window.height == 1 or GRID.y(window.row_end - 1) > bottom


@pytest.mark.parametrize(
    ("x", "y", "dx", "crs", "offset"),
    [
        (400_004, 5_000_007, 10, "EPSG:32632", (40_000, -500_000)),
        (399_994, 5_000_017, 10, "EPSG:32632", (39_999, -500_001)),
        (400_005, 5_000_007, 10, "EPSG:32632", None),
        (400_004, 5_000_007.5, 10, "EPSG:32632", None),
        (400_004, 5_000_007, 20, "EPSG:32632", None),
        (400_004, 5_000_007, 9.9948, "EPSG:32632", None),
        (400_004, 5_000_007, 10, "EPSG:32633", None),
    ],
)
def test_only_a_raster_on_the_same_pixels_has_an_offset(
    x: float, y: float, dx: float, crs: str, offset: tuple[int, int] | None
) -> None:
    assert GRID.offset_of(RasterGrid(crs, x, y, dx, dx, 10, 10)) == offset
