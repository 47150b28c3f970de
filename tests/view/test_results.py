"""What the page makes of results other than a point cloud that is all well: other files, other answers, other readers."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Route

from api.problem import explained
from chromium import Shown
from command import Place
from eo.errors import NotReady
from eo.settings import Settings
from land_cover.process import LandCover
from serving import Served

JOB = "0123456789abcdef"
ITEM = {
    "type": "Feature",
    "properties": {
        "title": "Land cover of 11.2,46.6,11.3,46.7",
        "description": "Probabilities; contains modified Copernicus Sentinel data 2026",
        "eo_shards:sources": [{"type": "scene", "id": "S2A_MSIL2A_1", "datetime": "2026-07-11T10:10:31Z"}],
        "eo_shards:notes": ["a note of the job"],
    },
}
PATCHES = {"type": "FeatureCollection", "features": []}


def png() -> bytes:
    made = io.BytesIO()
    Image.fromarray(np.full((30, 40, 3), 128, np.uint8)).save(made, "PNG")
    return made.getvalue()


def links(served: Served) -> dict[str, Any]:
    """The results of a land-cover job, as the process names them."""
    base = f"{served.address}/jobs/{JOB}/results"
    return {
        name: {"href": f"{base}/{output.file}", "type": output.media_type, "title": output.title}
        for name, output in LandCover().outputs.items()
    }


@pytest.fixture
def mapped(opened: Any, served: Served) -> Shown:
    """A blank page for which there is a result of land cover."""
    shown: Shown = opened("about:blank")
    found = links(served)
    shown.mock("**/results", found)
    shown.page.route(found["map"]["href"], lambda route: route.fulfill(content_type="image/png", body=png()))
    shown.mock(found["geojson"]["href"], PATCHES)
    shown.mock(found["item"]["href"], ITEM)
    shown.mock(found["model"]["href"], {"type": "Feature", "properties": {"title": "A model"}})
    return shown


def test_land_cover_is_described_by_its_item(mapped: Shown, served: Served) -> None:
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    mapped.until("() => document.getElementById('title').textContent === 'Land cover of 11.2,46.6,11.3,46.7'")
    mapped.page.wait_for_selector("#pictures img")
    assert mapped.page.inner_text("#dates") == "11 Jul 2026"
    assert mapped.page.inner_text("#notice") == "contains modified Copernicus Sentinel data 2026"
    about = mapped.page.inner_text("#about-item")
    assert "S2A_MSIL2A_1, 2026-07-11 10:10 UTC" in about
    assert "a note of the job" in about
    row = mapped.page.locator("#files li", has_text=LandCover().outputs["item"].file)
    assert "STAC item" in row.inner_text()
    assert not mapped.page.is_visible("#message")
    assert mapped.said == []
    assert mapped.serious() == []


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (404, {"status": 404, "detail": "the result has no such file"}),
        (200, None),
        (200, PATCHES),
        (200, {"type": "Feature", "properties": None}),
    ],
)
def test_an_item_that_is_none_leaves_all_else(mapped: Shown, served: Served, status: int, document: Any) -> None:
    mapped.mock(links(served)["item"]["href"], document, status)
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    mapped.until("() => document.getElementById('about-item').textContent.includes('cannot be read')")
    mapped.page.wait_for_selector("#pictures img")
    assert mapped.page.inner_text("#title") == "Result"
    assert not mapped.page.is_visible("#message")


def test_what_is_strange_in_an_item_is_left_out(mapped: Shown, served: Served) -> None:
    strange = {
        "title": "T",
        "description": 7,
        "eo_shards:sources": "none",
        "eo_shards:notes": [3, "kept"],
        "datetime": {},
    }
    mapped.mock(links(served)["item"]["href"], {"type": "Feature", "properties": strange})
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    mapped.until("() => document.getElementById('title').textContent === 'T'")
    assert mapped.page.inner_text("#about-item") == "Notes\nkept"
    assert not mapped.page.is_visible("#message")
    assert mapped.said == []


def test_a_result_of_files_alone_is_their_list(mapped: Shown, served: Served) -> None:
    found = links(served)
    mapped.mock("**/results", {name: found[name] for name in ("patches", "statistics")})
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    mapped.page.wait_for_selector("text=This result has files alone")
    assert mapped.page.locator("#alone a").all_inner_texts() == [
        LandCover().outputs[name].file for name in ("patches", "statistics")
    ]
    assert mapped.serious() == []
    mapped.shot("files-alone")


def test_links_are_asked_for_anew_before_they_expire(mapped: Shown, served: Served) -> None:
    found = links(served)
    asked = []

    def give(route: Route) -> None:
        asked.append(route.request.url)
        signed = {name: file | {"href": f"{file['href']}?signed={len(asked)}"} for name, file in found.items()}
        route.fulfill(content_type="application/json", body=json.dumps(signed))

    mapped.page.route("**/results", give)
    mapped.page.route("**/*signed=*", lambda route: route.fulfill(content_type="image/png", body=png()))
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    name = LandCover().outputs["statistics"].file
    mapped.page.wait_for_selector("#pictures img")
    for minutes, signature in ((0, 1), (9, 1), (2, 2), (0, 2)):
        mapped.page.evaluate("(more) => { const now = Date.now; Date.now = () => now() + more }", minutes * 60_000)
        with mapped.page.expect_download() as download:
            mapped.page.click(f"#files a:text-is('{name}')")
        assert download.value.url.endswith(f"?signed={signature}")
        assert len(asked) == signature


@pytest.mark.parametrize("refused", [1, 2])
def test_a_picture_whose_link_has_expired(mapped: Shown, served: Served, refused: int) -> None:
    """It asks once for a new link, then says so."""
    answered: list[int] = []

    def expire(route: Route) -> None:
        answered.append(403 if len(answered) < refused else 200)
        route.fulfill(status=answered[-1], content_type="image/png", body=png() if answered[-1] == 200 else b"")

    mapped.page.route(links(served)["map"]["href"], expire)
    mapped.page.goto(f"{served.address}/jobs/{JOB}/view")
    if refused == 1:
        mapped.until("() => document.querySelector('#pictures img')?.naturalWidth === 40")
    else:
        mapped.page.wait_for_selector("text=could not be loaded. Load the page again")
    assert answered == [403, 403 if refused == 2 else 200]
    assert sum(each.url.endswith("/results") for each in mapped.requests) == 2


def test_the_page_asks_for_a_token_and_goes_on_with_it(opened: Any, served: Served, job: str) -> None:
    shown = opened("about:blank")

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer a-secret":
            route.continue_()
            return
        problem = {"title": "Unauthorized", "status": 401, "detail": "who are you?"}
        route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(problem))

    shown.page.route("**/results", guard)
    shown.page.goto(f"{served.address}/jobs/{job}/view")
    assert "Who are you?" in shown.told("expired")
    shown.page.click("#message summary")
    shown.page.fill("#message input", "a-secret")
    shown.page.keyboard.press("Enter")
    assert shown.ready().points > 0
    assert not shown.page.is_visible("#message")
    # The files' links say all that their store needs to know.
    assert all("authorization" not in each.request.headers for each in shown.pieces)


def test_a_job_that_was_stopped_has_no_result_to_show(opened: Any, served: Served, place: Place) -> None:
    inputs = {"bbox": [11.24, 46.625, 11.27, 46.64], "source": "local", "dem": "local"}
    paths = {"catalog": str(place.catalog), "dem_path": str(place.dem)}
    job = served.order(inputs | paths, "stopped")
    served.ask("DELETE", f"/jobs/{job}")
    shown = opened(f"{served.address}/jobs/{job}/view")
    shown.told("gone")
    with shown.page.expect_navigation():
        shown.page.click("#message a:has-text('List of your jobs')")
    shown.page.wait_for_selector("#jobs li")


def test_a_job_that_still_works_leads_to_the_list(opened: Any, served: Served) -> None:
    shown = opened("about:blank")
    detail = f"job {JOB} is running; its status says when it is done"
    problem = explained(NotReady(detail), Settings())
    assert problem.body is not None
    shown.mock("**/results", json.loads(problem.body), problem.status_code)
    shown.page.goto(f"{served.address}/jobs/{JOB}/view")
    assert "is running" in shown.told("gone")
    assert shown.page.locator("#message a").get_attribute("href") == f"{served.address}/"
