"""An AWS account on this machine with the functions of the template in it, each in a container of the emulator.

S3, Step Functions and Secrets Manager are moto's; S3 checks who asks. Sources are loopback peers. An execution that is
started does nothing: whoever drives a job here calls its functions, as the workflow would.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3

from aws.infra.built import built, python313
from aws.rie.deployed import CLIENT, deployed
from aws.rie.emulator import ROOT, Answer, Container
from eo import life
from eo.job import Status
from eo.order import Request, digest
from peers.fixtures import EDH_TOKEN
from peers.s3 import _MOTO, S3Peer
from peers.s3 import KEY as CDSE_KEY
from peers.s3 import SECRET as CDSE_SECRET

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from routes.loopback import Cdse

EVENTS = ROOT / "events"
BUCKET = "eo-shards-databucket-1kx9o2hqy3v7z"
STACK = "eo-shards"
REGION = "eu-central-1"
SECRET_NAME = "eo-shards/sources"
KEY, SECRET = "ROLEKEYEXAMPLE", "rolesecretexample"
SECRETS = (SECRET, CDSE_SECRET, EDH_TOKEN)
"""What nobody may read in a log, an answer or an object."""
QUICK = {
    "EO_SHARDS_RETRY_DELAY": "0.01",
    "EO_SHARDS_RETRY_MAX_DELAY": "0.1",
    "EO_SHARDS_RETRY_ATTEMPTS": "2",
    "EO_SHARDS_TIMEOUT": "20",
}


def event(name: str) -> dict[str, Any]:
    """A file of events/."""
    loaded: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


@dataclass
class Account:
    """Functions by logical id, warm once they were called."""

    data: S3Peer
    sources: Cdse
    environment: Mapping[str, str]
    refs: Mapping[str, str]
    as_built: bool
    """Whether they are what `sam build` has made, in the runtime's own Python."""
    warm: dict[str, Container] = field(default_factory=dict)
    deleted: dict[str, bytes] = field(default_factory=dict)

    def call(self, name: str, event: Mapping[str, Any]) -> Answer:
        """Call a function in its one warm container."""
        if name not in self.warm:
            self.warm[name] = self.container(name)
            self.warm[name].start()
        return self.warm[name].invoke(event)

    def container(self, name: str, *, timeout: int | None = None, **environment: str) -> Container:
        """A container of a function that was not started yet."""
        function = deployed(name, self.refs)
        # Its default is in the home folder, of which every container here has its own.
        own = {name: value for name, value in function.environment.items() if name != "EO_SHARDS_HOME"}
        return Container(
            function.handler,
            {**own, **self.environment, **self._models(name), **environment},
            timeout=timeout or function.timeout,
            memory=function.memory,
            **self._place(name),
        )

    def _place(self, name: str) -> dict[str, Any]:
        return {"path": [*built()[name].paths, CLIENT], "python": python313()} if self.as_built else {}

    def _models(self, name: str) -> dict[str, str]:
        """Lambda mounts layers at /opt, where models are found without being told."""
        folder = built()[name].models if self.as_built else None
        return {} if folder is None else {"EO_SHARDS_MODELS": str(folder)}

    def accept(self, job: str, inputs: Mapping[str, Any], *, owner: str = "somebody") -> None:
        """Put a job there, as the door would."""
        request = Request(process="point-cloud", inputs=dict(inputs), owner=digest(owner), key=digest(job))
        now = life.now()
        status = Status(job=job, process="point-cloud", attempt=1, state="accepted", created=now, updated=now)
        self.put(f"jobs/{job}/request.json", request.model_dump_json().encode())
        self.put(life.status_key(job), status.model_dump_json().encode())

    def status(self, job: str) -> Status:
        return Status.model_validate_json(self.get(life.status_key(job)))

    def units(self, job: str, stage: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.get(f"jobs/{job}/units/{stage}.json"))
        return found

    def get(self, key: str) -> bytes:
        return self.data.get(BUCKET, key)

    def put(self, key: str, content: bytes | Path) -> str:
        """Store an object past the peer that checks who asks; gives its ETag."""
        self.data.put(BUCKET, key, content)
        body = content if isinstance(content, bytes) else content.read_bytes()
        return hashlib.md5(body, usedforsecurity=False).hexdigest()

    def delete(self, key: str) -> None:
        """Delete an object until `restore`."""
        self.deleted[key] = self.get(key)
        _MOTO.client.delete_object(Bucket=BUCKET, Key=key)

    def restore(self) -> None:
        """Put back what was deleted."""
        while self.deleted:
            self.put(*self.deleted.popitem())

    def keys(self, prefix: str) -> list[str]:
        return self.data.keys(BUCKET, prefix)

    def executions(self) -> dict[str, dict[str, Any]]:
        """Inputs of the executions that were started, by name."""
        client = _client("stepfunctions", self.environment["AWS_ENDPOINT_URL"])
        found = client.list_executions(stateMachineArn=self.refs["Workflow"])["executions"]
        arns = {execution["name"]: execution["executionArn"] for execution in found}
        return {name: json.loads(client.describe_execution(executionArn=arn)["input"]) for name, arn in arns.items()}


@contextmanager
def account(sources: Cdse, *, as_built: bool = False) -> Iterator[Account]:
    """An account whose functions reach these sources, with the keys that Secrets Manager keeps."""
    with S3Peer(KEY, SECRET) as data, ExitStack() as running:
        moto = "http://{}:{}".format(*_MOTO.address)
        _MOTO.client.create_bucket(Bucket=BUCKET)
        keys = {"CDSE_KEY": CDSE_KEY, "CDSE_SECRET": CDSE_SECRET, "EARTH_DATA_HUB_KEY": EDH_TOKEN}
        vault, workflows = _client("secretsmanager", moto), _client("stepfunctions", moto)
        vault.create_secret(Name=SECRET_NAME, SecretString=json.dumps(keys))
        running.callback(vault.delete_secret, SecretId=SECRET_NAME, ForceDeleteWithoutRecovery=True)
        nothing = {"StartAt": "Nothing", "States": {"Nothing": {"Type": "Succeed"}}}
        role = "arn:aws:iam::123456789012:role/workflow"
        machine = workflows.create_state_machine(name="rie", definition=json.dumps(nothing), roleArn=role)
        running.callback(workflows.delete_state_machine, stateMachineArn=machine["stateMachineArn"])
        places = ("CDSE_STAC_URL", "CDSE_S3_ENDPOINT", "EARTH_DATA_HUB_URL")
        environment = {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": moto,
            "AWS_ENDPOINT_URL_S3": data.url,
            **{name: sources.machine.env[name] for name in places},
            **QUICK,
        }
        refs = {
            "DataBucket": BUCKET,
            "Workflow": machine["stateMachineArn"],
            "SecretName": SECRET_NAME,
            "AWS::StackName": STACK,
            "Chunk": "64",
        }
        made = Account(data, sources, environment, refs, as_built)
        try:
            yield made
        finally:
            for container in made.warm.values():
                container.stop()


def _client(service: str, address: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=address,
        region_name=REGION,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )
