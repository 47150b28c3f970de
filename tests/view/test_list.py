"""The list of jobs: kept up to date without taking anything from whoever reads it."""

import json
from typing import Any

import pytest
from playwright.sync_api import Route

from chromium import Shown
from serving import Served

JOB = "0123456789abcdef"
LOOK = "() => document.dispatchEvent(new Event('visibilitychange'))"
"""Makes the page look at the jobs at once."""


class Jobs:
    """A service with one job."""

    def __init__(self, shown: Shown) -> None:
        self.job: dict[str, Any] = {
            "jobID": JOB,
            "processID": "point-cloud",
            "status": "running",
            "created": "2026-07-11T10:10:31Z",
            "message": "working",
            "bbox": [11.25, 46.625, 11.270000001, 46.64],
            "progress": 10,
        }
        self.stopped = 0
        shown.page.route("**/jobs?limit=*", lambda route: self.give(route, {"jobs": [self.job]}))
        shown.page.route(f"**/jobs/{JOB}", self.one)

    def give(self, route: Route, document: Any, status: int = 200) -> None:
        route.fulfill(status=status, content_type="application/json", body=json.dumps(document))

    def one(self, route: Route) -> None:
        if route.request.method == "DELETE":
            self.stopped += 1
            self.give(route, {"status": 409, "detail": "the job is being joined"}, 409)
        else:
            self.give(route, self.job)


@pytest.fixture
def shown(opened: Any) -> Shown:
    made: Shown = opened("about:blank")
    return made


def test_rows_stay_with_their_focus_while_the_job_works(shown: Shown, served: Served) -> None:
    jobs = Jobs(shown)
    shown.page.goto(f"{served.address}/")
    shown.page.focus(f"#stop-{JOB}")
    shown.page.evaluate("() => { document.querySelector('#jobs li').dataset.mine = 'yes' }")
    jobs.job |= {"progress": 60, "message": "half of it"}
    shown.until("() => document.querySelector('#jobs progress').value === 60")
    assert shown.page.get_attribute("#jobs li", "data-mine") == "yes"
    said = shown.page.inner_text("#jobs li")
    assert "half of it" in said
    assert "Coloured point cloud" in said, "as the form calls it"
    assert "11.25, 46.625, 11.27, 46.64" in said, "or jobs look alike"
    assert shown.page.evaluate("() => document.activeElement.id") == f"stop-{JOB}"
    jobs.job |= {"status": "successful"}
    shown.page.wait_for_selector(f"#open-{JOB}")
    assert shown.page.evaluate("() => document.activeElement.id") == f"open-{JOB}"
    assert shown.page.inner_text("#heard") == f"Job {JOB}: done"
    assert shown.page.locator("#jobs progress:visible").count() == 0


def test_a_refused_stop_says_why_and_takes_nothing_of_the_form(shown: Shown, served: Served) -> None:
    jobs = Jobs(shown)
    shown.page.goto(f"{served.address}/")
    shown.page.wait_for_selector("#input-source")
    shown.page.fill("#west", "11.5")
    shown.page.fill("#input-datetime", "2026-07-01/2026-07-31")
    shown.page.click(f"#stop-{JOB}")
    shown.page.wait_for_selector("#jobs-message:visible")
    said = shown.page.inner_text("#jobs-message")
    assert "The job is being joined" in said
    assert "See in the list what has become of the job" in said
    jobs.job |= {"progress": 70}
    shown.until("() => document.querySelector('#jobs progress').value === 70")
    assert shown.page.is_visible("#jobs-message"), "another look at the list says nothing of it"
    with shown.page.expect_request(lambda request: request.method == "DELETE"):
        shown.page.click("#jobs-message button:text-is('Try again')")
    assert jobs.stopped == 2
    assert shown.page.input_value("#west") == "11.5"
    assert shown.page.input_value("#input-datetime") == "2026-07-01/2026-07-31"


def test_a_list_that_is_lost_comes_back_by_itself(shown: Shown, served: Served) -> None:
    shown.page.goto(f"{served.address}/")
    shown.page.wait_for_selector("#input-source")
    shown.page.fill("#west", "11.5")
    shown.page.route("**/jobs?limit=*", lambda route: route.abort())
    shown.page.evaluate(LOOK)
    shown.page.wait_for_selector("#jobs-message:visible")
    shown.page.click("#jobs-message button:text-is('Try again')")
    shown.page.wait_for_selector("#jobs-message:visible")
    shown.page.unroute("**/jobs?limit=*")
    shown.page.evaluate(LOOK)
    shown.page.wait_for_selector("#jobs-message", state="hidden")
    assert shown.page.input_value("#west") == "11.5"


def test_a_half_typed_token_outlives_another_look(shown: Shown, served: Served) -> None:
    refused = {"title": "Unauthorized", "status": 401, "detail": "who are you?"}
    jobs = Jobs(shown)

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer a-secret":
            jobs.give(route, {"jobs": [jobs.job]})
        else:
            jobs.give(route, refused, 401)

    shown.page.route("**/jobs?limit=*", guard)
    shown.page.goto(f"{served.address}/")
    shown.told("expired")
    shown.page.click("#message summary")
    shown.page.fill("#message input", "a-sec")
    with shown.page.expect_response("**/jobs?limit=*") as response:
        shown.page.evaluate(LOOK)
    response.value.finished()
    shown.until("() => new Promise((resolve) => setTimeout(() => resolve(true)))")
    assert shown.page.input_value("#message input") == "a-sec"
    shown.page.type("#message input", "ret")
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_selector("#jobs li")
    assert not shown.page.is_visible("#message")
