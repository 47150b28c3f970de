"""template.yaml as plain data, and what the SAM environment makes of it."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
SAM = ROOT / ".venv-sam" / "bin"
QUIET = {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1", "AWS_EC2_METADATA_DISABLED": "true"}

Node = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions."""


def _function(loader: _Loader, tag: str, node: yaml.Node) -> Node:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if tag == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {tag if tag in {"Ref", "Condition"} else f"Fn::{tag}": value}


_Loader.add_multi_constructor("!", _function)


def load(path: Path) -> Node:
    """A template as CloudFormation's JSON would have it."""
    return yaml.load(path.read_text(), Loader=_Loader)


@cache
def template() -> Node:
    return load(ROOT / "template.yaml")


def resources(kind: str) -> dict[str, Node]:
    """Resources of a type, by logical id."""
    return {name: found for name, found in template()["Resources"].items() if found["Type"] == kind}


def functions() -> dict[str, Node]:
    """Properties of the functions, with those of Globals, by logical id."""
    common = template()["Globals"]["Function"]
    made = {}
    for name, found in resources("AWS::Serverless::Function").items():
        own = found["Properties"]
        variables = {**common["Environment"]["Variables"], **own.get("Environment", {}).get("Variables", {})}
        logged = {**common["LoggingConfig"], **own["LoggingConfig"]}
        made[name] = {**common, **own, "LoggingConfig": logged, "Environment": {"Variables": variables}}
    return made


def values(node: Any) -> Iterator[Any]:
    """Every value below a node, itself included."""
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from values(child)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements() -> Iterator[tuple[str, Node]]:
    """(logical id, statement) of all policies; both branches of a condition."""
    for name, found in template()["Resources"].items():
        properties = found["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties[key] for key in ("PolicyDocument", "AssumeRolePolicyDocument") if key in properties]
        for document in documents:
            for statement in document["Statement"]:
                branches = statement["Fn::If"][1:] if "Fn::If" in statement else [statement]
                yield from ((name, branch) for branch in branches if "Effect" in branch)


def sam(command: str, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run a command of the SAM environment in the repository; skips where that is not installed."""
    if not (SAM / command).exists():
        pytest.skip("the SAM environment is not installed: make sam")
    return subprocess.run(
        [SAM / command, *arguments],
        cwd=ROOT,
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


_TRANSFORM = """
import json, sys
from samtranslator.sdk.parameter import SamParameterValues
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
template = json.load(sys.stdin)
print(json.dumps(Translator({}, Parser()).translate(template, parameter_values={})))
"""


@cache
def transformed() -> Node:
    """The template as CloudFormation gets it once SAM has transformed it. Skips without the SAM environment."""
    if not (SAM / "python").exists():
        pytest.skip("the SAM environment is not installed: make sam")
    packaged = json.loads(json.dumps(template()))
    # As `sam package` leaves it: what is local lies in a bucket.
    packaged["Globals"]["Function"]["CodeUri"] = "s3://bucket/code"
    for found in packaged["Resources"].values():
        properties = found["Properties"]
        if "ContentUri" in properties:
            properties["ContentUri"] = "s3://bucket/layer"
        if "DefinitionUri" in properties:
            properties["DefinitionUri"] = "s3://bucket/workflow"
    done = subprocess.run(
        [SAM / "python", "-c", _TRANSFORM],
        input=json.dumps(packaged),
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
