"""The HTTP API without a network: events in, answers out, and every answer held against OGC's schemas."""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator, FormatChecker

from api.app import App, make_app
from api.handler import caller
from eo.errors import EoShardsError, InvalidInput, NotReady, UnknownJob
from eo.job import Result, Status
from eo.order import job_id, validated
from eo.settings import Settings
from registry import process

BASE = "https://api.example"
BOX = {"bbox": [11.2, 46.4, 11.3, 46.5]}
EXECUTION = "/processes/point-cloud/execution"
SCHEMAS = Path(__file__).parent / "api" / "schemas" / "processes-core-1.0.0.json"
DOCUMENTS = (
    (r"/", "landingPage"),
    (r"/conformance", "confClasses"),
    (r"/processes", "processList"),
    (r"/processes/[^/]+", "process"),
    (r"/processes/[^/]+/execution", "statusInfo"),
    (r"/jobs", "jobList"),
    (r"/jobs/[^/]+", "statusInfo"),
    (r"/jobs/[^/]+/results", "results"),
)
TRACE = re.compile(r'File \\?"[^"]+", line \d+')
"""A line of a traceback, also within JSON. Its first word will not do: generated requests hold it, and are quoted."""
SETTINGS = Settings.from_environment({"EO_SHARDS_HOME": "/nonexistent"})


@lru_cache
def _validator(name: str) -> Draft202012Validator:
    definitions = json.loads(SCHEMAS.read_text())["$defs"]
    return Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions}, format_checker=FormatChecker())


def valid(document: object, name: str) -> None:
    _validator(name).validate(document)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0]


def checked(path: str, answer: Answer) -> Answer:
    """An answer that is what OGC and RFC 9457 ask for."""
    assert not TRACE.search(answer.text)
    if re.fullmatch("/jobs/[^/]+/view", path) and answer.kind == "text/html":
        assert answer.status in {200, 404}, "a page, which itself says that there is no such job"
    elif answer.status >= 400:
        assert answer.kind == "application/problem+json", answer
        if answer.text:
            valid(answer.json, "exception")
            assert answer.json["status"] == answer.status
    elif answer.kind == "application/json" and answer.text:
        for pattern, name in DOCUMENTS:
            if re.fullmatch(pattern, path):
                valid(answer.json, name)
    return answer


@dataclass
class MemoryService:
    """The job service in memory: jobs move only when a test moves them."""

    records: dict[str, Status] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    fails: EoShardsError | Exception | None = None
    starts: EoShardsError | None = None
    """What befalls a job that is written down when it is to be started."""
    clock: dt.datetime = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)

    def order(
        self,
        process_id: str,
        inputs: Mapping[str, Any],
        *,
        owner: str,
        key: str,
        origin: Mapping[str, Any] | None = None,
    ) -> Status:
        self._fail()
        assert origin is None
        validated(process(process_id), inputs)
        job = job_id(owner, key)
        if self.inputs.setdefault(job, (process_id, dict(inputs))) != (process_id, dict(inputs)):
            raise InvalidInput("this key came with other inputs")
        known = self.records.get(job)
        if known is None or known.state in {"failed", "stopped"}:
            self.clock += dt.timedelta(seconds=1)
            now = self.clock.isoformat()
            attempt = known.attempt + 1 if known else 1
            created = known.created if known else now
            self.records[job] = Status(
                job=job, process=process_id, attempt=attempt, state="accepted", created=created, updated=now
            )
            self.owners[job] = owner
        if self.starts is not None:
            raise self.starts
        return self.records[job]

    def status(self, job: str, *, owner: str) -> Status:
        self._fail()
        if self.owners.get(job) != owner:
            raise UnknownJob(f"there is no job {job}")
        return self.records[job]

    def jobs(self, *, owner: str) -> list[Status]:
        self._fail()
        return [status for job, status in reversed(self.records.items()) if self.owners[job] == owner]

    def progress(self, status: Status) -> int:
        return {"accepted": 0, "successful": 100}.get(status.state, 40)

    def dismiss(self, job: str, *, owner: str) -> Status:
        status = self.status(job, owner=owner)
        if status.state in {"accepted", "running"}:
            self.move(job, state="stopped")
        return self.records[job]

    def result(self, job: str, *, owner: str) -> Result:
        status = self.status(job, owner=owner)
        if status.state != "successful":
            raise NotReady(f"job {job} has no result, it is {status.state}")
        return Result(
            files={"point_cloud.ply": "a" * 64, "point_cloud.json": "b" * 64, "other.txt": "c" * 64}, summary={}
        )

    def link(self, job: str, name: str) -> str:
        return f"https://bucket.example/jobs/{job}/result/{name}?X-Amz-Signature=0"

    def move(self, job: str, **changes: Any) -> None:
        """Let something happen to a job."""
        self.records[job] = self.records[job].moved(**changes)

    def _fail(self) -> None:
        if self.fails is not None:
            raise self.fails


def event(
    method: str,
    target: str,
    body: bytes | str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    authorizer: Mapping[str, Any] | None = None,
    encoded: bool = False,
) -> dict[str, Any]:
    """What API Gateway hands to the function."""
    path, _, query = target.partition("?")
    parameters = {name: unquote(value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"x-forwarded-proto": "https", **(headers or {})},
        **({"queryStringParameters": parameters} if parameters else {}),
        "requestContext": {
            "domainName": "api.example",
            "requestId": "request-1",
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            **({"authorizer": authorizer} if authorizer is not None else {}),
        },
        **({"body": body.decode() if isinstance(body, bytes) else body} if body is not None else {}),
        "isBase64Encoded": encoded,
    }


def user(name: str) -> dict[str, Any]:
    return {"iam": {"userArn": f"arn:aws:iam::123456789012:user/{name}", "accountId": "123456789012"}}


class Client:
    """Asks as somebody."""

    def __init__(self, app: App, authorizer: Mapping[str, Any] | None) -> None:
        self.app = app
        self.authorizer = authorizer

    def ask(
        self, method: str, target: str, body: bytes | str | None = None, *, encoded: bool = False, **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked = event(method, target, body, headers=named, authorizer=self.authorizer, encoded=encoded)
        # As the runtime does with whatever a handler returns.
        answer = json.loads(json.dumps(self.app(asked, None)))
        lower = {name.lower(): value for name, value in answer["headers"].items()}
        return checked(target.partition("?")[0], Answer(answer["statusCode"], lower, answer["body"]))

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, **headers)

    def order(self, inputs: Any = None, *, more: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        document = {"inputs": BOX if inputs is None else inputs, **(more or {})}
        return self.ask("POST", EXECUTION, json.dumps(document), **{"content_type": "application/json", **headers})


def app_of(service: MemoryService, *, local_files: bool = False, owner: Callable[..., str] = caller) -> App:
    return make_app(service, settings=SETTINGS, owner=owner, local_files=local_files)
