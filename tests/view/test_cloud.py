"""The page of a job: points on the screen, pieces of the file alone, coordinates, colours, keys."""

import math
import re
import struct
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import laspy
import numpy as np
import pytest
from playwright.sync_api import Response
from pyproj import Transformer

from chromium import PATIENCE, Shown
from command import Machine, Place, eventually
from copc_files import read_copc


class Read:
    """The point cloud as an independent reader finds it."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        with laspy.open(path) as file:
            points = file.read()
        self.xyz = np.column_stack([points.x, points.y, points.z])
        self.classes = set(np.asarray(points.classification).tolist())


@pytest.fixture(scope="module")
def read(machine: Machine, job: str) -> Read:
    assert job
    return Read(machine.out / "point_cloud.copc.laz")


def test_points_are_on_the_screen_and_nothing_is_amiss(opened: Any, address: str, read: Read, place: Place) -> None:
    shown = opened(address).ready()
    assert 0 < shown.points <= len(read.xyz)
    assert shown.colours() > 500
    assert shown.said == []
    assert shown.page.inner_text("#dates") == f"{place.scene.product.sensed:%-d %b %Y}"
    assert shown.page.inner_text("#notice").startswith("contains modified Copernicus Sentinel data")
    assert "point_cloud.copc.laz" in shown.page.inner_text("#files")
    assert "point_cloud.json" in shown.page.inner_text("#files")
    shown.shot("view-light")


def test_the_file_is_read_in_pieces_and_of_one_server(opened: Any, address: str, read: Read) -> None:
    shown = opened(address, width=240, height=240).ready()
    assert {each.status for each in shown.pieces} == {206}
    assert all(re.fullmatch(r"bytes=\d+-\d+", each.request.headers["range"]) for each in shown.pieces)
    assert {urlsplit(each.url).netloc for each in shown.requests} == {urlsplit(address).netloc}
    before = sum(int(each.headers["content-length"]) for each in shown.pieces)
    assert before < 0.7 * read.size
    # Nearer by a factor of ten: finer nodes.
    seen = len(shown.pieces)
    shown.page.focus("#canvas")
    for _ in range(10):
        shown.page.keyboard.press("+")
    shown.settled()
    assert len(shown.pieces) > seen
    assert len({each.request.headers["range"] for each in shown.pieces}) == len(shown.pieces), "nothing twice"


def readout(shown: Shown, before: list[str]) -> list[str]:
    """What is read under the cursor, once it is not what it was before."""
    script = """(before) => {
        const lines = [...document.querySelectorAll('#readout span')].map((line) => line.innerText);
        return lines.length === 3 && lines.join() !== before.join() && lines;
    }"""
    return list(shown.page.wait_for_function(script, arg=before, timeout=PATIENCE).json_value())


def numbers(lines: list[str]) -> list[float]:
    """x, y, z of a readout."""
    metres, _, height = (line.replace("\u202f", "") for line in lines)
    return [float(found) for found in (*re.findall(r"[\d.]+(?=,| \()", metres), height.partition(" m")[0])]


def metres_per_pixel(shown: Shown) -> float:
    """By the scale bar, at the target of the view."""
    width = re.findall(r"width: ([\d.]+)px", shown.page.get_attribute("#scale-bar", "style") or "")
    length, unit = shown.page.inner_text("#scale-text").replace("\u202f", "").split()
    return float(length) * {"m": 1, "km": 1000}[unit] / float(width[0])


def test_coordinates_are_those_of_the_point_under_the_cursor(opened: Any, address: str, read: Read) -> None:
    """Seen from above, where the test can say which point that is; and the scale bar is as long as it says."""
    shown = opened(address).ready()
    shown.page.click("#reset")
    shown.page.click("#down")
    shown.settled()
    box = shown.page.locator("#canvas").bounding_box()
    assert box is not None
    target = (read.xyz.min(axis=0) + read.xyz.max(axis=0)) / 2
    lines: list[str] = []
    for right, down in ((0, 0), (-0.18, -0.2), (0.15, 0.15)):
        cursor = np.array([right * box["width"], down * box["height"]])
        shown.page.mouse.move(*(np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]) + cursor))
        lines = readout(shown, lines)
        assert "EPSG:32632" in lines[0]
        x, y, z = numbers(lines)
        nearest = read.xyz[np.argmin(np.hypot(read.xyz[:, 0] - x, read.xyz[:, 1] - y))]
        assert np.abs(nearest - (x, y, z)).max() <= 0.06, "rounded to a decimetre"
        # What is higher is nearer to the eye, which looks down with 50 degrees from top to bottom.
        pixel = metres_per_pixel(shown)
        away = pixel * box["height"] / 2 / math.tan(math.radians(25))
        seen = np.array([x - target[0], target[1] - y]) / pixel * away / (away - (z - target[2]))
        assert np.hypot(*(seen - cursor)) <= 10, "the reach around the cursor is 8 pixels"
        lat, lon = (float(number) for number in re.findall(r"([\d.]+)°", lines[1]))
        expected = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(x, y)
        assert np.abs(np.subtract(expected, (lon, lat))).max() <= 1.1e-5
        assert lines[1].count("N") == lines[1].count("E") == 1


def test_pointing_reads_and_draws_nothing(opened: Any, address: str) -> None:
    count = """
    window.draws = 0;
    const known = WebGL2RenderingContext.prototype.drawArrays;
    WebGL2RenderingContext.prototype.drawArrays = function (...what) { window.draws++; return known.apply(this, what); };
    """
    shown = opened(address, script=count).ready()
    # The notice takes height from the picture, which is drawn again then.
    shown.until("() => document.getElementById('notice').textContent !== ''")
    box = shown.page.locator("#canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    shown.page.mouse.move(x, y)
    lines = readout(shown, [])
    shown.settled()
    before = shown.page.evaluate("() => window.draws")
    shown.page.mouse.move(x - 100, y + 40, steps=5)
    lines = readout(shown, lines)
    # Over the sky, and away from the picture, nothing is under the cursor.
    shown.page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 4)
    shown.until("() => document.getElementById('readout').innerText.startsWith('Point at')")
    shown.page.mouse.move(x, y)
    readout(shown, [])
    shown.page.mouse.move(x, 5)
    shown.until("() => document.getElementById('readout').innerText.startsWith('Point at')")
    assert shown.page.evaluate("() => window.draws") == before


def test_the_cross_of_the_keyboard_is_told(opened: Any, address: str) -> None:
    shown = opened(address).ready()
    shown.page.focus("#canvas")
    shown.page.keyboard.press("ArrowLeft")
    assert shown.page.is_visible("#cross")
    shown.until("() => document.getElementById('state').textContent.includes('EPSG:32632')")


def turned(shown: Shown) -> float:
    """Degrees of the compass."""
    style = shown.page.locator("#compass svg").get_attribute("style") or ""
    return float(re.findall(r"rotate\((-?[\d.]+)deg", style)[0])


def soon(condition: Callable[[], object]) -> bool:
    return eventually(condition, PATIENCE / 1000)


def test_the_mouse_turns_moves_and_zooms(opened: Any, address: str) -> None:
    shown = opened(address).ready()
    box = shown.page.locator("#canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(button: Literal["left", "right"]) -> None:
        shown.page.mouse.move(x, y)
        shown.page.mouse.down(button=button)
        shown.page.mouse.move(x + 120, y, steps=4)
        shown.page.mouse.up(button=button)

    drag("left")
    # A turn is as wide as the picture is high.
    expected = 360 * 120 / box["height"]
    assert soon(lambda: abs(abs(turned(shown)) - expected) < 2)
    shown.page.click("#compass")
    shown.settled()
    assert turned(shown) == pytest.approx(0, abs=0.2)
    shown.page.mouse.move(x, y + 1)
    east = numbers(readout(shown, []))[0]
    pixel = metres_per_pixel(shown)
    drag("right")
    shown.page.mouse.move(x, y + 1)
    # The ground goes with the hand, so that farther west is under the cursor; what is in the middle is at the bar's scale.
    assert soon(lambda: numbers(readout(shown, []))[0] < east - 60 * pixel)
    assert abs(turned(shown)) < 0.2, "it moved, it did not turn"
    shown.page.mouse.wheel(0, -300)
    assert soon(lambda: metres_per_pixel(shown) < 0.9 * pixel)


def hierarchy(data: bytes) -> dict[int, tuple[int, int, int, int]]:
    """Keys of the nodes with points, by where their chunks begin (COPC 1.0): of a file whose hierarchy has one page."""
    begin, size = struct.unpack_from("<2Q", data, 375 + 54 + 40)
    entries = [struct.unpack_from("<iiiiQii", data, at) for at in range(begin, begin + size, 32)]
    assert all(entry[6] >= 0 for entry in entries)
    return {offset: (level, x, y, z) for level, x, y, z, offset, _, count in entries if count}


def begin_of(piece: Response) -> int:
    """The first byte that was asked for."""
    return int(re.findall(r"bytes=(\d+)-", piece.request.headers["range"])[0])


def test_only_what_is_in_view_is_asked_for(opened: Any, address: str, machine: Machine, read: Read) -> None:
    path = machine.out / "point_cloud.copc.laz"
    keys, made = hierarchy(path.read_bytes()), read_copc(path)
    shown = opened(address, width=240, height=240).ready()
    shown.page.focus("#canvas")
    for key in ["t", *["+"] * 6]:
        shown.page.keyboard.press(key)
    shown.settled()
    seen = len(shown.pieces)
    for _ in range(12):
        shown.page.keyboard.press("Shift+ArrowRight")
    shown.settled()
    found = [begin_of(each) for each in shown.pieces[seen:]]
    assert found, "what came into view is there"
    box = shown.page.locator("#canvas").bounding_box()
    assert box is not None
    pixel = metres_per_pixel(shown)
    away = pixel * box["height"] / 2 / math.tan(math.radians(25))
    middle = (read.xyz.min(axis=0) + read.xyz.max(axis=0)) / 2
    # From above, what lies lowest is seen widest. The view has moved east by twelve tenths of its height.
    wider = (away + middle[2] - read.xyz[:, 2].min()) / away
    half = np.array([box["width"], box["height"]]) / 2 * pixel * wider * 1.05
    low, high = middle[:2] - half, middle[:2] + half + (1.2 * box["height"] * pixel, 0)
    for begin in found:
        corner, end = made.cube(keys[begin])
        assert (corner[:2] <= high).all(), keys[begin]
        assert (end[:2] >= low).all(), keys[begin]


def test_colours_heights_and_sizes_change_the_picture(opened: Any, address: str, read: Read) -> None:
    shown = opened(address, dark=True).ready()
    pictures = [shown.picture()]
    shown.page.check("input[value=elevation]")
    low, high = (
        float(text.replace("\u202f", "").removesuffix(" m")[2:])
        for text in shown.page.locator(".ends span").all_inner_texts()
    )
    assert read.xyz[:, 2].min() - 1 <= low < high <= read.xyz[:, 2].max() + 1
    pictures.append(shown.picture())
    shown.shot("view-elevation-dark")
    shown.page.check("input[value=class]")
    assert shown.page.locator("#legend li").count() == len(read.classes)
    pictures.append(shown.picture())
    shown.page.check("input[value=true]")
    shown.page.fill("#heights", "4")
    assert shown.page.inner_text("#heights-shown").endswith(" 4")
    pictures.append(shown.picture())
    shown.page.fill("#heights", "1")
    shown.page.fill("#size", "0.25")
    pictures.append(shown.picture())
    for index, one in enumerate(pictures):
        for other in pictures[index + 1 :]:
            assert np.mean(np.any(one != other, axis=2)) > 0.05


def test_keys_turn_move_and_zoom(opened: Any, address: str) -> None:
    shown = opened(address).ready()

    def scale() -> str:
        return str(shown.page.locator("#scale-bar").get_attribute("style")) + shown.page.inner_text("#scale-text")

    assert turned(shown) == pytest.approx(0, abs=0.2)
    shown.page.keyboard.press("ArrowLeft")
    assert shown.page.is_visible("#cross")
    shown.settled()
    assert abs(turned(shown)) == pytest.approx(7.5, abs=0.2)
    before = shown.picture()
    shown.page.keyboard.press("Shift+ArrowUp")
    shown.settled()
    assert abs(turned(shown)) == pytest.approx(7.5, abs=0.2), "it moved, it did not turn"
    assert np.mean(np.any(shown.picture() != before, axis=2)) > 0.05
    wide = scale()
    shown.page.keyboard.press("+")
    shown.settled()
    assert scale() != wide
    shown.page.click("#compass")
    shown.settled()
    assert turned(shown) == pytest.approx(0, abs=0.2)


def test_dark_and_light_are_the_systems_until_chosen(opened: Any, address: str) -> None:
    shown = opened(address, dark=True)
    root = shown.page.locator("html")
    assert root.get_attribute("data-theme") == "dark"
    shown.page.click("#theme")
    assert root.get_attribute("data-theme") == "light"
    shown.page.reload()
    assert root.get_attribute("data-theme") == "light"


def test_a_phone_shows_all_of_it_within_its_width(opened: Any, address: str) -> None:
    shown = opened(address, width=390, height=844).ready()
    assert shown.page.evaluate("() => document.documentElement.scrollWidth") <= 390
    shown.shot("view-phone")
    shown.page.click("#drawer summary")
    assert shown.page.is_visible("input[value=elevation]")
    box = shown.page.locator("#panel").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


@pytest.mark.parametrize(("width", "height"), [(1024, 350), (512, 350), (320, 256)])
def test_nothing_lies_on_anything_else_where_there_is_little_room(
    opened: Any, address: str, width: int, height: int
) -> None:
    """As on a page enlarged to 200 or 400 percent."""
    shown = opened(address, width=width, height=height).ready()
    boxes = {}
    for name in ("#progress", "#readout", ".scale", "#compass", ".bar", "#panel", "#notice"):
        box = shown.page.locator(name).bounding_box()
        assert box is not None, name
        boxes[name] = box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]
    for one, other in combinations(boxes, 2):
        (a, b, c, d), (e, f, g, h) = boxes[one], boxes[other]
        assert c <= e + 1 or g <= a + 1 or d <= f + 1 or h <= b + 1, (one, other)
    stage = shown.page.locator("#stage").bounding_box()
    assert stage is not None
    assert 200 <= stage["height"] <= max(height, 16 * 16), "the picture is seen as a whole"
    assert shown.page.evaluate("() => document.documentElement.scrollWidth") <= width
    shown.page.locator("#notice").scroll_into_view_if_needed()
    shown.shot(f"view-{width}-{height}")


@pytest.mark.parametrize(("width", "dark"), [(1024, False), (390, True)])
def test_it_is_accessible(opened: Any, address: str, width: int, dark: bool) -> None:
    shown = opened(address, width=width, dark=dark).ready()
    shown.page.check("input[value=class]") if width > 400 else shown.page.click("#drawer summary")
    assert shown.serious() == []
