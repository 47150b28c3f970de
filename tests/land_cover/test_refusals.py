"""What cannot be judged is refused by the plan, and what a demonstration model says is marked wherever it is written."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from PIL import Image
from pydantic import ValidationError

from eo.errors import InvalidInput, NothingFound, TooLarge
from eo.settings import Settings
from l2a import METRES, Tile, judge, order
from land_cover import process
from land_cover.labels import CLASSES
from land_cover.process import LandCover
from plan.planner import make_plan
from scenes.sentinel2 import write_scene
from scenes.world import World
from small_land_cover import NAME, SYNTHETIC, publish

TILE = Tile(size=2_400)
BOX = TILE.box(100, 100, 2_200)
DEMO = "land-cover-demo"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    publish(tmp_path / "models")
    publish(tmp_path / "models", DEMO, data=f"{SYNTHETIC} patches in the shape of BigEarthNet")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(tmp_path / "models"))
    TILE.write(tmp_path / "c")
    return tmp_path


def planned(folder: Path, **more: Any) -> Any:
    return make_plan(LandCover(), order(folder, BOX, **more), job="j", settings=Settings.from_environment({}))


def test_a_demonstration_model_is_refused_on_real_scenes(folder: Path) -> None:
    said = rf"model {DEMO} has learnt from generated patches alone .* scene {TILE.id} is a real one.*--allow-demo-model"
    with pytest.raises(InvalidInput, match=said):
        planned(folder, model=DEMO)
    assert planned(folder, model=DEMO, allow_demo_model=True).units
    assert planned(folder).units


def test_one_real_scene_among_generated_ones_is_enough(folder: Path) -> None:
    Tile(size=6_000, sensed="2026-08-01T10:10:31Z", cloud_cover=9, synthetic=True).write(folder / "c")
    box = Tile().box(100, 100, 3_500)
    with pytest.raises(InvalidInput, match=f"scene {TILE.id} is a real one"):
        make_plan(LandCover(), order(folder, box, model=DEMO), job="j", settings=Settings.from_environment({}))


def test_scenes_of_the_generator_say_so_and_are_accepted(folder: Path) -> None:
    """Those of tests/scenes, in each of the catalogues' dialects that a folder may hold."""
    bands = ("B02", "B03", "B04")
    publish(folder / "models", "land-cover-rgb", data=SYNTHETIC, bands=bands)
    for style in ("cdse", "earth-search", "stactools"):
        scene = write_scene(
            folder / style / "c", world=World(seed=3), epsg=32632, ulx=670_800, uly=5_168_400, tile="32TPS", size=240,
            block=128, item_style=style, file_format="cog" if style != "cdse" else "jp2",
        )  # fmt: skip
        made = planned(folder / style, model="land-cover-rgb")
        assert made.plan.scenes[0].synthetic
        assert scene.item is not None
        path = scene.item_path
        assert path is not None
        path.write_text(path.read_text().replace('"eo_shards:synthetic": true', '"eo_shards:synthetic": "yes"'))
        with pytest.raises(InvalidInput, match="is a real one"):
            planned(folder / style, model="land-cover-rgb")


@pytest.mark.parametrize("synthetic", [True, False])
def test_every_output_of_a_demonstration_is_marked(folder: Path, synthetic: bool) -> None:
    replace(TILE, synthetic=synthetic).write(folder / "d" / "c")
    done = judge(folder / "d", BOX, model=DEMO, allow_demo_model=not synthetic, chunk=1024)
    plain = judge(folder, BOX, chunk=1024)
    for job, marked in ((done, True), (plain, False)):
        about = json.loads(pq.read_schema(job.out / "land_cover.parquet").metadata[b"geo"])["about"]
        texts = [about.get("WARNING", "")]
        documents = [json.loads((job.out / name).read_text()) for name in ("land_cover.geojson", "statistics.json")]
        texts += [document.get("WARNING", "") for document in documents]
        for name in ("land_cover_probabilities.tif", "land_cover_most_probable.tif"):
            with rasterio.open(job.out / name) as file:
                texts.append(file.tags().get("WARNING", ""))
        item = json.loads((job.out / "land_cover.json").read_text())["properties"]
        texts += [item["description"], job.notes]
        named = {row["model"] for row in job.rows().values()}
        named |= {feature["properties"]["model"] for feature in documents[0]["features"]}
        wanted = f"{DEMO} (trained on generated patches: demonstration only)" if marked else NAME
        assert named == {wanted}
        assert job.notes.count("DEMONSTRATION") == marked
        assert ["DEMONSTRATION" in text for text in texts] == [marked] * len(texts)
        assert item["title"].startswith("DEMONSTRATION: ") == item["eo_shards:demonstration"] == marked
        with Image.open(job.out / "land_cover.png") as image:
            above = np.asarray(image)[:90].astype(int)  # before the legend and its red of cities
            assert (((above == (200, 0, 0)).all(axis=-1)).sum() > 100) == marked


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "regression"}, "has the task regression, not scene-classification"),
        ({"classes": tuple(reversed(CLASSES))}, "has 19 classes, not the 19 of BigEarthNet in their order"),
        ({"level": "L1C"}, "has level L1C, not L2A"),
        ({"grid": {"metres": 20, "tile": 120}}, "has pixels of 20 m, not 10 m"),
        ({"outputs": []}, "has the inputs and outputs .*'patches'"),
    ],
)
def test_models_that_do_something_else_are_refused(folder: Path, changes: dict[str, Any], said: str) -> None:
    if "outputs" in changes:
        changes = {
            "outputs": [{"name": "p", "shape": ("batch", 19), "dims": ("batch", "class"), "units": "1", "meaning": "p"}]
        }
    publish(folder / "models", "other", **changes)
    with pytest.raises(InvalidInput, match=f"model other {said}.*choose one that is made for land-cover"):
        planned(folder, model="other")


def test_a_model_that_is_not_there_and_one_of_another_process_are_refused(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=rf"no model 'land-cover-resnet99' .* choose one of .*{NAME}"):
        planned(folder, model="land-cover-resnet99")
    publish(folder / "models", "other", task="regression")
    with pytest.raises(InvalidInput, match=rf"choose one of {DEMO}, {NAME}, or set EO_SHARDS_MODELS"):
        planned(folder, model="land-cover-resnet99")
    with pytest.raises(ValidationError, match="pattern"):
        order(folder, BOX, model="../models")


def test_bands_that_a_product_lacks_are_named(folder: Path) -> None:
    publish(folder / "models", "land-cover-eleven", bands=("B01", "B02", "B11"))
    with pytest.raises(NothingFound, match="no band B01"):
        planned(folder, model="land-cover-eleven")


def test_bands_of_twenty_metres_alone_are_brought_to_ten(folder: Path) -> None:
    bands = ("B05", "B8A", "B12")
    publish(folder / "models", "land-cover-red-edge", bands=bands)
    replace(TILE, bands=bands).write(folder / "coarse" / "c")
    for given in ({}, {"resolution": None}):
        done = judge(folder / "coarse", BOX, model="land-cover-red-edge", chunk=1024, **given)
        assert done.plan.grid.resolution == 10
        assert {row["status"] for row in done.rows().values()} == {"ok"}


def test_a_product_without_its_full_resolution_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRES, "B02", 20)
    TILE.write(folder / "coarse" / "c")
    with pytest.raises(InvalidInput, match=rf"B02 of scene {TILE.id} has pixels of 20 m, .* full resolution"):
        planned(folder / "coarse")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"resolution": 20}, "resolution 20 m: patches are judged by 120 x 120 pixels of 10 m; leave resolution out"),
        ({"collection": "sentinel-2-l1c"}, "sentinel-2-l2a"),
        ({"max_unusable": 0.6}, "less than or equal to 0.5"),
        ({"max_unusable": float("nan")}, "finite|less than"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        order(folder, BOX, **given)
    assert order(folder, BOX, resolution=10).resolution == 10


def test_a_crs_whose_metres_are_none_of_ground_is_refused(folder: Path) -> None:
    said = r"1,200 m of the CRS EPSG:3857 are 82\d m of ground at longitude 11\.\d\d, latitude 46\.\d\d; .* 2\.5 %: leave crs out"
    with pytest.raises(InvalidInput, match=said):
        planned(folder, crs="EPSG:3857")
    # The zones beside the product's own, and Europe's grid.
    for crs in ("EPSG:32631", "EPSG:32633", "EPSG:3035"):
        assert planned(folder, crs=crs).units


def test_the_plan_says_how_many_patches_and_that_the_model_is_a_demonstration(folder: Path) -> None:
    notes = planned(folder, model=DEMO, allow_demo_model=True).plan.notes
    assert any(note.startswith(f"DEMONSTRATION: model {DEMO}") for note in notes)
    (found,) = [note for note in notes if "touch the bbox" in note]
    assert re.fullmatch(r"up to [4-9] patches of 1,200 m touch the bbox", found)
    assert not any("DEMONSTRATION" in note for note in planned(folder).plan.notes)


def test_a_crs_that_no_geotiff_can_name_and_too_many_patches_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InvalidInput, match=r"ESRI:102031 has no EPSG code .* give --crs"):
        planned(folder, crs="ESRI:102031")
    monkeypatch.setattr(process, "MAX_PATCHES", 3)
    with pytest.raises(TooLarge, match=r"the job has 4 patches .* at most 3: order parts of the area"):
        planned(folder)
    monkeypatch.setattr(process, "MAX_PATCHES", 4)
    monkeypatch.setattr(process, "MAX_PATCHES_ON_LAMBDA", 2)
    assert planned(folder).units
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "plan")
    with pytest.raises(TooLarge, match=r"the job has 4 patches .* at most 2: order parts of the area"):
        planned(folder)
