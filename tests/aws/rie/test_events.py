"""Each file of events/ in the function that it is for, as Lambda runs it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from aws.infra.template import functions
from aws.rie.account import EVENTS, SECRETS, Account, event
from aws.rie.driven import COMMANDS, CORRECTED, EVENT_OF, FAILED, JOB, JUDGED, OTHER, TIMED_OUT, inputs
from http_api import Answer, checked
from registry import PROCESSES

if TYPE_CHECKING:
    from aws.rie.driven import Driven

FILES = sorted(path.stem for path in EVENTS.glob("*.json"))
STATE_BYTES = 256 * 1024
"""What a state of the workflow may hold (Step Functions quotas)."""


def http(driven: Driven, name: str) -> Answer:
    """An answer of the API, held against OGC's schemas."""
    payload = driven.answers[name].payload
    headers = {key.lower(): ", ".join(values) for key, values in payload.get("multiValueHeaders", {}).items()}
    headers |= {key.lower(): value for key, value in payload.get("headers", {}).items()}
    path = json.loads((EVENTS / f"{name}.json").read_text())["rawPath"]
    return checked(path, Answer(payload["statusCode"], headers, payload["body"]))


def test_readme_has_a_command_for_each_file() -> None:
    assert sorted(COMMANDS) == FILES
    assert set(COMMANDS.values()) == set(functions())


@pytest.mark.parametrize("name", FILES)
def test_no_file_has_the_number_of_a_real_account(name: str) -> None:
    text = (EVENTS / f"{name}.json").read_text()
    assert set(re.findall(r"(?<![\w.-])\d{12}(?![\w.-])", text)) <= {"123456789012"}


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_answered(driven: Driven, name: str) -> None:
    answer = driven.answers[name]
    assert (answer.status, answer.error) == (200, ""), answer.payload
    assert answer.size < STATE_BYTES


@pytest.mark.parametrize("stage", EVENT_OF)
def test_files_of_units_are_units_of_the_job(driven: Driven, stage: str) -> None:
    assert [answer.payload for answer in driven.units[stage]] == [
        {"unit": unit["id"]} for unit in driven.account.units(JOB, stage)
    ]
    assert EVENT_OF[stage] in driven.answers


def test_the_order_is_accepted_and_started_once(driven: Driven) -> None:
    answer = http(driven, "api_execution")
    assert answer.status == 201
    assert answer.headers["location"].endswith(f"/jobs/{JOB}")
    assert driven.account.executions()[f"{JOB}-1"] == {"job": JOB, "attempt": 1}
    assert http(driven, "api_execution_jwt").json["jobID"] == OTHER


def test_the_door_tells_what_there_is(driven: Driven) -> None:
    assert http(driven, "api_landing").kind == "application/json"
    assert http(driven, "api_page").kind == "text/html"
    assert [process["id"] for process in http(driven, "api_processes").json["processes"]] == [*PROCESSES]


def test_the_job_is_done_and_its_links_work(driven: Driven) -> None:
    info = http(driven, "api_job").json
    assert (info["status"], info["progress"]) == ("successful", 100)
    links = [link["href"] for link in http(driven, "api_results").json.values()]
    fetched = {requests.get(link, timeout=30).content for link in links}
    assert fetched == set(driven.products().values())


def test_a_caller_sees_their_own_jobs_alone(driven: Driven) -> None:
    assert [info["jobID"] for info in http(driven, "api_jobs").json["jobs"]] == [OTHER]


def test_the_products_are_those_of_the_command(driven: Driven, locally: dict[str, bytes]) -> None:
    assert driven.products() == locally


def test_the_corrections_products_are_those_of_the_command(driven: Driven, corrected_locally: dict[str, bytes]) -> None:
    assert driven.products(CORRECTED) == corrected_locally


def test_the_land_cover_is_that_of_the_command(driven: Driven, judged_locally: dict[str, bytes]) -> None:
    assert driven.products(JUDGED) == judged_locally


def test_jobs_share_a_warm_container_without_a_trace(driven: Driven) -> None:
    """Units of two jobs took turns in one runtime; the first one's products are those of the command all the same."""
    assert len(driven.runtimes) == 1
    (part,) = (
        json.loads(driven.account.get(key))
        for key in driven.account.keys(f"scratch/{OTHER}/1/parts/drape/")
        if key.endswith(".json")
    )
    assert inputs("api_execution_jwt")["sampled_fraction"] == 1
    assert part["counts"]["points"] == part["counts"]["known"]


def test_a_failure_is_noted(driven: Driven) -> None:
    status = driven.account.status(FAILED)
    assert (status.state, status.error) == ("failed", "SourceUnavailable")
    assert "try again later" in status.message


def test_an_execution_that_ended_without_a_word_is_noted(driven: Driven, here: Account) -> None:
    status = driven.account.status(TIMED_OUT)
    assert (status.state, status.error) == ("failed", "Unexpected")
    assert "ended with TIMED_OUT; order it again with the same key to go on" in status.message
    by_hand = here.call("MergeFunction", event("timed_out") | {"execution": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"})
    assert (by_hand.error, by_hand.payload["job"]) == ("", "")


def test_a_dismissed_job_stays_dismissed(driven: Driven) -> None:
    assert http(driven, "api_dismiss").json["status"] == "dismissed"
    account = driven.account
    assert account.call("PlanFunction", {"job": OTHER, "attempt": 1}).error == "JobBusy"
    account.call("MergeFunction", {"task": "merge", "job": OTHER, "attempt": 1})
    assert account.status(OTHER).state == "stopped"


@pytest.mark.parametrize(("name", "jobs"), [("upload_job", 1), ("upload_geojson", 2), ("upload_safe", 1)])
def test_uploads_order_jobs(driven: Driven, name: str, jobs: int) -> None:
    (outcome,) = driven.answers[name].payload["uploads"]
    assert (outcome["state"], len(outcome["jobs"])) == ("ordered", jobs)
    started = driven.account.executions()
    assert all(f"{job}-1" in started for job in outcome["jobs"])
    assert driven.account.get(f"{outcome['key']}.job.json")


def test_calling_twice_changes_nothing(driven: Driven, here: Account) -> None:
    before = {key: here.get(key) for key in here.keys(f"scratch/{JOB}/1/parts/")} | driven.products()
    for stage, name in EVENT_OF.items():
        for unit in here.units(JOB, stage):
            here.delete(f"scratch/{JOB}/1/parts/{stage}/{unit['id']}.json")
            asked = {"job": JOB, "attempt": 1, "stage": stage, "unit": unit}
            assert here.call(COMMANDS[name], asked).payload == {"unit": unit["id"]}
            here.call(COMMANDS[name], asked)
    merge = {"task": "merge", "job": JOB, "attempt": 1}
    assert here.call("MergeFunction", merge).payload == {"job": JOB, "state": "successful"}
    after = {key: here.get(key) for key in here.keys(f"scratch/{JOB}/1/parts/")} | driven.products()
    assert after == before


def test_no_secret_is_told(driven: Driven) -> None:
    account = driven.account
    told: list[Any] = [container.log for container in account.warm.values()]
    told += [json.dumps(answer.payload) for container in account.warm.values() for answer in container.answers]
    told += [account.get(key).decode("latin-1") for key in account.keys("")]
    for text in told:
        assert not [secret for secret in SECRETS if secret in text]
