"""The STAC item: valid, and true to the plan."""

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely

from eo.bbox import BBox
from eo.catalog import Scene
from eo.checksums import CHECKSUMS
from eo.grid import TargetGrid, Window
from eo.job import Plan, Prediction
from eo.lineage import public, sources
from eo.result_item import footprint, links
from point_cloud.item import COPC, EXTENSIONS, OBLIQUE, PLY, PREVIEW, stac_item
from stac_items import Validate, validator


def scene(number: int = 1, **changes: Any) -> Scene:
    values: dict[str, Any] = {
        "id": f"S2A_MSIL2A_2026071{number}",
        "collection": "sentinel-2-l2a",
        "datetime": f"2026-07-1{number}T10:10:31.024000Z",
        "cloud_cover": 1.0,
        "platform": "sentinel-2a",
        "baseline": "05.11",
        "footprint": {},
        "assets": {},
        "crs": "EPSG:32632",
        "year": 2026,
        "href": f"/home/somebody/catalog/item {number}.json",
    }
    return Scene(**(values | changes))


def plan(
    bbox: str = "11.2,46.4,11.25,46.42",
    crs: str = "EPSG:32632",
    scenes: tuple[Scene, ...] = (scene(),),
    **inputs: Any,
) -> Plan:
    box = BBox.parse(bbox)
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(
        [box.min_lon, box.max_lon, box.max_lon, box.min_lon], [box.min_lat, box.min_lat, box.max_lat, box.max_lat]
    )
    grid = TargetGrid(crs, 10, 0, 0, Window(0, 0, 1, 1))
    grid = TargetGrid(crs, 10, 0, 0, grid.window_of(min(x), min(y), max(x), max(y)))
    return Plan(
        job="0123456789abcdef",
        process="point-cloud",
        version="1.0.0",
        software="eo-shards 0.1.0",
        inputs={
            "bbox": [box.min_lon, box.min_lat, box.max_lon, box.max_lat],
            "sampled_fraction": 0.2,
            "coordinates": "local",
            "max_reflectance": 0.3,
            "dem": "local",
            "dem_path": "/home/somebody/dem.tif",
            "catalog": "/home/somebody/catalog",
        }
        | inputs,
        bbox=box,
        grid=grid,
        chunk=64,
        shard=64,
        lattice=(0, 0),
        scenes=scenes,
        radiometry={},
        vertical_crs="EPSG:3855",
        elevation_name="dem.tif",
        arrays=(),
        sources={},
        targets={},
        stages=(),
        predicted=Prediction(
            pixels=1,
            points=1,
            result_bytes=1,
            scratch_bytes=1,
            unit_memory_bytes=1,
            units={},
            parts=1,
        ),
    )


def extent(made: Plan) -> dict[str, list[float]]:
    window, grid = made.grid.window, made.grid
    return {
        "x": [grid.x(window.col + 0.5), grid.x(window.col_end - 0.5)],
        "y": [grid.y(window.row_end - 0.5), grid.y(window.row + 0.5)],
        "z": [100.0, 2000.5],
    }


def item(made: Plan) -> dict[str, Any]:
    summary = {
        "points": 1234,
        "bounds": extent(made),
        "offset": [5.0, 5.0, 0.0],
        "attributions": ["contains modified Copernicus Sentinel data 2026"],
        "notes": ["left out 2 pixels (0.10 %) where no scene has data"],
        "vertical_exaggeration_of_oblique_view": 1.7,
    }
    clouds = [{"ply": PLY, "copc": COPC}[name] for name in made.inputs.get("format", ["ply"])]
    files = (*clouds, CHECKSUMS, PREVIEW, OBLIQUE)
    return stac_item(
        made,
        summary,
        sizes=dict.fromkeys(files, 100),
        digests=dict.fromkeys(files, "ab" * 32),
        shapes={PREVIEW: (10, 20), OBLIQUE: (30, 40)},
    )


@pytest.fixture(scope="module")
def validate(tmp_path_factory: pytest.TempPathFactory) -> Validate:
    """stac-validator itself, with every schema from this disk."""
    return validator(tmp_path_factory.mktemp("stac"), EXTENSIONS)


ACROSS = ("179.9,-17,-179.9,-16.8", "EPSG:32701")
PLANS = {
    "one scene": plan(),
    "several scenes": plan(scenes=(scene(3), scene(1, platform="sentinel-2b"))),
    "remote, absolute": plan(
        scenes=(scene(href="https://user:secret@stac.example/items/a?token=secret"),), coordinates="absolute"
    ),
    "both formats": plan(format=["ply", "copc"]),
    "COPC alone": plan(format=["copc"]),
    "antimeridian": plan(*ACROSS),
    "smaller than a pixel": plan("11.2,46.4,11.200000001,46.400000001"),
}


@pytest.mark.parametrize("made", PLANS.values(), ids=PLANS)
def test_item_is_valid_with_core_and_all_extensions(made: Plan, validate: Validate) -> None:
    answer = validate(item(made))
    assert answer["valid_stac"], answer
    assert len(answer["schema"]) == 1 + len(EXTENSIONS)


def test_each_file_is_an_asset_with_its_own_dimensions() -> None:
    both, alone = item(PLANS["both formats"]), item(PLANS["COPC alone"])
    assert both["assets"]["data"]["type"] == "application/ply"
    for made in (both, alone):
        copc = made["assets"]["copc"]
        assert (copc["href"], copc["type"], copc["roles"]) == (
            "./point_cloud.copc.laz",
            "application/vnd.laszip+copc",
            ["data"],
        )
        assert {"name": "Classification", "size": 1, "type": "unsigned"} in copc["pc:schemas"]
    assert "Classification" not in {dimension["name"] for dimension in both["properties"]["pc:schemas"]}
    assert alone["properties"]["pc:schemas"] == alone["assets"]["copc"]["pc:schemas"]
    assert "data" not in alone["assets"]


BREAKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "core": lambda found: found["assets"]["data"].pop("href"),
    "datetime": lambda found: found["properties"].update(datetime="yesterday"),
    "geometry": lambda found: found["geometry"].update(coordinates=[[[0, 0], [1, 1]]]),
    "projection": lambda found: found["properties"].update({"proj:bbox": [1, 2, 3]}),
    "projection field": lambda found: found["properties"].update({"proj:epsg": 32632}),
    "pointcloud": lambda found: found["properties"].pop("pc:count"),
    "pointcloud dimension": lambda found: found["properties"]["pc:schemas"][0].update(type="float"),
    "processing": lambda found: found["properties"].update({"processing:software": {"eo-shards": 1}}),
    "file": lambda found: found["assets"]["checksums"].update({"file:checksum": "sha256:AB"}),
}


@pytest.mark.parametrize("damage", BREAKS.values(), ids=BREAKS)
def test_broken_item_is_refused(damage: Callable[[dict[str, Any]], Any], validate: Validate) -> None:
    broken = item(PLANS["one scene"])
    damage(broken)
    assert validate(broken)["error_type"] == "JSONSchemaValidationError"


def test_equal_plans_give_equal_bytes_and_no_time_of_making() -> None:
    one, other = (json.dumps(item(plan())) for _ in range(2))
    assert one == other
    assert not {"created", "updated", "processing:datetime"} & json.loads(one)["properties"].keys()


def test_nothing_of_this_machine_or_of_credentials_is_in_the_item() -> None:
    for made in PLANS.values():
        text = json.dumps(item(made))
        assert "somebody" not in text
        assert "secret" not in text


def test_every_scene_is_a_source() -> None:
    hrefs = ["https://x.example/a.json", "s3://bucket/a", "/home/a b/ü.json", "file:///home/x/c.json", "folder/p.SAFE"]
    made = plan(scenes=tuple(scene(number % 9, href=href) for number, href in enumerate(hrefs)))
    found = [link["href"] for link in links(made) if link["rel"] == "derived_from"]
    assert found == ["https://x.example/a.json", "s3://bucket/a"], (
        "a file's bare name would be looked for beside the result"
    )
    named = [each["href"] for each in sources(made) if each["type"] == "scene"]
    assert named == [*found, "%C3%BC.json", "c.json", "p.SAFE"]
    assert public("https://user:key@x.example/a?token=1#b") == "https://x.example/a"


def test_times_are_those_of_the_scenes() -> None:
    scenes = (scene(3), scene(1, datetime="2026-07-11T10:10:31Z"), scene(1, datetime="2026-07-11T10:10:31.024Z"))
    found = item(plan(scenes=scenes))["properties"]
    assert (found["datetime"], found["start_datetime"], found["end_datetime"]) == (
        None,
        "2026-07-11T10:10:31Z",
        "2026-07-13T10:10:31.024000Z",
    )


def test_footprint_is_the_points_extent_within_the_bbox() -> None:
    made = PLANS["one scene"]
    bounds = extent(made)
    found = footprint(made, bounds["x"], bounds["y"])
    area = shapely.geometry.shape(found["geometry"])
    assert area.is_valid
    assert area.exterior.is_ccw
    np.testing.assert_allclose(found["bbox"], [11.2, 46.4, 11.25, 46.42], atol=1e-6)
    east_half = footprint(made, [np.mean(bounds["x"]), bounds["x"][1]], bounds["y"])
    assert shapely.geometry.shape(east_half["geometry"]).area == pytest.approx(area.area / 2, rel=0.02)


@pytest.mark.parametrize("crs", ["EPSG:32701", "EPSG:32760"])
def test_footprint_is_split_at_the_antimeridian(crs: str) -> None:
    made = plan(ACROSS[0], crs)
    bounds = extent(made)
    found = footprint(made, bounds["x"], bounds["y"])
    np.testing.assert_allclose(found["bbox"], [179.9, -17, -179.9, -16.8], atol=1e-6)
    area = shapely.geometry.shape(found["geometry"])
    assert area.geom_type == "MultiPolygon"
    assert area.is_valid
    assert all(part.exterior.is_ccw for part in area.geoms)
    assert [part.bounds[0] > 0 for part in area.geoms] == [True, False]
    np.testing.assert_allclose(area.bounds, [-180, -17, 180, -16.8], atol=1e-6)
    assert area.area == pytest.approx(0.2 * 0.2, rel=1e-3)
    # Points on one side only: no part on the other.
    meridian = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(180, -16.9)[0]
    one_side = footprint(made, [bounds["x"][0], meridian - 2000], bounds["y"])
    assert one_side["geometry"]["type"] == "Polygon"
    assert 179.8 < one_side["bbox"][0] < one_side["bbox"][2] <= 180


def test_schema_says_what_a_vertex_is_made_of() -> None:
    for coordinates, size in (("local", 15), ("absolute", 27)):
        found = item(plan(coordinates=coordinates))["properties"]["pc:schemas"]
        assert [dimension["name"] for dimension in found] == ["X", "Y", "Z", "Red", "Green", "Blue"]
        assert sum(dimension["size"] for dimension in found) == size


def test_pictures_do_not_claim_the_cloud_s_projection() -> None:
    assets = item(plan())["assets"]
    assert [(assets[name]["proj:code"], assets[name]["proj:shape"]) for name in ("preview", "oblique")] == [
        (None, [10, 20]),
        (None, [30, 40]),
    ]
    assert "proj:code" not in assets["data"]


def test_plans_are_not_changed() -> None:
    made = plan()
    before = copy.deepcopy(made)
    item(made)
    assert made == before
