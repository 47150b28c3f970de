"""Processes as OGC API - Processes describes them, from their own models."""

from typing import Any

from pydantic import BaseModel

from api.dialect import openapi_schema
from api.models import InputDescription, Link, OutputDescription, ProcessDescription, ProcessSummary
from eo.bbox import BBox
from eo.inputs import LOCAL_INPUTS, OWN_WORDS, own_choices
from eo.job import Process
from registry import PROCESSES, process

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EXECUTE = "http://www.opengis.net/def/rel/ogc/1.0/execute"


def summaries(base: str) -> list[ProcessSummary]:
    """All processes, in the order of the registry."""
    return [ProcessSummary(**_common(process(identifier), base, "process")) for identifier in PROCESSES]


def description(service: Process, base: str, *, local_files: bool) -> ProcessDescription:
    """A process with its inputs and outputs; inputs that name files of the server only where they may be used."""
    schemas = input_schemas(service.Inputs, local_files=local_files)
    fields = service.Inputs.model_fields
    inputs = {
        name: InputDescription(
            title=schema.pop("title", name),
            description=schema.pop("description", ""),
            value_schema=schema,
            min_occurs=1 if fields[name].is_required() else 0,
        )
        for name, schema in schemas.items()
    }
    outputs = {
        name: OutputDescription(
            title=output.title,
            description=output.description,
            value_schema={"type": "string", "contentEncoding": "binary", "contentMediaType": output.media_type},
        )
        for name, output in service.outputs.items()
    }
    return ProcessDescription(**_common(service, base, "self"), inputs=inputs, outputs=outputs)


def input_schemas(model: type[BaseModel], *, local_files: bool) -> dict[str, dict[str, Any]]:
    """By input: its schema in the dialect of OpenAPI 3.0, as it is here or, without `local_files`, in a deployment."""
    refused = {} if local_files else own_choices()
    properties: dict[str, dict[str, Any]] = openapi_schema(model.model_json_schema())["properties"]
    schemas = {}
    for name, schema in properties.items():
        if not local_files and name in LOCAL_INPUTS:
            continue
        chosen = _without(schema, refused[name], OWN_WORDS[name]) if name in refused else schema
        schemas[name] = _either_box(chosen) if is_box(model, name) else chosen
    return schemas


def is_box(model: type[BaseModel], name: str) -> bool:
    """Whether an input is a bounding box, which OGC API writes as an object too."""
    return name in model.model_fields and model.model_fields[name].annotation is BBox


def _common(service: Process, base: str, rel: str) -> dict[str, Any]:
    href = f"{base}/processes/{service.id}"
    return {
        "id": service.id,
        "title": service.title,
        "description": service.description,
        "version": service.version,
        "links": [
            Link(href=href, rel=rel, type="application/json", title=service.title),
            Link(href=f"{href}/execution", rel=EXECUTE, type="application/json", title="Order it"),
        ],
    }


def _without(schema: dict[str, Any], choice: str, words: str) -> dict[str, Any]:
    """A schema without a choice, and without the words about it at the end of its description."""
    choices = [each for each in schema["enum"] if each != choice]
    return {**schema, "enum": choices, "description": schema["description"].removesuffix(words)}


def _either_box(schema: dict[str, Any]) -> dict[str, Any]:
    """Four numbers, or the bounding box object of OGC API - Processes around them."""
    words: dict[str, Any] = {key: schema[key] for key in ("title", "description") if key in schema}
    numbers = {key: value for key, value in schema.items() if key not in words}
    named = {"type": "string", "format": "uri", "enum": [CRS84], "default": CRS84}
    around = {
        "type": "object",
        "required": ["bbox"],
        "properties": {"bbox": numbers, "crs": named},
        "additionalProperties": False,
    }
    return {**words, "oneOf": [numbers, around]}
