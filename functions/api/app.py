"""The routes: an event of API Gateway (HTTP API, payload 2.0) in, its answer out. A route parses, calls, and answers."""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response

from api import documents, page, web
from api.asked import JSON, base_url, body, json_document, media_type
from api.describe import description, summaries
from api.execution import idempotency_key, ordered_inputs
from api.joblist import Page, chosen
from api.openapi import openapi
from api.problem import HEADERS, NO_SUCH_PROCESS, Refusal, as_event, explained, refused, unexpected
from eo.errors import EoShardsError, JobBusy, SourceUnavailable, UnknownJob
from eo.job import Process, Status
from eo.order import job_id
from eo.service import Service
from eo.settings import Settings
from registry import PROCESSES, process

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

Event = dict[str, Any]
Owner = Callable[[Mapping[str, Any]], str]
"""Who asks, from the event. Raises Refusal (401) where nobody can be named."""
App = Callable[[Event, object], Event]

JOB = re.compile("[0-9a-f]{16}")
"""What an id of a job looks like."""
ROUTES = (
    ("GET", "/", "landing"),
    ("GET", "/conformance", "conformance"),
    ("GET", "/api", "api"),
    ("GET", "/processes", "processes"),
    ("GET", "/processes/<process_id>", "process"),
    ("POST", "/processes/<process_id>/execution", "execute"),
    ("GET", "/jobs", "jobs"),
    ("GET", "/jobs/<job_id>", "job"),
    ("DELETE", "/jobs/<job_id>", "dismiss"),
    ("GET", "/jobs/<job_id>/results", "results"),
)
PAGES = (
    ("GET", "/jobs/<job_id>/view", "view"),
    ("GET", "/static/<name>", "static"),
)
"""For people with a browser: no part of what the API describes of itself."""


def make_app(service: Service, *, settings: Settings, owner: Owner, local_files: bool) -> App:
    """The application. `local_files` allows inputs that name files of the machine on which it runs.

    One event at a time: powertools keeps the present one in the resolver's class.
    """
    resolver = APIGatewayHttpResolver(debug=False)
    routes = Routes(resolver, service, owner, local_files=local_files)
    for method, rule, name in (*ROUTES, *PAGES):
        resolver.route(rule, method=method)(getattr(routes, name))
    resolver.not_found(lambda _error: routes.no_route())
    resolver.exception_handler(Refusal)(refused)
    resolver.exception_handler(EoShardsError)(lambda error: explained(error, settings))
    resolver.exception_handler(Exception)(lambda error: unexpected(error, settings, routes.request_id()))

    def app(event: Event, context: object) -> Event:
        try:
            method = _checked(event)
        except Refusal as refusal:
            return as_event(refused(refusal))
        # HEAD is GET without the body (RFC 9110, 9.3.2).
        asked = _with_method(event, "GET") if method == "HEAD" else event
        answer = resolver.resolve(asked, cast("LambdaContext", context))
        return {**answer, "body": "", "isBase64Encoded": False} if method == "HEAD" else answer

    return app


class Routes:
    """What is done on each route. Raises Refusal and EoShardsError, which the resolver turns into problems."""

    def __init__(self, resolver: APIGatewayHttpResolver, service: Service, owner: Owner, *, local_files: bool) -> None:
        self._resolver = resolver
        self._service = service
        self._owner = owner
        self._local_files = local_files

    def landing(self) -> Response[str]:
        """The landing page, for programs or for people."""
        kind = media_type(self._header("Accept"), [JSON, "text/html"])
        found = documents.landing_page(self._base)
        if kind == JSON:
            return _json(found.text(), {"Vary": "Accept"})
        if web.built():
            shown = web.page(web.LANDING, elsewhere=not self._local_files)
            shown.headers["Vary"] = "Accept"
            return shown
        text = page.html(found, summaries(self._base), self._base)
        return Response(HTTPStatus.OK, page.HTML, text, headers={**page.HEADERS, "Vary": "Accept"})

    def conformance(self) -> Response[str]:
        """What of OGC API - Processes is met."""
        self._accept_json()
        return _json(documents.conformance().text())

    def api(self) -> Response[str]:
        """What this API is, in OpenAPI 3.0."""
        kind = media_type(self._header("Accept"), [documents.OPENAPI_JSON, JSON])
        return Response(
            HTTPStatus.OK, kind, openapi(self._base, local_files=self._local_files), headers={"Vary": "Accept"}
        )

    def processes(self) -> Response[str]:
        """What can be ordered."""
        self._accept_json()
        asked, found = Page.asked(self._query), summaries(self._base)
        links = asked.links(f"{self._base}/processes", self._query, len(found))
        return _json(documents.process_list(asked.of(found), links).text())

    def process(self, process_id: str) -> Response[str]:
        """One process with its inputs and outputs."""
        self._accept_json()
        return _json(description(_known(process_id), self._base, local_files=self._local_files).text())

    def execute(self, process_id: str) -> Response[str]:
        """Order a process."""
        self._accept_json()
        owner, ordered = self._caller, _known(process_id)
        key = idempotency_key(self._header("Idempotency-Key"))
        document = json_document(body(self._event), self._header("Content-Type"))
        inputs = ordered_inputs(document, ordered, local_files=self._local_files)
        status = self._ordered(process_id, inputs, owner=owner, key=key)
        # Every job runs asynchronously, whatever is preferred (OGC 18-062r2, requirement default-execution-mode).
        headers = {"Location": f"{self._base}/jobs/{status.job}"}
        if "respond-async" in (self._header("Prefer") or ""):
            headers["Preference-Applied"] = "respond-async"
        return self._status(status, HTTPStatus.CREATED, headers)

    def _ordered(self, process_id: str, inputs: Mapping[str, Any], *, owner: str, key: str) -> Status:
        """Order. A job that was written down but not started is accepted all the same: who looks at it later starts it.

        Not where the caller has sent a key: sent again with it, the order starts the job at once.
        """
        try:
            return self._service.order(process_id, inputs, owner=owner, key=key)
        except SourceUnavailable:
            if self._header("Idempotency-Key") is None:
                with suppress(EoShardsError):
                    return self._service.status(job_id(owner, key), owner=owner)
            raise

    def jobs(self) -> Response[str]:
        """The caller's jobs."""
        self._accept_json()
        asked = Page.asked(self._query)
        found = chosen(self._service.jobs(owner=self._caller), self._query, dt.datetime.now(dt.UTC))
        # Without progress: it takes a look at each job's parts.
        infos = [documents.status_info(status, self._base, None) for status in asked.of(found)]
        links = asked.links(f"{self._base}/jobs", self._query, len(found))
        return _json(documents.job_list(infos, links).text(), HEADERS)

    def job(self, job_id: str) -> Response[str]:
        """What became of a job."""
        self._accept_json()
        return self._status(self._service.status(_id(job_id), owner=self._caller))

    def dismiss(self, job_id: str) -> Response[str]:
        """Stop a job."""
        self._accept_json()
        status = self._service.dismiss(_id(job_id), owner=self._caller)
        if status.state != "stopped":
            raise JobBusy(
                f"job {job_id} is {status.state} and cannot be stopped any more; leave it, what it made stays"
            )
        return self._status(status)

    def results(self, job_id: str) -> Response[str]:
        """Links to what a job made."""
        self._accept_json()
        owner = self._caller
        status, result = self._service.status(_id(job_id), owner=owner), self._service.result(job_id, owner=owner)
        links = {name: self._service.link(job_id, name) for name in result.files}
        return _json(documents.results(result, process(status.process), links), HEADERS)

    def view(self, job_id: str) -> Response[str]:
        """The page that shows a job's result. It asks for that itself: a browser that opens a page sends no credentials.

        So it is the page, too, that says that there is no such job.
        """
        media_type(self._header("Accept"), ["text/html"])
        shown = web.page(web.VIEW, elsewhere=not self._local_files)
        if not JOB.fullmatch(job_id):
            shown.status_code = HTTPStatus.NOT_FOUND
        return shown

    def static(self, name: str) -> Response[bytes]:
        """A script, style or picture of the pages."""
        return web.static(name, self._header("Accept-Encoding"))

    def no_route(self) -> Response[str]:
        """OPTIONS, a method that a place does not have, or no place at all."""
        path, method = self._resolver.current_event.path, self._resolver.current_event.http_method
        allowed = _methods(path)
        if not allowed or (method in allowed and method != "OPTIONS"):
            raise Refusal(HTTPStatus.NOT_FOUND, f"there is nothing at {path[:200]!r}; GET / says what there is")
        headers = {"Allow": ", ".join(allowed)}
        if method == "OPTIONS":
            return Response(HTTPStatus.NO_CONTENT, headers=headers, body="")
        raise Refusal(
            HTTPStatus.METHOD_NOT_ALLOWED,
            f"{method[:40]} is not done here; there are: {headers['Allow']}",
            headers=headers,
        )

    def request_id(self) -> str:
        """The present request's name in the logs."""
        return str(self._event["requestContext"].get("requestId", ""))

    @property
    def _event(self) -> Mapping[str, Any]:
        return self._resolver.current_event.raw_event

    @property
    def _base(self) -> str:
        return base_url(self._event)

    @property
    def _caller(self) -> str:
        return self._owner(self._event)

    @property
    def _query(self) -> Mapping[str, str]:
        return self._resolver.current_event.query_string_parameters or {}

    def _header(self, name: str) -> str | None:
        return self._resolver.current_event.headers.get(name)

    def _accept_json(self) -> None:
        media_type(self._header("Accept"), [JSON])

    def _status(
        self, status: Status, code: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None
    ) -> Response[str]:
        info = documents.status_info(status, self._base, self._service.progress(status))
        return Response(code, JSON, info.text(), headers={**HEADERS, **(headers or {})})


def _json(text: str, headers: Mapping[str, str] | None = None) -> Response[str]:
    return Response(HTTPStatus.OK, JSON, text, headers=headers)


def _known(identifier: str) -> Process:
    if identifier in PROCESSES:
        return process(identifier)
    raise Refusal(
        HTTPStatus.NOT_FOUND,
        f"process {identifier[:80]!r} is not known; there are: {', '.join(PROCESSES)}",
        kind=NO_SUCH_PROCESS,
        title="No such process",
    )


def _id(job: str) -> str:
    """The id of a job, which becomes a part of keys. Raises UnknownJob where it cannot be one."""
    if JOB.fullmatch(job):
        return job
    raise UnknownJob(f"there is no job {job[:40]!r} of yours; GET /jobs lists them")


def _methods(path: str) -> list[str]:
    """What can be done with a path."""
    found = {method for method, rule, _ in (*ROUTES, *PAGES) if re.fullmatch(re.sub("<[a-z_]+>", "[^/]+", rule), path)}
    return sorted(found | ({"HEAD"} if "GET" in found else set()) | ({"OPTIONS"} if found else set()))


def _with_method(event: Event, method: str) -> Event:
    context = event["requestContext"]
    return {**event, "requestContext": {**context, "http": {**context["http"], "method": method}}}


def _checked(event: Event) -> str:
    """The method of an event. Raises 400 where it is none of an HTTP API's."""
    try:
        method, _path = event["requestContext"]["http"]["method"], event["rawPath"]
    except (KeyError, TypeError):
        raise Refusal(
            HTTPStatus.BAD_REQUEST, "this function takes events of an API Gateway HTTP API, payload format 2.0"
        ) from None
    return str(method)
