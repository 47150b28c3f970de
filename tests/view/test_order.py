"""What is ordered is what was planned, once; and what cannot be sent is said where it stands."""

import json
from typing import Any

import pytest

from chromium import BOX, Shown
from command import Place
from serving import Served

NO_ROUTE = {"type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is nothing there"}


@pytest.fixture
def form(opened: Any, served: Served) -> Shown:
    """The page of jobs with a box."""
    shown: Shown = opened(f"{served.address}/")
    shown.page.wait_for_selector("#input-source")
    for edge, value in zip(("west", "south", "east", "north"), BOX, strict=True):
        shown.page.fill(f"#{edge}", str(value))
    return shown


def test_a_plan_of_what_was_changed_meanwhile_is_not_shown(form: Shown) -> None:
    held = form.held("**/plan")
    with form.page.expect_request("**/plan"):
        form.page.click("#plan")
    form.page.fill("#input-sampled_fraction", "0.2")
    held[0].fulfill(status=404, content_type="application/problem+json", body=json.dumps(NO_ROUTE))
    assert "changed while its plan was made" in form.told("edited")
    assert not form.page.is_visible("#planned")


def test_what_was_planned_is_ordered_once(form: Shown) -> None:
    """Whether its button is pressed twice, or the answer is lost and it is sent again."""
    form.mock("**/plan", NO_ROUTE, 404)
    held = form.held("**/execution")
    with form.page.expect_request("**/plan") as asked:
        form.page.click("#plan")
    form.page.wait_for_selector("#planned:visible")
    with form.page.expect_request("**/execution"):
        form.page.dblclick("#order")
    held[0].abort()
    assert "does not answer" in form.told("lost")
    with form.page.expect_request("**/execution"):
        form.page.click("#message button.main")
    first, second = held[0].request, held[1].request
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.post_data == second.post_data == asked.value.post_data
    held[1].fulfill(status=201, content_type="application/json", body="{}")
    form.page.wait_for_selector("#planned", state="hidden")
    assert form.page.evaluate("() => document.activeElement.id") == "jobs-title"
    assert len(held.routes) == 2


def test_a_box_without_scenes_is_no_plan(form: Shown, place: Place) -> None:
    """A 404 of the service's own, not of a route that is not there."""
    for edge, value in zip(("west", "south", "east", "north"), BOX, strict=True):
        form.page.fill(f"#{edge}", str(value + 5))
    form.page.select_option("#input-source", "local")
    form.page.select_option("#input-dem", "local")
    form.page.fill("#input-catalog", str(place.catalog))
    form.page.fill("#input-dem_path", str(place.dem))
    form.page.click("#plan")
    said = form.told("nothing")
    assert "Change the order" in said
    assert not form.page.is_visible("#planned")
    assert form.page.evaluate("() => document.activeElement.id") == "plan"


def test_numbers_are_taken_with_a_comma_and_told_where_they_are_none(form: Shown) -> None:
    form.mock("**/plan", NO_ROUTE, 404)
    form.page.fill("#west", "11,25")
    form.page.fill("#input-sampled_fraction", "0,5")
    with form.page.expect_request("**/plan") as asked:
        form.page.click("#plan")
    sent = asked.value.post_data_json["inputs"]
    assert sent["bbox"] == [11.25, *BOX[1:]]
    assert sent["sampled_fraction"] == 0.5
    form.page.wait_for_selector("#planned:visible")
    form.page.fill("#input-sampled_fraction", "half")
    form.page.click("#plan")
    assert "“half” is no number" in form.told("number")
    assert sum(each.url.endswith("/plan") for each in form.requests) == 1, "it is not sent"
    field = form.page.locator("#input-sampled_fraction")
    assert field.get_attribute("aria-invalid") == "true"
    assert form.page.evaluate("() => document.activeElement.id") == "input-sampled_fraction"
    assert "is no number" in form.page.inner_text("#input-sampled_fraction-fault")
    assert form.serious() == []
    form.shot("jobs-number")
    field.fill("0.5")
    assert field.get_attribute("aria-invalid") is None
    assert form.page.locator(".fault").count() == 0


def test_a_refused_field_is_marked_and_has_the_focus(form: Shown) -> None:
    form.page.fill("#input-sampled_fraction", "2")
    form.page.click("#plan")
    form.told("server")
    assert form.page.evaluate("() => document.activeElement.id") == "input-sampled_fraction"
    described = form.page.get_attribute("#input-sampled_fraction", "aria-describedby") or ""
    assert "Sampled fraction '2'" in " ".join(form.page.inner_text(f"#{each}") for each in described.split())


def test_a_refusal_of_no_field_leaves_the_focus(form: Shown) -> None:
    form.mock("**/plan", {"status": 503, "detail": "the catalogue does not answer"}, 503)
    form.page.focus("#plan")
    form.page.keyboard.press("Enter")
    assert "Try again in a while" in form.told("server")
    assert form.page.evaluate("() => document.activeElement.id") == "plan"
    form.page.click("#message button:text-is('Close')")
    assert not form.page.is_visible("#message")


def test_a_number_beyond_the_globe_leaves_the_page_alive(form: Shown) -> None:
    for typed in ("1e17", "1e308", "-1e17", "200"):
        for edge in ("west", "south", "east", "north"):
            form.page.fill(f"#{edge}", typed)
        form.until("() => new Promise((resolve) => requestAnimationFrame(() => resolve(true)))")


def test_another_process_keeps_no_plan_and_a_retry_keeps_the_form(form: Shown) -> None:
    form.mock("**/plan", NO_ROUTE, 404)
    form.page.click("#plan")
    form.page.wait_for_selector("#planned:visible")
    form.page.select_option("#process", "land-cover")
    form.page.wait_for_selector("#input-model", state="attached")
    assert not form.page.is_visible("#planned")
    assert form.page.input_value("#west") == str(BOX[0])
    with form.page.expect_request("**/processes/land-cover/plan"):
        form.page.click("#plan")


def test_what_local_choices_need_is_asked_for_with_them_alone(form: Shown) -> None:
    for name, with_ in (("catalog", "source"), ("dem_path", "dem")):
        assert not form.page.is_visible(f"#input-{name}")
        form.page.select_option(f"#input-{with_}", "local")
        assert form.page.is_visible(f"#input-{name}")
    form.page.fill("#input-catalog", "/data/catalog")
    form.page.click("#plan")
    said = form.told("server")
    assert "DEM path is missing" in said, "as the form calls it"
    assert form.page.evaluate("() => document.activeElement.id") == "input-dem_path"
    form.page.select_option("#input-source", "earth-search")
    form.page.select_option("#input-dem", "cop-dem-glo-30")
    with form.page.expect_request("**/plan") as asked:
        form.page.click("#plan")
    assert "catalog" not in asked.value.post_data_json["inputs"], "what is not seen is not sent"
    assert form.page.locator("[aria-invalid]").count() == 0, "what was said of the last order"


def test_missing_keys_are_told_with_what_does_without(form: Shown) -> None:
    """Trying again helps nobody there."""
    form.page.click("#plan")
    said = form.told("server")
    assert "set CDSE_KEY and CDSE_SECRET" in said
    assert "earth-search needs none" in said
    assert "Set that where the service runs" in said
    assert said.startswith("https://")
