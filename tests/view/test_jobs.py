"""The page of jobs: from the form to the cloud."""

from typing import Any

import pytest

from chromium import BOX, PATIENCE, Shown
from command import Place
from serving import Served


def filled(shown: Shown, place: Place) -> None:
    """An order of the place."""
    page = shown.page
    page.wait_for_selector("#input-source")
    for edge, value in zip(("west", "south", "east", "north"), BOX, strict=True):
        page.fill(f"#{edge}", str(value))
    page.select_option("#input-source", "local")
    page.select_option("#input-dem", "local")
    page.fill("#input-sampled_fraction", "0.1")
    page.fill("#input-catalog", str(place.catalog))
    page.fill("#input-dem_path", str(place.dem))


def test_from_the_form_over_its_plan_to_the_cloud(opened: Any, served: Served, place: Place) -> None:
    shown = opened(f"{served.address}/")
    filled(shown, place)
    shown.page.click("#plan")
    shown.page.wait_for_selector("#planned:visible")
    plan = shown.page.inner_text("#plan-rows")
    assert "EPSG:32632" in plan
    assert "USD" in plan
    assert str(place.scene.product.sensed.date()) in plan
    shown.shot("jobs-plan")
    before = {job["jobID"] for job in served.ask("GET", "/jobs").json["jobs"]}
    shown.page.click("#order")
    shown.page.locator("#jobs li").nth(len(before)).wait_for()
    (job,) = {job["jobID"] for job in served.ask("GET", "/jobs").json["jobs"]} - before
    row = shown.page.locator("#jobs li", has_text=job)
    row.locator("text=Open").wait_for(timeout=3 * PATIENCE)
    shown.shot("jobs")
    assert shown.said == []
    with shown.page.expect_navigation():
        row.locator("text=Open").click()
    assert f"/jobs/{job}/view" in shown.page.url
    assert shown.ready().points > 0
    assert shown.said == []


def test_what_is_changed_is_planned_again(opened: Any, served: Served, place: Place) -> None:
    shown = opened(f"{served.address}/")
    filled(shown, place)
    shown.page.click("#plan")
    shown.page.wait_for_selector("#planned:visible")
    shown.page.fill("#input-sampled_fraction", "0.2")
    assert not shown.page.is_visible("#planned")


def test_an_order_that_is_refused_says_why(opened: Any, served: Served, place: Place) -> None:
    shown = opened(f"{served.address}/")
    filled(shown, place)
    shown.page.fill("#input-sampled_fraction", "2")
    shown.page.click("#plan")
    said = shown.told("server")
    assert "Sampled fraction '2'" in said
    assert "Change the order" in said
    shown.page.fill("#north", "")
    shown.page.click("#plan")
    assert "box is not complete" in shown.told("box")


def test_a_service_that_plans_nothing_beforehand(opened: Any, served: Served, place: Place) -> None:
    """As a deployed one: it has no such route, and can be ordered from all the same."""
    shown = opened("about:blank")
    shown.page.route(
        "**/plan",
        lambda route: route.fulfill(status=404, content_type="application/problem+json", body='{"status": 404}'),
    )
    shown.page.goto(f"{served.address}/")
    filled(shown, place)
    shown.page.click("#plan")
    shown.page.wait_for_selector("#planned:visible")
    assert "no prediction" in shown.page.inner_text("#plan-notes")
    assert shown.page.is_enabled("#order")


def test_a_box_is_drawn(opened: Any, served: Served) -> None:
    shown = opened(f"{served.address}/")
    shown.page.wait_for_selector("#input-source")
    box = shown.page.locator("#map").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    shown.page.mouse.move(x - 30, y - 20)
    shown.page.mouse.down()
    shown.page.mouse.move(x + 30, y + 20, steps=3)
    shown.page.mouse.up()
    west, south, east, north = (
        float(shown.page.input_value(f"#{edge}")) for edge in ("west", "south", "east", "north")
    )
    # 12 pixels a degree around 10 E, 48 N, to begin with.
    assert (west, east) == (pytest.approx(7.5, abs=0.1), pytest.approx(12.5, abs=0.1))
    assert south < 48 < north
    shown.shot("jobs-box")


@pytest.mark.parametrize(("width", "dark"), [(1024, True), (390, False)])
def test_it_is_accessible(opened: Any, served: Served, place: Place, width: int, dark: bool) -> None:
    shown = opened(f"{served.address}/", width=width, dark=dark)
    filled(shown, place)
    shown.page.wait_for_selector("#jobs li")
    assert shown.serious() == []
    assert shown.page.evaluate("() => document.documentElement.scrollWidth") <= width
    shown.shot(f"jobs-{width}")
