"""Elevation between posts: the same to the last bit however a job is cut."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.bbox import BBox
from eo.geolocate import source_window
from eo.grid import RasterGrid, TargetGrid, Window
from eo.job import ElevationSource
from eo.sources import glo30
from eo.sources.lattice import unwrapped
from eo.unit_io import UnitIO
from fetch.surface import elevation
from support import lonlat, projected

WINDOW = Window(67_000, -517_000, 500, 400)
GRID = TargetGrid("EPSG:32632", 10, 0, 0, WINDOW)


@dataclass
class Cube:
    sheets: dict[str, NDArray[np.float32]]

    def read(self, name: str, window: Window) -> NDArray[np.float32]:
        return self.sheets[name][window.slices(Window(0, 0, 1, 1))]


@dataclass
class Plan:
    grid: TargetGrid
    bbox: BBox
    sources: dict[str, ElevationSource]


@dataclass
class FakeIO:
    plan: Plan
    cube: Cube


def io(sources: dict[str, tuple[RasterGrid, NDArray[np.float32]]], bbox: BBox, grid: TargetGrid = GRID) -> UnitIO:
    kept = {
        name: ElevationSource(adapter="local", grid=raster, origin=(0, 0), href="x")
        for name, (raster, _) in sources.items()
    }
    return cast("UnitIO", FakeIO(Plan(grid, bbox, kept), Cube({name: values for name, (_, values) in sources.items()})))


def lattice(crs: str, step: float) -> RasterGrid:
    """A lattice around the window, much larger than it to the west and north, as global ones are."""
    left, top = GRID.x(WINDOW.col), GRID.y(WINDOW.row)
    x, y = np.array([left, left + 5000, left, left + 5000]), np.array([top, top, top - 4000, top - 4000])
    if crs == "EPSG:4326":
        x, y = lonlat(GRID.crs, x, y)
        west, north = -180 - step / 2, 90 + step / 2
    else:
        x, y = projected(crs, *lonlat(GRID.crs, x, y))
        west, north = float(x.min()) - 1e5, float(y.max()) + 1e5
    width, height = int((x.max() - west) / step) + 20, int((north - y.min()) / step) + 20
    return RasterGrid(crs, west, north, step, step, width, height)


def part_of(whole: RasterGrid, bbox: BBox, margin: int) -> tuple[RasterGrid, NDArray[np.float32]]:
    """What a job might have fetched: rough heights, a function of the absolute post."""
    part = source_window(GRID, WINDOW, whole, bbox.centre_lon)
    assert part is not None
    part = cast("Window", part.grown(margin).intersection(whole.window))
    rows, cols = np.mgrid[part.row : part.row_end, part.col : part.col_end]
    values = (700 + 400 * np.sin(cols * 12.9898 + rows * 78.233)).astype(np.float32)
    return whole.cropped(part), values


@pytest.mark.parametrize(("crs", "step"), [("EPSG:4326", 1 / 3600), ("EPSG:32633", 29.7), ("EPSG:32632", 30.0)])
def test_heights_do_not_depend_on_the_cut_or_on_what_else_was_fetched(crs: str, step: float) -> None:
    whole = lattice(crs, step)
    boxes = [BBox(11.0, 46.0, 11.5, 47.0), BBox(11.1, 46.2, 11.7, 46.9)]
    results: list[NDArray[np.float32]] = []
    for bbox, margin, cut in ((boxes[0], 0, 10_000), (boxes[1], 13, 64), (boxes[0], 100, 237)):
        unit_io = io({"dem/0": part_of(whole, bbox, margin)}, bbox)
        result = np.empty(WINDOW.shape, np.float32)
        for window in WINDOW.cells(cut, cut):
            result[window.slices(WINDOW)] = elevation(window, unit_io)
        results.append(result)
    assert np.isfinite(results[0]).all()
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def bilinear(values: NDArray[np.float32], u: Any, v: Any) -> NDArray[np.float64]:
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    a, b = values[top, left].astype(float), values[top, left + 1].astype(float)
    c, d = values[top + 1, left].astype(float), values[top + 1, left + 1].astype(float)
    right, down = u - left, v - top
    return np.asarray((a * (1 - right) + b * right) * (1 - down) + (c * (1 - right) + d * right) * down)


def test_heights_are_bilinear_at_exact_places() -> None:
    bbox = BBox(11.0, 46.0, 11.5, 47.0)
    whole = lattice("EPSG:4326", 1 / 3600)
    raster, values = part_of(whole, bbox, 5)
    found = elevation(WINDOW, io({"dem/0": (raster, values)}, bbox))
    rows, cols = np.mgrid[WINDOW.row : WINDOW.row_end, WINDOW.col : WINDOW.col_end]
    lon, lat = lonlat(GRID.crs, (cols + 0.5) * 10, -(rows + 0.5) * 10)
    truth = bilinear(values, (lon - raster.x) / raster.dx - 0.5, (raster.y - lat) / raster.dy - 0.5)
    # Neighbours differ by up to 800 m over 20 m here: 1 mm sideways is 4 cm of height.
    assert np.abs(found - truth).max() < 0.05


@pytest.mark.parametrize(
    ("border", "upper", "lower"), [(50, 2400, 3600), (70, 1200, 1800), (80, 720, 1200), (85, 360, 720)]
)
def test_a_sheet_with_sparser_posts_goes_on_where_the_northern_one_ends(border: int, upper: int, lower: int) -> None:
    """As GLO-30 has it: a row has fewer posts north of 50, 60, 70, 80 and 85 degrees."""
    reach = 8 / lower * 40
    bbox = BBox(9 - reach, border - 0.01, 9 + reach, border + 0.01)
    x, y = projected("EPSG:32632", 9.0, float(border))
    window = Window(int(x) // 10 - 100, -int(y) // 10 - 100, 200, 200)
    grid = TargetGrid("EPSG:32632", 10, 0, 0, window)
    row = 1 / 3600
    sheets = {}
    # A tile owns its northern border: the northern sheet's last row lies one post north of it.
    for name, count, top in (("dem/0", upper, border + 120.5 * row), ("dem/1", lower, border + 0.5 * row)):
        whole = RasterGrid("EPSG:4326", -180 - 0.5 / count, top, 1 / count, row, 360 * count, 120)
        sheet = whole.cropped(Window(round((189 - reach) * count), 0, round(2 * reach * count), 120))
        lon, lat = sheet.column_centres(), sheet.y - (np.arange(120) + 0.5) * row
        sheets[name] = (sheet, (2e4 * (lat[:, None] - border) + 1e4 * (lon[None, :] - 9)).astype(np.float32))
    found = elevation(window, io(sheets, bbox, grid))
    rows, cols = np.mgrid[window.row : window.row_end, window.col : window.col_end]
    lon, lat = lonlat(grid.crs, (cols + 0.5) * 10, -(rows + 0.5) * 10)
    # A plane is its own bilinear interpolation, on either sheet and in the strip between them.
    assert np.abs(found - (2e4 * (lat - border) + 1e4 * (lon - 9))).max() < 0.02
    for part in window.cells(7, 53):
        np.testing.assert_array_equal(elevation(part, io(sheets, bbox, grid)), found[part.slices(window)])


class Lists:
    """The lists of GLO-30 and GLO-90, which name one tile."""

    def reader(self, _url: str) -> "Lists":
        return self

    def get(self) -> bytes:
        return f"{glo30.tile_name(9, 47)}\n".encode()


def whole_lattice(adapter: str, bbox: BBox) -> RasterGrid:
    """The lattice of posts that a job on this box sees."""
    if adapter == "earth-data-hub":
        globe = RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, 1_296_000, 648_000)
        return unwrapped(globe, bbox.centre_lon, 1800)[0]
    (found,) = glo30.describe(bbox, url="a", url_90="b", remote=cast("Any", Lists()))
    return found.grid


def heights_of_job(adapter: str, bbox: BBox, grid: TargetGrid, window: Window) -> NDArray[np.float32]:
    """Heights of a window on rough posts, a function of their places on the globe."""
    whole = whole_lattice(adapter, bbox)
    part = source_window(grid, window, whole, bbox.centre_lon)
    assert part is not None
    raster = whole.cropped(part)
    # By the first post, which is half a step from the raster's corner.
    top, left = round((90 - raster.y) * 3600 + 0.5), round((raster.x + 180) * 3600 + 0.5)
    rows, cols = np.mgrid[top : top + part.height, left : left + part.width]
    values = (700 + 400 * np.sin((cols % 1_296_000) * 12.9898 + rows * 78.233)).astype(np.float32)
    return elevation(window, io({"dem/0": (raster, values)}, bbox, grid))


@pytest.mark.parametrize("adapter", ["earth-data-hub", "cop-dem-glo-30"])
@pytest.mark.parametrize(
    ("epsg", "lon", "lat", "boxes"),
    [
        # The northern tile of each job is another one.
        (32632, 9.5, 47.98, [(9.2, 47.5, 9.8, 48), (9.2, 47.9, 9.8, 48.5), (9.2, 46.5, 9.8, 49.5)]),
        (32632, 9.5, -0.02, [(9.2, -0.5, 9.8, 0), (9.2, -0.5, 9.8, 1.5)]),
        # To the west of 180, to the east of it, and on both sides.
        (32760, 179.97, -16.5, [(179, -17, 180, -16), (179.9, -17, -179.8, -16), (179.9, -17, -179.99, -16)]),
        (32760, -179.97, -16.5, [(-180, -17, -179, -16), (179.9, -17, -179.8, -16), (179.99, -17, -179.9, -16)]),
        (32760, 180.0, -16.5, [(179.9, -17, -179.8, -16), (179.8, -17, -179.9, -16)]),
    ],
    ids=["a degree row", "the equator", "west of 180", "east of 180", "across 180"],
)
def test_abutting_and_overlapping_jobs_agree_to_the_last_bit(
    adapter: str, epsg: int, lon: float, lat: float, boxes: list[tuple[float, float, float, float]]
) -> None:
    x, y = projected(f"EPSG:{epsg}", lon, lat)
    window = Window(int(x) // 10 - 100, -int(y) // 10 - 100, 200, 200)
    grid = TargetGrid(f"EPSG:{epsg}", 10, 0, 0, window)
    first, *others = (heights_of_job(adapter, BBox(*box), grid, window) for box in boxes)
    assert np.isfinite(first).all()
    assert np.ptp(first) > 500
    for other in others:
        np.testing.assert_array_equal(other, first)
    # And as part of another window.
    small = Window(window.col + 37, window.row + 51, 60, 70)
    np.testing.assert_array_equal(heights_of_job(adapter, BBox(*boxes[-1]), grid, small), first[small.slices(window)])
