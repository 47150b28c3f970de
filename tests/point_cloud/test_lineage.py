"""Whoever has a result can check every byte of it, and knows what it was made from: with nothing but the files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eo.correction import CorrectionInputs
from eo.grid import RasterGrid
from eo.job import ElevationSource, ImageSource
from eo.lineage import links, sources
from routes.loopback import EDH_TOKEN, STORE, Cdse, cdse, remote_item
from routes.places import JULY, WORLD
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import write_scene
from support import Done, bounds_of, local, quick_dem, run_job

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]


def check(folder: Path) -> set[str]:
    """Check a result as anybody could, with hashlib and json; gives the names of the files that it has vouched for."""
    item: Json = json.loads((folder / "point_cloud.json").read_text())
    vouched = set()
    for asset in item["assets"].values():
        name = asset["href"].removeprefix("./")
        data = (folder / name).read_bytes()
        assert len(data) == asset["file:size"], f"{name}: size"
        if "file:checksum" in asset:
            # A multihash: sha2-256 (12), 32 bytes (20).
            assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest(), f"{name}: checksum"
        else:
            listed = json.loads((folder / asset["eo_shards:checksums"]).read_text())[name]
            digests, end = b"", 0
            for piece in listed["pieces"]:
                assert piece["offset"] == end, f"{name}: gap at {end}"
                end += piece["size"]
                digest = hashlib.sha256(data[piece["offset"] : end])
                assert digest.hexdigest() == piece["sha256"], f"{name}: bytes from {piece['offset']}"
                digests += digest.digest()
            assert end == len(data) == listed["size"], f"{name}: end"
            assert hashlib.sha256(digests).hexdigest() == listed["composite"] == asset["eo_shards:composite_sha256"]
        vouched.add(name)
    return vouched


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """A mosaic of two scenes on a folder's files."""
    folder = tmp_path_factory.mktemp("lineage")
    one = write_scene(
        folder / "c", world=WORLD, epsg=32632, ulx=671_240, uly=5_168_180, tile="32TPS", size=192, nodata_wedge=0.4
    )
    other = write_scene(folder / "c", world=WORLD, epsg=32632, ulx=672_000, uly=5_168_180, tile="32TQS", size=192)
    dem = quick_dem(folder / "dem.tif", WORLD, bounds_of(one, other))
    return run_job(folder, shard=64, **local(folder / "c", dem.path, bounds_of(one, other)))


def test_every_file_of_a_result_can_be_checked(done: Done) -> None:
    # The item vouches for all others; its own digest is in the job's record.
    assert check(done.out) == {path.name for path in done.out.iterdir()} - {"point_cloud.json"}
    assert set(done.result.files) == {path.name for path in done.out.iterdir()}
    item = (done.out / "point_cloud.json").read_bytes()
    assert done.result.files["point_cloud.json"] == hashlib.sha256(item).hexdigest()


@pytest.mark.parametrize("name", ["point_cloud.ply", "checksums.json", "preview.png", "oblique.png", "index.html"])
@pytest.mark.parametrize("damage", ["a bit", "the end", "more"])
def test_every_damage_shows(done: Done, name: str, damage: str, tmp_path: Path) -> None:
    for path in done.out.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    data = (tmp_path / name).read_bytes()
    middle = len(data) // 2
    spoilt = {"a bit": data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :], "the end": data[:-1]}
    (tmp_path / name).write_bytes(spoilt.get(damage, data + b"0"))
    with pytest.raises((AssertionError, ValueError, KeyError)):
        check(tmp_path)


def test_every_source_of_the_plan_is_named_and_no_place_of_the_machine(done: Done) -> None:
    text = (done.out / "point_cloud.json").read_text()
    found: Json = json.loads(text)["properties"]
    scenes = {entry["id"]: entry for entry in found["eo_shards:sources"] if entry["type"] == "scene"}
    assert set(scenes) == {scene.id for scene in done.plan.scenes}
    assert len(scenes) == 2
    read = [source for source in done.plan.sources.values() if isinstance(source, ImageSource)]
    for source in read:
        entry = scenes[done.plan.scenes[source.scene].id]
        (file,) = [file for file in entry["files"] if file["band"] == source.band]
        assert file["href"] == Path(source.asset.href).name
        assert file.get("file:checksum") == source.asset.checksum
        assert file.get("file:size") == source.asset.size
    assert len(read) == sum(len(entry["files"]) for entry in scenes.values()) == 8
    (elevation,) = [entry for entry in found["eo_shards:sources"] if entry["type"] == "elevation"]
    assert elevation["files"] == [{"href": "dem.tif"}]
    assert elevation["vertical_crs"] == (done.plan.vertical_crs or "unknown")
    assert str(done.out.parents[2]) not in text
    assert "/tmp" not in text


def test_what_was_done_can_be_done_again_from_what_is_said(done: Done) -> None:
    found: Json = json.loads((done.out / "point_cloud.json").read_text())["properties"]
    assert found["processing:software"] == {"eo-shards": done.plan.software.split()[1]}
    assert found["processing:version"] == done.plan.version
    assert found["eo_shards:models"] == []
    # Nothing was corrected, so how to correct is not said.
    unsaid = {"catalog", "dem_path", *CorrectionInputs.model_fields}
    given = {name: value for name, value in done.plan.inputs.items() if name not in unsaid}
    assert found["eo_shards:inputs"] == given
    for scene in done.plan.scenes:
        assert scene.id in found["processing:lineage"]


@pytest.fixture(scope="module")
def route(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cdse, Json, Json]]:
    """The item of a job on remote sources that state checksums, and what the catalogue states."""
    folder = tmp_path_factory.mktemp("remote")
    scene = write_scene(
        folder / "catalog", world=WORLD, epsg=32632, ulx=671_240, uly=5_168_180, tile="32TPS", size=128, block=64
    )
    dem = write_edh_zarr(folder / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(450, 450), fill_chunks=True)
    with cdse(folder / "machine", [scene], dem.path) as served:
        done = served.machine.work({"bbox": list(bounds_of(scene, inset=200)), "datetime": JULY})
        yield served, json.loads((done.ply.parent / "point_cloud.json").read_text()), remote_item(scene)


def test_remote_sources_have_addresses_and_the_catalogue_s_checksums(route: tuple[Cdse, Json, Json]) -> None:
    served, item, stated = route
    scene, elevation = item["properties"]["eo_shards:sources"]
    by_href = {asset["href"]: asset for asset in stated["assets"].values()}
    assert len(scene["files"]) == 4
    for file in scene["files"]:
        assert file["href"].startswith("s3://eodata/")
        assert file["file:checksum"] == by_href[file["href"]]["file:checksum"]
        assert file["file:size"] == by_href[file["href"]]["file:size"]
    url = served.machine.env["EARTH_DATA_HUB_URL"]
    assert elevation["href"] == url
    assert elevation["files"] == [{"href": url}]
    derived = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert derived == [href for href in (scene["href"], url) if "://" in href]
    assert url in derived
    assert EDH_TOKEN not in json.dumps(item)


def test_tiles_of_the_elevation_are_named_one_by_one(done: Done) -> None:
    base = "https://dem.example/glo30"
    sheet = ElevationSource(
        adapter="cop-dem-glo-30",
        grid=RasterGrid("EPSG:4326", 11, 47, 1, 1, 2, 2),
        origin=(0, 0),
        href=base,
        files=(f"{base}/a/a.tif", f"{base}/b/b.tif?token=secret"),
    )
    plan = done.plan.model_copy(update={"sources": {"dem/0": sheet}, "elevation_name": "cop-dem-glo-30"})
    elevation = sources(plan)[-1]
    assert [file["href"] for file in elevation["files"]] == [f"{base}/a/a.tif", f"{base}/b/b.tif"]
    named = [link for link in links(plan) if link["href"].startswith("https://dem")]
    assert [link["title"] for link in named] == ["a.tif", "b.tif"]
