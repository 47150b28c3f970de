"""Coordinates of pixel centres against PROJ, point by point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from eo.bbox import BBox
from eo.geolocate import LONLAT, Geolocation, inside, source_window, squares_inside, taken
from eo.grid import RasterGrid, TargetGrid, Window
from support import Doubles, lonlat, projected, within

WGS84 = Geod(ellps="WGS84")
AXIS = {"EPSG:32632": 9, "EPSG:32733": 15, "EPSG:32660": 177, "EPSG:32601": -177}


def grid_at(
    crs: str, lon: float, lat: float, resolution: int, *, edge: int = 64, phase: tuple[int, int] = (0, 0)
) -> TargetGrid:
    x, y = projected(crs, lon, lat)
    col, row = int((float(x) - phase[0]) // resolution), int((phase[1] - float(y)) // resolution)
    return TargetGrid(crs, resolution, *phase, Window(col - edge // 2, row - edge // 2, edge, edge))


def centres(grid: TargetGrid, window: Window) -> tuple[Doubles, Doubles]:
    rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end]
    return grid.phase_x + (cols + 0.5) * grid.resolution, grid.phase_y - (rows + 0.5) * grid.resolution


def strips(place: Geolocation, window: Window) -> tuple[Doubles, Doubles]:
    found = np.full((2, *window.shape), np.nan)
    for rows, x, y in place.strips(window):
        found[0, rows], found[1, rows] = x, y
    return found[0], found[1]


@pytest.mark.parametrize("resolution", [10, 20, 30, 60, 100, 120, 160, 500])
@pytest.mark.parametrize("latitude", [0.01, 46.0, 67.5, 78.0, 83.0])
@pytest.mark.parametrize("off_axis", [0.1, 2.9, 8.9])
def test_degrees_are_right_to_three_millimetres(resolution: int, latitude: float, off_axis: float) -> None:
    grid = grid_at("EPSG:32632", 9 + off_axis, latitude, resolution)
    lon, lat = strips(Geolocation(grid, LONLAT, 9.0), grid.window)
    true_lon, true_lat = lonlat(grid.crs, *centres(grid, grid.window))
    _, _, metres = WGS84.inv(lon, lat, true_lon, true_lat)
    assert metres.max() <= (0.003 if latitude <= 80 else 0.005)


@pytest.mark.parametrize(("source", "target", "lon", "lat"), [
    ("EPSG:32632", "EPSG:32633", 12.0, 60.0),
    ("EPSG:32632", "EPSG:32631", 6.0, 78.0),
    ("EPSG:32632", "EPSG:3035", 8.0, 50.0),
    ("EPSG:3035", "EPSG:32632", 8.0, 50.0),
])  # fmt: skip
def test_metres_of_other_crss_are_right_to_three_millimetres(source: str, target: str, lon: float, lat: float) -> None:
    grid = grid_at(source, lon, lat, 10, edge=200)
    x, y = strips(Geolocation(grid, target, lon), grid.window)
    truth = Transformer.from_crs(source, target, always_xy=True).transform(*centres(grid, grid.window))
    assert np.hypot(x - truth[0], y - truth[1]).max() <= 0.003


@settings(max_examples=30, deadline=None)
@given(
    st.builds(Window, st.integers(-300, 300), st.integers(-300, 300), st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([10, 20, 60, 120]),
    st.sampled_from([(0, 0), (3, 7)]),
    st.floats(-20, 40),
)
def test_a_pixels_place_does_not_depend_on_the_window_or_on_the_job(
    window: Window, resolution: int, phase: tuple[int, int], centre: float
) -> None:
    grid = grid_at("EPSG:32632", 11.4, 46.6, resolution, phase=phase)
    whole = grid.window.grown(320)
    part = window.shifted(grid.window.col, grid.window.row).intersection(whole)
    assert part is not None
    x, y = strips(Geolocation(grid, LONLAT, 11.4), whole)
    a, b = strips(Geolocation(grid, LONLAT, centre), part)
    np.testing.assert_array_equal(a, x[part.slices(whole)])
    np.testing.assert_array_equal(b, y[part.slices(whole)])


@pytest.mark.parametrize("width", [1, 7, 131_072, 300_000])
def test_strips_cover_a_window_of_any_width_once(width: int) -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(0, 0, 1, 1))
    window = Window(-5, -500_003, width, 3 if width > 10 else 40_000)
    rows = [slc for slc, _, _ in Geolocation(grid, "EPSG:32632", 9.0).strips(window)]
    assert [r for slc in rows for r in range(slc.start, slc.stop)] == list(range(window.height))


POINTS = [
    ("EPSG:32632", 11.4, 46.6, 10),
    ("EPSG:32632", 0.2, 60.0, 20),
    ("EPSG:32632", 5.1, 83.4, 10),
    ("EPSG:32632", 17.6, 83.4, 10),
    ("EPSG:32733", 14.0, -33.0, 60),
    ("EPSG:32733", 14.0, 0.0, 10),
    ("EPSG:32660", 180.0, 52.0, 10),
    ("EPSG:32601", -179.999, -0.001, 10),
    ("EPSG:3035", 25.0, 65.0, 100),
    ("EPSG:3413", -100.0, 88.0, 20),
    ("EPSG:3031", 60.0, -89.0, 10),
]


@settings(max_examples=12, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(("crs", "lon", "lat", "resolution"), POINTS)
def test_who_belongs_to_the_box_is_exact(
    crs: str, lon: float, lat: float, resolution: int, data: st.DataObject
) -> None:
    """Edges run through pixel centres, exactly and off by the least possible amount."""
    grid = grid_at(crs, lon, lat, resolution, edge=72)
    lons, lats = lonlat(crs, *centres(grid, grid.window))
    indices = st.integers(0, 71)

    def edge(values: Doubles, low: int, high: int) -> float:
        row, col = data.draw(st.tuples(st.integers(low, high), indices))
        value = float(values[row, col] if values is lats else values[col, row])
        nudge = data.draw(st.sampled_from([0, 0, 1, -1, 1e-12, -1e-9, 1e-8, -4e-8]))
        return value + nudge if abs(nudge) < 1 else float(np.nextafter(value, nudge * np.inf))

    edges = [edge(lons, 2, 30), edge(lats, 2, 30), edge(lons, 40, 69), edge(lats, 40, 69)]
    south, north = sorted((edges[1], edges[3]))
    # Which way columns count degrees depends on the projection.
    west, east = edges[0], edges[2]
    if (east - west) % 360 > 180:
        west, east = east, west
    west, east = ((value + 180) % 360 - 180 if abs(value) > 180 else value for value in (west, east))
    if south == north or west == east or (east - west) % 360 > 60:
        return
    bbox = BBox(west, south, east, north)
    truth = within((bbox.min_lon, south, bbox.max_lon, north), lons, lats)
    np.testing.assert_array_equal(inside(grid, bbox, grid.window), truth)
    for part in grid.window.cells(31, 17):
        np.testing.assert_array_equal(inside(grid, bbox, part), truth[part.slices(grid.window)])


def test_a_window_well_inside_needs_no_look_at_each_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = grid_at("EPSG:32632", 11.4, 46.6, 10)

    def never(*_: object) -> None:
        pytest.fail("every pixel was looked at")

    monkeypatch.setattr(Geolocation, "strips", never)
    assert inside(grid, BBox(11.3, 46.5, 11.5, 46.7), grid.window).all()


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("EPSG:32632", 11.4, 46.6), ("EPSG:32632", 5.0, 82.0), ("EPSG:32660", 179.9, -52.0)]),
    st.sampled_from(["EPSG:4326", "same", "EPSG:32633", "EPSG:3857"]),
    st.integers(1, 800), st.integers(1, 800), st.floats(0.4, 40),
)  # fmt: skip
def test_a_source_window_holds_all_neighbours_of_every_pixel(
    at: tuple[str, float, float], source: str, width: int, height: int, ratio: float
) -> None:
    crs, lon, lat = at
    source = crs if source == "same" else source
    grid = grid_at(crs, lon, lat, 10)
    window = Window(grid.window.col, grid.window.row, width, height)
    step = ratio * 10 / (111_320 if source == "EPSG:4326" else 1)
    rows, cols = (np.unique(np.linspace(0, edge - 1, 40).astype(int)) for edge in (height, width))
    x, y = (values[np.ix_(rows, cols)] for values in centres(grid, window))
    if source != crs:
        x, y = Transformer.from_crs(crs, source, always_xy=True).transform(x, y)
    if source == "EPSG:4326":
        x = np.where(x < lon - 180, x + 360, x)
    raster = RasterGrid(source, float(x.min()) - 3000 * step, float(y.max()) + 3000 * step, step, step, 10**6, 10**6)
    if source == "EPSG:3857" and float(np.ptp(x)) > 1e6:
        return
    found = source_window(grid, window, raster, lon)
    assert found is not None
    u, v = (x - raster.x) / step - 0.5, (raster.y - y) / step - 0.5
    assert found.col <= np.floor(u.min())
    assert found.row <= np.floor(v.min())
    assert np.floor(u.max()) + 1 < found.col_end
    assert np.floor(v.max()) + 1 < found.row_end


def test_a_source_far_away_is_not_touched() -> None:
    grid = grid_at("EPSG:32632", 11.4, 46.6, 10)
    assert source_window(grid, grid.window, RasterGrid("EPSG:4326", 20, 50, 1e-3, 1e-3, 100, 100), 11.4) is None
    assert source_window(grid, grid.window, RasterGrid("EPSG:32632", 0, 0, 10, 10, 100, 100), 11.4) is None


@pytest.mark.parametrize("edge", [7, 16])
def test_squares_are_taken_whole_where_the_bbox_has_a_pixel_of_them(edge: int) -> None:
    grid = grid_at("EPSG:32632", 11.2, 46.6, 10, edge=120)
    lon, lat = lonlat(grid.crs, *centres(grid, grid.window))
    west, east = np.quantile(lon, [0.3, 0.6])
    south, north = np.quantile(lat, [0.4, 0.7])
    bbox = BBox(float(west), float(south), float(east), float(north))
    pixels = within(bbox.to_list(), lon, lat)
    rows, cols = np.mgrid[grid.window.row : grid.window.row_end, grid.window.col : grid.window.col_end]
    numbers = rows // edge * 1_000_000 + cols // edge
    truth = np.isin(numbers, np.unique(numbers[pixels]))
    assert pixels.sum() < truth.sum() < truth.size
    np.testing.assert_array_equal(taken(grid, bbox, grid.window, edge), truth)
    np.testing.assert_array_equal(taken(grid, bbox, grid.window), pixels)
    part = Window(grid.window.col + 13, grid.window.row + 5, 61, 83)
    np.testing.assert_array_equal(taken(grid, bbox, part, edge), truth[part.slices(grid.window)])
    whole = grid.window.snapped(edge, edge)
    assert squares_inside(grid, bbox, whole, edge).sum() == len(np.unique(numbers[pixels]))
