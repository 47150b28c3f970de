"""What Lambda does to functions, and what their callers hear of failures: in the emulator, with sources that misbehave."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from aws.rie.account import SECRETS, Account
from aws.rie.driven import JOB, inputs
from aws.rie.emulator import MISSING, Container, emulator
from peers.faults import Hang, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ELSEWHERE = {"bbox": [100.0, 10.0, 100.01, 10.01], "datetime": "2026-07-01/2026-07-31"}


@pytest.fixture(scope="module")
def echo() -> Iterator[Container]:
    """A function that does nothing, or what it is told."""
    if emulator() is None:
        pytest.skip(MISSING)
    with Container("echo.handler", {}, path=[Path(__file__).parent / "handlers"], timeout=1) as running:
        yield running


class TestTheEmulator:
    """It does what AWS does; else the tests of the functions would prove nothing."""

    def test_a_call_that_takes_too_long_is_ended_and_the_next_one_works(self, echo: Container) -> None:
        assert echo.invoke({"sleep": 30}).error == "Sandbox.Timedout"
        assert echo.invoke({}).error == ""

    def test_answers_of_more_than_six_megabytes_are_refused(self, echo: Container) -> None:
        assert echo.invoke({"bytes": 6_000_000}).error == ""
        refused = echo.invoke({"bytes": 6_300_000})
        assert (refused.status, refused.error) == (502, "Function.ResponseSizeTooLarge")

    def test_a_warm_container_keeps_its_process(self, echo: Container) -> None:
        assert echo.invoke({}).payload["pid"] == echo.invoke({}).payload["pid"]


def order(here: Account, job: str, ordered: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    here.accept(job, ordered)
    return "PlanFunction", {"job": job, "attempt": 1}


def refused(here: Account) -> tuple[str, dict[str, Any]]:
    here.sources.stac.script.add("", [Status(429)] * 20)
    return order(here, "00000000000000a1", inputs())


def unanswered(here: Account) -> tuple[str, dict[str, Any]]:
    here.sources.stac.script.add("", [Status(503)] * 20)
    return order(here, "00000000000000a2", inputs())


def keys_refused(here: Account) -> tuple[str, dict[str, Any]]:
    here.sources.dem.script.add("", [Status(401)] * 20)
    return order(here, "00000000000000a3", inputs())


def lost_chunk(here: Account) -> tuple[str, dict[str, Any]]:
    unit = _shard(here)
    here.delete(f"scratch/{JOB}/1/parts/drape/{unit['id']}.json")
    here.delete(next(key for key in here.keys(f"scratch/{JOB}/1/cube.zarr/elevation/c/")))
    return "PointCloudFunction", {"job": JOB, "attempt": 1, "stage": "drape", "unit": unit}


FAILING: dict[str, tuple[str, Callable[[Account], tuple[str, dict[str, Any]]]]] = {
    "a source asks for fewer requests": ("RateLimited", refused),
    "a source does not answer": ("SourceUnavailable", unanswered),
    "a source refuses the keys": ("AccessDenied", keys_refused),
    "there is no scene": ("NothingFound", lambda here: order(here, "00000000000000a4", ELSEWHERE)),
    "an input is wrong": ("InvalidInput", lambda here: order(here, "00000000000000a5", {"bbox": [9, 9, 1, 95]})),
    "there is no such job": ("UnknownJob", lambda _: ("PlanFunction", {"job": "00000000000000a6", "attempt": 1})),
    "the attempt is over": ("JobBusy", lambda _: ("PlanFunction", {"job": JOB, "attempt": 1})),
    "the plan is gone": ("LostWork", lambda _: ("MergeFunction", {"task": "merge", "job": "0" * 16, "attempt": 1})),
    "a chunk is gone": ("LostWork", lost_chunk),
    "the task is not known": ("InvalidInput", lambda _: ("MergeFunction", {"task": "eat"})),
    "the event is none": ("InvalidInput", lambda _: ("UploadFunction", {"detail-type": "Object Created"})),
    "we are at fault": ("Unexpected", lambda _: ("FetchFunction", {"job": JOB})),
}


@pytest.mark.usefixtures("driven")
@pytest.mark.parametrize("why", FAILING)
def test_a_failure_reaches_the_caller_by_the_name_of_its_class(here: Account, why: str) -> None:
    expected, failing = FAILING[why]
    function, event = failing(here)
    answer = here.call(function, event)
    assert answer.error == expected, answer.payload
    assert answer.message
    # Where it was raised again, and nothing of where it comes from: values stand in no line of it.
    assert all(re.search(r"eo/handler\.py\"?, line \d+, in handler\n\s+raise told", line) for line in frames(answer))
    record = here.warm[function].records[-1]
    assert record["errorType"] == expected
    assert not [secret for secret in SECRETS if secret in here.warm[function].log + json.dumps(answer.payload)]


def frames(answer: Any) -> list[str]:
    stack: list[str] = answer.payload["stackTrace"]
    assert stack
    return stack


def test_a_function_whose_source_hangs_is_ended_in_time(here: Account) -> None:
    job = "00000000000000b1"
    here.accept(job, inputs())
    with here.container("PlanFunction", timeout=4, EO_SHARDS_TIMEOUT="60") as plan:
        here.sources.stac.script.add("", [Hang(60)])
        answer = plan.invoke({"job": job, "attempt": 1})
        assert answer.error == "Sandbox.Timedout"
        assert answer.seconds < 10
    # The workflow tries again: the attempt is the same, and it works.
    here.sources.forget()
    assert here.call("PlanFunction", {"job": job, "attempt": 1}).payload["job"] == job


@pytest.mark.usefixtures("driven")
def test_a_unit_that_needs_too_much_memory_says_so_and_the_container_goes_on(here: Account) -> None:
    unit = _shard(here)
    large = unit | {"id": "large", "window": {"col": 0, "row": 0, "width": 30_000, "height": 30_000}}
    asked = {"job": JOB, "attempt": 1, "stage": "drape"}
    here.call("PointCloudFunction", asked | {"unit": unit})
    container = here.warm["PointCloudFunction"]
    container.limit_memory(200_000_000)
    try:
        answer = here.call("PointCloudFunction", asked | {"unit": large})
    finally:
        container.limit_memory(None)
    assert answer.error == "TooLarge"
    assert "EO_SHARDS_WORKER_MEMORY" in answer.message
    runtime = container.runtime.pid
    here.call("PointCloudFunction", asked | {"unit": unit})
    assert container.runtime.pid == runtime


@pytest.mark.usefixtures("driven")
def test_a_unit_that_is_killed_while_it_writes_is_done_again_to_the_same_bytes(here: Account) -> None:
    unit = _shard(here)
    asked = {"job": JOB, "attempt": 1, "stage": "drape", "unit": unit}
    here.call("PointCloudFunction", asked)
    keys = here.keys(f"scratch/{JOB}/1/parts/drape/{unit['id']}.")
    before = {key: here.get(key) for key in keys}
    assert len(before) == 5, "PLY and COPC bodies, the rest of the nodes, the thumbnail, the record"
    for key in keys:
        here.delete(key)
    here.data.script.add(
        lambda method, target: method == "PUT" and target.partition("?")[0].endswith("thumbnail"), [Hang(20)]
    )
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(here.call, "PointCloudFunction", asked)
        _wait(lambda: any(call.method == "PUT" and call.path.endswith("thumbnail") for call in here.data.calls))
        here.warm["PointCloudFunction"].kill_runtime()
        assert called.result().error == "Runtime.ExitError"
    assert here.call("PointCloudFunction", asked).payload == {"unit": unit["id"]}
    assert {key: here.get(key) for key in keys} == before


@pytest.mark.usefixtures("driven")
def test_a_container_whose_runtime_was_killed_takes_the_next_call(here: Account) -> None:
    event = {"task": "reduce", "job": JOB, "attempt": 1, "stage": "align"}
    here.call("MergeFunction", event)
    here.warm["MergeFunction"].kill_runtime()
    answers = [here.call("MergeFunction", event) for _ in range(2)]
    # The emulator, as AWS, may notice the death only when it wants to use the container.
    assert answers[0].error in {"", "Runtime.ExitError"}
    assert answers[1].payload == {"stage": "align"}


def _wait(until: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.01)


def _shard(here: Account) -> dict[str, Any]:
    (unit,) = here.units(JOB, "drape")
    return unit
