"""Scenes from STAC items of every dialect, real ones where they are at hand."""

import copy
import json
import math
from dataclasses import replace
from typing import Any

import pytest

from eo.catalog import CLASSES, MASKS, Angles, Auxiliary, Scene, is_class, satellite
from eo.errors import CorruptData, NothingFound
from eo.grid import RasterGrid
from eo.radiometry import Radiometry
from eo.safe import read_product, read_tile
from eo.safe_xml import BAND_NAMES
from eo.stac_item import find_band, level, scene_from_item
from real_data import test_data

BARE = Radiometry(0, 10_000)
SHIFTED = Radiometry(-1000, 10_000)
TEN = {"B02", "B04", "B08"}


def item(assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_X",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Polygon", "coordinates": [[[1, 1], [2, 1], [2, 2], [1, 1]]]},
        "properties": {"datetime": "2023-08-15T11:57:57.246+02:00", **properties},
        "assets": assets,
    }


def scene(of: dict[str, Any], *bands: str, **options: Any) -> Scene:
    return scene_from_item(of, bands=bands or ("B02",), locate=str, **options)


def real(*parts: str) -> Any:
    return json.loads(test_data(*parts).read_text())


class TestRealItems:
    def test_austria_has_its_offset_applied_whatever_the_asset_says(self) -> None:
        for path in sorted(test_data("austria_l2a_120m").glob("*/*.json")):
            found = scene(json.loads(path.read_text()), "B02", "B03", "B04", "B08", "SCL")
            assert {name: asset.href for name, asset in found.assets.items()} == {
                name: f"{name}.tif" for name in ("B02", "B03", "B04", "B08", "SCL")
            }
            assert found.assets["B04"].radiometry == BARE
            assert found.assets["SCL"].radiometry is None
            assert (found.crs, found.year, found.baseline) == ("EPSG:32633", 2023, "05.09")

    def test_cdse_l1c(self) -> None:
        of = real("stac", "cdse_excerpts", "S2C_MSIL1C_20250710_T31TEL_excerpt.json")
        found = scene(of, "B02", "B03", "B04", "SCL")
        assert set(found.assets) == {"B02", "B03", "B04"}
        asset = found.assets["B02"]
        assert asset.href.startswith("s3://eodata/Sentinel-2/MSI/L1C/2025/07/10/")
        assert (asset.radiometry, asset.size) == (SHIFTED, 108326496)
        assert asset.declared == RasterGrid("EPSG:32631", 499980, 5100000, 10, 10, 10980, 10980)
        assert (found.datetime, found.cloud_cover) == ("2025-07-10T10:40:41.025000Z", 0)
        assert (found.platform, level(of)) == ("sentinel-2c", "L1C")

    def test_cdse_l2a_without_geometry_and_datetime(self) -> None:
        found = scene(real("stac", "cdse_excerpts", "S2C_MSIL2A_20250330_T33UWP_excerpt.json"))
        assert found.assets["B02"].radiometry == SHIFTED
        assert found.footprint["type"] == "MultiPolygon"
        assert found.year == 2025

    def test_earth_search_l1c(self) -> None:
        of = real("stac", "eodag", "earth_search_search.json")["features"][0]
        found = scene(of, "B02", "B05", "B8A", "B12")
        assert [asset.href[-7:] for asset in found.assets.values()] == ["B02.jp2", "B05.jp2", "B8A.jp2", "B12.jp2"]
        assert {asset.radiometry for asset in found.assets.values()} == {SHIFTED}

    def test_stactools_items_tell_what_the_products_tell(self) -> None:
        paths = sorted(test_data("safe_metadata", "stactools").glob("*/expected_output.json"))
        assert len(paths) == 3
        for path in paths:
            of, product = json.loads(path.read_text()), read_product(next(path.parent.glob("MTD_MSIL*.xml")))
            bands = ("B01", "B02", "B04", "B05", "B08", "B8A", "B11")
            found = scene(of, *bands, "SCL")
            assert ("SCL" in found.assets) == (product.level == "L2A" == level(of))
            for band in bands:
                asset = found.assets[band]
                assert asset.radiometry == product.radiometry(band)
                # The sensor's own pixels, which for L2A the product lists beside resampled ones under the same name.
                stem = asset.href.removeprefix("./").rpartition(".")[0]
                same = [image for image in product.image_files if f"_{band}" in image]
                assert stem == (max(same) if band == "B01" else min(same))
                assert product.image(band) == (60 if band == "B01" else 10 if band in TEN else 20, stem)

    def test_scenes_are_plain_json(self) -> None:
        found = scene(real("stac", "cdse_excerpts", "S2C_MSIL1C_20250710_T31TEL_excerpt.json"))
        assert Scene.from_dict(json.loads(json.dumps(found.to_dict()))) == found
        full = replace(
            found,
            angles=Angles(((30.5, 30), (31, 30.75)), 150.5, {"B02": (3.5, 120), "B8A": (3, 0.0)}, "product"),
            auxiliary=Auxiliary(0.12, 2.1, None, 1013),
        )
        assert Scene.from_dict(json.loads(json.dumps(full.to_dict()))) == full
        # As a plan from before there were any.
        old = {name: value for name, value in full.to_dict().items() if name not in {"angles", "auxiliary"}}
        assert Scene.from_dict(old) == replace(full, angles=None, auxiliary=None)


@pytest.mark.parametrize(
    ("name", "collection", "named"),
    [
        ("S2A_MSIL2A_20260712T101031_N0511_R022_T32TPS_20260712T151031", "sentinel-2-l1c", "L2A"),
        ("S2B_MSIL1C_20260712T101031_N0511_R022_T32TPS_20260712T151031", "sentinel-2-l2a", "L1C"),
        ("S2A_33TWM_20230815_0_L2A", "sentinel-s2-l1c", "L2A"),
    ],
)
def test_an_item_whose_name_and_collection_disagree_is_refused(name: str, collection: str, named: str) -> None:
    of = item({"B02": {"href": "B02.tif"}}) | {"id": name, "collection": collection}
    with pytest.raises(CorruptData, match=rf"{name} is {named} by its name, but its item says collection {collection}"):
        scene(of)


class TestFindingBands:
    def test_the_finest_variant_is_taken(self) -> None:
        assets = {f"B02_{metres}m": {"href": f"s3://eodata/{metres}"} for metres in (60, 10, 20)}
        assert scene(item(assets)).assets["B02"].href == "s3://eodata/10"
        by_gsd = {"blue_20m": {"href": "c", "gsd": 20}, "blue": {"href": "f", "gsd": 10}}
        assert scene(item(by_gsd)).assets["B02"].href == "f"

    def test_but_none_of_finer_pixels_than_the_sensors(self) -> None:
        # The assets of CDSE's sentinel-2-l2a; BigEarthNet has B01 and B09 of 60 m.
        names = ("B01_20m", "B01_60m", "B09_60m", "B8A_20m", "B8A_60m", "B02_10m", "B02_20m")
        of = item({name: {"href": f"s3://eodata/{name}"} for name in names})
        found = scene(of, "B01", "B09", "B8A", "B02")
        assert [asset.href.rpartition("/")[2] for asset in found.assets.values()] == [
            "B01_60m",
            "B09_60m",
            "B8A_20m",
            "B02_10m",
        ]
        of["assets"].pop("B01_60m")
        assert scene(of, "B01").assets["B01"].href == "s3://eodata/B01_20m"
        undeclared = item({"coastal": {"href": "c"}, "coastal_20m": {"href": "f"}})
        assert scene(undeclared, "B01").assets["B01"].href == "c"

    def test_local_and_cog_come_before_remote_and_jp2(self) -> None:
        assets = {"blue-jp2": {"href": "s3://bucket/B02.jp2"}, "blue": {"href": "https://host/B02.tif"}}
        assert scene(item(assets)).assets["B02"].href == "https://host/B02.tif"
        assets["blue-jp2"]["href"] = "B02.jp2"
        assert scene(item(assets)).assets["B02"].href == "B02.jp2"

    @pytest.mark.parametrize("array", ["bands", "eo:bands", "raster:bands"])
    def test_a_file_of_several_bands_is_read_by_their_names(self, array: str) -> None:
        names = ["B01", "B02", "B8A", "B08", "SCL"]
        of = item({"data": {"href": "all.tif", array: [{"name": name} for name in names]}})
        found = scene(of, *reversed(names))
        assert {name: asset.band for name, asset in found.assets.items()} == {n: i for i, n in enumerate(names, 1)}

    def test_common_names_count_where_names_say_nothing_else(self) -> None:
        bands = [{"name": "1", "common_name": "red"}, {"name": "2", "eo:common_name": "blue"}]
        assert scene(item({"x": {"href": "x", "eo:bands": bands}}), "B02", "B04").assets["B02"].band == 2
        wrong = item({"x": {"href": "x", "bands": [{"name": "B8A", "eo:common_name": "nir"}]}})
        assert find_band(wrong, "B08") is None

    def test_pictures_are_not_bands(self) -> None:
        visual = {"href": "TCI.tif", "roles": ["visual"], "eo:bands": [{"name": n} for n in ("B04", "B03", "B02")]}
        assert find_band(item({"visual": visual}), "B02") is None
        assert find_band(item({"B02": {"href": "x", "roles": ["thumbnail"]}}), "B02") is None

    def test_old_and_short_names_are_known(self) -> None:
        of = item({"B2": {"href": "x"}, "SCL": {"href": "y"}, "rededge2": {"href": "z"}})
        assert scene(of, "B02", "B06", "SCL").assets["B06"].href == "z"

    def test_a_missing_band_is_named(self) -> None:
        with pytest.raises(NothingFound, match=r"no band B08 among its assets .B02."):
            scene(item({"B02": {"href": "x"}}), "B02", "B08")


class TestRadiometry:
    def of(self, asset: dict[str, Any], metadata: Any = None, **properties: Any) -> Radiometry | None:
        found = scene(item({"B02": {"href": "x", **asset}}, **properties), metadata=metadata)
        return found.assets["B02"].radiometry

    def test_the_flag_beats_the_offset(self) -> None:
        asset = {"raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
        assert self.of(asset, **{"earthsearch:boa_offset_applied": True}) == BARE
        assert self.of(asset, **{"sentinel:boa_offset_applied": True}) == BARE
        assert self.of(asset, **{"earthsearch:boa_offset_applied": False}) == SHIFTED
        assert self.of(asset) == SHIFTED

    @pytest.mark.parametrize(
        "asset",
        [
            {"raster:scale": 0.0001, "raster:offset": -0.1},
            {"bands": [{"name": "B02", "raster:scale": 0.0001, "raster:offset": -0.1}]},
            {"raster:bands": [{"scale": 0.0001, "offset": -0.1}], "eo:bands": [{"name": "B02"}]},
            {"raster:offset": -0.1},
        ],
    )
    def test_every_place_of_the_offset_is_read(self, asset: dict[str, Any]) -> None:
        assert self.of(asset, **{"processing:version": "05.11"}) == SHIFTED

    def test_each_band_of_a_file_has_its_own(self) -> None:
        entries = [{"name": "B03", "scale": 0.0001, "offset": -0.1}, {"name": "B02", "scale": 0.001, "offset": 0}]
        found = scene(item({"all": {"href": "x", "raster:bands": entries}}), "B02", "B03")
        assert [found.assets[band].radiometry for band in ("B02", "B03")] == [Radiometry(0, 1000), SHIFTED]

    def test_products_before_baseline_4_have_none(self) -> None:
        assert self.of({}, **{"s2:processing_baseline": "03.01"}) == BARE
        assert (
            self.of({}, **{"s2:product_uri": "S2A_MSIL2A_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE"})
            == BARE
        )
        assert self.of({}) == BARE

    @pytest.mark.parametrize(
        "properties",
        [
            {"processing:version": "05.11"},
            {"s2:processing_baseline": "04.00"},
            {"s2:product_uri": "S2A_MSIL2A_20230908T042701_N0509_R133_T46RER_20230908T070248.SAFE"},
        ],
    )
    def test_later_ones_must_tell_it(self, properties: dict[str, str]) -> None:
        with pytest.raises(CorruptData, match=r"S2A_X does not tell the radiometric offset of B02.*raster:offset"):
            self.of({"raster:scale": 0.0001}, **properties)

    def test_the_product_tells_what_the_item_does_not(self) -> None:
        name = "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE"
        path = test_data("safe_metadata", "stactools", name, "MTD_MSIL2A.xml")
        assert self.of({}, metadata=lambda: read_product(path), **{"processing:version": "05.09"}) == SHIFTED


class TestMalformedItems:
    @pytest.mark.parametrize("path", [("properties",), ("assets",), ("properties", "datetime"), ("geometry",), ("id",)])
    def test_what_is_missing_makes_it_corrupt(self, path: tuple[str, ...]) -> None:
        of: Any = copy.deepcopy(item({"B02": {"href": "x"}}))
        holder = of
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        with pytest.raises(CorruptData, match="malformed"):
            scene(of)

    @pytest.mark.parametrize(
        "asset",
        [
            {},
            None,
            "x",
            {"href": "x", "raster:offset": "a lot"},
            {"href": "x", "proj:transform": [1], "proj:shape": [1, 1]},
        ],
    )
    def test_a_broken_asset_that_is_used_makes_it_corrupt(self, asset: Any) -> None:
        with pytest.raises(CorruptData, match="S2A_X"):
            scene(item({"B02": asset}, **{"proj:epsg": 32633}))

    def test_the_time_is_utc_whatever_the_item_writes(self) -> None:
        assert scene(item({"B02": {"href": "x"}})).datetime == "2023-08-15T09:57:57.246000Z"

    def test_a_rotated_declared_grid_is_none(self) -> None:
        asset = {"href": "x", "proj:transform": [10, 1, 0, 0, -10, 0], "proj:shape": [2, 3], "proj:code": "EPSG:32633"}
        assert scene(item({"B02": asset})).assets["B02"].declared is None
        asset["proj:transform"] = [10, 0, 0, 0, -10, 0, 0, 0, 1]
        assert scene(item({"B02": asset})).assets["B02"].declared == RasterGrid("EPSG:32633", 0, 0, 10, 10, 3, 2)


class TestAngles:
    def of(self, *bands: str, asset: dict[str, Any] | None = None, **properties: Any) -> Angles | None:
        assets = {band: {"href": band, **(asset or {})} for band in bands or ("B02",)}
        return scene(item(assets, **properties), *bands).angles

    def test_cdse_tells_the_view_of_each_band(self) -> None:
        of = real("stac", "cdse_excerpts", "S2C_MSIL1C_20250710_T31TEL_excerpt.json")
        found = scene(of, "B02", "B03").angles
        assert found is not None
        assert (found.sun_azimuth, found.origin) == (146.521730757679, "item")
        assert found.sun_zenith == ((90 - 63.4280620946829,) * 2,) * 2
        assert found.view["B02"] == (3.46538748696323, 123.208074516244)
        assert found.view["B03"][1] == 120.712166334315
        assert found.view["B8A"] == (3.7762916805784514, 118.7548881687595)

    def test_earth_search_tells_the_sun_alone(self) -> None:
        of = real("stac", "eodag", "earth_search_search.json")["features"][0]
        found = scene(of).angles
        assert found == Angles(((90 - 11.604167707198599,) * 2,) * 2, 175.230754104899, {}, "item")

    def test_older_names_are_known(self) -> None:
        found = self.of(**{"s2:mean_solar_zenith": 31.5, "s2:mean_solar_azimuth": 150})
        assert found == Angles(((31.5, 31.5), (31.5, 31.5)), 150, {}, "item")

    def test_the_angle_at_the_satellite_is_smaller_than_that_on_the_ground(self) -> None:
        sun = {"view:sun_elevation": 40, "view:sun_azimuth": 360}
        found = self.of(**sun, **{"view:off_nadir": 10.0, "view:azimuth": 100})
        assert found is not None
        assert found.sun_azimuth == 0
        # Sides of a triangle of the earth's centre, the satellite and the place.
        ground = found.view["B04"][0]
        assert 6371 / math.sin(math.radians(10)) == pytest.approx(7157 / math.sin(math.radians(ground)))
        both = self.of(**sun, **{"view:off_nadir": 10.0, "view:incidence_angle": 5, "view:azimuth": 100})
        assert both is not None
        assert both.view["B04"] == (5, 100)

    @pytest.mark.parametrize("wrong", [None, "high", math.nan, math.inf, -91, 91, True, [40]])
    def test_what_is_no_angle_is_taken_for_missing(self, wrong: Any) -> None:
        assert self.of(**{"view:sun_elevation": wrong, "view:sun_azimuth": 100}) is None
        sun = {"view:sun_elevation": 40, "view:sun_azimuth": 100}
        found = self.of(asset={"view:incidence_angle": wrong, "view:azimuth": 4}, **sun)
        assert found is not None
        assert found.view == {}

    def test_the_granules_metadata_come_first_for_l1c(self) -> None:
        path = next(test_data("safe_metadata", "eo_tools_L1C_N0509").rglob("MTD_TL.xml"))
        of = {**item({"B02": {"href": "x"}}, **{"view:sun_elevation": 40}), "collection": "sentinel-2-l1c"}
        found = scene(of, tile=lambda: read_tile(path)).angles
        assert found is not None
        assert (found.origin, set(found.view)) == ("product", set(BAND_NAMES))
        assert scene(of, tile=lambda: None).angles is None
        of["collection"] = "sentinel-2-l2a"
        assert scene(of, tile=lambda: pytest.fail("not needed")).angles is None


class TestBands:
    def test_classes_and_masks_have_codes(self) -> None:
        assert [band for band in (*BAND_NAMES, CLASSES, *MASKS) if is_class(band)] == [CLASSES, *MASKS]

    def test_optional_bands_are_taken_where_there_are_any(self) -> None:
        of = item({"B02": {"href": "x"}, "B09": {"href": "y"}})
        assert set(scene(of, optional=("B01", "B09", "MSK_OPAQUE", "SCL")).assets) == {"B02", "B09"}
        with pytest.raises(NothingFound, match="B01"):
            scene(of, "B01", optional=("B09",))

    @pytest.mark.parametrize(
        ("platform", "name", "expected"),
        [
            ("sentinel-2a", "x", "S2A"),
            ("Sentinel-2B", "S2A_X", "S2B"),
            ("S2C", "x", "S2C"),
            ("", "S2B_MSIL2A_2026", "S2B"),
            ("sentinel-2", "x", None),
            ("landsat-9", "LC09", None),
            ("sentinel-2d", "x", None),
        ],
    )
    def test_the_satellite_is_that_of_the_platform(self, platform: str, name: str, expected: str | None) -> None:
        of = {**item({"B02": {"href": "x"}}, platform=platform), "id": name}
        assert satellite(scene(of)) == expected
