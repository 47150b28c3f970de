"""An uploaded product makes the same points as the same product unzipped in a folder."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from eo.errors import CorruptData, InvalidInput, NothingFound
from eo.records import read_units
from eo.runner import run_unit
from scenes.sentinel2 import Scene
from support import JOB, bounds_of, local, quick_dem, run_job
from uploads import KEY, WORLD, UploadJob, safe_scene, zipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A product, its two kinds of zip, and elevation."""
    folder = tmp_path_factory.mktemp("safe")
    scene = safe_scene(folder / "catalog")
    zipped(folder / "catalog", folder / "stored.zip")
    zipped(folder / "catalog", folder / "deflated.zip", method=zipfile.ZIP_DEFLATED)
    quick_dem(folder / "dem.tif", WORLD, bounds_of(scene))
    return folder


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return safe_scene(tmp_path_factory.mktemp("again"))


def ordered(folder: Path, bbox: Any, **more: Any) -> dict[str, Any]:
    """What the same inputs are without a catalogue."""
    given = local(folder / "catalog", folder / "dem.tif", bbox, **more)
    return {name: value for name, value in given.items() if name not in {"source", "catalog"}}


@pytest.mark.parametrize("archive", ["stored.zip", "deflated.zip"])
def test_the_points_are_those_of_the_unzipped_product(folder: Path, scene: Scene, tmp_path: Path, archive: str) -> None:
    bbox = bounds_of(scene)
    unzipped = run_job(tmp_path / "local", **local(folder / "catalog", folder / "dem.tif", bbox))
    done = UploadJob(tmp_path / "upload", folder / archive, **ordered(folder, bbox)).run()
    assert done.cloud.path.read_bytes() == unzipped.cloud.path.read_bytes()
    assert len(done.cloud.xyz) > 10_000
    assert done.plan.scenes[0].id == unzipped.plan.scenes[0].id == scene.id
    assert done.plan.uncovered == unzipped.plan.uncovered


def test_the_result_names_the_product_and_no_place_of_the_machine(folder: Path, scene: Scene, tmp_path: Path) -> None:
    done = UploadJob(tmp_path / "upload", folder / "stored.zip", **ordered(folder, bounds_of(scene))).run()
    text = (done.out / "point_cloud.json").read_text()
    item = json.loads(text)
    link = next(link for link in item["links"] if link["rel"] == "derived_from" and link["title"] == scene.id)
    assert link["href"] == "s3://data/incoming/point-cloud/some%20where/product.zip"
    assert link["title"] == scene.id
    assert item["properties"]["eo_shards:inputs"]["source"] == "upload"
    plan = done.plan.model_dump_json()
    assert str(tmp_path / "upload" / "scratch") not in text + plan
    assets = done.plan.scenes[0].assets
    assert set(assets) == {"B02", "B03", "B04", "SCL"}
    assert all(len(asset.checksum or "") == 68 and asset.size for asset in assets.values())


def test_nothing_of_it_stays_unpacked(folder: Path, scene: Scene, tmp_path: Path) -> None:
    UploadJob(tmp_path, folder / "stored.zip", **ordered(folder, bounds_of(scene))).run()
    assert [path.name for path in (tmp_path / "scratch" / JOB / "files").iterdir()] == []
    assert not list(tmp_path.rglob("*.jp2"))


def test_a_band_is_unpacked_by_one_unit(folder: Path, scene: Scene, tmp_path: Path) -> None:
    job = UploadJob(tmp_path, folder / "stored.zip", **ordered(folder, bounds_of(scene)))
    units = read_units(job.store, JOB, job.planned().stages[0].name)
    assert len([unit for unit in units if unit.array.startswith("scenes/")]) == 4


def test_top_of_atmosphere_products_are_taken_too(folder: Path, tmp_path: Path) -> None:
    scene = safe_scene(tmp_path / "l1c", level="L1C")
    archive = zipped(tmp_path / "l1c", tmp_path / "l1c.zip")
    inputs = ordered(folder, bounds_of(scene), collection="sentinel-2-l1c")
    unzipped = run_job(
        tmp_path / "a", **local(tmp_path / "l1c", folder / "dem.tif", bounds_of(scene), collection="sentinel-2-l1c")
    )
    done = UploadJob(tmp_path / "b", archive, **inputs).run()
    assert done.cloud.path.read_bytes() == unzipped.cloud.path.read_bytes()


def test_a_product_of_another_level_than_ordered_is_refused(folder: Path, scene: Scene, tmp_path: Path) -> None:
    inputs = ordered(folder, bounds_of(scene), collection="sentinel-2-l1c")
    with pytest.raises(InvalidInput, match="is an L2A product, but the job is for sentinel-2-l1c"):
        UploadJob(tmp_path, folder / "stored.zip", **inputs).planned()


def test_a_product_that_was_replaced_is_not_taken_for_the_ordered_one(
    folder: Path, scene: Scene, tmp_path: Path
) -> None:
    job = UploadJob(tmp_path, folder / "stored.zip", product="0" * 64, **ordered(folder, bounds_of(scene)))
    with pytest.raises(InvalidInput, match="was replaced after this job was ordered"):
        job.planned()


def test_a_product_that_is_gone_says_so(folder: Path, scene: Scene, tmp_path: Path) -> None:
    job = UploadJob(tmp_path, folder / "stored.zip", **ordered(folder, bounds_of(scene)))
    plan = job.planned()
    stage = plan.stages[0].name
    unit = next(unit for unit in read_units(job.store, JOB, stage) if unit.array.endswith("B04"))
    job.store.delete(KEY)
    with pytest.raises(CorruptData, match="was deleted before it was read"):
        run_unit(job.store, JOB, stage, unit, 1, job.settings)
    with pytest.raises(NothingFound, match="was deleted before its job began"):
        job.planned()


def test_a_product_that_is_replaced_while_its_job_runs_is_noticed(folder: Path, scene: Scene, tmp_path: Path) -> None:
    job = UploadJob(tmp_path, folder / "stored.zip", **ordered(folder, bounds_of(scene)))
    stage = job.planned().stages[0].name
    unit = next(unit for unit in read_units(job.store, JOB, stage) if unit.array.endswith("B04"))
    with zipfile.ZipFile(folder / "stored.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jp2")]
        red, other = (next(name for name in names if band in name) for band in ("B04", "B02"))
        swapped = {red: archive.read(other)}
    path = tmp_path / "swapped.zip"
    with zipfile.ZipFile(folder / "stored.zip") as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            after.writestr(name, swapped.get(name) or before.read(name))
    job.store.write(KEY, [path.read_bytes()])
    with pytest.raises(CorruptData, match=r"was replaced before .*B04"):
        run_unit(job.store, JOB, stage, unit, 1, job.settings)


def test_damaged_bytes_are_noticed(folder: Path, scene: Scene, tmp_path: Path) -> None:
    data = bytearray((folder / "stored.zip").read_bytes())
    with zipfile.ZipFile(folder / "stored.zip") as archive:
        info = next(info for info in archive.infolist() if "B03" in info.filename)
        data[info.header_offset + 30 + len(info.filename) + 2000] ^= 1
    path = tmp_path / "damaged.zip"
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=r"cannot be unpacked.*CRC"):
        UploadJob(tmp_path, path, **ordered(folder, bounds_of(scene))).planned()


def test_a_box_beside_the_product_finds_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match="no footprint covers any of bbox"):
        UploadJob(tmp_path, folder / "stored.zip", **ordered(folder, (20, 40, 20.1, 40.1))).planned()
