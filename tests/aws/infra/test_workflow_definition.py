"""The workflow as written: no state out of reach, every failure told, no task given up before its function is."""

from __future__ import annotations

import inspect
import json
import re
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

from aws.infra.template import ROOT, Node, functions, template, values
from eo import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFINITION = json.loads((ROOT / "functions/workflow.asl.json").read_text())
AWS_NAMES = {
    # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    *("States.Timeout", "States.ItemReaderFailed"),
    # https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
    *(
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
        "Lambda.ClientExecutionTimeoutException",
    ),
    *("Lambda.TooManyRequestsException", "Lambda.Unknown"),
    # What Lambda calls a function that ran out of time, and a process that ended: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
    *("Sandbox.Timedout", "Runtime.ExitError"),
}
"""Errors of Lambda and Step Functions that may pass when they are tried again."""
CLASSES = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, errors.EoShardsError)
}
HISTORY = 25_000
"""Events that the history of an execution may have."""
EVENTS_A_TRY = 3
"""TaskScheduled, TaskStarted, TaskFailed."""


def machines() -> Iterator[Node]:
    """The workflow, and what its maps run for each item."""
    for value in values(DEFINITION):
        if isinstance(value, dict) and "StartAt" in value:
            yield value


def states(kind: str | None = None) -> Iterator[tuple[str, Node]]:
    for machine in machines():
        yield from ((name, state) for name, state in machine["States"].items() if kind in {None, state["Type"]})


TASKS = dict(states("Task"))
RETRIES = [(name, retry) for name, state in states() for retry in state.get("Retry", [])]


def following(state: Node) -> Iterator[str]:
    """Names of the states that may come next."""
    yield from (state[key] for key in ("Next", "Default") if key in state)
    for branch in (*state.get("Choices", []), *state.get("Catch", [])):
        yield branch["Next"]


def called(state: Node) -> set[str]:
    """Logical ids of the functions that a task may call."""
    name = state["Parameters"].get("FunctionName")
    if name is not None:
        return {name.removeprefix("${").removesuffix("}")}
    # The plan names the function of a stage: any that does units.
    return {
        "FetchFunction",
        "FetchCdseFunction",
        "PointCloudFunction",
        "AtmosphericCorrectionFunction",
        "LandCoverFunction",
    }


def test_every_state_is_reached_and_every_next_exists() -> None:
    for machine in machines():
        reached, ahead = set(), [machine["StartAt"]]
        while ahead:
            name = ahead.pop()
            if name not in reached:
                reached.add(name)
                ahead += following(machine["States"][name])
        assert reached == set(machine["States"])


def test_every_state_goes_on_or_ends() -> None:
    for name, state in states():
        assert ("Next" in state) + state.get("End", False) + (state["Type"] in {"Choice", "Fail", "Succeed"}) == 1, name


@pytest.mark.parametrize("name", [*TASKS, *(name for name, _ in states("Map"))])
def test_whatever_fails_is_told(name: str) -> None:
    """All errors lead to the task that tells; if that fails, to the end."""
    machine = next(machine for machine in machines() if name in machine["States"])
    [catch] = machine["States"][name]["Catch"]
    assert catch["ErrorEquals"] == ["States.ALL"]
    told = machine["States"][catch["Next"]]
    if machine["States"][name].get("Parameters", {}).get("Payload", {}).get("task") == "fail":
        assert told["Type"] == "Fail"
        return
    assert catch["ResultPath"] == "$.failure"
    assert told["Type"] == "Pass"
    record = machine["States"][told["Next"]]
    # Within the map the unit is named too: an error that Lambda or Step Functions gives says nothing of it.
    keys = ["job", "attempt"] if machine is DEFINITION else ["job", "attempt", "stage", "unit"]
    assert record["Parameters"]["Payload"] == {
        "task": "fail",
        **{f"{key}.$": f"$.{key}" for key in keys},
        "error.$": "$.failure.Error",
        "cause.$": "$.failure.Cause",
    }
    assert set(told["Parameters"]) == {f"{key}.$" for key in [*keys, "failure"]}
    assert machine["States"][record["Next"]]["Type"] == "Fail"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_waits_for_longer_than_its_function_may_take(name: str) -> None:
    for function in called(TASKS[name]):
        assert TASKS[name]["TimeoutSeconds"] > functions()[function]["Timeout"]
    assert DEFINITION["TimeoutSeconds"] > TASKS[name]["TimeoutSeconds"]


def test_retried_errors_exist_and_may_pass() -> None:
    for name, retry in RETRIES:
        for error in retry["ErrorEquals"]:
            assert error in AWS_NAMES or CLASSES[error].retryable, f"{name} tries again after {error}"


@pytest.mark.parametrize("name", TASKS)
def test_every_error_that_may_pass_is_tried_again_after_a_random_while(name: str) -> None:
    tried = {error for retry in TASKS[name]["Retry"] for error in retry["ErrorEquals"]}
    assert tried == {error for error, found in CLASSES.items() if found.retryable} | AWS_NAMES - {
        "States.ItemReaderFailed"
    }
    for retry in TASKS[name]["Retry"]:
        assert retry["JitterStrategy"] == "FULL"
        assert retry["BackoffRate"] > 1
        assert retry["MaxDelaySeconds"] > retry["IntervalSeconds"] > 0


@pytest.mark.parametrize("name", TASKS)
def test_throttling_outlasts_the_execution_and_not_its_history(name: str) -> None:
    throttled = [retry for retry in TASKS[name]["Retry"] if "RateLimited" in retry["ErrorEquals"]]
    [retry] = throttled
    assert set(retry["ErrorEquals"]) == {"RateLimited", "Lambda.TooManyRequestsException"}
    mean = retry["MaxDelaySeconds"] / 2  # full jitter: anything between 0 and the delay
    assert retry["MaxAttempts"] * mean > DEFINITION["TimeoutSeconds"]
    assert DEFINITION["TimeoutSeconds"] / mean * EVENTS_A_TRY < HISTORY


def test_all_tasks_try_again_alike() -> None:
    """The language has no references, so the same lines stand at each task."""
    [first, *others] = [state["Retry"] for state in TASKS.values()]
    assert all(retry == first for retry in others)


def test_what_was_lost_is_not_paid_for_many_times() -> None:
    for _, retry in RETRIES:
        if {"Sandbox.Timedout", "Runtime.ExitError"} & set(retry["ErrorEquals"]):
            assert retry["MaxAttempts"] <= 3


def test_every_substitution_is_defined_and_used() -> None:
    used = set(re.findall(r"\$\{(\w+)\}", json.dumps(DEFINITION)))
    assert used == set(template()["Resources"]["Workflow"]["Properties"]["DefinitionSubstitutions"])


def test_state_carries_keys_and_numbers_but_no_data() -> None:
    """What units and reduces answer is dropped; the map's answers together may have 256 KiB."""
    units = DEFINITION["States"]["Units"]
    assert units["ResultPath"] is None
    assert DEFINITION["States"]["Reduce"]["ResultPath"] is None
    processor = units["ItemProcessor"]
    assert processor["ProcessorConfig"] == {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    assert [state["ResultSelector"] for state in processor["States"].values() if state.get("End")] == [{}]


def test_the_map_asks_for_nothing_that_the_test_interpreter_lies_about() -> None:
    assert not {"ItemBatcher", "ResultWriter", "ToleratedFailureCount", "ToleratedFailurePercentage"} & {
        key for value in values(DEFINITION) if isinstance(value, dict) for key in value
    }
    assert "QueryLanguage" not in json.dumps(DEFINITION)


def test_an_error_without_a_cause_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """States.Timeout may come without one, and a path to nothing would end the execution before anybody was told."""
    told: list[Node] = []

    def invoke(_self: Any, _name: str, _qualifier: Any, body: str, *_: Any) -> bytes:
        told.append(json.loads(body))
        return b"{}"

    monkeypatch.setattr(LambdaSimpleBackend, "invoke", invoke)
    monkeypatch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
    monkeypatch.setitem(default_user_config["lambda"], "use_docker", False)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
        for name, value in {**environment, "AWS_ENDPOINT_URL": f"http://{host}:{port}", "MOTO_PORT": str(port)}.items():
            monkeypatch.setenv(name, value)
        told_of = {
            **DEFINITION,
            "StartAt": "Blame",
            "States": {name: DEFINITION["States"][name] for name in ("Blame", "Record failure", "Failed")},
        }
        text = json.dumps(told_of).replace("${MergeFunction}", "arn:aws:lambda:us-east-1:123456789012:function:merge")
        machines = boto3.client("stepfunctions")
        made = machines.create_state_machine(
            name="blame", definition=text, roleArn="arn:aws:iam::123456789012:role/workflow"
        )
        given = {"job": "0123456789abcdef", "attempt": 2, "failure": {"Error": "States.Timeout"}}
        started = machines.start_execution(stateMachineArn=made["stateMachineArn"], input=json.dumps(given))
        end = time.monotonic() + 30
        while machines.describe_execution(executionArn=started["executionArn"])["status"] == "RUNNING":
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        server.stop()
    assert told == [{"task": "fail", "job": "0123456789abcdef", "attempt": 2, "error": "States.Timeout", "cause": ""}]
