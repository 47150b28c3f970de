"""The files of a result, as independent readers find them."""

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.shutil
import shapely
from numpy.typing import NDArray
from PIL import Image
from pyproj import CRS, Transformer
from rio_cogeo.cogeo import cog_validate

from api.describe import description
from eo.lineage import model_item
from eo.model import find, read_item
from l2a import Judged, Tile, judge, probabilities
from land_cover import geojson, parquet
from land_cover.item import EXTENSIONS
from land_cover.labels import CLASSES, COLOURS
from land_cover.patches import RECORD
from land_cover.pictures import picture
from land_cover.process import GEOJSON_BYTES, MAX_PATCHES, MAX_PATCHES_ON_LAMBDA, LandCover
from land_cover.table import Table
from small_land_cover import NAME, publish
from stac_items import validator

EDGE = 1_200


def clouds(band: str, values: NDArray[Any]) -> None:
    if band == "SCL":
        values[60:120, :60] = 9


TILE = Tile(size=6_000, change=clouds)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    folder = tmp_path_factory.mktemp("files")
    TILE.write(folder / "c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EO_SHARDS_MODELS", str(publish(folder / "models")))
        return judge(folder, TILE.box(300, 300, 5_200, 3_000), chunk=1024)


def test_all_files_that_the_process_names_are_there(done: Judged) -> None:
    named = {output.file for output in LandCover.outputs.values()}
    assert {path.name for path in done.out.iterdir()} == named == set(done.result.files)
    assert "resampled" not in done.notes  # bands of 20 m beside those of 10 m are no news


def test_the_table_is_geoparquet_of_the_patches(done: Judged) -> None:
    """https://geoparquet.org/releases/v1.1.0/, requirement by requirement."""
    file = pq.ParquetFile(done.out / "land_cover.parquet")
    geo = json.loads(file.schema_arrow.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"], set(geo["columns"])) == ("1.1.0", "geometry", {"geometry"})
    column = geo["columns"]["geometry"]
    assert (column["encoding"], column["geometry_types"]) == ("WKB", ["Polygon"])
    assert (column["orientation"], column["edges"]) == ("counterclockwise", "planar")
    assert CRS.from_json_dict(column["crs"]) == CRS.from_epsg(32632)
    assert column["covering"] == {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}}
    assert geo["about"]["MODEL"].startswith(f"{NAME} sha256 ")
    assert "WARNING" not in geo["about"]
    table = file.read()
    assert file.schema_arrow.field("geometry").type == "binary"
    assert not file.schema_arrow.field("geometry").nullable
    shapes = shapely.from_wkb(table["geometry"].to_pylist())
    assert len(shapes) == 15
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    assert shapely.area(shapes).tolist() == [EDGE**2] * 15
    boxes = table["bbox"].to_pylist()
    assert [tuple(box.values()) for box in boxes] == [tuple(bounds) for bounds in shapely.bounds(shapes)]
    np.testing.assert_array_equal(shapely.bounds(shapes) % EDGE, 0)
    assert column["bbox"] == list(shapely.total_bounds(shapes))
    assert shapely.union_all(shapes).area == 15 * EDGE**2
    assert str(file.schema_arrow.field("datetime").type) == "timestamp[us, tz=UTC]"
    rows = table.to_pylist()
    corners = [(-row["bbox"]["ymax"], row["bbox"]["xmin"]) for row in rows]
    assert corners == sorted(corners)
    assert [row["status"] for row in rows].count("masked") == 1


def test_the_geojson_says_the_same_in_degrees(done: Judged) -> None:
    document = json.loads((done.out / "land_cover.geojson").read_text())
    rows = done.rows()
    assert document["type"] == "FeatureCollection"
    assert [feature["id"] for feature in document["features"]] == list(rows)
    back = Transformer.from_crs("OGC:CRS84", "EPSG:32632", always_xy=True)
    for feature in document["features"]:
        row, properties = rows[feature["id"]], feature["properties"]
        shape = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert shapely.is_ccw(shape.exterior)
        x, y = back.transform(*np.array(shape.exterior.coords).T)
        truth = shapely.from_wkb(row["geometry"])
        assert shapely.Polygon(np.column_stack([x, y])).symmetric_difference(truth).area < 0.05 * EDGE
        for name in ("status", "labels", "most_probable", "scene"):
            assert properties[name] == row[name]
        for ours, theirs in zip(probabilities(properties), probabilities(row), strict=True):
            assert (ours is None and theirs is None) or ours == pytest.approx(theirs, abs=6e-5)
        assert set(properties) == set(row) - {"id", "geometry", "bbox"}


def test_the_rasters_have_a_pixel_for_each_patch(done: Judged) -> None:
    for name in ("land_cover_probabilities.tif", "land_cover_most_probable.tif"):
        assert cog_validate(done.out / name)[0]
    with rasterio.open(done.out / "land_cover_probabilities.tif") as file:
        assert file.descriptions == CLASSES
        assert (file.crs.to_epsg(), file.res, file.shape) == (32632, (EDGE, EDGE), (3, 5))
        assert np.isnan(file.nodata)
        values = file.read()
        index = {
            (round(x - EDGE / 2), round(y + EDGE / 2)): (r, c)
            for r in range(3)
            for c in range(5)
            for x, y in [file.xy(r, c)]
        }
    with rasterio.open(done.out / "land_cover_most_probable.tif") as file:
        codes, colours, tags = file.read(1), file.colormap(1), file.tags()
        assert file.nodata == 0
    assert tags["ATTRIBUTION"] == "contains modified Copernicus Sentinel data 2026"
    for row in done.rows().values():
        place = index[int(row["bbox"]["xmin"]), int(row["bbox"]["ymax"])]
        known = probabilities(row)
        if row["status"] == "ok":
            assert values[(slice(None), *place)].tolist() == known
            assert CLASSES[codes[place] - 1] == row["most_probable"]
        else:
            assert np.isnan(values[(slice(None), *place)]).all()
            assert codes[place] == 20
    assert {name: colours[code][:3] for code, name in enumerate(CLASSES, 1)} == COLOURS


def test_gdal_knows_the_names_of_the_codes(done: Judged, tmp_path: Path) -> None:
    rasterio.shutil.copy(done.out / "land_cover_most_probable.tif", tmp_path / "made.vrt", driver="VRT")
    text = (tmp_path / "made.vrt").read_text()
    names = [part.split("</Category>")[0] for part in text.split("<Category>")[1:]]
    assert names == [
        "outside of the job",
        *CLASSES,
        "masked: cloud, shadow or snow",
        "incomplete: no data",
        "saturated",
    ]


def test_the_item_is_valid_and_says_what_it_was_made_of(done: Judged, tmp_path: Path) -> None:
    item = json.loads((done.out / "land_cover.json").read_text())
    answer = validator(tmp_path, EXTENSIONS)(item)
    assert answer["valid_stac"], answer
    broken = json.loads(json.dumps(item))
    broken["assets"]["labels"]["bands"][0]["classification:classes"][3]["color_hint"] = "red"
    assert not validator(tmp_path, EXTENSIONS)(broken)["valid_stac"]
    assert {link["rel"] for link in item["links"]} == {"derived_from", "license"}
    sources = item["properties"]["eo_shards:sources"]
    assert [each["id"] for each in sources] == [TILE.id]
    assert {"rel": "derived_from", "href": "./model.json"}.items() <= item["links"][-1].items()
    for link in item["links"]:  # nothing is looked for beside the result that is not there
        assert "://" in link["href"] or (done.out / link["href"]).is_file()
    classes = item["assets"]["labels"]["bands"][0]["classification:classes"]
    assert [each["description"] for each in classes[1:20]] == list(CLASSES)
    assert classes[CLASSES.index("Urban fabric") + 1]["color_hint"] == "FF0000"
    shapes = shapely.from_wkb([row["geometry"] for row in done.rows().values()])
    assert item["assets"]["labels"]["proj:bbox"] == list(shapely.total_bounds(shapes))
    west, south, east, north = item["bbox"]
    there = Transformer.from_crs("EPSG:32632", "OGC:CRS84", always_xy=True).transform_bounds(
        *shapely.total_bounds(shapes)
    )
    np.testing.assert_allclose((west, south, east, north), there, atol=1e-5)
    assert item["properties"]["eo_shards:demonstration"] is False
    assert "snow" in done.notes
    for asset in item["assets"].values():
        path = done.out / asset["href"]
        assert path.stat().st_size == asset["file:size"]


def test_each_file_s_title_says_what_it_holds(done: Judged) -> None:
    titles = {
        "land_cover.parquet": json.loads(pq.read_schema(done.out / "land_cover.parquet").metadata[b"geo"])["about"]
    }
    titles |= {name: json.loads((done.out / name).read_text()) for name in ("land_cover.geojson", "statistics.json")}
    for name in ("land_cover_probabilities.tif", "land_cover_most_probable.tif"):
        with rasterio.open(done.out / name) as file:
            titles[name] = file.tags()
    kinds = {name: found["TITLE"].partition("2026-07-12: ")[2] for name, found in titles.items()}
    assert kinds == {
        "land_cover.parquet": "probabilities and labels of 19 classes",
        "land_cover.geojson": "probabilities and labels of 19 classes",
        "statistics.json": "how many by class and by what became of them",
        "land_cover_probabilities.tif": "the probability of each of 19 classes",
        "land_cover_most_probable.tif": "the most probable of 19 classes",
    }


def test_the_model_s_item_names_no_file_that_is_not_delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy beside the results, of the model that this repository has: all else is as it was, and valid."""
    monkeypatch.delenv("EO_SHARDS_MODELS", raising=False)
    own = json.loads(read_item("land-cover-resnet26"))
    copy = json.loads(model_item("land-cover-resnet26"))
    assert copy == own | {"assets": copy["assets"]}
    folder = find("land-cover-resnet26")
    for key, name in (("model", "model.onnx"), ("card", "card.json")):
        digest = base64.urlsafe_b64encode(hashlib.sha256((folder / name).read_bytes()).digest()).decode().rstrip("=")
        assert own["assets"][key]["href"] == f"./{name}"
        assert copy["assets"][key]["href"] == f"ni:///sha-256;{digest}"
        assert f"{name} of the model's folder, not delivered" in copy["assets"][key]["title"]
    answer = validator(tmp_path, own["stac_extensions"])(copy)
    assert answer["valid_stac"], answer


def test_the_statistics_are_those_of_the_table(done: Judged) -> None:
    found = json.loads((done.out / "statistics.json").read_text())
    rows = [row for row in done.rows().values() if row["status"] == "ok"]
    assert (found["patches"], found["patches_by_status"]["masked"]) == (15, 1)
    assert found["square_kilometres_judged"] == pytest.approx(14 * 1.44)
    for index, name in enumerate(CLASSES):
        told = found["classes"][name]
        assert told["labelled"] == sum(name in row["labels"] for row in rows)
        assert told["most_probable"] == sum(row["most_probable"] == name for row in rows)
        assert told["mean_probability"] == pytest.approx(np.mean([probabilities(row)[index] for row in rows]))


def test_the_map_shows_each_patch_in_its_colour_and_warns_in_red(done: Judged) -> None:
    with Image.open(done.out / "land_cover.png") as image:
        drawn = np.asarray(image)
    for row in done.rows().values():
        colour = COLOURS[row["most_probable"]] if row["status"] == "ok" else (150, 150, 150)
        # A patch's 40 x 40 pixels, and its entry in the legend.
        assert (drawn == colour).all(axis=-1).sum() >= 40 * 40 + 100
    codes = np.ones((1, 1), np.uint8)
    plain, warned = (picture(codes, title="T", notices=["N"], warning=text) for text in ("", "DEMONSTRATION: not real"))
    red = [((shown[..., 0] > 150) & (shown[..., 1:] < 100).all(axis=-1)).sum() for shown in (plain, warned)]
    assert red[0] == 0
    assert red[1] > 100


def test_the_map_says_what_white_is_and_how_long_a_kilometre_is() -> None:
    codes = np.full((10, 10), 3, np.uint8)
    whole = picture(codes, title="T", notices=[], warning="")
    codes[:, 5:] = 0
    half = picture(codes, title="T", notices=[], warning="")
    assert half.shape == whole.shape
    legend = 12 + 400 + 12
    assert (half[:, legend:] != whole[:, legend:]).any()  # an entry for what is outside
    dark = (whole[:, legend:] == (40, 40, 40)).all(axis=-1).sum(axis=1)
    assert dark.max() == pytest.approx(5_000 / 1_200 * 40, abs=2)  # of 5 km, the longest round one


def test_large_maps_are_drawn_small() -> None:
    codes = np.full((2_000, 1_000), 3, np.uint8)
    drawn = picture(codes, title="T", notices=[], warning="")
    assert drawn.shape[0] < 1_000
    assert (drawn == COLOURS[CLASSES[2]]).all(axis=-1).sum() > 500 * 250


@pytest.mark.parametrize("shape", [(903, 901), (1, 1_801), (2_001, 3)])
def test_large_maps_of_odd_sizes_are_drawn_to_the_last_patch(shape: tuple[int, int]) -> None:
    codes = np.full(shape, 3, np.uint8)
    codes[-1, -1] = 4
    drawn = picture(codes, title="T", notices=[], warning="")
    found = (drawn == COLOURS[CLASSES[2]]).all(axis=-1) | (drawn == COLOURS[CLASSES[3]]).all(axis=-1)
    assert found.any(axis=1).sum() >= shape[0] // 4
    assert found.any(axis=0).sum() >= shape[1] // 4


def test_the_options_are_those_that_the_api_describes() -> None:
    described = description(LandCover(), "https://example.org", local_files=True)
    wanted = {"bbox", "model", "allow_demo_model", "max_unusable", "mask_clouds", "datetime"}
    assert wanted <= set(described.inputs)
    schema = LandCover.Inputs.model_json_schema()["properties"]
    assert all(schema[name].get("description") for name in wanted)
    assert set(described.outputs) == set(LandCover.outputs)


def records(count: int) -> Any:
    made = np.zeros(count, RECORD)
    made["col"], made["row"] = np.arange(count) + 559, -4_307
    made["scene"] = made["scenes"] = 1
    made["probabilities"] = np.random.default_rng(0).uniform(0.5, 1, (count, len(CLASSES)))
    return made


def test_the_table_is_written_group_by_group(done: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million patches have half a gigabyte in Arrow; the merge never has more than one group of them."""
    file, written = io.BytesIO(), []

    def made(*given: Any) -> Any:
        written.append(file.tell())
        return batch(*given)

    batch = parquet._batch
    monkeypatch.setattr(parquet, "_batch", made)
    monkeypatch.setattr(parquet, "ROWS", 50)
    monkeypatch.setattr(parquet, "io", SimpleNamespace(BytesIO=lambda: file))
    whole = parquet.document(records(300), Table(done.plan, (0.5,) * len(CLASSES), NAME), {})
    assert pq.ParquetFile(io.BytesIO(whole)).metadata.num_row_groups == len(written) == 6
    assert written == sorted(set(written)), "groups are made before those before them are written"


def test_patches_take_no_more_of_the_geojson_than_the_plan_counts_with(done: Judged) -> None:
    """With all labels, and a scene and a model whose names are as long as names are, so that the merge's disk holds all on Lambda."""
    scene = replace(done.plan.scenes[0], id="S2A_MSIL2A_20260712T101031_N0511_R022_T32TPS_20260712T151031")
    plan = done.plan.model_copy(update={"scenes": (scene,)})
    text = b"".join(
        geojson.document(
            records(500),
            Table(plan, (0.5,) * len(CLASSES), f"{'m' * 80} (trained on generated patches: demonstration only)"),
            {},
        )
    )
    assert all(len(found["properties"]["labels"]) == len(CLASSES) for found in json.loads(text)["features"])
    assert 0.7 * GEOJSON_BYTES < len(text) / 500 < GEOJSON_BYTES
    assert merge_disk() >= MAX_PATCHES_ON_LAMBDA * GEOJSON_BYTES
    assert MAX_PATCHES_ON_LAMBDA < MAX_PATCHES


def merge_disk() -> int:
    """Bytes of the merge function's temporary folder (https://docs.aws.amazon.com/lambda/latest/api/API_EphemeralStorage.html)."""
    text = (Path(__file__).parents[2] / "template.yaml").read_text()
    own = text.partition("\n  MergeFunction:\n")[2].partition("\n  MergeRole:\n")[0]
    told = re.search(r"EphemeralStorage: \{Size: (\d+)\}", own)
    return int(told[1] if told else 512) << 20
