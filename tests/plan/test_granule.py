"""What lies beside a scene's images, in folders, at the Copernicus Data Space and in zips."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from eo.bbox import BBox
from eo.catalog import MASKS, Angles, Asset, Scene
from eo.errors import AccessDenied, SourceUnavailable
from eo.folder_store import FolderStore
from eo.inputs import CubeInputs
from eo.safe import read_tile
from eo.settings import Settings
from eo.sources import images
from eo.stac_item import scene_from_item
from eo.traffic import Traffic
from gribs import grib
from peers.faults import Status
from peers.s3 import KEY, SECRET
from plan import granule, safe_catalog
from plan.upload_catalog import UploadedProduct, unpacked
from real_data import test_data
from uploads import digest, safe_scene, zipped

if TYPE_CHECKING:
    from pathlib import Path

    from peers.s3 import S3Peer

FIELD = np.linspace(0.9, 1.1, 81).reshape(9, 9)
FAST = {"retry_attempts": 2, "retry_delay": 0.001, "retry_max_delay": 0.01, "timeout": 5}
L1C: dict[str, Any] = {"level": "L1C", "bands": ("B02", "B03"), "size": 72}


def furnish(folder: Path) -> Path:
    """Put masks and weather into the granule of the product below a folder; gives the granule."""
    (inside,) = folder.glob("*.SAFE/GRANULE/*")
    (inside / "AUX_DATA").mkdir()
    (inside / "AUX_DATA" / "AUX_ECMWFT").write_bytes(grib({"tcwv": 20 * FIELD, "tco3": 0.007 * FIELD}))
    (inside / "AUX_DATA" / "AUX_CAMSFO").write_bytes(grib({"aod550": 0.2 * FIELD}))
    (inside / "QI_DATA").mkdir()
    options = {"driver": "JP2OpenJPEG", "reversible": "YES", "quality": "100"}
    where = {"crs": "EPSG:32632", "transform": from_origin(671_240, 5_168_180, 60, 60)}
    path = inside / "QI_DATA" / "MSK_CLASSI_B00.jp2"
    with rasterio.open(path, "w", width=12, height=12, count=3, dtype="uint8", **options, **where) as file:
        file.write(np.arange(3, dtype=np.uint8)[:, None, None] * np.ones((12, 12), np.uint8))
    return inside


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("furnished")
    safe_scene(folder, **L1C)
    furnish(folder)
    return next(folder.glob("*.SAFE"))


def check_weather(scene: Scene) -> None:
    assert scene.auxiliary is not None
    assert scene.auxiliary.aot550 == pytest.approx(0.2, rel=1e-3)
    assert scene.auxiliary.water_vapour == pytest.approx(2, rel=1e-3)
    assert scene.auxiliary.ozone == pytest.approx(0.3269, rel=1e-3)
    assert scene.auxiliary.pressure is None


class TestFolders:
    def test_a_product_has_its_masks_and_weather(self, product: Path) -> None:
        found = safe_catalog.scene(product, folder=product, bands=("B02",), optional=("B10", *MASKS))
        assert set(found.assets) == {"B02", *MASKS}
        for name, asset in found.assets.items():
            info = images.info("local", asset, settings=Settings(), traffic=Traffic())
            assert info.grid.dx == (60 if name in MASKS else 10)
        masks = [found.assets[name] for name in MASKS]
        assert [(mask.band, mask.radiometry, mask.href) for mask in masks] == [
            (band, None, masks[0].href) for band in (1, 2, 3)
        ]
        assert (found.angles, found.auxiliary) == (read_tile(next(product.rglob("MTD_TL.xml"))).angles, None)
        (scene,), notes = done(found, folder=product)
        check_weather(scene)
        assert notes == ()
        assert (scene.assets, scene.angles) == (found.assets, found.angles)

    def test_old_products_have_neither(self, tmp_path: Path) -> None:
        safe_scene(tmp_path, baseline="02.07", offset=0, **L1C)
        (path,) = tmp_path.glob("*.SAFE")
        found = safe_catalog.scene(path, folder=tmp_path, bands=("B02",), optional=tuple(MASKS))
        (scene,), notes = done(found, folder=tmp_path)
        assert (set(scene.assets), scene.auxiliary, notes) == ({"B02"}, None, ())

    def test_damaged_weather_is_noted_and_the_rest_is_taken(self, tmp_path: Path, product: Path) -> None:
        copy = tmp_path / product.name
        shutil.copytree(product, copy)
        next(copy.rglob("AUX_ECMWFT")).write_bytes(b"no weather")
        found = safe_catalog.scene(copy, folder=tmp_path, bands=("B02",))
        (scene,), (note,) = done(found, folder=tmp_path)
        assert scene.auxiliary is not None
        assert (scene.auxiliary.ozone, scene.auxiliary.aot550) == (None, pytest.approx(0.2, rel=1e-3))
        assert note.startswith(f"{scene.id}: AUX_ECMWFT is not a GRIB file")

    def test_files_outside_of_the_catalog_are_not_there(self, tmp_path: Path, product: Path) -> None:
        copy = tmp_path / "catalog" / product.name
        shutil.copytree(product, copy)
        for name in ("AUX_DATA", "QI_DATA"):
            (inside,) = copy.glob(f"GRANULE/*/{name}")
            inside.rename(tmp_path / name)
            inside.symlink_to(tmp_path / name)
        found = safe_catalog.scene(copy, folder=tmp_path / "catalog", bands=("B02",), optional=tuple(MASKS))
        (scene,), _ = done(found, folder=tmp_path / "catalog")
        assert (set(scene.assets), scene.auxiliary) == ({"B02"}, None)

    def test_an_item_is_completed_by_the_product_it_points_into(self, product: Path) -> None:
        band = next(product.rglob("*_B02.jp2"))
        found = of_item(band.as_posix())
        (scene,), _ = done(found, folder=product)
        assert scene.angles == read_tile(next(product.rglob("MTD_TL.xml"))).angles
        assert set(scene.assets) == {"B02", *MASKS}
        check_weather(scene)


def done(scene: Scene, adapter: str = "local", **options: Any) -> tuple[list[Scene], tuple[str, ...]]:
    given = {"settings": Settings(), "traffic": Traffic(), **options}
    found = granule.completed([scene], adapter, **given)
    return found.scenes, found.notes


def of_item(href: str, **properties: Any) -> Scene:
    item = {
        "id": "S2B_L1C",
        "collection": "sentinel-2-l1c",
        "geometry": {"type": "Polygon", "coordinates": [[[9, 46], [10, 46], [10, 47], [9, 47], [9, 46]]]},
        "properties": {"datetime": "2026-07-12T10:00:00Z", **properties},
        "assets": {"B02": {"href": href}},
    }
    return scene_from_item(item, bands=("B02",), locate=str)


class TestCdse:
    HREF = "s3://eodata/Sentinel-2/MSI/L1C/X.SAFE/GRANULE/L1C_T32TPS_A004242_20260712T101331"

    @pytest.fixture
    def settings(self, s3_peer: S3Peer) -> Settings:
        return Settings(cdse_s3_endpoint=s3_peer.url, cdse_key=KEY, cdse_secret=SECRET, **FAST)

    def put(self, s3: S3Peer, product: Path, *without: str) -> Scene:
        (inside,) = product.glob("GRANULE/*")
        for path in inside.rglob("*"):
            if path.is_file() and path.name not in without:
                s3.put("eodata", f"{self.HREF.removeprefix('s3://eodata/')}/{path.relative_to(inside)}", path)
        s3.put("eodata", "there", b"x")
        return of_item(f"{self.HREF}/IMG_DATA/T32TPS_B02.jp2", **{"view:sun_elevation": 50, "view:sun_azimuth": 140})

    def test_the_files_are_read_where_the_images_are(self, s3_peer: S3Peer, settings: Settings, product: Path) -> None:
        traffic = Traffic()
        scene = self.put(s3_peer, product)
        (found,), notes = done(scene, "cdse", settings=settings, traffic=traffic)
        assert notes == ()
        assert found.angles == read_tile(next(product.rglob("MTD_TL.xml"))).angles
        check_weather(found)
        mask = found.assets["MSK_CIRRUS"]
        assert (mask.href, mask.band) == (f"{self.HREF}/QI_DATA/MSK_CLASSI_B00.jp2", 2)
        assert mask.size == next(product.rglob("MSK_CLASSI_B00.jp2")).stat().st_size
        assert traffic.requests == 4
        info = images.info("cdse", mask, settings=settings, traffic=traffic)
        assert (info.bands, info.dtype) == (3, "uint8")
        assert mask.declared == info.grid

    def test_what_is_not_there_is_left_to_the_item(self, s3_peer: S3Peer, settings: Settings, product: Path) -> None:
        names = ("MTD_TL.xml", "AUX_CAMSFO", "AUX_ECMWFT", "MSK_CLASSI_B00.jp2")
        (found,), notes = done(self.put(s3_peer, product, *names), "cdse", settings=settings)
        assert (set(found.assets), found.auxiliary, notes) == ({"B02"}, None, ())
        assert found.angles is not None
        assert found.angles.origin == "item"
        (ul, ur), (ll, lr) = found.angles.sun_zenith
        assert (ul + ur + ll + lr) / 4 == pytest.approx(40)
        assert ur + 0.1 < ul
        assert ll + 0.1 < ul

    def test_a_store_that_denies_what_it_lacks_is_the_same(
        self, s3_peer: S3Peer, settings: Settings, product: Path
    ) -> None:
        scene = self.put(s3_peer, product)
        for name in ("MTD_TL.xml", "AUX_CAMSFO", "MSK_CLASSI"):
            s3_peer.script.add(name, [Status(403)] * 3)
        (found,), _ = done(scene, "cdse", settings=settings)
        assert found.angles is not None
        assert (found.angles.origin, set(found.assets)) == ("item", {"B02"})
        assert found.auxiliary is not None
        assert found.auxiliary.aot550 is None

    def test_what_may_pass_changes_no_plan(self, s3_peer: S3Peer, settings: Settings, product: Path) -> None:
        scene = self.put(s3_peer, product)
        s3_peer.script.add("MTD_TL.xml", [Status(503)])
        (found,), _ = done(scene, "cdse", settings=settings)
        assert found.angles is not None
        assert found.angles.origin == "product"
        s3_peer.script.add("AUX_CAMSFO", [Status(503)] * 9)
        with pytest.raises(SourceUnavailable):
            done(scene, "cdse", settings=settings)

    def test_keys_are_needed(self) -> None:
        with pytest.raises(AccessDenied, match="CDSE_KEY"):
            done(of_item(f"{self.HREF}/IMG_DATA/x_B02.jp2"), "cdse", settings=Settings())


class TestTime:
    def test_without_angles_the_sun_is_where_it_was(self) -> None:
        (scene,), notes = done(of_item("https://far/B02.tif"), "earth-search")
        assert scene.angles is not None
        assert (scene.angles.origin, scene.angles.view, notes) == ("time", {}, ())
        assert 130 < scene.angles.sun_azimuth < 160
        (ul, ur), (ll, lr) = scene.angles.sun_zenith
        assert ul > ur > lr
        assert ul > ll > lr
        assert ll == pytest.approx(lr + 0.58, abs=0.1)

    def test_a_declared_grid_beats_the_footprint(self) -> None:
        path = next(test_data("safe_metadata", "eo_tools_L1C_N0509").rglob("MTD_TL.xml"))
        tile = read_tile(path)
        scene = of_item("x")
        asset = Asset("x", declared=tile.grids[10])
        moment = tile.sensed.isoformat()
        (found,), _ = done(replace(scene, assets={"B02": asset}, datetime=moment), "earth-search")
        assert found.angles is not None
        np.testing.assert_allclose(found.angles.sun_zenith, tile.sun_corners, rtol=0, atol=0.03)

    def test_real_items_tilt_as_their_granules_do(self) -> None:
        paths = sorted(test_data("safe_metadata", "stactools").glob("*/expected_output.json"))
        for path in paths:
            item = json.loads(path.read_text())
            tile = read_tile(next(path.parent.rglob("MTD_TL.xml")))
            scene = scene_from_item(item, bands=("B02",), locate=str)
            assert scene.angles is not None
            assert scene.angles.view == {}.fromkeys(scene.angles.view, next(iter(scene.angles.view.values())))
            angles = granule.angles(scene)
            np.testing.assert_allclose(angles.sun_zenith, tile.sun_corners, rtol=0, atol=0.06)

    def test_the_time_is_that_of_the_data_strip(self) -> None:
        scene = of_item(f"{TestCdse.HREF}/IMG_DATA/x_B02.jp2")
        assert granule.sensed(scene).isoformat() == "2026-07-12T10:13:31+00:00"
        odd = of_item("/x/GRANULE/L1C_T32TPS_A004242_20269999T101331/IMG_DATA/x_B02.jp2")
        assert granule.sensed(odd).isoformat() == "2026-07-12T10:00:00+00:00"

    def test_a_footprint_may_cross_the_antimeridian(self) -> None:
        def at(*boxes: tuple[float, float]) -> Angles:
            rings = [[[[w, 16], [e, 16], [e, 17], [w, 17], [w, 16]]] for w, e in boxes]
            footprint = {"type": "MultiPolygon", "coordinates": rings}
            return granule.angles(replace(of_item("x"), footprint=footprint))

        there = at((179.5, 180), (-180, -179.5))
        np.testing.assert_allclose(there.sun_zenith, at((179.5, 180.5)).sun_zenith, atol=1e-9)


def test_an_uploaded_zip_tells_the_same(tmp_path: Path, product: Path) -> None:
    archive = zipped(product.parent, tmp_path / "a.zip")
    store = FolderStore(tmp_path / "store")
    store.write("in/a.zip", [archive.read_bytes()])
    origin = {"bucket": "data", "key": "in/a.zip", "product": digest(archive)}
    uploaded = UploadedProduct.of(store, origin)
    assert uploaded is not None
    inputs = CubeInputs(
        bbox=BBox(11.2, 46.63, 11.25, 46.66).to_list(), collection="sentinel-2-l1c", max_cloud_cover=100
    )
    options: dict[str, Any] = {"bands": ("B02",), "folder": tmp_path / "work"}
    with unpacked(uploaded, inputs, optional=("B10", *MASKS), conditions=True, **options) as found:
        assert found.notes == ()
        for scene in (found.here, found.there):
            assert set(scene.assets) == {"B02", *MASKS}
            assert scene.angles == read_tile(next(product.rglob("MTD_TL.xml"))).angles
            check_weather(scene)
        mask = found.there.assets["MSK_SNOW"]
        assert (mask.band, mask.radiometry) == (3, None)
        assert mask.href.endswith("/QI_DATA/MSK_CLASSI_B00.jp2")
        with (
            images.at_hand(
                "upload", mask, settings=Settings(), traffic=Traffic(), whole_in=tmp_path / "w", upload=store.reader
            ) as path,
            rasterio.open(path) as file,
        ):
            assert file.read(mask.band).max() == 2
    with unpacked(uploaded, inputs, **options) as found:
        assert (set(found.here.assets), found.here.auxiliary) == ({"B02"}, None)
