"""Pydantic's JSON schemas (draft 2020-12) in the dialect of OpenAPI 3.0, which OGC API - Processes 1.0 speaks."""

from collections.abc import Mapping
from typing import Any

KEPT = "$defs"


def openapi_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that needs no other: references resolved, null as `nullable`, `const` as `enum`.

    Schemas that refer to themselves have no such form; no input here is one.
    """
    definitions = schema.get(KEPT, {})
    return _converted({name: value for name, value in schema.items() if name != KEPT}, definitions)


def _converted(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _converted({**definitions[name], **beside}, definitions)
    result: dict[str, Any] = {}
    for key, value in schema.items():
        result |= _keyword(key, value, definitions)
    return _without_null(result)


def _keyword(key: str, value: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    result: dict[str, Any] = {key: value}
    if key in {"anyOf", "oneOf", "allOf"}:
        result = {key: [_converted(each, definitions) for each in value]}
    elif key in {"items", "additionalProperties"} and isinstance(value, Mapping):
        result = {key: _converted(value, definitions)}
    elif key == "properties":
        result = {key: {name: _converted(each, definitions) for name, each in value.items()}}
    elif key == "const":
        result = {"enum": [value]}
    elif key in {"exclusiveMinimum", "exclusiveMaximum"}:
        # OpenAPI 3.0 says whether the limit itself is out, in a keyword of its own.
        result = {key.removeprefix("exclusive").lower(): value, key: True}
    elif key == "default" and value is None:
        result = {}
    return result


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """`anyOf: [X, null]` as X with `nullable`; the words around it stay, and win over those of X."""
    choices = schema.get("anyOf", [])
    real = [choice for choice in choices if choice.get("type") != "null"]
    if len(real) == len(choices):
        return schema
    around = {key: value for key, value in schema.items() if key != "anyOf"}
    inner: dict[str, Any] = real[0] if len(real) == 1 else {"anyOf": real}
    return {**inner, **around, "nullable": True}
