"""An order as it comes over HTTP: the execution request of OGC API - Processes, and its idempotency key."""

import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api.describe import CRS84, is_box
from api.problem import Refusal
from eo.errors import InvalidInput
from eo.inputs import check_deployed
from eo.job import Process

SUBSCRIBER = "subscriber: there are no callbacks here; ask for the job's status instead"
KEY = re.compile(r"[!-~]{1,200}")
"""What an Idempotency-Key may be."""
QUALIFIED = frozenset({"value", "mediaType", "encoding", "schema", "format"})
"""Fields of a qualified value; what stands beside the value says nothing here that the value does not."""


class OutputWanted(BaseModel):
    """How an output is wanted: by reference, which is the only way."""

    model_config = ConfigDict(extra="forbid")

    transmission_mode: Annotated[Literal["reference"], Field(alias="transmissionMode")] = "reference"
    format: dict[str, Any] | None = None


class Execution(BaseModel):
    """The body of an order."""

    model_config = ConfigDict(extra="forbid")

    inputs: dict[str, Any] = {}
    outputs: dict[str, OutputWanted] = {}
    response: Literal["document"] = "document"
    mode: Literal["async", "auto"] = "async"


def ordered_inputs(document: object, service: Process, *, local_files: bool) -> dict[str, Any]:
    """The inputs of an execution request, bare as the command line has them. Raises InvalidInput naming the fault.

    The values themselves are left to the process' own model.
    """
    if not isinstance(document, dict):
        raise InvalidInput(
            'the body is not an object; an order looks like {"inputs": {"bbox": [11.2, 46.4, 11.6, 46.7]}}'
        )
    if "subscriber" in document:
        raise InvalidInput(SUBSCRIBER)
    try:
        asked = Execution.model_validate(document)
    except ValidationError as error:
        raise InvalidInput(_fault(error)) from None
    unknown = [name for name in asked.outputs if name not in service.outputs]
    if unknown:
        raise InvalidInput(f"outputs {unknown[0][:80]!r} is not known; there are: {', '.join(service.outputs)}")
    inputs = {name: _bare(name, value, service) for name, value in asked.inputs.items()}
    if not local_files:
        check_deployed(inputs)
    return inputs


def idempotency_key(header: str | None) -> str:
    """The key of an order, a new one where the caller gives none. Raises 400 where it is not visible ASCII."""
    if header is None:
        return uuid.uuid4().hex
    if KEY.fullmatch(header):
        return header
    raise Refusal(
        HTTPStatus.BAD_REQUEST,
        f"Idempotency-Key has {len(header)} characters, or some outside of visible ASCII; it may be 1 to 200 of these, such as a UUID",
    )


def _bare(name: str, value: Any, service: Process) -> Any:  # noqa: ANN401 - inputs have the types that they have
    """A value without what OGC API may wrap it into. Raises InvalidInput where it stands elsewhere, or in another CRS."""
    if not isinstance(value, dict):
        return value
    if "href" in value:
        raise InvalidInput(f"{name[:80]} is a reference, which is not followed; give the value itself")
    if "value" in value and QUALIFIED.issuperset(value):
        return _bare(name, value["value"], service)
    if is_box(service.Inputs, name) and "bbox" in value:
        return _box(name, value)
    raise InvalidInput(f'{name[:80]} is an object; give the value itself, or {{"value": ...}}')


def _box(name: str, value: Mapping[str, Any]) -> Any:  # noqa: ANN401
    crs = value.get("crs", CRS84)
    if crs != CRS84 or not {"bbox", "crs"}.issuperset(value):
        raise InvalidInput(f"{name} crs {str(crs)[:80]!r}: boxes are taken in {CRS84} alone, and have bbox and crs")
    return value["bbox"]


def _fault(error: ValidationError) -> str:
    """The first fault of the body around the inputs, with what would do."""
    fault = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in fault["loc"])[:80]
    if fault["type"] == "extra_forbidden":
        return f"{place} is not a part of an order; its parts are: {', '.join(Execution.model_fields)}"
    remedies = {
        "response": "results are a document of links; leave it out, or say document",
        "mode": "jobs run asynchronously; leave it out, or say async",
    }
    reason = remedies.get(place, "outputs are given by reference" if "transmission" in place else str(fault["msg"]))
    return f"{place} {str(fault['input'])[:80]!r}: {reason[:1].lower()}{reason[1:]}"
