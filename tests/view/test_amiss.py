"""What the page says where something goes wrong, and that it goes on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route
from pyproj import CRS

from chromium import PATIENCE
from command import Machine, eventually
from serving import Served

COPC = "**/*.copc.laz*"


@pytest.fixture
def spoilt(machine: Machine, job: str) -> Iterator[Path]:
    """The file of the job, which is whole again afterwards."""
    assert job
    path = machine.out / "point_cloud.copc.laz"
    whole = path.read_bytes()
    yield path
    path.write_bytes(whole)


@pytest.mark.parametrize("left", [200, 70_000])
def test_a_file_that_is_cut_short(opened: Any, address: str, spoilt: Path, left: int) -> None:
    spoilt.write_bytes(spoilt.read_bytes()[:left])
    shown = opened(address)
    said = shown.told("truncated")
    assert "cut short" in said
    assert f"{left:,}" in said
    assert "Run the job again" in said
    shown.shot(f"amiss-truncated-{left}")


def test_a_file_of_something_else(opened: Any, address: str, spoilt: Path) -> None:
    spoilt.write_bytes(b"\0" * 100_000)
    assert "no COPC file" in opened(address).told("corrupt")


def test_a_file_that_is_gone(opened: Any, address: str, spoilt: Path) -> None:
    spoilt.unlink()
    shown = opened(address)
    assert "not there any more" in shown.told("gone")


def test_a_connection_that_is_lost_and_comes_back(opened: Any, address: str) -> None:
    shown = opened("about:blank")
    shown.page.route(COPC, lambda route: route.abort())
    shown.page.goto(address)
    assert "connection" in shown.told("lost")
    shown.page.unroute(COPC)
    shown.page.click("#message button.main")
    assert shown.ready().points > 0
    assert not shown.page.is_visible("#message")
    # One of each, although it was begun twice.
    assert shown.page.locator("#about-cloud dt").all_inner_texts() == ["Points", "CRS", "Elevation"]
    assert shown.page.locator("#about-item dt", has_text="Scene").count() == 1
    assert sum(each.url.endswith("/results") for each in shown.requests) == 1, "what has been read is not read again"


def test_a_connection_that_is_lost_later_leaves_what_is_there(opened: Any, address: str) -> None:
    shown = opened(address, width=240, height=240).ready()
    before = shown.points
    shown.page.route(COPC, lambda route: route.abort())
    shown.page.focus("#canvas")
    for _ in range(10):
        shown.page.keyboard.press("+")
    shown.told("lost")
    shown.page.wait_for_selector("html[data-state=failed]")
    assert shown.page.inner_text("#state") == "Loading has stopped"
    assert shown.points > 0
    shown.page.unroute(COPC)
    shown.page.click("#message button.main")
    assert shown.ready().points > 0
    assert shown.page.inner_text("#state") == "What is in view is loaded"
    assert before > 0


def test_a_link_that_expires_is_replaced(opened: Any, address: str) -> None:
    """As S3 does with a presigned link after its time: 403, until the service has given a new one."""
    shown = opened("about:blank")
    refused: list[str] = []

    def expire(route: Route) -> None:
        if refused:
            route.continue_()
            return
        refused.append(route.request.url)
        route.fulfill(status=403, content_type="application/xml", body="<Error><Code>AccessDenied</Code></Error>")

    shown.page.route(COPC, expire)
    shown.page.goto(address)
    assert shown.ready().points > 0
    assert len(refused) == 1
    asked = [each.url for each in shown.requests if each.url.endswith("/results")]
    assert len(asked) == 2, "once for the page, once for a new link"


def test_a_link_that_stays_refused(opened: Any, address: str) -> None:
    shown = opened("about:blank")
    shown.page.route(COPC, lambda route: route.fulfill(status=403, body=""))
    shown.page.goto(address)
    assert "expired" in shown.told("expired")
    assert shown.page.is_visible("text=Sign in with a token")
    shown.page.unroute(COPC)
    shown.page.click("#message button.main")
    assert shown.ready().points > 0


def test_a_browser_without_webgl_gets_pictures_and_files(opened: Any, address: str) -> None:
    hidden = """
    const known = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
      return kind.startsWith("webgl") ? null : known.call(this, kind, ...more);
    };
    """
    shown = opened(address, script=hidden)
    said = shown.told("webgl")
    assert "WebGL" in said
    assert "hardware acceleration" in said
    assert shown.page.locator("#pictures img").count() == 2
    assert "point_cloud.copc.laz" in shown.page.inner_text("#files")
    assert shown.serious() == []


@pytest.mark.parametrize("missing", ["0123456789abcdef", "ffff"])
def test_a_job_that_is_not_there(opened: Any, served: Any, missing: str) -> None:
    shown = opened(f"{served.address}/jobs/{missing}/view")
    assert f"no job {missing}" in shown.told("gone").lower().replace("'", "")
    shown.page.click("#message button:text-is('Close')")
    assert not shown.page.is_visible("#message")


def test_a_chunk_that_is_spoilt(opened: Any, address: str) -> None:
    """It is said in words, and nothing else is harmed: with the file whole, the same page goes on."""
    shown = opened("about:blank")
    asked: list[str] = []

    def spoil(route: Route) -> None:
        asked.append(route.request.headers["range"])
        answer = route.fetch()
        # The header and the page of the hierarchy come first.
        whole = len(asked) <= 2
        route.fulfill(response=answer, body=answer.body() if whole else b"\xff" * len(answer.body()))

    shown.page.route(COPC, spoil)
    shown.page.goto(address)
    said = shown.told("corrupt")
    assert "A part of the point cloud cannot be read" in said
    assert "Run the job again, or copy its file again" in said
    assert len(asked) > 2
    shown.page.unroute(COPC)
    shown.page.click("#message button.main")
    assert shown.ready().points > 0


def test_a_worker_that_stops_is_replaced(opened: Any, address: str) -> None:
    """What unpacks points could not be had; with it, the same page goes on."""
    shown = opened("about:blank")
    shown.page.route("**/*.worker-*.js", lambda route: route.abort())
    shown.page.goto(address)
    assert "Try again" in shown.told("worker")
    shown.page.unroute("**/*.worker-*.js")
    shown.page.click("#message button.main")
    assert shown.ready().points > 0


def test_a_file_that_has_changed_is_loaded_anew(opened: Any, address: str) -> None:
    shown = opened("about:blank")
    asked: list[str] = []

    def change(route: Route) -> None:
        asked.append(route.request.url)
        answer = route.fetch()
        headers = answer.headers | ({"etag": '"another"'} if len(asked) > 2 else {})
        route.fulfill(response=answer, headers=headers)

    shown.page.route(COPC, change)
    shown.page.goto(address)
    shown.told("changed")
    shown.page.unroute(COPC)
    with shown.page.expect_navigation():
        shown.page.click("#message button:text-is('Load the page again')")
    assert shown.ready().points > 0


def test_graphics_that_are_lost_come_back(opened: Any, address: str) -> None:
    shown = opened(address).ready()
    shown.page.evaluate(
        """() => {
            window.lose = document.getElementById('canvas').getContext('webgl2').getExtension('WEBGL_lose_context');
            window.lose.loseContext();
        }"""
    )
    assert "comes back by itself" in shown.told("lost-graphics")
    shown.page.evaluate("() => window.lose.restoreContext()")
    shown.page.wait_for_selector("#message", state="hidden")
    assert eventually(lambda: shown.colours() > 500, PATIENCE / 1000)


def test_a_browser_that_keeps_nothing(opened: Any, address: str, served: Served) -> None:
    denied = """
    for (const store of ["localStorage", "sessionStorage"]) {
      Object.defineProperty(window, store, { get() { throw new DOMException("denied", "SecurityError"); } });
    }
    """
    shown = opened(address, script=denied).ready()
    assert shown.points > 0
    shown.page.click("#theme")
    assert shown.page.get_attribute("html", "data-theme") == "dark"
    assert opened(f"{served.address}/", script=denied).page.wait_for_selector("#input-source")


@pytest.mark.parametrize(("epsg", "rough"), [(31467, True), (25832, False)])
def test_degrees_of_an_old_datum_are_told_as_near_ones(
    opened: Any, address: str, spoilt: Path, epsg: int, rough: bool
) -> None:
    """The file does not say how its datum lies to WGS 84; on another spheroid that is some hundred metres."""
    whole = spoilt.read_bytes()
    begin = whole.index(b"COMPD_CS[")
    end = whole.index(b"]\0", begin) + 1 if b"]\0" in whole[begin : begin + 4000] else begin + _closed(whole[begin:])
    told = CRS.from_epsg(epsg).to_wkt("WKT1_GDAL").encode()
    assert len(told) <= end - begin
    assert b"TOWGS84" not in told or not rough
    spoilt.write_bytes(whole[:begin] + told.ljust(end - begin) + whole[end:])
    shown = opened(address).ready()
    box = shown.page.locator("#canvas").bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    shown.until("() => document.getElementById('readout').children.length === 3")
    metres, degrees, _ = shown.page.locator("#readout span").all_inner_texts()
    assert f"EPSG:{epsg}" in metres
    places = 3 if rough else 5
    assert re.fullmatch(rf"{'about ' if rough else ''}\d+\.\d{{{places}}}° N, \d+\.\d{{{places}}}° [EW]", degrees)


def _closed(data: bytes) -> int:
    """Where the brackets that open first are closed."""
    depth = 0
    for at, byte in enumerate(data):
        depth += (byte == ord("[")) - (byte == ord("]"))
        if byte == ord("]") and depth == 0:
            return at + 1
    raise AssertionError("the WKT has no end")
