"""Whole corrections: what is asked for is what is delivered, and what cannot be done is refused."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from api.describe import description
from atmospheric_correction.pictures import GAP, before_after
from atmospheric_correction.process import AtmosphericCorrection
from atmospheric_correction.raster import PIXEL
from eo.errors import CorruptData, InvalidInput, NothingFound
from eo.folder_store import FolderStore
from eo.found_air import OZONE, VIEW
from eo.job import Process
from eo.model import PLACES
from eo.settings import Settings
from l1c import CLOUD, Floats, Tile, correct, dem, fields, flat, order, stock
from merge.fan_in import fan_in
from plan.planner import make_plan
from point_cloud.process import PointCloud

BANDS = ("B02", "B03", "B04")
SHARE = "physics_in_place_of_the_model"


def cloudy(band: str, x: Floats, y: Floats) -> Floats:
    here = np.hypot(x - 673_700, y - 5_165_700) < 500
    return np.where(here, CLOUD.get(band, 0.5), fields(band, x, y))


def spots(band: str, dn: NDArray[np.uint16]) -> None:
    """Saturated: a block of whole coarse pixels, and a single pixel in one band. Darkest: a block of 1.

    And a block where only a band of the statistics has no data.
    """
    if band == "B12":
        dn[100:118, 160:178] = 0
    if band in BANDS:
        dn[150:190, 300:340] = 65_535
        dn[200, 200 + ord(band[2]) - 48] = 65_535
        dn[210:214, 300:304] = 1
        dn[260:270, 300:310] = 0


TILE = Tile(size=4_920, ground=cloudy, change=spots)
BOX = TILE.box(0.3, 0.28, 0.45)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stock(tmp_path_factory.mktemp("process"), TILE)


def test_no_data_stays_so_saturated_stays_so_and_the_rest_has_numbers(folder: Path) -> None:
    done = correct(folder, BOX, shard=128)
    codes, inside = done.target("quality"), done.target("valid") > 0
    saturated = np.zeros(codes.shape, bool)
    for band in BANDS:
        dn, made = done.target(band), done.target(f"surface_{band}")
        assert (made[(dn == 0) | ~inside] == 0).all()
        clear = inside & (codes != 5)
        np.testing.assert_array_equal(made[clear] == 65_535, dn[clear] == 65_535)
        assert (made[clear] > 0).all()
        assert (made[clear & (dn == 1)] == 1).all()
        saturated |= inside & (dn == 65_535)
    assert saturated.sum() >= 1600 + 3
    np.testing.assert_array_equal(codes[codes != 5] == 6, saturated[codes != 5])
    np.testing.assert_array_equal(codes == 0, ~inside)
    assert done.result.summary["pixels_by_quality"]["saturated"] == (codes == 6).sum()


@pytest.mark.parametrize("mask", [True, False])
def test_clouds_are_left_out_or_shown(folder: Path, mask: bool) -> None:
    done = correct(folder, BOX, mask_clouds=mask)
    codes = done.target("quality")
    clouds = codes == 5
    assert clouds.sum() > 5000
    for band in BANDS:
        made = done.target(f"surface_{band}")
        assert (made[clouds] == 0).all() if mask else (made[clouds] > 0).all()
        assert (made[(codes > 0) & ~clouds] > 0).all()
    # A saturated pixel of a cloud that is left out is a cloud in every band.
    assert (done.files()["quality.tif"][0] == 5).sum() == clouds.sum()


@pytest.mark.parametrize("bands", [("B04",), ("B04", "B02"), ("B08", "B03"), "B03,B02"])
def test_bands_in_any_order_are_delivered_by_wavelength(folder: Path, bands: tuple[str, ...] | str) -> None:
    done = correct(folder, BOX, bands=bands)
    wanted = sorted(bands.split(",") if isinstance(bands, str) else bands)
    with rasterio.open(done.out / "surface_reflectance.tif") as file:
        assert list(file.descriptions) == wanted
        assert (file.crs.to_epsg(), file.res, file.nodata) == (32632, (10, 10), 0)
        assert (file.scales, file.offsets) == ((1e-4,) * len(wanted), (-0.1,) * len(wanted))
        assert file.dtypes == ("uint16",) * len(wanted)
        window = file.window(*rasterio.transform.array_bounds(*done.window.shape, corner(done)))
        pixels = file.read(window=window)
    np.testing.assert_array_equal(pixels, np.stack([done.target(f"surface_{band}") for band in wanted]))
    assert done.result.summary["bands"] == wanted


def corner(done: object) -> rasterio.Affine:
    grid = done.plan.grid  # type: ignore[attr-defined]
    return rasterio.Affine(10, 0, grid.x(grid.window.col), 0, -10, grid.y(grid.window.row))


def test_all_files_that_the_process_names_are_there(folder: Path) -> None:
    done = correct(folder, BOX)
    named = {output.file for output in AtmosphericCorrection.outputs.values()}
    assert {path.name for path in done.out.iterdir()} == named
    assert set(done.result.files) == named
    again = correct(folder, BOX, shard=192)
    same = named - {"surface_reflectance.tif", "quality.tif", "checksums.json", "surface_reflectance.json"}
    assert {name: done.result.files[name] for name in same} == {name: again.result.files[name] for name in same}


def burnt(_band: str, dn: NDArray[np.uint16]) -> None:
    """A pixel of a thousand is saturated."""
    dn[np.random.default_rng(5).random(dn.shape) < 1e-3] = 65_535


@pytest.mark.parametrize("resolution", [10, 20])
def test_saturated_pixels_change_no_others(tmp_path: Path, resolution: int) -> None:
    """Neither by the air that is found, nor where pixels are averaged."""
    made = {}
    for name, change in (("clean", None), ("burnt", burnt)):
        tile = Tile(size=4_920, change=change)
        made[name] = correct(stock(tmp_path / name, tile), tile.box(0.3, 0.3, 0.3), resolution=resolution)
    codes = made["burnt"].target("quality")
    assert 5e-4 < (codes == 6).mean() < 0.02 * (resolution // 10) ** 2
    good = codes == 1
    assert good.mean() > 0.5
    for band in ("B02", "B03", "B04"):
        ours, theirs = (made[name].target(f"surface_{band}").astype(int) for name in ("burnt", "clean"))
        assert np.abs(ours - theirs)[good & (ours > 0)].max() <= 30, band


def test_a_job_of_one_pixel(folder: Path) -> None:
    done = correct(folder, TILE.box(0.7, 0.7, 0.0005))
    assert done.target("quality").size <= 4
    assert (done.target("quality") == 1).sum() == done.result.summary["pixels_inside"] >= 1
    large = correct(folder, BOX)
    common = done.window.intersection(large.window)
    assert common is not None
    ours, theirs = done.target("surface_B03"), large.target("surface_B03")[common.slices(large.window)]
    np.testing.assert_array_equal(ours[ours > 0], theirs[ours > 0])


@pytest.mark.parametrize("kind", ["cloud", "nothing"])
def test_granules_of_clouds_or_of_nothing(tmp_path: Path, kind: str) -> None:
    def empty(_band: str, dn: NDArray[np.uint16]) -> None:
        dn[...] = 0

    tile = Tile(size=2_400, ground=flat(CLOUD), change=empty if kind == "nothing" else None)
    stock(tmp_path, tile)
    box = tile.box(0.2, 0.2, 0.5)
    if kind == "nothing":
        with pytest.raises(NothingFound, match="no scene has data at any of the"):
            correct(tmp_path, box)
        return
    done = correct(tmp_path, box)
    assert done.result.message == "0 pixels corrected"
    assert not done.target("surface_B02").any()
    assert "cloud: " in done.notes
    assert "(100" in done.notes


@pytest.mark.parametrize(("sun", "said"), [(75, 0), (78, 1), (81, None), (95, None)])
def test_low_suns_are_marked_and_lower_ones_refused(tmp_path: Path, sun: float, said: int | None) -> None:
    tile = replace(Tile(size=2_400, sun=40), ground=fields)
    stock(tmp_path, tile)
    path = next((tmp_path / "c").glob("*.json"))
    path.write_text(path.read_text().replace('"view:sun_elevation": 50', f'"view:sun_elevation": {90 - sun}'))
    if said is None:
        with pytest.raises(InvalidInput, match=rf"sun stands {sun}\.\d degrees from the zenith, .* up to 80: choose"):
            correct(tmp_path, tile.box(0.3, 0.3, 0.3), only="field")
    else:
        done = correct(tmp_path, tile.box(0.3, 0.3, 0.3), only="field")
        assert done.parts["field"][0].counts["low_sun"] == said


@pytest.mark.parametrize("process", [AtmosphericCorrection(), PointCloud()])
def test_the_unet_refuses_pixels_that_it_does_not_know(
    folder: Path, process: AtmosphericCorrection | PointCloud
) -> None:
    asked = {"collection": "sentinel-2-l1c", "correct": True} if isinstance(process, PointCloud) else {}
    inputs = order(folder, TILE.box(0.3, 0.3, 0.3), process, model="unet-efficientnet-b2", resolution=20, **asked)
    with pytest.raises(InvalidInput, match="pixels of 10 m, not of 20 m: choose another model, or resolution 10"):
        make_plan(process, inputs, job="j", settings=Settings.from_environment({}))


def test_angles_that_no_item_tells_are_the_sun_s_by_the_clock(tmp_path: Path) -> None:
    made = {}
    for sun in (None, 25.5):
        tile = Tile(size=2_400, sun=sun)
        done = correct(stock(tmp_path / str(sun), tile), tile.box(0.3, 0.3, 0.3))
        angles = done.plan.scenes[0].angles
        assert angles is not None
        assert angles.origin == ("item" if sun else "time")
        made[sun] = done.target("surface_B02")
    # A July morning in the Alps: 25 degrees from the zenith.
    assert np.abs(made[None].astype(int) - made[25.5]).max() < 60


@pytest.mark.parametrize("missing", [("B10",), ("B09",), ("B09", "B10")])
def test_products_without_the_bands_of_water_vapour_and_cirrus(tmp_path: Path, missing: tuple[str, ...]) -> None:
    tile = Tile(size=2_400, missing=missing)
    stock(tmp_path, tile)
    done = correct(tmp_path, tile.box(0.3, 0.3, 0.3))
    assert (done.target("quality") == 1).sum() == done.result.summary["pixels_inside"]
    (air,) = json.loads((done.out / "surface_reflectance.json").read_text())["properties"]["eo_shards:air"]
    assert air["water_vapour_from"] == ("assumed" if "B09" in missing else "B09")
    assert 0.1 < air["water_vapour"] < 8
    if "B09" in missing:
        with pytest.raises(InvalidInput, match=r"B08 needs the water vapour .* water_vapour in g/cm2"):
            correct(tmp_path, tile.box(0.3, 0.3, 0.3), bands=["B08"])
        told = correct(tmp_path, tile.box(0.3, 0.3, 0.3), bands=["B08"], water_vapour=1.5)
        assert (told.target("quality") == 1).any()


def test_a_band_of_the_statistics_has_to_be_there(tmp_path: Path) -> None:
    tile = Tile(size=2_400, missing=("B12",))
    stock(tmp_path, tile)
    with pytest.raises(NothingFound, match="no band B12"):
        correct(tmp_path, tile.box(0.3, 0.3, 0.3))


def test_heights_beyond_the_dem_are_the_mean_of_the_known_ones(tmp_path: Path) -> None:
    tile = Tile(size=2_400, height=0).write(tmp_path / "c")
    dem(tmp_path / "dem.tif", replace(tile, size=600), rough=False)
    done = correct(tmp_path, tile.box(0.1, 0.1, 0.8))
    counts = done.parts["context"][0].counts
    assert counts["voids"] > 100
    share = f"{100 * counts['voids'] / counts['cells']:.2f} % of the granule; the mean of what is known stands in"
    assert f"{done.plan.scene_names[0]}: elevation is unknown over {share}" in done.notes
    assert (done.target("quality") == 1).sum() == done.result.summary["pixels_inside"]


def test_known_heights_are_no_matter_of_a_note_and_a_granule_without_any_is(folder: Path, tmp_path: Path) -> None:
    done = correct(folder, BOX)
    assert done.parts["context"][0].counts["voids"] == 0
    assert "elevation is unknown" not in done.notes
    tile = Tile(size=2_400, height=0).write(tmp_path / "c")
    with rasterio.open(dem(tmp_path / "dem.tif", tile), "r+") as file:
        file.write(np.full((1, *file.shape), np.nan, np.float32))
    done = correct(tmp_path, tile.box(0.3, 0.3, 0.3))
    assert "elevation is unknown over the whole granule; sea level stands in" in done.notes


@pytest.mark.parametrize(
    ("chunk", "crs", "said"),
    [
        (37, None, "chunks of 37 pixels cannot be cut into tiles .* set EO_SHARDS_CHUNK to a multiple of 16"),
        (64, "ESRI:102031", "the CRS ESRI:102031 has no EPSG code .* give --crs, such as EPSG:32632"),
    ],
)
def test_what_no_geotiff_can_hold_is_refused_when_planned(folder: Path, chunk: int, crs: str | None, said: str) -> None:
    settings = Settings.from_environment({"EO_SHARDS_CHUNK": str(chunk)})
    with pytest.raises(InvalidInput, match=said):
        make_plan(AtmosphericCorrection(), order(folder, BOX, crs=crs), job="j", settings=settings)


@pytest.mark.parametrize("damage", ["missing", "another model's"])
def test_a_model_without_its_item_is_refused_when_planned_and_when_merged(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Whoever plans without any models, as a function on AWS may, does not need the item."""
    models = tmp_path / "models"
    shutil.copytree(PLACES[1] / "physics", models / "physics")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models))
    done = correct(folder, BOX, only="raster")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(tmp_path / "none"))
    settings = Settings.from_environment({"EO_SHARDS_CHUNK": "64"})
    assert make_plan(AtmosphericCorrection(), order(folder, BOX), job="j", settings=settings).units
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models))
    item = models / "physics" / "item.json"
    item.unlink()
    if damage != "missing":
        item.write_bytes((PLACES[1] / "atmosphere-field" / "item.json").read_bytes())
    said = r"physics.item\.json .*fetch the model's folder again"
    with pytest.raises(CorruptData, match=said):
        make_plan(AtmosphericCorrection(), order(folder, BOX), job="j", settings=settings)
    with pytest.raises(CorruptData, match=said):
        fan_in(done.plan, done.parts["raster"], store=FolderStore(done.home))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "atmosphere-field", "aot": 0.1}, "finds the AOT itself: leave aot out, or choose model physics"),
        ({"bands": ["B02", "B02"]}, "name one twice"),
        ({"bands": ["B05"]}, "B05|Input should be"),
        ({"bands": []}, "at least 1"),
        ({"aot": -0.1}, "greater than or equal to 0"),
        ({"aot": float("nan")}, "finite number"),
        ({"water_vapour": 11}, "less than or equal to 10"),
        ({"ozone": 320}, "Dobson units, and wanted are cm-atm, from 0.1 to 0.7 .*: give 0.32"),
        ({"ozone": "300"}, "give 0.3"),
        ({"ozone": 3}, "less than or equal to 0.7"),
        ({"model": "sen2cor"}, "physics"),
        ({"aerosol": "volcanic"}, "continental"),
        ({"model": "atmosphere-field", "aerosol": "urban"}, "finds the aerosol type itself"),
        ({"collection": "sentinel-2-l2a"}, "sentinel-2-l1c"),
    ],
)
def test_what_cannot_be_meant_is_refused(folder: Path, given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        order(folder, BOX, **given)


@pytest.mark.parametrize(("aot", "aerosol"), [(0.0, "continental"), (2.0, "urban"), (0.3, "desert"), (0.3, "maritime")])
def test_what_the_user_says_of_the_air_is_taken(folder: Path, aot: float, aerosol: str) -> None:
    done = correct(folder, BOX, aot=aot, aerosol=aerosol, ozone=0.1, water_vapour=0)
    (part,) = done.parts["field"]
    assert part.counts["aot_milli"] == round(1000 * aot) * part.counts["cells"]
    assert part.counts["aot_by given"] == 1


@pytest.mark.parametrize("process", [AtmosphericCorrection(), PointCloud()])
def test_the_result_says_which_gases_and_angles_were_taken_and_who_told_them(folder: Path, process: Process) -> None:
    cloud = {"collection": "sentinel-2-l1c", "correct": True} if process.id == "point-cloud" else {}
    done = correct(folder, BOX, process=process, water_vapour=1.5, **cloud)
    name = "point_cloud.json" if cloud else "surface_reflectance.json"
    (air,) = json.loads((done.out / name).read_text())["properties"]["eo_shards:air"]
    told = {key: value for key, value in air.items() if "aot" not in key and key not in {"scene", SHARE}}
    assert told == {
        "water_vapour": 1.5,
        "water_vapour_from": "given",
        "ozone": OZONE,
        "ozone_from": "assumed",
        "sun_zenith": pytest.approx(TILE.sun),
        "sun_azimuth": 150.0,
        "sun_from": "item",
        "view_zenith": VIEW[0],
        "view_azimuth": VIEW[1],
        "view_from": "assumed",
    }
    assert "nothing tells its ozone, 0.32 cm-atm are assumed" in done.notes
    assert "nothing tells its ozone" not in correct(folder, BOX, process=process, ozone=0.3, **cloud).notes


def test_the_halves_of_the_picture_show_the_same_pixels() -> None:
    """Bands reach beyond the bbox and clouds are left out after: neither is shown before."""
    points = np.zeros((300, 280), PIXEL)
    points["before"], points["after"] = 90, 0
    points["seen"][:, :250] = 1
    points["made"][:, 20:] = 1
    points["made"][100:130, 100:130] = 0
    picture = before_after(points)
    left = picture[GAP : GAP + 300, GAP : GAP + 280]
    right = picture[GAP : GAP + 300, 2 * GAP + 280 : 2 * GAP + 560]
    shown = (points["seen"] > 0) & (points["made"] > 0)
    np.testing.assert_array_equal((left == 90).all(axis=2), shown)
    np.testing.assert_array_equal((right == 0).all(axis=2), shown)
    for half in (left, right):
        assert (half[~shown] == 255).all()


def test_a_box_that_is_slanted_in_the_grid_is_drawn_white_around(folder: Path) -> None:
    done = correct(folder, BOX)
    picture = np.asarray(Image.open(io.BytesIO((done.out / "before_after.png").read_bytes())))
    rows, cols = done.window.shape
    codes = done.target("quality")
    outside = (codes == 0) | (codes == 5)
    assert outside.mean() > 0.05
    # Small jobs are drawn with larger pixels.
    times = (picture.shape[1] - 3 * GAP) // (2 * cols)
    for left in (GAP, 2 * GAP + times * cols):
        half = picture[GAP : GAP + times * rows : times, left : left + times * cols : times]
        np.testing.assert_array_equal((half == 255).all(axis=2)[outside], True)
        # But for what is brighter than the stretch.
        assert (half[~outside & (codes != 6)] < 255).any(axis=1).mean() > 0.97


def test_the_options_are_those_that_the_api_describes() -> None:
    inputs = AtmosphericCorrection.Inputs.model_json_schema()["properties"]
    wanted = {
        "model",
        "bands",
        "adjacency",
        "aot",
        "aerosol",
        "water_vapour",
        "ozone",
        "mask_clouds",
        "bbox",
        "datetime",
    }
    assert wanted <= set(inputs)
    assert all(inputs[name].get("description") for name in wanted)
    described = description(AtmosphericCorrection(), "https://example.org", local_files=True)
    assert set(described.inputs) >= wanted - {"catalog"}
    assert set(described.outputs) == set(AtmosphericCorrection.outputs)
