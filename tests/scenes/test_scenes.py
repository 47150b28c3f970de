"""The generator's own promises: what it calls truth is what its files hold."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import zarr
from pyproj import Transformer
from shapely.geometry import MultiPolygon, Point, shape

from scenes.clouds import Clouds
from scenes.demo import write_demo
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, cdse_href, write_scene
from scenes.world import World

if TYPE_CHECKING:
    from pathlib import Path

WORLD = World(seed=1)
CLOUDY = Clouds(fraction=0.25, seed=5)
DOLOMITES: dict[str, Any] = {"epsg": 32632, "ulx": 671240, "uly": 5168180, "tile": "32TPS"}
FIJI: dict[str, Any] = {"epsg": 32701, "ulx": 176000, "uly": 8150000, "tile": "01KAB"}
"""176 km east: the antimeridian runs through the tile."""


def read(path: Path) -> np.ndarray[Any, Any]:
    with rasterio.open(path) as file:
        return np.asarray(file.read(1))


def scattered(size: int, count: int = 300) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    columns, rows = np.random.default_rng(0).integers(0, size, (2, count))
    return columns, rows


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return write_scene(
        tmp_path_factory.mktemp("cloudy"), world=WORLD, size=1280, clouds=CLOUDY, nodata_wedge=0.3, **DOLOMITES
    )


def test_equal_calls_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scene(tmp_path / name, world=WORLD, size=200, clouds=CLOUDY, **DOLOMITES)
        write_edh_zarr(tmp_path / name / "dem.zarr", world=WORLD, bounds=(11.2, 46.6, 11.21, 46.61))
    first, second = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    )
    assert first == second


@pytest.mark.parametrize("band", ["B02", "B03", "B04"])
def test_true_dn_is_what_the_file_holds(cloudy: Scene, band: str) -> None:
    pixels = read(cloudy.assets[band])
    columns, rows = scattered(1280)
    np.testing.assert_array_equal(cloudy.true_dn(band, columns, rows), pixels[rows, columns])
    # A window across the generator's own seams.
    window = cloudy.true_dn(band, np.arange(480, 560), np.arange(1000, 1100)[:, np.newaxis])
    np.testing.assert_array_equal(window, pixels[1000:1100, 480:560])


def test_true_scl_is_what_the_file_holds(cloudy: Scene) -> None:
    pixels = read(cloudy.assets["SCL"])
    columns, rows = scattered(640)
    np.testing.assert_array_equal(cloudy.true_scl(columns, rows), pixels[rows, columns])
    assert set(np.unique(pixels)) <= {0, 3, 4, 5, 6, 8, 9, 11}
    assert {0, 3, 4, 5, 9} <= set(np.unique(pixels))


def test_no_valid_pixel_is_zero_and_the_wedge_is(cloudy: Scene) -> None:
    empty = read(cloudy.assets["B02"]) == 0
    assert empty[0, :383].all()
    assert not empty[0, 384:].any()
    assert not empty[-1].any() or empty[-1].sum() < 2
    assert np.isnan(cloudy.true_reflectance("B02", 0, 0))
    assert 0.0 < cloudy.true_reflectance("B02", 1200, 1200) < 1.0


def test_jpeg2000_is_lossless_in_tiles_of_1024(cloudy: Scene) -> None:
    with rasterio.open(cloudy.assets["B03"]) as file:
        assert file.driver == "JP2OpenJPEG"
        assert file.block_shapes == [(1024, 1024)]
        assert file.crs.to_epsg() == 32632
        assert file.transform == cloudy.transform
        assert file.dtypes == ("uint16",)
    # The generator's mosaic is not kept: recomputing a whole tile shows that no value was lost.
    rows, columns = np.mgrid[1024:1280, 1024:1280]
    np.testing.assert_array_equal(cloudy.true_dn("B03", columns, rows), read(cloudy.assets["B03"])[1024:, 1024:])


@pytest.mark.parametrize("tlm", [False, True])
def test_tlm_markers_are_written_on_demand(tmp_path: Path, tlm: bool) -> None:
    scene = write_scene(tmp_path, world=WORLD, size=64, tlm=tlm, block=32, bands=("B02",), **DOLOMITES)
    data = scene.assets["B02"].read_bytes()
    header = data[data.index(b"\xff\x4f\xff\x51") : data.index(b"\xff\x90")]
    assert (b"\xff\x55" in header) is tlm


@pytest.mark.parametrize("file_format", ["jp2", "cog", "gtiff"])
@pytest.mark.parametrize("style", ["cdse", "earth-search", "stactools"])
def test_items_point_at_their_files(tmp_path: Path, style: Any, file_format: Any) -> None:
    scene = write_scene(
        tmp_path, world=WORLD, size=128, block=64, item_style=style, file_format=file_format, **DOLOMITES
    )
    assert scene.item_path is not None
    item = json.loads(scene.item_path.read_text())
    for name, path in scene.assets.items():
        asset = item["assets"][scene.keys[name]]
        assert (scene.item_path.parent / asset["href"]).resolve() == path.resolve()
        with rasterio.open(path) as file:
            assert asset["proj:shape"] == [file.height, file.width]
            assert asset["proj:transform"] == list(file.transform)[:6]
    assert json.loads(json.dumps(scene.item)) == item


def test_offset_can_be_taken_out_of_the_numbers(tmp_path: Path) -> None:
    kept = write_scene(tmp_path / "kept", world=WORLD, size=64, item_style="earth-search", **DOLOMITES)
    applied = write_scene(
        tmp_path / "applied", world=WORLD, size=64, item_style="earth-search", offset_applied=True, **DOLOMITES
    )
    assert kept.item is not None
    assert applied.item is not None
    assert kept.item["properties"]["earthsearch:boa_offset_applied"] is False
    assert applied.item["properties"]["earthsearch:boa_offset_applied"] is True
    assert applied.item["assets"]["blue"]["raster:bands"][0]["offset"] == -0.1
    rows, columns = np.mgrid[:64, :64]
    np.testing.assert_array_equal(
        kept.true_reflectance("B02", columns, rows), applied.true_reflectance("B02", columns, rows)
    )
    assert kept.true_dn("B02", 5, 5) == applied.true_dn("B02", 5, 5) + 1000


@pytest.mark.parametrize(
    ("level", "element"), [("L2A", "BOA_ADD_OFFSET"), ("L1C", "RADIO_ADD_OFFSET")], ids=["L2A", "L1C"]
)
def test_product_metadata_says_the_offset(tmp_path: Path, level: Any, element: str) -> None:
    scene = write_scene(tmp_path, world=WORLD, size=64, level=level, item_style=None, offset=-1000, **DOLOMITES)
    (metadata,) = tmp_path.glob(f"*.SAFE/MTD_MSI{level}.xml")
    root = ET.parse(metadata).getroot()
    assert {node.text for node in root.iter(element)} == {"-1000"}
    assert len(list(root.iter(element))) == 13
    files = [node.text for node in root.iter("IMAGE_FILE")]
    for name in scene.assets.values():
        assert str(name.relative_to(metadata.parent).with_suffix("")) in files
    assert len(list(tmp_path.glob("*.SAFE/GRANULE/*/MTD_TL.xml"))) == 1
    assert ("SCL" in scene.assets) is (level == "L2A")


def test_baselines_before_04_have_no_offset_element(tmp_path: Path) -> None:
    write_scene(tmp_path, world=WORLD, size=64, baseline="02.14", offset=0, item_style=None, **DOLOMITES)
    (metadata,) = tmp_path.glob("*.SAFE/MTD_MSIL2A.xml")
    assert "ADD_OFFSET" not in metadata.read_text()


def test_href_of_cdse() -> None:
    name = "S2C_MSIL2A_20260712T101031_N0511_R022_T32TPS_20260712T151031.SAFE"
    assert cdse_href(PurePosixPath(name) / "x.jp2") == f"s3://eodata/Sentinel-2/MSI/L2A/2026/07/12/{name}/x.jp2"


@pytest.mark.parametrize("place", [DOLOMITES, FIJI], ids=["Dolomites", "antimeridian"])
@pytest.mark.parametrize("wedge", [0.0, 0.4])
def test_footprint_holds_exactly_the_valid_pixels(tmp_path: Path, place: dict[str, Any], wedge: float) -> None:
    scene = write_scene(
        tmp_path, world=WORLD, size=64, resolution=600, nodata_wedge=wedge, bands=("B02",), with_scl=False, **place
    )
    assert scene.item is not None
    footprint = shape(scene.item["geometry"])
    assert footprint.is_valid
    rows, columns = np.mgrid[:64, :64]
    x, y = place["ulx"] + (columns + 0.5) * 600, place["uly"] - (rows + 0.5) * 600
    lon, lat = Transformer.from_crs(place["epsg"], 4326, always_xy=True).transform(x, y)
    valid = scene.true_dn("B02", columns, rows) > 0
    # Pixels whose centre lies within 1 m of the border may fall on either side.
    inside = np.array([footprint.buffer(1e-5).contains(Point(at)) for at in zip(lon.flat, lat.flat, strict=True)])
    strictly = np.array([footprint.buffer(-1e-5).contains(Point(at)) for at in zip(lon.flat, lat.flat, strict=True)])
    assert (valid.ravel() <= inside).all()
    assert (strictly <= valid.ravel()).all()


def test_footprint_across_the_antimeridian_is_split(tmp_path: Path) -> None:
    scene = write_scene(tmp_path, world=WORLD, size=64, resolution=600, bands=("B02",), with_scl=False, **FIJI)
    assert scene.item is not None
    assert isinstance(shape(scene.item["geometry"]), MultiPolygon)
    west, _, east, _ = scene.item["bbox"]
    assert 179 < west < 180
    assert -180 < east < -179


def test_scenes_of_one_place_and_two_days_differ_in_light_and_clouds_only(tmp_path: Path) -> None:
    clear = write_scene(tmp_path, world=WORLD, size=128, **DOLOMITES)
    covered = write_scene(
        tmp_path,
        world=WORLD,
        size=128,
        sensed=datetime(2026, 8, 1, 10, 10, tzinfo=UTC),
        clouds=Clouds(fraction=1.0),
        **DOLOMITES,
    )
    assert clear.item is not None
    assert covered.item is not None
    assert clear.item["properties"]["eo:cloud_cover"] == 0
    assert covered.item["properties"]["eo:cloud_cover"] == 100
    assert clear.id != covered.id


def test_blob_covers_the_place_it_is_put_on(tmp_path: Path) -> None:
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(671240 + 640, 5168180 - 640)
    scene = write_scene(tmp_path, world=WORLD, size=128, clouds=Clouds(blobs=((lon, lat, 300.0),)), **DOLOMITES)
    classes = scene.true_scl(np.arange(64), np.arange(64)[:, np.newaxis])
    assert classes[32, 32] == 9
    assert (classes == 9).sum() == pytest.approx(np.pi * 15**2, rel=0.1)
    assert (classes == 3).any()


def test_demo_is_two_tiles_on_two_days_with_elevation_beneath(tmp_path: Path) -> None:
    demo = write_demo(tmp_path, size=256)
    assert len(list(demo.catalog.glob("*.json"))) == 4
    clear, _, cloudy, _ = (scene.item["properties"]["eo:cloud_cover"] for scene in demo.scenes if scene.item)
    assert clear <= cloudy
    west, south, east, north = demo.bbox
    lon, lat = np.meshgrid(np.linspace(west, east, 9), np.linspace(south, north, 9))
    assert np.isfinite(demo.dem.truth(lon, lat)).all()
    covered = [shape(scene.item["geometry"]) for scene in demo.scenes[:2] if scene.item]
    assert covered[0].intersects(covered[1])
    assert all(covered[0].union(covered[1]).contains(Point(at)) for at in zip(lon.flat, lat.flat, strict=True))
    dsm: Any = zarr.open_group(str(demo.dem_path), mode="r")["dsm"]
    assert np.isfinite(dsm[round((90 - north) * 3600) : round((90 - south) * 3600), round((west + 180) * 3600)]).all()
