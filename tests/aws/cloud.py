"""The bundle in a cloud of one process: S3, Step Functions and Secrets Manager by moto, Lambda by `aws.lambdas`.

moto executes the workflow's own definition. Where it is known to be kinder than AWS (a failed child of a distributed map
leaves the map successful), tests assert what the store holds.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.awslambda_simple.models import LambdaSimpleBackend
from moto.core.config import default_user_config
from moto.core.exceptions import JsonRESTError

from aws.lambdas import Lambdas, Throttled
from eo import executions
from eo.bucket_store import BucketStore
from eo.executions import StepFunctions
from eo.job import Result, Status
from eo.orders import BucketService
from peers.s3 import _MOTO, KEY, SECRET, S3Peer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from routes.loopback import Cdse

BUCKET = "eo-shards-data"
STACK = "eo-shards"
REGION = "us-east-1"
SECRET_NAME = "eo-shards/sources"
DEFINITION = Path(__file__).parents[2] / "functions" / "workflow.asl.json"
OWNER = "arn:aws:iam::123456789012:user/anna"
QUICK = {
    "EO_SHARDS_RETRY_DELAY": "0.01",
    "EO_SHARDS_RETRY_MAX_DELAY": "0.1",
    "EO_SHARDS_RETRY_ATTEMPTS": "2",
    "EO_SHARDS_TIMEOUT": "5",
    "EO_SHARDS_CHUNK": "64",
    "EO_SHARDS_COMPUTE_CONCURRENCY": "2",
    "EO_SHARDS_FETCH_CONCURRENCY": "2",
}


class TooMany(JsonRESTError):
    """What Lambda answers where reserved concurrency is used up."""

    code = 429

    def __init__(self) -> None:
        super().__init__("TooManyRequestsException", "Rate Exceeded.")


@dataclass
class Cloud:
    """A deployed bundle."""

    s3: S3Peer
    lambdas: Lambdas
    store: BucketStore
    machine: str

    @property
    def service(self) -> BucketService:
        """The job service, as api and upload have it."""
        return BucketService(self.store, StepFunctions(self.machine))

    def order(
        self, inputs: Mapping[str, Any], key: str = "key", owner: str = OWNER, process: str = "point-cloud"
    ) -> Status:
        return self.service.order(process, inputs, owner=owner, key=key)

    def wait(self, job: str, seconds: float = 120.0, owner: str = OWNER) -> Status:
        """Wait until a job has ended, as a client that polls."""
        end = time.monotonic() + seconds
        while True:
            status = self.service.status(job, owner=owner)
            if status.state not in {"accepted", "running"}:
                return status
            assert time.monotonic() < end, f"job {job} is still {status.state}: {self.lambdas.calls[-3:]}"
            time.sleep(0.2)  # each look is three requests to moto, which does all its work in this process

    def run(self, inputs: Mapping[str, Any], key: str = "key", process: str = "point-cloud") -> Status:
        return self.wait(self.order(inputs, key, process=process).job)

    def products(self, job: str) -> dict[str, bytes]:
        """The files of a result, by name."""
        result = Result.model_validate_json(self.store.read(f"jobs/{job}/result.json"))
        return {name: self.store.read(f"jobs/{job}/result/{name}") for name in result.files}

    def uploads(self) -> list[str]:
        """Keys of multipart uploads that are open."""
        found = _MOTO.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return [upload["Key"] for upload in found]


def definition(*, seconds: int | None = None) -> str:
    """The workflow with its substitutions; `seconds` caps the waits of retries, which tests have no time for."""
    text = DEFINITION.read_text()
    for name, value in substitutions().items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text, text
    machine = json.loads(text)
    if seconds is not None:
        for retry in _retries(machine):
            retry["IntervalSeconds"] = retry["MaxDelaySeconds"] = seconds
            retry["BackoffRate"] = 1.0
    return json.dumps(machine)


def substitutions() -> dict[str, str]:
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:{STACK}"
    return {"PlanFunction": f"{arn}-plan", "MergeFunction": f"{arn}-merge"}


def _retries(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield from node.get("Retry", [])
        for value in node.values():
            yield from _retries(value)
    elif isinstance(node, list):
        for value in node:
            yield from _retries(value)


@contextmanager
def cloud(
    environment: Mapping[str, str] | None = None, *, processes: int = 2, setup: str = "", timeout: float = 120.0
) -> Iterator[Cloud]:
    """A cloud with the bundle in it; `environment` is added to that of all functions, `setup` is as in Lambdas."""
    with S3Peer() as s3, pytest.MonkeyPatch.context() as patch:
        moto = "http://{}:{}".format(*_MOTO.address)
        common = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT_URL_S3": s3.url,
            "AWS_ENDPOINT_URL": moto,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in common.items():
            patch.setenv(name, value)
        patch.setenv("MOTO_PORT", str(_MOTO.address[1]))
        patch.setitem(default_user_config["stepfunctions"], "execute_state_machine", True)
        patch.setitem(default_user_config["lambda"], "use_docker", False)
        executions._client.cache_clear()
        lambdas = Lambdas(
            STACK,
            {
                **{name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ},
                **common,
                **QUICK,
                "ORT_DISABLE_TELEMETRY": "1",
                "EO_SHARDS_BUCKET": BUCKET,
                "EO_SHARDS_FUNCTIONS": STACK,
                **(environment or {}),
            },
            processes=processes,
            setup=setup,
            timeout=timeout,
        )

        def invoke(_self: Any, name: str, _qualifier: Any, body: Any, _headers: Any, answer: Any) -> bytes:
            try:
                answered = lambdas.invoke(name.rpartition(":")[2], json.loads(body))
            except Throttled:
                raise TooMany from None
            if answered.failed:
                answer["x-amz-function-error"] = "Unhandled"
            return json.dumps(answered.payload).encode()

        patch.setattr(LambdaSimpleBackend, "invoke", invoke)
        _MOTO.client.create_bucket(Bucket=BUCKET)
        machine = boto3.client("stepfunctions").create_state_machine(
            name=STACK, definition=definition(seconds=1), roleArn="arn:aws:iam::123456789012:role/workflow"
        )["stateMachineArn"]
        try:
            yield Cloud(s3, lambdas, BucketStore(BUCKET), machine)
        finally:
            lambdas.close()
            boto3.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
            executions._client.cache_clear()


def reaching(sources: Cdse) -> dict[str, str]:
    """The environment of functions that reach these sources, with keys from Secrets Manager."""
    places = ("CDSE_STAC_URL", "CDSE_S3_ENDPOINT", "EARTH_DATA_HUB_URL")
    return {name: sources.machine.env[name] for name in places} | {"EO_SHARDS_SECRET": SECRET_NAME}


def keep_keys(sources: Cdse) -> None:
    """Put the keys of these sources into the Secrets Manager of the running cloud."""
    keys = {name: sources.machine.env[name] for name in ("CDSE_KEY", "CDSE_SECRET", "EARTH_DATA_HUB_KEY")}
    boto3.client("secretsmanager").create_secret(Name=SECRET_NAME, SecretString=json.dumps(keys))
