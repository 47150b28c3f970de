"""Errors as problem details (RFC 9457), with the exception types of OGC API - Processes where it has one."""

import json
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response

from eo.errors import EoShardsError, NotReady, UnknownJob
from eo.settings import Settings, redact

PROBLEM_JSON = "application/problem+json"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
"""Where OGC 18-062r2 keeps its exception types."""
NO_SUCH_PROCESS = f"{EXCEPTIONS}/no-such-process"
NO_SUCH_JOB = f"{EXCEPTIONS}/no-such-job"
RESULT_NOT_READY = f"{EXCEPTIONS}/result-not-ready"
BLANK = "about:blank"
"""The type of a problem that its HTTP status says enough about; its title then is the status' own (RFC 9457, 4.2.1)."""
RETRY_SECONDS = 10
"""What a client is told to wait where a later try may succeed."""

MAX_DETAIL = 2000
"""Characters of a detail: it quotes what came in, and that may be of any length."""

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of every answer about somebody's jobs, and of every problem."""


LOGGER = Logger(service="eo-shards-api")


class Refusal(Exception):
    """A request that HTTP or OGC API itself has a word for; what concerns an order is an `EoShardsError`."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        kind: str = BLANK,
        title: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.title = title or status.phrase
        self.headers = dict(headers or {})


def refused(refusal: Refusal) -> Response[str]:
    """The answer to such a request."""
    problem = {
        "type": refusal.kind,
        "title": refusal.title,
        "status": int(refusal.status),
        "detail": refusal.detail[:MAX_DETAIL],
    }
    return _response(refusal.status, problem, refusal.headers)


def explained(error: EoShardsError, settings: Settings) -> Response[str]:
    """The answer where an order, or what becomes of it, is refused; only what is the service's own fault is logged."""
    status = HTTPStatus(error.http_status)
    kind, title = _named(error, status)
    detail = redact(str(error), settings)[:MAX_DETAIL]
    problem = {
        "type": kind,
        "title": title,
        "status": int(status),
        "detail": detail,
        "error": type(error).__name__,
    }
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        LOGGER.error("a request failed", error=type(error).__name__, detail=detail)
    return _response(status, problem, {"Retry-After": str(RETRY_SECONDS)} if error.retryable else {})


def unexpected(error: Exception, settings: Settings, request: str) -> Response[str]:
    """The answer to a fault of ours: what happened goes to the log, and only its name to the caller."""
    LOGGER.error(
        "a request met a fault of eo-shards",
        error=type(error).__name__,
        request=request,
        trace=redact("".join(traceback.format_exception(error)), settings),
    )
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    found = f" under the request id {request}" if request else ""
    detail = f"the service failed; its log has the cause{found}. Please report it; trying again may help"
    problem = {"type": BLANK, "title": status.phrase, "status": int(status), "detail": detail}
    return _response(status, problem, {})


def as_event(response: Response[str]) -> dict[str, Any]:
    """An answer as a function returns it, where there is no resolver to make it."""
    return {"statusCode": int(response.status_code), "headers": response.headers, "body": response.body}


def _named(error: EoShardsError, status: HTTPStatus) -> tuple[str, str]:
    if isinstance(error, UnknownJob):
        return NO_SUCH_JOB, "No such job"
    if isinstance(error, NotReady):
        return RESULT_NOT_READY, "Result not ready"
    return BLANK, status.phrase


def _response(status: HTTPStatus, problem: Mapping[str, Any], headers: Mapping[str, str]) -> Response[str]:
    return Response(
        status_code=status, content_type=PROBLEM_JSON, body=json.dumps(problem), headers={**HEADERS, **headers}
    )
