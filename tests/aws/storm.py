"""A bundle in a storm: its jobs, their orders, and what must hold of them whatever has failed."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.s3 import models
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent

from aws.cloud import OWNER, Cloud, cloud, keep_keys, reaching
from aws.faults import PATIENCE, SHARD, SMALLEST, Chaos, Played, Starts, hurry, of_source, of_store, waiting
from eo import errors, s3_client
from eo.errors import EoShardsError
from eo.job import Result
from eo.order import digest, job_id
from eo.orders import BucketService
from peers import s3_rules
from routes.loopback import SECRETS, Cdse, cdse

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from eo.job import Status
    from routes.conftest import Pair

OWNERS = (OWNER, "arn:aws:iam::123456789012:user/bert")
CHUNK = "128"
"""Edge of the cube's chunks in pixels."""
LIFE = 8
"""Seconds that a call of a function may take here, and a little less than a connection is kept for one that died."""


@dataclass(frozen=True, eq=False)
class Order:
    """What somebody orders, and what an undisturbed run makes of it."""

    key: str
    owner: str
    inputs: dict[str, Any]
    result: dict[str, bytes]

    @property
    def job(self) -> str:
        return job_id(self.owner, self.key)


@dataclass(frozen=True)
class Stormy:
    """A bundle and its sources, all of which fail as a plan says."""

    cloud: Cloud
    sources: Cdse
    chaos: Chaos
    recipes: list[tuple[dict[str, Any], dict[str, bytes]]]
    """Inputs, and what the local engine makes of them in one process and without a fault."""

    def orders(self, count: int, begin: str = "key") -> list[Order]:
        """Orders of two users, in turn."""
        recipes = self.recipes
        return [Order(f"{begin} {n}", OWNERS[n % 2], *recipes[n // 2 % len(recipes)]) for n in range(count)]

    @property
    def service(self) -> BucketService:
        inner = self.cloud.service
        return BucketService(self.cloud.store, Starts(inner._executions, self.chaos))

    def order(self, order: Order) -> None:
        """Order as a client does that tries again with the same key until it has an answer."""
        _insisted(lambda: self.service.order("point-cloud", order.inputs, owner=order.owner, key=order.key))

    def ended(self, orders: Sequence[Order], seconds: float = 240) -> dict[str, Status]:
        """What became of some jobs, once all have ended."""
        end = time.monotonic() + seconds
        left, found = {order.job: order.owner for order in orders}, {}
        while left:
            for job, owner in list(left.items()):
                status = _insisted(lambda job=job, owner=owner: self.service.status(job, owner=owner))
                if status.state not in {"accepted", "running"}:
                    found[job] = status
                    del left[job]
                time.sleep(0.05)  # moto does all its work in this process
            assert time.monotonic() < end, f"{left} have not ended: {self.cloud.lambdas.calls[-3:]}"
            time.sleep(0.2)
        return found

    def executions(self) -> list[str]:
        """Names of all that were started."""
        client = boto3.client("stepfunctions")
        pages = client.get_paginator("list_executions").paginate(stateMachineArn=self.cloud.machine)
        return [each["name"] for page in pages for each in page["executions"]]

    def quiet(self, seconds: float = 60) -> None:
        """Wait until no execution runs: a job may have ended before its last calls."""
        client, end = boto3.client("stepfunctions"), time.monotonic() + seconds
        while client.list_executions(stateMachineArn=self.cloud.machine, statusFilter="RUNNING")["executions"]:
            assert time.monotonic() < end, "an execution does not end"
            time.sleep(0.2)


def _insisted(ask: Any) -> Any:
    for _ in range(20):
        try:
            return ask()
        except EoShardsError as error:
            if not error.retryable:
                raise
            last = error
    raise last


def _silent(*_: object, **__: object) -> None:
    """In place of a log."""


@contextmanager
def storm(
    folder: Path,
    pair: Pair,
    chaos: Chaos,
    kinds: Sequence[dict[str, Any]],
    *,
    calm: bool = False,
) -> Iterator[Stormy]:
    """A bundle of its own under a fault plan; `calm` where so much is to do that answers take their time."""
    with pytest.MonkeyPatch.context() as patch, cdse(folder, pair.scenes, pair.dem.path) as sources:
        if not calm:
            hurry(patch.setattr)
        patch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", SMALLEST)
        patch.setattr(s3_rules, "RANGED_SOURCE", SMALLEST)
        for log in ("_log_failure_event_exception", "_log_exception"):  # each writes the whole workflow
            patch.setattr(EvalComponent, log, _silent)
        patch.setattr(retrier_decl, "time", waiting(15 if calm else 0.1))
        given = reaching(sources) | {
            "EO_SHARDS_LEASE_SECONDS": "121" if calm else str(LIFE + 1),
            "EO_SHARDS_TIMEOUT": "30" if calm else str(PATIENCE),
            "EO_SHARDS_CHUNK": CHUNK,
        }
        recipes = [(inputs, undisturbed(sources, inputs)) for inputs in kinds]
        s3_client._client.cache_clear()
        deployed = (
            cloud(given, processes=6, setup="aws.faults:cut_small")
            if calm
            else cloud(given, processes=3, setup="aws.faults:hurry", timeout=LIFE)
        )
        with deployed as running:
            keep_keys(sources)
            running.lambdas.faults = chaos.invocation
            running.lambdas.life = chaos.life
            running.s3.script = Played(chaos, "store", of_store)
            for peer in sources.peers:
                peer.script = Played(chaos, "source", of_source)
            yield Stormy(running, sources, chaos, recipes)
        s3_client._client.cache_clear()


def undisturbed(sources: Cdse, inputs: dict[str, Any]) -> dict[str, bytes]:
    """The files of a job's result, from the local engine."""
    out = sources.machine.work(inputs, shard=SHARD, EO_SHARDS_CHUNK=CHUNK).ply.parent
    return {path.name: path.read_bytes() for path in out.iterdir()}


def kinds_of(pair: Pair) -> list[dict[str, Any]]:
    """A mosaic of two scenes in several shards, and a job on one scene that is not masked."""
    west, south, east, north = pair.inputs["bbox"]
    narrow = [west, (south + north) / 2, west + (east - west) / 4, north]
    return [dict(pair.inputs), pair.inputs | {"bbox": narrow, "sampled_fraction": 1, "mask_clouds": False}]


def tell(text: str) -> None:
    """For who runs pytest with -s, or sees a test fail."""
    print(f"\n{text}")  # noqa: T201


def assert_told(status: Status) -> None:
    """A failure has a class of ours and a message without secrets."""
    assert status.state == "failed", status
    assert issubclass(getattr(errors, status.error), EoShardsError), status
    assert status.message
    assert not any(secret in status.message for secret in SECRETS), status


def assert_whole(stormy: Stormy, orders: Sequence[Order], attempts: dict[str, int]) -> None:
    """Nothing is half done: neither an object nor an upload nor an order."""
    store = stormy.cloud.store
    assert stormy.cloud.uploads() == []
    jobs = {order.job for order in orders}
    assert {key.split("/")[1] for key in store.keys("jobs/")} == jobs
    assert {tuple(key.split("/")[1:]) for key in store.keys("owners/")} == {(digest(o.owner), o.job) for o in orders}
    started = Counter(stormy.executions())
    assert started == Counter(f"{job}-{attempt}" for job in jobs for attempt in range(1, attempts[job] + 1))
    for order in orders:
        for key in store.keys(f"jobs/{order.job}/"):
            data = store.read(key)
            assert not any(secret.encode() in data for secret in SECRETS), key
            if key.endswith(".json"):
                json.loads(data)
            _, _, path = key.partition("/result/")
            if path:  # also of a job that has failed
                assert data == order.result[path], key


def assert_right(stormy: Stormy, order: Order) -> None:
    """A result is that of the undisturbed run, and what its own records say of it."""
    store, prefix = stormy.cloud.store, f"jobs/{order.job}/"
    result = Result.model_validate_json(store.read(f"{prefix}result.json"))
    assert set(result.files) == set(order.result)
    files = {name: store.read(f"{prefix}result/{name}") for name in result.files}
    assert {name for name in files if files[name] != order.result[name]} == set()
    item = next(json.loads(data) for name, data in files.items() if name.endswith(".json") and b"stac_version" in data)
    for asset in item["assets"].values():
        if "file:checksum" in asset:
            name = asset["href"].removeprefix("./")
            assert asset["file:checksum"] == f"1220{hashlib.sha256(files[name]).hexdigest()}"
    for name, made in json.loads(files["checksums.json"]).items():
        assert made["size"] == len(files[name])
        for piece in made["pieces"]:
            data = files[name][piece["offset"] : piece["offset"] + piece["size"]]
            assert hashlib.sha256(data).hexdigest() == piece["sha256"]
