"""Command-line options from a process's pydantic model: one option for each input."""

import argparse
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from eo.inputs import LOCAL_INPUTS


def add_inputs(parser: argparse.ArgumentParser, model: type[BaseModel]) -> None:
    """Add an option for each field. Values stay as typed: the model validates, so that messages are the same everywhere."""
    group = parser.add_argument_group("inputs")
    for name, info in model.model_fields.items():
        flag = "--" + name.replace("_", "-")
        if _kinds(info) == [bool]:
            group.add_argument(
                flag,
                dest=name,
                action=argparse.BooleanOptionalAction,
                default=argparse.SUPPRESS,
                help=_help(info),
            )
        else:
            group.add_argument(
                flag,
                dest=name,
                default=argparse.SUPPRESS,
                required=info.is_required(),
                metavar=_metavar(name, info),
                help=_help(info),
            )


def typed_inputs(arguments: argparse.Namespace, model: type[BaseModel]) -> dict[str, Any]:
    """The inputs that were given, as typed; paths absolute, so that a job can be gone on with from anywhere."""
    given = {name: getattr(arguments, name) for name in model.model_fields if hasattr(arguments, name)}
    return absolute(given)


def absolute(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs with local files as the present folder makes them; what is no text is left to the model."""
    return {
        name: str(Path(value).expanduser().absolute()) if name in LOCAL_INPUTS and isinstance(value, str) else value
        for name, value in inputs.items()
    }


def _kinds(info: FieldInfo) -> list[Any]:
    """The types that a field takes, without None."""
    annotation = info.annotation
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return [annotation]


def _metavar(name: str, info: FieldInfo) -> str:
    kind = _kinds(info)[0]
    if typing.get_origin(kind) is Literal:
        return "|".join(typing.get_args(kind))
    return {int: "N", float: "X"}.get(kind, name.upper().replace("_", "-"))


def _help(info: FieldInfo) -> str:
    text = info.description or ""
    default = ",".join(info.default) if isinstance(info.default, tuple) else info.default
    shown = default is not PydanticUndefined and default is not None
    return (f"{text} (default {default})" if shown else text).replace("%", "%%")
