"""Patches where coordinates are odd: beyond the equator, across the antimeridian, and in a CRS that is no scene's."""

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.warp import transform_bounds

from l2a import Tile, judge
from small_land_cover import publish


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "models", bands=("B02", "B8A"))
    monkeypatch.setenv("EO_SHARDS_MODELS", str(tmp_path / "models"))


def features(out: Path) -> dict[str, shapely.Geometry]:
    document = json.loads((out / "land_cover.geojson").read_text())
    return {each["id"]: shapely.from_geojson(json.dumps(each["geometry"])) for each in document["features"]}


def test_southern_zones_count_from_their_own_zero(tmp_path: Path) -> None:
    tile = Tile(crs="EPSG:32733", left=300_000, top=8_200_800, size=2_400, name="33LUE", bands=("B02", "B8A"))
    tile.write(tmp_path / "c")
    done = judge(tmp_path, tile.box(1_300, 1_300, 800), chunk=128)
    assert set(done.rows()) == {"32733_301200_8199600"}
    (shape,) = features(done.out).values()
    assert shape.centroid.y < 0
    np.testing.assert_allclose(
        shape.bounds, transform_bounds("EPSG:32733", "EPSG:4326", 301_200, 8_198_400, 302_400, 8_199_600), atol=2e-6
    )


def test_patches_across_the_antimeridian_are_in_two_parts(tmp_path: Path) -> None:
    """Zone 1 begins at 180 degrees; at 17 degrees south that is 180,650 m east of its zero."""
    tile = Tile(crs="EPSG:32701", left=178_800, top=8_120_400, size=3_600, name="01KAB", bands=("B02", "B8A"))
    tile.write(tmp_path / "c")
    west, south, east, north = tile.box(100, 1_300, 3_400, 900)
    assert west > 179 > -179 > east
    done = judge(tmp_path, (west, south, east, north), chunk=128)
    rows, shapes = done.rows(), features(done.out)
    assert len(rows) == 3
    assert {row["status"] for row in rows.values()} == {"ok"}
    kinds = [shape.geom_type for shape in shapes.values()]
    assert sorted(kinds) == ["MultiPolygon", "Polygon", "Polygon"]
    for shape in shapes.values():
        bounds = shapely.bounds(shapely.get_parts(shape))
        assert (bounds[:, 2] - bounds[:, 0] < 0.02).all()
        assert (np.abs(bounds[:, [0, 2]]) <= 180).all()
    item = json.loads((done.out / "land_cover.json").read_text())
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > 179 > -179 > item["bbox"][2]


def test_a_crs_that_is_no_scene_s_has_its_own_patches(tmp_path: Path) -> None:
    tile = Tile(size=4_800, bands=("B02", "B8A")).write(tmp_path / "c")
    box = tile.box(2_000, 2_000, 500)
    one, other = (judge(tmp_path, box, crs="EPSG:3035", chunk=chunk).rows() for chunk in (1024, 128))
    assert one == other
    for row in one.values():
        left, bottom, right, top = shapely.from_wkb(row["geometry"]).bounds
        assert (left % 1_200, top % 1_200, right - left, top - bottom) == (0, 0, 1_200, 1_200)
    assert {row["status"] for row in one.values()} == {"ok"}
    assert all(name.startswith("3035_") for name in one)


def test_products_off_the_lattice_are_brought_onto_it(tmp_path: Path) -> None:
    """A file whose pixels begin 3 m off: the patches still lie at multiples of 1,200 m."""
    tile = Tile(left=670_803, size=4_800, bands=("B02", "B8A")).write(tmp_path / "c")
    done = judge(tmp_path, tile.box(2_000, 2_000, 300), chunk=128)
    assert all(row["bbox"]["xmin"] % 1_200 == 0 for row in done.rows().values())
    assert "resampled to EPSG:32632 at 10 m" in done.notes
