"""Jobs through the workflow's own definition: what comes out, what is done again, what a failure leaves."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from aws.cloud import OWNER, Cloud
from eo.records import read_plan, read_units
from peers.fixtures import EDH_TOKEN
from peers.s3 import SECRET
from peers.web import Status as Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routes.loopback import Cdse


def units(bundle: Cloud, function: str) -> Counter[str]:
    """How often each unit of a function was called for."""
    calls = [call for call in bundle.lambdas.calls if call.function == function]
    return Counter(f"{call.event['stage']}/{call.event['unit']['id']}" for call in calls)


def test_a_job_gives_the_same_bytes_as_the_local_engine(
    bundle: Cloud, inputs: dict[str, Any], undisturbed: dict[str, bytes]
) -> None:
    status = bundle.run(inputs, "same")
    assert status.state == "successful", status.message
    assert bundle.products(status.job) == undisturbed
    assert bundle.service.progress(status) == 100
    assert status.started is not None
    assert status.finished is not None


def test_every_unit_is_called_once_and_leaves_a_usage_record(bundle: Cloud, inputs: dict[str, Any]) -> None:
    job = bundle.run(inputs, "once").job
    plan = read_plan(bundle.store, job)
    expected = Counter(
        f"{stage.name}/{unit.id}" for stage in plan.stages for unit in read_units(bundle.store, job, stage.name)
    )
    called = units(bundle, "fetch-cdse") + units(bundle, "fetch") + units(bundle, "point-cloud")
    assert called == expected
    recorded = [key.removeprefix(f"scratch/{job}/usage/") for key in bundle.store.keys(f"scratch/{job}/usage/")]
    calls = sorted(name.rpartition("-1-")[0] for name in recorded)
    assert calls == sorted([*expected, "plan/plan", "merge/merge"])


def test_what_a_job_took_is_what_the_store_was_asked_for_and_what_its_plan_predicted(
    bundle: Cloud, sources: Cdse, inputs: dict[str, Any]
) -> None:
    job = bundle.run(inputs, "took").job
    used = bundle.service.result(job, owner=OWNER).usage
    assert used is not None
    # By path: whoever waits for the job reads its request and its status, and the result.
    waiting = re.compile(r"/(request|status|result)\.json$")
    asked = [call for call in bundle.s3.calls if job in call.path + call.query and not waiting.search(call.path)]
    reads = [call for call in asked if call.method in {"GET", "HEAD"} and "list-type" not in call.query]
    # Not in the records: a look for a part that may be there already, and the reading of the records for their sum.
    assert used.store_reads <= len(reads) <= used.store_reads + 2 * used.calls
    assert used.store_writes == pytest.approx(len(asked) - len(reads), abs=4)
    assert used.source_requests == len(sources.s3.calls) + len(sources.dem.calls)
    predicted = read_plan(bundle.store, job).predicted.usage
    assert (predicted.calls, predicted.transitions) == (used.calls, used.transitions)
    assert predicted.source_requests == used.source_requests
    for name in ("store_reads", "store_writes", "cost_usd"):
        assert getattr(predicted, name) == pytest.approx(getattr(used, name), rel=0.2), name


def test_units_that_need_the_data_space_go_to_the_function_with_its_quota(
    bundle: Cloud, inputs: dict[str, Any]
) -> None:
    bundle.run(inputs, "quota")
    assert {unit.partition("/")[0] for unit in units(bundle, "fetch-cdse")} == {"fetch"}
    assert {unit.partition("/")[0] for unit in units(bundle, "fetch")} == {"align"}
    assert {unit.partition("/")[0] for unit in units(bundle, "point-cloud")} == {"drape"}
    assert bundle.lambdas.most["fetch-cdse"] <= 4


def test_what_fails_for_a_while_is_tried_again(
    bundle: Cloud, inputs: dict[str, Any], undisturbed: dict[str, bytes]
) -> None:
    tries = {"plan": "fail", "fetch-cdse": "kill after", "fetch": "fail", "point-cloud": "kill", "merge": "kill after"}

    def faults(function: str, _event: Mapping[str, Any], before: int) -> Any:
        return tries[function] if before == 0 else None

    bundle.lambdas.faults = faults
    status = bundle.run(inputs, "again")
    assert status.state == "successful", status.message
    assert bundle.products(status.job) == undisturbed
    assert {call.error for call in bundle.lambdas.calls} >= {"Runtime.ExitError", None}


def test_throttling_never_exhausts_a_job(bundle: Cloud, inputs: dict[str, Any], undisturbed: dict[str, bytes]) -> None:
    def faults(function: str, _event: Mapping[str, Any], before: int) -> Any:
        return "throttle" if function == "point-cloud" and before < 12 else None

    bundle.lambdas.faults = faults
    status = bundle.run(inputs, "throttled")
    assert status.state == "successful", status.message
    assert bundle.products(status.job) == undisturbed


def test_a_failure_is_told_and_its_job_goes_on_where_it_was(
    bundle: Cloud, sources: Cdse, inputs: dict[str, Any], undisturbed: dict[str, bytes]
) -> None:
    sources.dem.script.add("", [Answer(403)] * 500)
    failed = bundle.run(inputs, "resumed")
    assert (failed.state, failed.error) == ("failed", "AccessDenied")
    assert "EARTH_DATA_HUB_KEY" in failed.message
    sources.forget()
    before = units(bundle, "fetch-cdse")
    done = set(bundle.store.keys(f"scratch/{failed.job}/1/parts/fetch/"))
    again = bundle.run(inputs, "resumed")
    assert (again.state, again.attempt) == ("successful", 2)
    assert bundle.products(again.job) == undisturbed
    repeated = units(bundle, "fetch-cdse") - before
    assert repeated
    read = {call.path for call in sources.s3.calls if call.method == "GET"}
    assert len(read) < len(done) or not done, "what was there was fetched again"


def test_a_chunk_that_was_lost_is_noticed_and_made_anew_by_the_next_attempt(
    bundle: Cloud, inputs: dict[str, Any], undisturbed: dict[str, bytes]
) -> None:
    lost: list[str] = []

    def faults(function: str, event: Mapping[str, Any], _before: int) -> Any:
        if function == "point-cloud" and not lost:
            prefix = f"scratch/{event['job']}/1/cube.zarr/elevation/c/"
            lost.append(next(iter(bundle.store.keys(prefix))))
            bundle.store.delete(lost[0])

    bundle.lambdas.faults = faults
    failed = bundle.run(inputs, "lost")
    assert (failed.state, failed.error) == ("failed", "LostWork")
    assert "elevation/c/" in failed.message
    assert f"jobs/{failed.job}/result.json" not in set(bundle.store.keys(f"jobs/{failed.job}/"))
    again = bundle.run(inputs, "lost")
    assert again.state == "successful", again.message
    assert bundle.products(again.job) == undisturbed


def test_dismissing_stops_a_job_for_good(bundle: Cloud, inputs: dict[str, Any]) -> None:
    def faults(function: str, event: Mapping[str, Any], _before: int) -> Any:
        if function == "point-cloud":
            bundle.service.dismiss(event["job"], owner=OWNER)

    bundle.lambdas.faults = faults
    status = bundle.run(inputs, "dismissed")
    assert status.state == "stopped"
    assert bundle.service.status(status.job, owner=OWNER).state == "stopped"
    assert f"jobs/{status.job}/result.json" not in set(bundle.store.keys(f"jobs/{status.job}/"))


def test_nothing_found_is_told(bundle: Cloud, inputs: dict[str, Any]) -> None:
    status = bundle.run(inputs | {"bbox": [100.0, 10.0, 100.1, 10.1]}, "nothing")
    assert (status.state, status.error) == ("failed", "NothingFound")
    assert "widen the dates" in status.message


def test_no_secret_is_kept(bundle: Cloud, sources: Cdse, inputs: dict[str, Any]) -> None:
    sources.dem.script.add("", [Answer(403)] * 500)
    job = bundle.run(inputs, "secret").job
    for key in [*bundle.store.keys(f"jobs/{job}/"), *bundle.store.keys(f"scratch/{job}/")]:
        data = bundle.store.read(key)
        assert SECRET.encode() not in data
        assert EDH_TOKEN.encode() not in data
    assert EDH_TOKEN not in json.dumps([call.event for call in bundle.lambdas.calls])


def test_doing_everything_twice_at_once_changes_nothing(
    bundle: Cloud, inputs: dict[str, Any], undisturbed: dict[str, bytes]
) -> None:
    bundle.lambdas.faults = lambda _called, _event, _before: "duplicate"
    status = bundle.run(inputs, "twice")
    assert status.state == "successful", status.message
    assert bundle.products(status.job) == undisturbed
    duplicated = Counter(call.function for call in bundle.lambdas.calls)
    assert duplicated.keys() >= {"plan", "fetch-cdse", "fetch", "point-cloud", "merge"}
