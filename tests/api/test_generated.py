"""Requests generated from our own OpenAPI description: no fault of ours, and no answer that it does not describe."""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import CHECKS

from eo.errors import UnknownJob
from eo.job import Status
from http_api import EXECUTION, Answer, Client, MemoryService, app_of, checked, user

HELD = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
STATES = ("accepted", "running", "successful", "failed", "stopped")


class PopulatedService(MemoryService):
    """Every well-formed id is a job, in one of all states; every fourth is unknown."""

    def status(self, job: str, *, owner: str) -> Status:
        number = int(hashlib.sha256(job.encode()).hexdigest(), 16)
        if number % 4 == 0:
            raise UnknownJob(f"there is no job {job}")
        if job not in self.records:
            now = "2026-07-01T00:00:00Z"
            state = STATES[number // 4 % len(STATES)]
            self.records[job] = Status(
                job=job, process="point-cloud", attempt=1, state=state, created=now, updated=now, message="é\ud800"
            )
            self.owners[job] = owner
        return self.records[job]


@dataclass
class Wsgi:
    """The application as schemathesis calls one in this process: a gateway without a network."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.service = PopulatedService()
        self.app = app_of(self.service)

    def __call__(self, environ: Mapping[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        try:
            text, encoded = body.decode(), False
        except UnicodeDecodeError:
            text, encoded = base64.b64encode(body).decode(), True
        named = {key.removeprefix("HTTP_").replace("_", "-").lower(): str(value) for key, value in environ.items()}
        path = str(environ["PATH_INFO"]).encode("latin-1").decode(errors="replace")
        event = {
            "version": "2.0",
            "rawPath": path,
            "headers": named,
            "queryStringParameters": _parameters(str(environ.get("QUERY_STRING", ""))),
            "requestContext": {
                "domainName": "api.example",
                "stage": "$default",
                "requestId": "1",
                "http": {"method": environ["REQUEST_METHOD"], "path": path},
                "authorizer": user("alice"),
            },
            "body": text,
            "isBase64Encoded": encoded,
        }
        answer = json.loads(json.dumps(self.app(event, None)))
        headers = [(str(name), str(value)) for name, value in answer["headers"].items()]
        self.answers[f"{environ['REQUEST_METHOD']} /{path.split('/')[1]}", answer["statusCode"]] += 1
        lower = {name.lower(): value for name, value in headers}
        checked(path, Answer(answer["statusCode"], lower, answer["body"]))
        start_response(f"{answer['statusCode']} {HTTPStatus(answer['statusCode']).phrase}", headers)
        return [answer["body"].encode()]


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = (
            unquote_to_bytes(part.replace("+", " ")).decode(errors="replace") for part in pair.partition("=")
        )
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _generated(examples: int) -> Counter[tuple[str, int]]:
    """Ask so many generated things of every operation, valid and not; counts what was answered."""
    wsgi = Wsgi()
    schema = schemathesis.openapi.from_wsgi("/api", wsgi)
    wsgi.answers.clear()
    checks = CHECKS.get_by_names(HELD)
    for found in schema.get_all_operations():
        operation = found.ok()
        varied = bool(operation.body or operation.query or operation.path_parameters)
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=examples * (5 if operation.body else 1) if varied else 3,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate,),
                database=None,
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=checks)

            # An operation without parameters cannot be asked wrongly.
            with suppress(Unsatisfiable):
                ask()
    return wsgi.answers


def _by_operation(answers: Counter[tuple[str, int]]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for operation, status in answers:
        found.setdefault(operation, set()).add(status)
    return found


def test_what_is_generated_from_our_description_is_answered_as_described() -> None:
    answers = _generated(10)
    assert answers.total() >= 200
    found = _by_operation(answers)
    assert {200, 404} <= found["DELETE /jobs"]
    assert {200, 400} <= found["GET /jobs"]
    assert 422 in found["POST /processes"]


@pytest.mark.chaos
def test_ten_thousand_generated_requests_find_nothing() -> None:
    answers = _generated(600)
    assert answers.total() >= 10_000
    assert not [status for _, status in answers if status >= 500]


NUMBERS = (
    st.floats(-190, 190, width=32)
    | st.integers(-200, 200)
    | st.sampled_from([1e308, -0.0, 180, -180, 90, -90, 10**300])
)
JUNK = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
VALUES = {
    "bbox": st.lists(NUMBERS, min_size=4, max_size=4) | st.just([11.2, 46.4, 11.3, 46.5]),
    "datetime": st.sampled_from(["2026-07-01", "2026-01-01/..", "x", ""]) | st.none(),
    "source": st.sampled_from(["cdse", "earth-search", "local"]),
    "sampled_fraction": NUMBERS,
    "resolution": st.integers(-1, 10**30),
    "crs": st.sampled_from(["EPSG:32632", "EPSG:4326", "OGC:CRS84"]) | st.text(max_size=8),
}


@st.composite
def orders(draw: st.DrawFn) -> tuple[str, str]:
    """(body, key): mostly right orders with something odd about them."""
    names = draw(st.sets(st.sampled_from(sorted(VALUES)))) | {"bbox"}
    inputs = {name: draw(st.one_of(VALUES[name], VALUES[name], VALUES[name], JUNK)) for name in sorted(names)}
    wrapped = {name: {"value": value} if draw(st.integers(0, 5)) == 5 else value for name, value in inputs.items()}
    more = draw(
        st.one_of(
            st.just({}), st.just({}), st.dictionaries(st.sampled_from(["outputs", "mode", "x"]), JUNK, max_size=2)
        )
    )
    body = json.dumps({"inputs": wrapped, **more})
    if draw(st.integers(0, 9)) == 9:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.text(max_size=3)) + body[at:]
    return body, draw(st.sampled_from(["a", "b", "c"]))


def _ordered(examples: int) -> Counter[int]:
    service = PopulatedService()
    alice = Client(app_of(service), user("alice"))
    answers: Counter[int] = Counter()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(order=orders())
    def ask(order: tuple[str, str]) -> None:
        body, key = order
        answer = alice.ask("POST", EXECUTION, body, content_type="application/json", idempotency_key=key)
        answers[answer.status] += 1
        assert answer.status in {201, 400, 422}, answer
        if answer.status == 201:
            assert alice.get(answer.headers["location"].removeprefix("https://api.example")).status == 200

    ask()
    return answers


def test_odd_orders_are_taken_or_explained() -> None:
    assert {201, 422} <= set(_ordered(200))


@pytest.mark.chaos
def test_thousands_of_odd_orders_are_taken_or_explained() -> None:
    assert _ordered(10_000).total() >= 10_000


def _asked(examples: int) -> None:
    alice = Client(app_of(PopulatedService()), user("alice"))
    words = st.text(max_size=12)
    targets = st.builds(
        lambda parts, query: "/" + "/".join(parts) + (f"?{query}" if query else ""),
        st.lists(
            st.sampled_from(["jobs", "processes", "point-cloud", "execution", "results", "api", "0" * 16]) | words,
            max_size=4,
        ),
        st.sampled_from(["", "limit=1", "offset=x", "status=failed"]) | words,
    )
    headers = st.dictionaries(
        st.sampled_from(["accept", "content_type", "prefer", "idempotency_key", "x_forwarded_proto", "origin"]), words
    )

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(
        method=st.sampled_from(["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT"]) | words,
        target=targets,
        body=st.none() | words,
        encoded=st.booleans(),
        headers=headers,
    )
    def ask(method: str, target: str, body: str | None, encoded: bool, headers: dict[str, str]) -> None:
        assert alice.ask(method, target, body, encoded=encoded, **headers).status < 500

    ask()


def test_whatever_is_asked_is_answered() -> None:
    _asked(300)


@pytest.mark.chaos
def test_whatever_is_asked_thousands_of_times_is_answered() -> None:
    _asked(10_000)
