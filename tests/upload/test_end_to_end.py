"""From an upload to its result: the handlers, the workflow's own definition, and every file on S3."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from aws.cloud import BUCKET, Cloud, cloud
from aws.lambdas import Context
from peers.files import FileServer
from peers.s3 import _MOTO
from routes.loopback import Machine
from routes.places import WORLD, scene_at
from scenes.glo30 import write_glo30
from support import bounds_of
from upload import handler
from uploads import zipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenes.sentinel2 import Scene

INPUTS = {"dem": "cop-dem-glo-30", "sampled_fraction": 1}


@dataclass(frozen=True)
class Deployed:
    """A bundle with elevation, and a machine with the same."""

    cloud: Cloud
    machine: Machine
    scene: Scene
    archive: bytes

    def upload(self, key: str, body: bytes, *, sequencer: str = "1", times: int = 2, **more: Any) -> dict[str, Any]:
        """Put an object and call the function with its event, more than once; gives what it said, every time."""
        answer = _MOTO.client.put_object(Bucket=BUCKET, Key=key, Body=body, **more)
        found = {"key": key, "etag": answer["ETag"].strip('"'), "sequencer": sequencer}
        event = {"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": found}}
        said = [handler.handler(event, Context(60))["uploads"] for _ in range(times)]
        assert all(each == said[0] for each in said)
        return dict(said[0][0])

    def wait(self, outcome: dict[str, Any]) -> str:
        """Wait for the job of an upload; gives its id."""
        (job,) = outcome["jobs"]
        status = self.cloud.wait(job, owner=f"s3:{BUCKET}")
        assert status.state == "successful", status.message
        assert status.attempt == 1
        return str(job)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("uploads")
    scene = scene_at(folder / "catalog", 32632, 11.5, 46.5, item_style=None)
    archive = zipped(folder / "catalog", folder / "a.zip", method=zipfile.ZIP_DEFLATED).read_bytes()
    (folder / "served" / "30").mkdir(parents=True)
    (folder / "served" / "90").mkdir(parents=True)
    dem = write_glo30(folder / "served" / "30", world=WORLD, bounds=bounds_of(scene))
    names = "".join(f"{name.replace('COG_10', 'COG_30')}\n" for name in dem.tiles)
    (folder / "served" / "90" / "tileList.txt").write_text(names)
    with FileServer(folder / "served") as server, pytest.MonkeyPatch.context() as patch:
        env = {"COP_DEM_30_URL": f"{server.url}/30", "COP_DEM_90_URL": f"{server.url}/90"}
        with cloud(env) as running:
            patch.setenv("EO_SHARDS_BUCKET", BUCKET)
            patch.setenv("EO_SHARDS_STATE_MACHINE", running.machine)
            yield Deployed(running, Machine(folder / "machine", env), scene, archive)


def test_an_uploaded_product_becomes_the_cloud_of_the_unzipped_one(deployed: Deployed) -> None:
    key = "incoming/point-cloud/mine & yours/S2 product.zip"
    outcome = deployed.upload(key, deployed.archive, Metadata={"inputs": json.dumps(INPUTS)})
    job = deployed.wait(outcome)
    products = deployed.cloud.products(job)
    request = json.loads(deployed.cloud.store.read(f"jobs/{job}/request.json"))
    inputs = request["inputs"] | {"source": "local", "catalog": str(deployed.scene.folder)}
    worked = deployed.machine.work(inputs)
    assert products["point_cloud.ply"] == worked.ply.read_bytes()
    assert len(worked.cloud.xyz) > 5000
    item = json.loads(products["point_cloud.json"])
    url = "s3://eo-shards-data/incoming/point-cloud/mine%20%26%20yours/S2%20product.zip"
    assert {"rel": "derived_from", "href": url, "title": deployed.scene.id} in item["links"]
    answer = json.loads(deployed.cloud.store.read(f"{key}.job.json"))
    assert deployed.cloud.store.exists(answer["jobs"][0]["status"])
    assert deployed.cloud.store.exists(answer["jobs"][0]["result"] + "point_cloud.ply")


def test_a_failed_job_starts_again_by_a_new_upload_only(deployed: Deployed) -> None:
    key = "incoming/point-cloud/cloudy.zip"
    metadata = {"inputs": json.dumps(INPUTS | {"max_points": 1})}
    outcome = deployed.upload(key, deployed.archive, Metadata=metadata)
    (job,) = outcome["jobs"]
    status = deployed.cloud.wait(job, owner=f"s3:{BUCKET}")
    assert (status.state, status.error, status.attempt) == ("failed", "TooLarge", 1)
    assert deployed.upload(key, deployed.archive, Metadata=metadata)["jobs"] == [job]
    assert deployed.cloud.service.status(job, owner=f"s3:{BUCKET}").attempt == 1
    deployed.upload(key, deployed.archive, sequencer="2", Metadata=metadata)
    assert deployed.cloud.wait(job, owner=f"s3:{BUCKET}").attempt == 2


def test_a_product_that_was_overwritten_fails_its_first_job_with_words(deployed: Deployed, tmp_path: Path) -> None:
    """The event is taken while the product still is what it tells of; it is another one when the plan begins."""
    key = "incoming/point-cloud/twice.zip"
    deployed.cloud.lambdas.faults = lambda function, _event, before: (
        "fail" if function == "plan" and before == 0 and _replace(deployed, key, tmp_path) else None
    )
    try:
        outcome = deployed.upload(key, deployed.archive, times=1, Metadata={"inputs": json.dumps(INPUTS)})
        (job,) = outcome["jobs"]
        status = deployed.cloud.wait(job, owner=f"s3:{BUCKET}")
    finally:
        deployed.cloud.lambdas.faults = lambda _function, _event, _before: None
    assert (status.state, status.error) == ("failed", "InvalidInput")
    assert "was replaced after this job was ordered" in status.message


def _replace(deployed: Deployed, key: str, folder: Path) -> bool:
    scene_at(folder / "other", 32632, 11.5, 46.5, item_style=None, baseline="05.12")
    body = zipped(folder / "other", folder / "other.zip").read_bytes()
    assert body != deployed.archive
    _MOTO.client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return True
