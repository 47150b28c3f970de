"""The search over remote catalogues and folders."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import shapely
import shapely.geometry

from eo.bbox import BBox
from eo.errors import (
    AccessDenied,
    CorruptData,
    EoShardsError,
    InvalidInput,
    NothingFound,
    RateLimited,
    SourceUnavailable,
)
from eo.radiometry import Radiometry
from eo.safe import read_product
from eo.settings import Settings
from peers.faults import Corrupt, Hang, Reset, Status, Truncate
from peers.stac import StacApi
from peers.stac_items import grid_items
from plan import safe_catalog, search
from plan.candidate import Candidate
from plan.choose import geometries
from real_data import ROOT, test_data

ALPS = BBox.parse("3.2833,45.3833,11.2,50.1833")
BANDS = ("B02", "B03", "B04", "SCL")


def settings(url: str, **more: Any) -> Settings:
    values = {"retry_attempts": 3, "retry_delay": 0.001, "retry_max_delay": 0.1, "timeout": 5, **more}
    return Settings(cdse_stac_url=url, earth_search_url=url, **values)


@pytest.fixture
def serve() -> Iterator[Callable[..., StacApi]]:
    with contextlib.ExitStack() as running:
        yield lambda *args, **options: running.enter_context(StacApi(*args, **options))


def meeting(items: list[dict[str, Any]], bbox: BBox = ALPS) -> set[str]:
    """Names of the items whose footprint meets a box: items of tiles that do may themselves end before it."""
    return {item["id"] for item in items if bbox.polygon().intersects(shapely.geometry.shape(item["geometry"]))}


def find(api: StacApi, bbox: BBox = ALPS, **options: Any) -> list[Candidate]:
    asked: dict[str, Any] = {"collection": "sentinel-2-l2a", "datetime": None, **options}
    return search.find(asked.pop("source", "cdse"), bbox=bbox, settings=settings(api.url), **asked)


class TestRemote:
    def test_all_pages_are_read_and_the_chosen_come_whole(self, serve: Callable[..., StacApi]) -> None:
        items = list(grid_items(days=20, without_cloud_cover=10))
        api = serve(items, page_cap=100)
        found = find(api)
        assert {c.id for c in found} == meeting(items)
        without = [item for item in items if "eo:cloud_cover" not in item["properties"]]
        assert {c.id for c in found if c.cloud_cover is None} == meeting(without) != set()
        assert all(c.tile and c.baseline == "05.12" and c.platform for c in found)
        scenes = search.load("cdse", found[5:65], bands=BANDS, settings=settings(api.url))
        assert [scene.id for scene in scenes] == [c.id for c in found[5:65]]
        assert scenes[0].assets["B02"].radiometry == Radiometry(-1000, 10_000)
        assert scenes[0].assets["B02"].href.startswith("s3://eodata/")
        assert scenes[0].crs in {"EPSG:32631", "EPSG:32632"}

    def test_dates_and_collection_are_those_asked_for(self, serve: Callable[..., StacApi]) -> None:
        api = serve(grid_items(days=60))
        found = find(api, datetime="2026-09-20/2026-09-22")
        assert {c.datetime[:10] for c in found} <= {"2026-09-20", "2026-09-21", "2026-09-22"}
        assert found
        assert find(api, collection="sentinel-2-l1c") == []

    def test_a_catalogue_without_the_fields_extension_is_read_too(self, serve: Callable[..., StacApi]) -> None:
        items = list(grid_items(days=10))
        assert {c.id for c in find(serve(items, extensions=()))} == meeting(items)

    def test_a_box_across_the_antimeridian_is_two_searches(self, serve: Callable[..., StacApi]) -> None:
        model = next(iter(grid_items(days=10)))

        def at(name: str, *boxes: tuple[float, float]) -> dict[str, Any]:
            rings = [[[[w, 16], [e, 16], [e, 17], [w, 17], [w, 16]]] for w, e in boxes]
            bbox = [boxes[0][0], 16, boxes[-1][1], 17]
            return {**model, "id": name, "geometry": {"type": "MultiPolygon", "coordinates": rings}, "bbox": bbox}

        items = [
            at("west", (178, 179.5)),
            at("east", (-179.5, -178)),
            at("both", (179, 180), (-180, -179.5)),
            at("far", (170, 171)),
        ]
        found = find(serve(items), BBox.parse("179.2,15.5,-179.2,17.5"))
        assert sorted(c.id for c in found) == ["both", "east", "west"]

    def test_what_is_malformed_is_left_out(
        self, serve: Callable[..., StacApi], caplog: pytest.LogCaptureFixture
    ) -> None:
        items = list(grid_items(days=3))
        items[3] = {**items[3], "properties": {**items[3]["properties"], "eo:cloud_cover": "cloudy"}}
        assert len(find(serve(items))) == len(meeting(items)) - 1
        assert items[3]["id"] in caplog.text

    @pytest.mark.parametrize(
        "fault", [Status(429, 0.01), Status(503), Status(504), Reset(), Reset(0), Truncate(100)], ids=str
    )
    def test_what_may_pass_is_tried_again(self, serve: Callable[..., StacApi], fault: Any) -> None:
        items = list(grid_items(days=5))
        api = serve(items)
        rule = api.script.add("/search", [fault, fault])
        assert {c.id for c in find(api)} == meeting(items)
        assert rule.calls == 3

    def test_what_does_not_pass_is_named(self, serve: Callable[..., StacApi]) -> None:
        api = serve(grid_items(days=1))
        kinds: list[tuple[Any, type[EoShardsError], int]] = [
            (Status(429), RateLimited, 3),
            (Status(503), SourceUnavailable, 3),
            (Status(403), AccessDenied, 1),
            (Corrupt(0), SourceUnavailable, 1),
        ]
        for fault, kind, calls in kinds:
            api.script.clear()
            rule = api.script.add("/search", [fault] * 9)
            with pytest.raises(kind) as caught:
                find(api)
            assert type(caught.value) is kind
            assert api.url in str(caught.value)
            assert rule.calls == calls
        api.script.clear()
        api.script.add("", [Hang(0.5)] * 9)
        with pytest.raises(SourceUnavailable, match="after 1 attempt"):
            search.find(
                "cdse",
                collection="x",
                bbox=ALPS,
                datetime=None,
                settings=settings(api.url, timeout=0.1, retry_attempts=1),
            )

    def test_an_address_that_is_no_catalogue_is_named(self, serve: Callable[..., StacApi]) -> None:
        api = serve([])
        with pytest.raises(CorruptData, match="does not answer as a STAC API"):
            search.find("cdse", collection="x", bbox=ALPS, datetime=None, settings=settings(f"{api.url}/conformance"))
        with pytest.raises(NothingFound, match="404"):
            search.find("cdse", collection="x", bbox=ALPS, datetime=None, settings=settings(f"{api.url}/nowhere"))

    def test_assets_elsewhere_are_not_used(self, serve: Callable[..., StacApi]) -> None:
        (item,) = test_data("stac", "eodag", "earth_search_search.json").parent.glob("earth_search_search.json")
        l1c = json.loads(item.read_text())["features"][0]
        api = serve([l1c])
        found = find(api, BBox(-21, 62.9, -20.8, 63.1), source="earth-search", collection="sentinel-2-l1c")
        with pytest.raises(InvalidInput, match=r"s3://sentinel-s2-l1c/.* does not lie in https://sentinel-cogs"):
            search.load("earth-search", found, bands=("B02",), settings=settings(api.url))

    def test_scenes_that_are_gone_are_named(self, serve: Callable[..., StacApi]) -> None:
        api = serve(grid_items(days=1))
        gone = Candidate("S2X_gone", "sentinel-2-l2a", "2026-01-01T00:00:00Z", 1, {})
        with pytest.raises(NothingFound, match="S2X_gone"):
            search.load("cdse", [gone], bands=BANDS, settings=settings(api.url))

    def test_a_year_over_sixty_tiles_is_quick_and_small(self, serve: Callable[..., StacApi]) -> None:
        items = list(grid_items(days=360))
        expected = len(meeting(items))
        assert expected >= 9000
        api = serve(items)
        # A process of its own: its CPU and its peak memory are those of the search alone.
        code = (
            "import resource\n"
            "from eo.bbox import BBox\nfrom eo.settings import Settings\nfrom plan import search\nfrom plan.choose import choose\n"
            "start = resource.getrusage(resource.RUSAGE_SELF)\n"
            f"settings, bbox = Settings(cdse_stac_url='{api.url}'), BBox.parse('{ALPS}')\n"
            "found = search.find('cdse', collection='sentinel-2-l2a', bbox=bbox, datetime=None, settings=settings)\n"
            "choice = choose(found, bbox, max_cloud_cover=20)\n"
            "end = resource.getrusage(resource.RUSAGE_SELF)\n"
            "cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime\n"
            # Not ru_maxrss: a child begins with its parent's.
            "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
            "print(len(found), len(choice.candidates), cpu, peak)\n"
        )
        path = {"PYTHONPATH": str(ROOT / "functions")}
        done = subprocess.run([sys.executable, "-c", code], env=path, capture_output=True, text=True, check=True)
        count, chosen, cpu, kilobytes = done.stdout.split()
        assert int(count) == expected
        assert int(chosen) < 150
        assert float(cpu) < 4
        assert int(kilobytes) < 250_000


def item(name: str, assets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {"type": "Polygon", "coordinates": [[[9, 45], [12, 45], [12, 48], [9, 48], [9, 45]]]},
        "properties": {"datetime": "2026-07-15T10:00:00Z"},
        "assets": assets,
        **more,
    }


class TestLocal:
    box = BBox(10, 46, 11, 47)

    def find(self, folder: Path, **options: Any) -> list[Candidate]:
        asked = {"collection": "sentinel-2-l2a", "bbox": self.box, "datetime": None, **options}
        return search.find("local", settings=Settings(), local_folder=folder, **asked)

    def load(self, folder: Path, *bands: str) -> list[Any]:
        return search.load(
            "local", self.find(folder), bands=bands or ("B02",), settings=Settings(), local_folder=folder
        )

    def put(self, folder: Path, document: Any, name: str = "item.json") -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
        (folder / "B02.tif").write_bytes(b"x")
        return folder

    def test_items_are_found_in_any_depth_with_their_files(self, tmp_path: Path) -> None:
        self.put(tmp_path / "a" / "b", item("one", {"B02": {"href": "./B02.tif"}, "far": {"href": "https://x/y"}}))
        two = self.put(
            tmp_path / "c", {"type": "FeatureCollection", "features": [item("two", {"blue": {"href": "B02.tif"}})]}
        )
        for name in ("catalog", "collection"):
            self.put(tmp_path, {"type": name.title(), "stac_version": "1.0.0", "id": "x"}, f"{name}.json")
        self.put(tmp_path, {"type": "FeatureCollection", "features": []}, "other.geojson")
        self.put(tmp_path, "{ not json", "notes.json")
        self.put(tmp_path / "dem.zarr", '{"stac_version" broken', "zarr.json")
        scenes = self.load(tmp_path)
        assert [scene.id for scene in scenes] == ["one", "two"]
        assert scenes[1].assets["B02"].href == str((two / "B02.tif").resolve())
        assert scenes[1].href == str((two / "item.json").resolve())

    def test_collection_time_and_place_choose(self, tmp_path: Path) -> None:
        self.put(tmp_path / "1", item("l1c", {}, collection="sentinel-2-l1c"))
        self.put(tmp_path / "2", item("S2A_33TWM_20230815_0_L2A", {}))
        self.put(tmp_path / "3", item("own", {}, collection="sentinel-2-l2a"))
        self.put(tmp_path / "4", item("says-nothing", {}))
        names = [c.id for c in self.find(tmp_path)]
        assert names == ["S2A_33TWM_20230815_0_L2A", "own", "says-nothing"]
        assert [c.id for c in self.find(tmp_path, collection="sentinel-2-l1c")] == ["l1c", "says-nothing"]
        assert self.find(tmp_path, datetime="2026-07-16/..") == []
        assert len(self.find(tmp_path, datetime="2026-07-15")) == 3
        assert self.find(tmp_path, bbox=BBox(20, 46, 21, 47)) == []

    @pytest.mark.parametrize(
        "href", ["../outside.tif", "link.tif", "/etc/hostname", "file:///etc/hostname", "sub/../../outside.tif"]
    )
    def test_files_outside_of_the_folder_are_refused(self, tmp_path: Path, href: str) -> None:
        (tmp_path / "outside.tif").write_bytes(b"x")
        folder = self.put(tmp_path / "catalog", item("one", {"B02": {"href": href}}))
        (folder / "sub").mkdir()
        (folder / "link.tif").symlink_to(tmp_path / "outside.tif")
        with pytest.raises(InvalidInput, match=r"item.json: .* lies outside of the catalog"):
            self.load(folder)

    def test_links_inside_and_absolute_names_are_fine(self, tmp_path: Path) -> None:
        folder = self.put(tmp_path / "catalog", item("one", {"B02": {"href": f"file://{tmp_path}/catalog/link.tif"}}))
        (folder / "link.tif").symlink_to(folder / "B02.tif")
        (tmp_path / "alias").symlink_to(folder)
        assert self.load(tmp_path / "alias")[0].assets["B02"].href == str(folder / "B02.tif")

    @pytest.mark.parametrize("href", ["https://user:pw@host/B02.tif", "s3://eodata/B02.jp2", "//host/B02.tif"])
    def test_remote_files_are_refused_where_they_are_needed(self, tmp_path: Path, href: str) -> None:
        self.put(tmp_path, item("one", {"B02": {"href": href}}))
        with pytest.raises(InvalidInput, match="remote") as caught:
            self.load(tmp_path)
        assert "pw" not in str(caught.value)

    def test_missing_files_are_named(self, tmp_path: Path) -> None:
        self.put(tmp_path, item("one", {"B02": {"href": "gone.tif"}}))
        with pytest.raises(CorruptData, match=r"gone.tif does not exist"):
            self.load(tmp_path)

    @pytest.mark.parametrize(
        "document",
        [
            '{"stac_version": "1.0.0", "type": "Feature"',
            {**item("x", {}), "properties": {}},
            {**item("x", {}), "geometry": {"type": "Point", "coordinates": [1, 2]}},
        ],
    )
    def test_what_claims_to_be_an_item_and_is_not_is_named(self, tmp_path: Path, document: Any) -> None:
        self.put(tmp_path, document, "bad.json")
        with pytest.raises(CorruptData, match=r"bad.json"):
            self.find(tmp_path)

    def test_a_folder_of_another_level_is_told_apart_from_another_place(self, tmp_path: Path) -> None:
        self.put(tmp_path, item("S2A_33TWM_20230815_0_L2A", {}))
        with pytest.raises(NothingFound, match=r"nothing of sentinel-2-l1c, but .*: name a folder with L1C products"):
            self.find(tmp_path, collection="sentinel-2-l1c")

    def test_an_empty_and_a_missing_folder_are_told_apart(self, tmp_path: Path) -> None:
        with pytest.raises(NothingFound, match="neither STAC items nor"):
            self.find(tmp_path)
        with pytest.raises(InvalidInput, match="is not a folder"):
            self.find(tmp_path / "gone")
        with pytest.raises(InvalidInput, match="--catalog"):
            search.find("local", collection="x", bbox=self.box, datetime=None, settings=Settings())

    def test_the_product_beside_an_item_tells_its_offset(self, tmp_path: Path) -> None:
        name = "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE"
        xml = test_data("safe_metadata", "stactools", name, "MTD_MSIL2A.xml")
        of = item(name.removesuffix(".SAFE"), {"B02": {"href": f"{name}/B02.tif"}})
        self.put(tmp_path, of)
        self.put(tmp_path / name, "", "empty.json")
        with pytest.raises(CorruptData, match="does not tell the radiometric offset"):
            self.load(tmp_path)
        shutil.copy(xml, tmp_path / name)
        assert self.load(tmp_path)[0].assets["B02"].radiometry == Radiometry(-1000, 10_000)

    def test_the_real_tiles_are_one_catalogue(self) -> None:
        folder = test_data("austria_l2a_120m")
        found = self.find(folder, bbox=BBox(15.2, 45.6, 16.2, 46.6))
        scenes = search.load("local", found, bands=BANDS, settings=Settings(), local_folder=folder)
        assert len(scenes) == 4
        for scene in scenes:
            assert {Path(asset.href).parent.name for asset in scene.assets.values()} == {scene.id}
            assert set(scene.assets) == set(BANDS)


class TestSafe:
    def product(self, folder: Path, source: Path) -> Path:
        """Copy the XML of a real product and put empty files where it lists its images."""
        product = folder / source.name.removeprefix("esa_")
        for path in source.rglob("MTD_*.xml"):
            copy = product / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        for image in read_product(next(product.glob("MTD_MSIL*.xml"))).image_files:
            (product / f"{image}.jp2").parent.mkdir(parents=True, exist_ok=True)
            (product / f"{image}.jp2").touch()
        return product

    @pytest.mark.parametrize(
        ("kind", "name", "bbox", "offset"),
        [
            (
                "stactools",
                "esa_S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500",
                None,
                0,
            ),
            ("stactools", "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248", None, 0),
            (
                "stactools",
                "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126",
                "15.1,80.11,15.5,80.15",
                -1000,
            ),
            (
                "stactools",
                "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825",
                "179.5,-17,-179.9,-16.5",
                -1000,
            ),
            (
                "eo_tools_L1C_N0509",
                "S2B_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150",
                None,
                -1000,
            ),
        ],
    )
    def test_products_without_items_are_scenes(
        self, tmp_path: Path, kind: str, name: str, bbox: str | None, offset: int
    ) -> None:
        product = self.product(tmp_path / "any" / "depth", test_data("safe_metadata", kind, f"{name}.SAFE"))
        collection = "sentinel-2-l1c" if "MSIL1C" in name else "sentinel-2-l2a"
        (shape,) = geometries([safe_catalog.candidate(product)[0].footprint], 180 if "T01KAB" in name else 0)
        middle = shape.representative_point()
        box = BBox.parse(bbox or [middle.x, middle.y, middle.x + 0.001, middle.y + 0.001])
        found = search.find(
            "local", collection=collection, bbox=box, datetime=None, settings=Settings(), local_folder=tmp_path
        )
        assert [c.id for c in found] == [product.name.removesuffix(".SAFE")]
        (scene,) = search.load("local", found, bands=(*BANDS, "B11", "B01"), settings=Settings(), local_folder=tmp_path)
        assert ("SCL" in scene.assets) == (collection == "sentinel-2-l2a")
        assert {asset.radiometry for key, asset in scene.assets.items() if key != "SCL"} == {Radiometry(offset, 10_000)}
        declared = {key: asset.declared.dx for key, asset in scene.assets.items() if asset.declared}
        # The finest variant that the product has: 20 m for B01 in L2A of late baselines, 60 m elsewhere.
        assert {declared[key] for key in ("B02", "B03", "B04")} == {10}
        assert declared["B11"] == 20
        assert scene.crs == f"EPSG:{'327' if ('T01K' in name or 'T22H' in name) else '326'}{name.split('_T')[1][:2]}"
        assert all(Path(asset.href).is_relative_to(tmp_path) for asset in scene.assets.values())

    def test_items_stand_for_the_products_they_lie_in(self, tmp_path: Path) -> None:
        name = "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825.SAFE"
        source = test_data("safe_metadata", "stactools", name)
        shutil.copyfile(source / "expected_output.json", self.product(tmp_path, source) / "item.json")
        box = BBox.parse("179.5,-17,-179.9,-16.5")
        found = search.find(
            "local", collection="sentinel-2-l2a", bbox=box, datetime=None, settings=Settings(), local_folder=tmp_path
        )
        assert [c.id for c in found] == ["S2A_T01KAB_20230821T221944_L2A"]
        (scene,) = search.load("local", found, bands=BANDS, settings=Settings(), local_folder=tmp_path)
        assert scene.assets["B02"].href.endswith("IMG_DATA/R10m/T01KAB_20230821T221941_B02_10m.jp2")

    def test_a_product_without_its_files_is_named(self, tmp_path: Path) -> None:
        name = "S2B_MSIL1C_20230605T110619_N0509_R137_T30UVU_20230605T131150.SAFE"
        folder = test_data("safe_metadata", "eo_tools_L1C_N0509")
        with pytest.raises(CorruptData, match=r"B02.jp2 does not exist"):
            safe_catalog.scene(folder / name, folder=folder, bands=("B02",))
        (tmp_path / "empty.SAFE").mkdir()
        with pytest.raises(CorruptData, match="MTD_MSIL"):
            safe_catalog.candidate(tmp_path / "empty.SAFE")
