"""The description of this API in OpenAPI 3.0.3."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import eo
from api.asked import JSON
from api.describe import input_schemas
from api.dialect import openapi_schema
from api.documents import DESCRIPTION, OPENAPI_JSON, TITLE
from api.models import (
    STATUS_CODES,
    Conformance,
    JobList,
    LandingPage,
    Problem,
    ProcessDescription,
    ProcessList,
    ResultFile,
    StatusInfo,
)
from api.problem import PROBLEM_JSON
from eo.job import Process
from registry import PROCESSES, process

DOCUMENTS = (
    LandingPage,
    Conformance,
    ProcessList,
    ProcessDescription,
    JobList,
    StatusInfo,
    ResultFile,
    Problem,
)
PROBLEMS = {
    "400": "A part of the request is not readable",
    "401": "Nobody can be named who asks",
    "404": "There is none, or none of yours",
    "406": "Accept leaves out what there is",
    "409": "The job does not allow it now",
    "413": "The body is too large",
    "415": "The body is not JSON by its Content-Type",
    "422": "The order is not valid",
    "429": "Later, please",
    "500": "A fault of the service",
    "503": "Later, please",
}
ANYWHERE = ("406", "500")
OWNED = (*ANYWHERE, "401", "429", "503")
JOB_ID = {
    "name": "jobID",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
}
SECURITY = {
    "aws": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4, service execute-api. Jobs belong to an IAM user, a user of IAM Identity Center, "
        "an identity of a Cognito identity pool, or else to a role: those who share a role share its jobs",
        "x-amazon-apigateway-authtype": "awsSigv4",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Jobs belong to the token's subject",
    },
}


@lru_cache(maxsize=4)
def openapi(base: str, *, local_files: bool) -> str:
    """The document as JSON, for the service at an address."""
    document: dict[str, Any] = {
        "openapi": "3.0.3",
        "info": {
            "title": TITLE,
            "version": eo.__version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": base}],
        "paths": {**_documents(), **_orders(local_files=local_files), **_jobs()},
        "components": {
            "schemas": {model.__name__: openapi_schema(model.model_json_schema()) for model in DOCUMENTS},
            "responses": {code: _problem(text) for code, text in PROBLEMS.items()},
        },
    }
    if not local_files:
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{name: []} for name in SECURITY]
    return json.dumps(document)


def _documents() -> dict[str, Any]:
    page = _answer("The landing page", _ref("LandingPage"))
    page["content"]["text/html"] = {"schema": {"type": "string"}}
    known = {
        "name": "processID",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "enum": list(PROCESSES)},
    }
    return {
        "/": {"get": _operation("landingPage", "Where everything is", {"200": page}, ANYWHERE)},
        "/conformance": {
            "get": _operation(
                "conformance",
                "Which requirements are met",
                {"200": _answer("The requirements classes", _ref("Conformance"))},
                ANYWHERE,
            )
        },
        "/api": {
            "get": _operation(
                "api",
                "This document",
                {
                    "200": {
                        "description": "OpenAPI 3.0",
                        "content": {kind: {"schema": {"type": "object"}} for kind in (OPENAPI_JSON, JSON)},
                    }
                },
                ANYWHERE,
            )
        },
        "/processes": {
            "get": _operation(
                "processes",
                "What can be ordered",
                {"200": _answer("The processes", _ref("ProcessList"))},
                (*ANYWHERE, "400"),
                _paging(),
            )
        },
        "/processes/{processID}": {
            "get": _operation(
                "process",
                "A process with its inputs and outputs",
                {"200": _answer("The process", _ref("ProcessDescription"))},
                (*ANYWHERE, "404"),
                [known],
            )
        },
    }


def _orders(*, local_files: bool) -> dict[str, Any]:
    """One path for each process: their inputs differ."""
    return {
        f"/processes/{name}/execution": {"post": _order(process(name), local_files=local_files)} for name in PROCESSES
    }


def _order(service: Process, *, local_files: bool) -> dict[str, Any]:
    required = [name for name, field in service.Inputs.model_fields.items() if field.is_required()]
    inputs = {
        "type": "object",
        "description": 'each input as it is, or as a qualified value: {"value": ...}',
        "properties": input_schemas(service.Inputs, local_files=local_files),
        "required": required,
        "additionalProperties": False,
    }
    wanted = {
        "type": "object",
        "properties": {"transmissionMode": {"type": "string", "enum": ["reference"]}, "format": {"type": "object"}},
        "additionalProperties": False,
    }
    body = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": inputs,
            "outputs": {
                "type": "object",
                "description": "all outputs are made and linked, whichever are named here",
                "properties": dict.fromkeys(service.outputs, wanted),
                "additionalProperties": False,
            },
            "response": {"type": "string", "enum": ["document"], "default": "document"},
            "mode": {"type": "string", "enum": ["async", "auto"], "default": "async"},
        },
        "additionalProperties": False,
    }
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "orders with the same key are one job; sent again, a failed or stopped one goes on",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    }
    created = _answer("The job, accepted", _ref("StatusInfo"))
    created["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    return {
        **_operation(
            f"order-{service.id}",
            f"Order: {service.title}",
            {"201": created},
            (*OWNED, "400", "404", "409", "413", "415", "422"),
            [key],
        ),
        "description": f"{service.description}. The job runs asynchronously, whatever `Prefer` says.",
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
    }


def _jobs() -> dict[str, Any]:
    status = _answer("The job", _ref("StatusInfo"))
    files = {"type": "object", "additionalProperties": _ref("ResultFile")}
    filters = [
        _listed("type", {"type": "string", "enum": ["process"]}),
        _listed("status", {"type": "string", "enum": list(STATUS_CODES)}),
        _listed("processID", {"type": "string"}),
        _query("datetime", {"type": "string"}, "when it was ordered: a date or start/end interval (RFC 3339)"),
        _query("minDuration", _whole(0), "seconds of work, at least"),
        _query("maxDuration", _whole(0), "seconds of work, at most"),
    ]
    return {
        "/jobs": {
            "get": _operation(
                "jobs",
                "Your jobs, newest first",
                {"200": _answer("The jobs", _ref("JobList"))},
                (*OWNED, "400"),
                [*_paging(), *filters],
            )
        },
        "/jobs/{jobID}": {
            "get": _operation("job", "What became of a job", {"200": status}, (*OWNED, "404"), [JOB_ID]),
            "delete": _operation("dismiss", "Stop a job", {"200": status}, (*OWNED, "404", "409"), [JOB_ID]),
        },
        "/jobs/{jobID}/results": {
            "get": _operation(
                "results",
                "Links to what a job made; each is good for a while",
                {"200": _answer("Files by output", files)},
                (*OWNED, "404"),
                [JOB_ID],
            )
        },
    }


def _operation(
    name: str,
    summary: str,
    answers: Mapping[str, Any],
    problems: Sequence[str],
    parameters: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    refused = {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(problems)}
    return {
        "operationId": name,
        "summary": summary,
        **({"parameters": list(parameters)} if parameters else {}),
        "responses": {**answers, **refused},
    }


def _answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {JSON: {"schema": schema}}}


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM_JSON: {"schema": _ref("Problem")}}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _paging() -> list[dict[str, Any]]:
    return [
        _query("limit", _whole(1), "how many are given at once; at most 1,000, whatever is asked for"),
        _query("offset", _whole(0), "how many are left out before"),
    ]


def _listed(name: str, item: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_query(name, {"type": "array", "items": item, "minItems": 1}, "one or more"),
        "style": "form",
        "explode": False,
    }


def _query(name: str, schema: Mapping[str, Any], text: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _whole(least: int) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, "maximum": 999_999_999}
