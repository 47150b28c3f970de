"""COPC in a bucket: the same bytes as in a folder, most of them copied by the server."""

from pathlib import Path

import pytest
from moto.s3 import models

from buckets import BUCKET, bucket_of
from eo import assembly, multipart, s3_client
from eo.assembly import Limits, assemble
from eo.unit_io import ResultIO
from peers import s3_rules
from peers.s3 import S3Peer
from point_cloud import copc_merge, octree
from point_cloud.result import description, joined_extremes
from scenes.sentinel2 import write_scene
from scenes.world import World
from support import JOB, Job, bounds_of, local, quick_dem

WORLD = World(seed=11)
NAME = "point_cloud.copc.laz"
PART = 5 * 1024
"""S3 counts in KiB here what it counts in MiB elsewhere."""


def test_shards_are_copied_by_the_server_and_the_bytes_are_those_of_a_folder(
    tmp_path: Path, s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(smallest=PART)
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", PART)
    monkeypatch.setattr(s3_rules, "RANGED_SOURCE", PART)
    monkeypatch.setattr(multipart, "assemble", lambda head, sizes: assemble(head, sizes, limits))
    monkeypatch.setattr(multipart, "groups", lambda parts: assembly.groups(parts, limits))
    monkeypatch.setattr(octree, "NODE_EDGE", 16)
    scene = write_scene(
        tmp_path / "c",
        world=WORLD,
        epsg=32632,
        ulx=671_240,
        uly=5_168_180,
        tile="32TPS",
        size=160,
        file_format="gtiff",
        block=32,
    )
    quick_dem(tmp_path / "dem.tif", WORLD, bounds_of(scene))
    job = Job(tmp_path, local(tmp_path / "c", tmp_path / "dem.tif", bounds_of(scene), format="copc"), shard=64)
    parts = job.stages()
    result = job.merge(parts)
    wanted = (job.out / NAME).read_bytes()
    extremes = joined_extremes(parts)
    with bucket_of(s3_peer) as store:
        for key in [f"jobs/{JOB}/units/drape.json", *(key for part in parts for key in part.keys.values())]:
            store.write(key, [job.store.read(key)])
        copied: list[str] = []
        client = s3_client.client()
        client.meta.events.register("before-send.s3.UploadPartCopy", lambda **_: copied.append(""))
        io = ResultIO(plan=job.plan, store=store)
        copc_merge.write(NAME, parts, extremes, io, about=description(job.plan))
        found = client.get_object(Bucket=BUCKET, Key=f"jobs/{JOB}/result/{NAME}")["Body"].read()
    assert found == wanted
    assert io.digests[NAME] == result.files[NAME]
    assert len(copied) >= sum(part.sizes["copc"] >= 2 * PART for part in parts) >= 4
