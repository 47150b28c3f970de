"""The map: drawn on by a mouse, a finger or none, and in nobody's way."""

from typing import TYPE_CHECKING, Any

import pytest

from chromium import Shown
from serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import CDPSession

EDGES = ("west", "south", "east", "north")
TYPED = ["11", "46", "12", "47"]


def values(shown: Shown) -> list[str]:
    return [shown.page.input_value(f"#{edge}") for edge in EDGES]


def middle(shown: Shown) -> tuple[float, float]:
    shown.page.locator("#map").scroll_into_view_if_needed()
    box = shown.page.locator("#map").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def typed(shown: Shown, edges: list[str]) -> None:
    shown.page.wait_for_selector("#input-source")
    for edge, value in zip(EDGES, edges, strict=True):
        shown.page.fill(f"#{edge}", value)


def drag(shown: Shown, x: float, y: float, across: float) -> None:
    """Draw a box of some size around a place."""
    shown.page.mouse.move(x - across, y - across)
    shown.page.mouse.down()
    shown.page.mouse.move(x + across, y + across, steps=3)
    shown.page.mouse.up()


def test_a_drawn_box_can_be_undone(opened: Any, served: Served) -> None:
    shown = opened(f"{served.address}/")
    typed(shown, TYPED)
    drag(shown, *middle(shown), 20)
    assert values(shown) != TYPED
    shown.page.click("#undo")
    assert values(shown) == TYPED
    assert not shown.page.is_visible("#undo")


def test_a_box_over_the_antimeridian(opened: Any, served: Served) -> None:
    shown = opened(f"{served.address}/")
    typed(shown, ["179", "-18", "-179", "-16"])
    # The map has gone there, with the box in its middle.
    drag(shown, *middle(shown), 20)
    west, _, east, _ = map(float, values(shown))
    assert 170 < west < 180
    assert -180 < east < -170
    assert west - 180 == pytest.approx(-180 - east, abs=0.1)


def test_the_wheel_scrolls_the_page_until_the_map_has_the_focus(opened: Any, served: Served) -> None:
    shown = opened(f"{served.address}/", height=400)
    shown.page.wait_for_selector("#input-source")
    shown.page.mouse.move(*middle(shown))
    before = shown.page.evaluate("() => scrollY")
    shown.page.mouse.wheel(0, 100)
    shown.until(f"() => scrollY > {before}")
    x, y = middle(shown)
    shown.page.focus("#map")
    shown.page.evaluate("() => addEventListener('wheel', (event) => { window.kept = event.defaultPrevented })")
    shown.page.mouse.move(x, y)
    shown.page.mouse.wheel(0, -400 * 0.693147)
    shown.until("() => window.kept === true")
    drag(shown, x, y, 24)
    west, _, east, _ = map(float, values(shown))
    assert east - west == pytest.approx(48 / 24, abs=0.1), "twice the 12 pixels a degree that it begins with"


def test_many_moves_are_one_frame(opened: Any, served: Served) -> None:
    count = """
    window.fills = 0;
    const known = CanvasRenderingContext2D.prototype.fill;
    CanvasRenderingContext2D.prototype.fill = function (...what) { window.fills++; return known.apply(this, what); };
    """
    shown = opened(f"{served.address}/", script=count)
    # What makes the page longer, and so may change the map's width, is there.
    for each in ("#input-source", "#jobs li"):
        shown.page.wait_for_selector(each)
    shown.until("() => window.fills > 0")
    x, y = middle(shown)
    shown.page.mouse.move(x, y)
    shown.page.mouse.down()
    drawn = shown.page.evaluate(
        """async () => {
            const frames = async () => { for (const _ of [1, 2, 3]) await new Promise(requestAnimationFrame) };
            await frames();
            const before = window.fills;
            for (let moved = 1; moved <= 20; moved++) {
                const at = { pointerId: 1, clientX: 200 + moved, clientY: 300 + moved, buttons: 1, bubbles: true };
                document.getElementById('map').dispatchEvent(new PointerEvent('pointermove', at));
            }
            await frames();
            return window.fills - before;
        }"""
    )
    shown.page.mouse.up()
    assert drawn == 1, "one frame, of the one world that is in view"


class Fingers:
    """Fingers on a touch screen."""

    def __init__(self, shown: Shown) -> None:
        self.session: CDPSession = shown.page.context.new_cdp_session(shown.page)

    def put(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        self.session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def swipe(self, x: float, y: float, down: float) -> None:
        self.put("touchStart", (x, y))
        for step in range(1, 11):
            self.put("touchMove", (x + step, y + down * step / 10))
        self.put("touchEnd")


def test_a_finger_scrolls_past_the_map_until_it_is_to_draw(opened: Any, served: Served) -> None:
    shown = opened(f"{served.address}/", width=390, height=600, touch=True)
    typed(shown, TYPED)
    fingers = Fingers(shown)
    x, y = middle(shown)
    before = shown.page.evaluate("() => scrollY")
    fingers.swipe(x, y, -100)
    shown.until(f"() => scrollY > {before} + 20")
    assert values(shown) == TYPED

    shown.page.click("#draw")
    assert shown.page.get_attribute("#draw", "aria-pressed") == "true"
    x, y = middle(shown)
    # A second finger means the map, not the box.
    fingers.put("touchStart", (x - 40, y - 40))
    fingers.put("touchMove", (x + 10, y + 10))
    fingers.put("touchStart", (x + 10, y + 10), (x - 60, y - 60))
    fingers.put("touchMove", (x + 20, y + 20), (x - 70, y - 70))
    fingers.put("touchEnd")
    assert values(shown) == TYPED
    fingers.put("touchStart", (x - 30, y - 30))
    fingers.put("touchMove", (x, y))
    fingers.put("touchMove", (x + 30, y + 30))
    fingers.put("touchEnd")
    shown.page.wait_for_selector("#undo:visible")
    assert values(shown) != TYPED
    shown.shot("jobs-touch")
