"""The plan of an order over HTTP is the one that `eo-shards plan` makes, and leaves nothing."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from command import Machine, Place, make_place
from http_api import Answer
from serving import Served, serving


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("place") / "files")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def served(machine: Machine) -> Iterator[Served]:
    with serving(machine) as server:
        yield server


def inputs_of(place: Place, **more: Any) -> dict[str, Any]:
    return {
        "bbox": [11.24, 46.625, 11.27, 46.64],
        "source": "local",
        "catalog": str(place.catalog),
        "dem": "local",
        "dem_path": str(place.dem),
        **more,
    }


def planned(served: Served, inputs: Any, process: str = "point-cloud") -> Answer:
    return served.ask("POST", f"/processes/{process}/plan", {"inputs": inputs})


def test_it_is_the_plan_of_the_command_line(served: Served, machine: Machine, place: Place) -> None:
    answer = planned(served, inputs_of(place))
    assert answer.status == 200
    made = json.loads(machine.run("plan", *machine.order(place), "--json").out)
    predicted = made["predicted"]
    assert answer.json["points"] == predicted["points"]
    assert answer.json["result_bytes"] == predicted["result_bytes"]
    assert answer.json["cost_usd"] == predicted["usage"]["cost_usd"] > 0
    assert [scene["id"] for scene in answer.json["scenes"]] == [scene["id"] for scene in made["scenes"]]
    assert (answer.json["crs"], answer.json["covered"]) == ("EPSG:32632", 1 - made["uncovered"])
    assert served.ask("GET", "/jobs").json["jobs"] == [], "nothing was ordered"


@pytest.mark.parametrize(
    ("change", "process", "status", "words"),
    [
        ({"sampled_fraction": 2}, "point-cloud", 422, "sampled_fraction"),
        ({"catalog": "/nowhere"}, "point-cloud", 422, "/nowhere"),
        ({"bbox": [0, 0, 0.1, 0.1]}, "point-cloud", 404, "check the bbox and the collection"),
        ({"bbox": [0, 0, 0.1, 0.1], "datetime": "2026-07-12"}, "point-cloud", 404, "widen the dates"),
        ({}, "no-such", 404, "point-cloud"),
    ],
)
def test_what_cannot_be_planned_says_why(  # noqa: PLR0917
    served: Served, place: Place, change: dict[str, Any], process: str, status: int, words: str
) -> None:
    answer = planned(served, inputs_of(place, **change), process)
    assert answer.status == status, answer
    assert words in answer.json["detail"]


def test_other_sites_pages_plan_nothing(served: Served, place: Place) -> None:
    body = json.dumps({"inputs": inputs_of(place)}).encode()
    headers = {
        "Host": f"127.0.0.1:{served.port}",
        "Origin": "https://elsewhere.example",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    assert served.raw("POST", "/processes/point-cloud/plan", headers, body)[0] == 403
