"""From arrays of the cube to the files of a result, read by others."""

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rio_cogeo.cogeo import cog_validate

from atmospheric_correction.item import EXTENSIONS
from atmospheric_correction.raster import PIXEL, encode
from atmospheric_correction.result import merge
from atmospheric_correction.spectra import described, merged, series
from eo.bbox import BBox
from eo.catalog import Angles, Scene
from eo.checksums import damaged, listed
from eo.cog_layout import whole
from eo.correction import corrected
from eo.cube import Cube
from eo.errors import LostWork, NothingFound
from eo.folder_store import FolderStore
from eo.grid import TargetGrid, Window
from eo.job import ArraySpec, Part, Plan, Result, TargetArray, Unit
from eo.radiometry import Radiometry
from eo.records import part_key, write_units
from eo.stage import Stage
from eo.unit_io import ResultIO, UnitIO
from stac_items import Validate, validator

BANDS = ("B02", "B03", "B04", "B08")
# 46.4 N, 11.2 E in zone 32; the bbox is larger than the window.
WINDOW = Window(66_893, -514_117, 301, 257)
LATTICE = (66_900, -514_100)
AIR = Part(
    unit="s",
    counts={
        "cells": 4,
        "aot_milli": 800,
        "fallback_milli": 1000,
        "aot_by net": 1,
        "low_sun": 1,
        "water_milli_by B09": 1530,
    },
    extremes={"aot": (0.1, 0.3)},
)
"""What the field stage left of the scene."""
MODEL = {"name": "atmosphere-field", "digest": "ab" * 32, "href": "https://models.example/atmosphere-field/item.json"}
FILES = {
    "surface_reflectance.tif",
    "quality.tif",
    "uncertainty.tif",
    "checksums.json",
    "before_after.png",
    "spectra.json",
    "surface_reflectance.json",
}
TOA = Radiometry(-500, 10_000)


@dataclass(frozen=True)
class Ground:
    """What is in the cube: (bands, rows, columns) and (rows, columns)."""

    before: NDArray[np.uint16]
    after: NDArray[np.uint16]
    quality: NDArray[np.uint8]
    sigma: NDArray[np.uint16]
    """On the multiples of 16 in the window."""


def ground(window: Window = WINDOW, bands: int = 4) -> Ground:
    random = np.random.default_rng(5)
    rows, cols = np.mgrid[: window.height, : window.width]
    quality = random.choice([1, 2, 3, 4, 5, 6], window.shape, p=[0.7, 0.1, 0.05, 0.05, 0.05, 0.05]).astype(np.uint8)
    quality[cols + 2 * rows < 90] = 0
    after = (1000 + 4000 * random.random((bands, *window.shape))).astype(np.uint16)
    after[:, 100:, :10] = 600  # darker than black
    before = (after * 0.8 + 300).astype(np.uint16)
    after[:, quality == 0] = 0
    before[:, quality == 0] = 0
    points = coarse(window)
    return Ground(before, after, quality, random.integers(1, 900, (bands, *points.shape)).astype(np.uint16))


def coarse(window: Window) -> Window:
    cols = [col for col in range(window.col, window.col_end) if col % 16 == 0]
    rows = [row for row in range(window.row, window.row_end) if row % 16 == 0]
    return Window(cols[0] // 16 if cols else 0, rows[0] // 16 if rows else 0, len(cols), len(rows))


def scene() -> Scene:
    return Scene(
        id="S2A_MSIL1C_20260712",
        collection="sentinel-2-l1c",
        datetime="2026-07-12T10:10:31.024000Z",
        cloud_cover=1.0,
        platform="sentinel-2a",
        baseline="05.11",
        footprint={},
        assets={},
        crs="EPSG:32632",
        year=2026,
        href="https://catalog.example/items/a",
        angles=Angles(((30.0, 31.0), (32.0, 33.0)), 150.0, {"B02": (6.0, 350.0), "B04": (4.0, 370.0)}, "product"),
    )


def plan(window: Window, bands: tuple[str, ...], shard: int) -> Plan:
    around = Window(window.col - 7, window.row - 9, window.width + 20, window.height + 30)
    names = {**{band: band for band in bands}, **{f"surface_{band}": f"surface_{band}" for band in bands}}
    targets = {name: TargetArray(array=array, window=around) for name, array in {**names, "quality": "quality"}.items()}
    return Plan.model_construct(
        job="job",
        generation=1,
        process="atmospheric-correction",
        version="1.0.0",
        software="eo-shards 0.1.0",
        inputs={
            "model": "atmosphere-field",
            "dem": "local",
            "dem_path": "/home/somebody/dem.tif",
            "water_vapour": None,
            "ozone": 0.3,
        },
        bbox=BBox.parse("11.0,46.2,11.5,46.6"),
        grid=TargetGrid("EPSG:32632", 10, 0, 0, window),
        chunk=64,
        shard=shard,
        lattice=LATTICE,
        scenes=(scene(),),
        scene_names=("s",),
        sources={},
        elevation_name="dem.tif",
        radiometry=dict.fromkeys(bands, TOA),
        targets=targets,
        arrays=tuple(
            ArraySpec(name=name, shape=around.shape, chunks=(64, 64), dtype="uint8" if name == "quality" else "uint16")
            for name in targets
        ),
        stages=(Stage(name="align", map="a:b", over="shards"), Stage(name="raster", map="a:b", over="shards")),
        notes=("first things first",),
    )


@dataclass(frozen=True)
class Done:
    plan: Plan
    result: Result
    out: Path
    content: Ground


def leave(store: FolderStore, made: Plan, unit: Unit, stage: str, **bodies: bytes) -> Part:
    keys = {role: f"{made.work}/parts/{stage}/{unit.id}.{role}" for role in bodies}
    for role, data in bodies.items():
        store.write(keys[role], [data])
    return Part(
        unit=unit.id,
        keys=keys,
        sizes={role: len(data) for role, data in bodies.items()},
        digests={role: hashlib.sha256(data).hexdigest() for role, data in bodies.items()},
    )


def run(
    folder: Path,
    *,
    shard: int = 128,
    window: Window = WINDOW,
    content: Ground | None = None,
    bands: tuple[str, ...] = BANDS,
    spoil: Callable[[bytes], bytes] = lambda data: data,
) -> Done:
    """A whole job but for the stages before this one, which are written by hand."""
    store = FolderStore(folder)
    made = plan(window, bands, shard)
    content = content or ground(window, len(bands))
    cube = Cube(store.zarr(f"{made.work}/cube.zarr"), made.targets)
    cube.create(made.arrays)
    around = made.targets["quality"].window
    for name, values in (
        ("quality", content.quality),
        *zip(bands, content.before, strict=True),
        *((f"surface_{band}", layer) for band, layer in zip(bands, content.after, strict=True)),
    ):
        full = np.zeros(around.shape, values.dtype)
        full[window.slices(around)] = values
        cube.write(name, Window(0, 0, around.width, around.height), full)
    units = [
        Unit(id=f"u{number}", window=part)
        for number, part in enumerate(window.cells(shard, shard, col=LATTICE[0], row=LATTICE[1]))
    ]
    parts = []
    points = coarse(window)
    for stage in ("align", "correct", "raster"):
        write_units(store, made.job, stage, units)
    write_units(store, made.job, "field", [Unit(id="s", window=Window(0, 0, 61, 61))])
    store.write(part_key(made, "field", "s"), [AIR.model_dump_json().encode()])
    write_units(store, made.job, "context", [Unit(id="s", window=Window(0, 0, 61, 61))])
    below = Part(unit="s", counts={"cells": 61 * 61, "voids": 0})
    store.write(part_key(made, "context", "s"), [below.model_dump_json().encode()])
    for unit in units:
        aligned = {"inside": unit.window.pixels, "empty": 0, "masked": 0, "void": 0, "valid": unit.window.pixels}
        store.write(part_key(made, "align", unit.id), [Part(unit=unit.id, counts=aligned).model_dump_json().encode()])
        inner = coarse(unit.window)
        mine = content.sigma[(slice(None), *inner.slices(points))] if inner.width and inner.height else np.zeros(0)
        left = leave(store, made, unit, "correct", sigma=spoil(mine.astype("<u2").tobytes()))
        store.write(part_key(made, "correct", unit.id), [left.model_dump_json().encode()])
        unit_io = UnitIO(
            plan=made,
            stage="raster",
            unit=unit.id,
            cube=cube,
            store=store,
            settings=None,  # type: ignore[arg-type]
            scratch=folder,
        )
        parts.append(encode(unit, None, unit_io))
    result = merge(parts, ResultIO(plan=made, store=store), model=MODEL)
    return Done(made, result, folder / "jobs" / "job" / "result", content)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return run(tmp_path_factory.mktemp("correction"))


def test_rasters_hold_the_cube_s_pixels(done: Done) -> None:
    assert {path.name for path in done.out.iterdir()} == FILES == set(done.result.files)
    laid = whole(done.plan).window
    with rasterio.open(done.out / "surface_reflectance.tif") as file:
        assert file.descriptions == BANDS
        # Natural colours in every reader that looks for them, whatever the order of the bands.
        assert [each.name for each in file.colorinterp] == ["blue", "green", "red", "undefined"]
        assert (file.scales, file.offsets, file.nodata) == ((1e-4,) * 4, (-0.1,) * 4, 0)
        assert file.crs == "EPSG:32632"
        assert file.transform @ (WINDOW.col - laid.col, WINDOW.row - laid.row) == (668_930, 5_141_170)
        read = file.read()
        np.testing.assert_array_equal(read[(slice(None), *WINDOW.slices(laid))], done.content.after)
        assert np.count_nonzero(read) == np.count_nonzero(done.content.after)
        assert "atmosphere-field sha256 abab" in file.tags()["MODEL"]
    with rasterio.open(done.out / "quality.tif") as file:
        np.testing.assert_array_equal(file.read(1)[WINDOW.slices(laid)], done.content.quality)
        assert file.nodata == 0
        assert "2 corrected by the physics fallback" in file.tags()["CLASSES"]
    for name in ("surface_reflectance.tif", "quality.tif", "uncertainty.tif"):
        assert cog_validate(done.out / name)[0]


def test_uncertainty_lies_where_it_is_known(done: Done) -> None:
    points = coarse(WINDOW)
    with rasterio.open(done.out / "uncertainty.tif") as file:
        assert file.res == (160, 160)
        assert file.scales == (1e-4,) * 4
        values = file.read()
        assert np.count_nonzero(values) == np.count_nonzero(done.content.sigma)
        for row in (0, points.height - 1):
            for col in (0, points.width - 1):
                # The centre of the target grid's pixel whose column and row are multiples of 16.
                x, y = ((points.col + col) * 16 + 0.5) * 10, -((points.row + row) * 16 + 0.5) * 10
                np.testing.assert_array_equal(next(file.sample([(x, y)])), done.content.sigma[:, row, col])


@pytest.mark.parametrize("shard", [64, 192, 1024])
def test_any_tiling_gives_the_same_result(shard: int, done: Done, tmp_path: Path) -> None:
    other = run(tmp_path, shard=shard)
    for name in ("surface_reflectance.tif", "quality.tif", "uncertainty.tif"):
        for level in (None, 0, 1):
            options = {} if level is None else {"overview_level": level}
            with rasterio.open(done.out / name, **options) as one, rasterio.open(other.out / name, **options) as two:
                assert one.profile == two.profile
                np.testing.assert_array_equal(one.read(), two.read())
            if name == "uncertainty.tif":
                break
    for name in ("spectra.json", "before_after.png", "uncertainty.tif"):
        assert (done.out / name).read_bytes() == (other.out / name).read_bytes()
    summaries = [{k: v for k, v in each.result.summary.items() if k != "bytes"} for each in (done, other)]
    assert summaries[0] == summaries[1]


def test_equal_parts_give_equal_bytes(done: Done, tmp_path: Path) -> None:
    other = run(tmp_path)
    assert other.result == done.result
    for name in FILES:
        assert (done.out / name).read_bytes() == (other.out / name).read_bytes()


def test_spectra_are_those_of_the_corrected_pixels(done: Done) -> None:
    found = json.loads((done.out / "spectra.json").read_text())
    good = np.isin(done.content.quality, (1, 2))
    for index, band in enumerate(BANDS):
        for name, layer, offset in (("before", done.content.before, 500), ("after", done.content.after, 1000)):
            rho = (layer[index][good].astype(np.float64) - offset) / 10_000
            told = found["bands"][band][name]
            assert told["count"] == rho.size
            assert told["mean"] == pytest.approx(rho.mean(), abs=1e-6)
            assert told["std"] == pytest.approx(rho.std(), abs=1e-6)
            assert (told["min"], told["max"]) == (rho.min(), rho.max())
            for percent in (5, 25, 50, 75, 98):
                assert told[f"p{percent:02d}"] == pytest.approx(np.percentile(rho, percent), abs=0.006)
            expected, _ = np.histogram(np.clip(rho, 0, 1.2799), 256, (0, 1.28))
            assert np.abs(np.array(told["histogram"]) - expected).sum() <= 2 * np.count_nonzero(
                np.isclose(rho % 0.005, 0)
            )
    numbers = {name: int(np.count_nonzero(done.content.quality == code)) for code, name in NAMES.items()}
    assert found["pixels_by_quality"] == numbers == done.result.summary["pixels_by_quality"]


NAMES = {1: "corrected", 2: "physics", 3: "snow", 4: "cirrus", 5: "cloud", 6: "saturated"}


def test_bins_and_sums_are_exact() -> None:
    dn = np.array([[1, 1000, 1049, 1050, 65535, 7]], np.uint16)
    found = series(dn, np.array([[True, True, True, True, True, False]]), Radiometry(-1000))
    assert (found["count"], found["min"], found["max"]) == (5, -999, 64535)
    assert found["sum"] == -999 + 0 + 49 + 50 + 64535
    assert found["squares"] == 999**2 + 49**2 + 50**2 + 64535**2
    assert (found["histogram"][0], found["histogram"][1], found["histogram"][255]) == (3, 1, 1)
    nothing = series(dn, np.zeros(dn.shape, np.bool_), Radiometry(-1000))
    assert merged([nothing, found, nothing]) == found
    assert described(nothing, 10_000) == {"count": 0}
    one = described(series(dn, dn == 1050, Radiometry(-1000)), 10_000)
    assert one["std"] == 0
    assert one["p02"] == one["p98"] == one["mean"] == 0.005


def test_picture_shows_both_in_the_same_stretch(tmp_path: Path) -> None:
    window = Window(66_900, -514_100, 256, 256)
    content = ground(window, 3)
    content.quality[...] = 1
    content.before[...] = 500 + 3000  # full brightness
    content.after[...] = 1000 + 1500  # half of it
    content.after[:, :, 128:] = 0
    content.quality[:, 128:] = 0
    out = run(tmp_path, window=window, content=content, bands=BANDS[:3]).out
    picture = np.asarray(Image.open(io.BytesIO((out / "before_after.png").read_bytes())))
    assert picture.shape == (256 + 40, 2 * 256 + 24, 3)
    assert (picture[8:264, 8:264] == 255).all()
    assert (picture[8:264, 272:400] == 128).all()
    assert (picture[8:264, 400:528] == 255).all()
    assert picture[266:].min() < 128  # text


def test_item_is_valid_and_names_its_sources(done: Done, tmp_path: Path) -> None:
    item: dict[str, Any] = json.loads((done.out / "surface_reflectance.json").read_text())
    validate: Validate = validator(tmp_path, EXTENSIONS)
    answer = validate(item)
    assert answer["valid_stac"], answer
    assert len(answer["schema"]) == 1 + len(EXTENSIONS)
    assert "somebody" not in json.dumps(item)
    derived = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
    assert derived == ["https://catalog.example/items/a", MODEL["href"]]
    assert item["properties"]["eo_shards:models"] == [MODEL]
    assert item["properties"]["processing:level"] == "L2"
    bands = item["assets"]["data"]["bands"]
    assert [band["eo:common_name"] for band in bands] == ["blue", "green", "red", "nir"]
    assert {(band["raster:scale"], band["raster:offset"], band["nodata"]) for band in bands} == {(1e-4, -0.1, 0)}
    for key, name in (
        ("data", "surface_reflectance.tif"),
        ("quality", "quality.tif"),
        ("uncertainty", "uncertainty.tif"),
    ):
        asset = item["assets"][key]
        with rasterio.open(done.out / name) as file:
            assert asset["proj:transform"] == list(file.transform)[:6]
            assert asset["proj:shape"] == list(file.shape)
            assert asset["proj:bbox"] == list(file.bounds)
        assert asset["file:size"] == (done.out / name).stat().st_size
    classes = item["assets"]["quality"]["bands"][0]["classification:classes"]
    assert [each["value"] for each in classes] == list(range(7))
    broken = json.loads(json.dumps(item))
    broken["assets"]["quality"]["bands"][0]["classification:classes"][1].pop("name")
    assert not validate(broken)["valid_stac"]


def test_checksums_cover_every_byte_of_the_joined_files(done: Done) -> None:
    data = (done.out / "checksums.json").read_bytes()
    for name in ("surface_reflectance.tif", "quality.tif"):
        pieces = listed(data, name)
        assert pieces is not None
        assert damaged(done.out / name, pieces) is None


def test_summary_counts_and_notes(done: Done) -> None:
    summary = done.result.summary
    count = int(np.isin(done.content.quality, (1, 2)).sum())
    assert summary["message"] == f"{count:,} pixels corrected"
    assert summary["bytes"] == (done.out / "surface_reflectance.tif").stat().st_size
    assert summary["notes"][0] == "first things first"
    cloud = int((done.content.quality == 5).sum())
    assert f"cloud: {cloud:,} pixels ({100 * cloud / WINDOW.pixels:.2f} %)" in summary["notes"]


def test_one_pixel_is_a_result(tmp_path: Path) -> None:
    window = Window(66_905, -514_095, 1, 1)
    content = Ground(
        np.full((3, 1, 1), 2000, np.uint16),
        np.full((3, 1, 1), 1500, np.uint16),
        np.ones((1, 1), np.uint8),
        np.zeros((3, 0, 0), np.uint16),
    )
    done = run(tmp_path, window=window, content=content, bands=BANDS[:3])
    assert done.result.summary["message"] == "1 pixel corrected"
    with rasterio.open(done.out / "surface_reflectance.tif") as file:
        assert file.read()[:, -1, -1].tolist() == [1500] * 3
    with rasterio.open(done.out / "uncertainty.tif") as file:
        assert file.shape == (1, 1)
        assert not file.read().any()


def test_clouds_alone_are_a_flagged_result(tmp_path: Path) -> None:
    window = Window(66_900, -514_100, 64, 64)
    content = ground(window, 3)
    content.quality[...] = 5
    done = run(tmp_path, window=window, content=content, bands=BANDS[:3])
    assert done.result.summary["message"] == "0 pixels corrected"
    assert json.loads((done.out / "spectra.json").read_text())["bands"]["B02"]["after"] == {"count": 0}


def test_nothing_found_writes_nothing(tmp_path: Path) -> None:
    window = Window(66_900, -514_100, 64, 64)
    content = ground(window, 3)
    for values in (content.quality, content.after, content.before):
        values[...] = 0
    with pytest.raises(NothingFound, match=r"no scene has data at any of the 4,096 pixels .* choose other dates"):
        run(tmp_path, window=window, content=content, bands=BANDS[:3])
    assert not (tmp_path / "jobs" / "job" / "result").exists()


def test_sigma_of_the_wrong_size_is_lost_work(tmp_path: Path) -> None:
    with pytest.raises(LostWork, match=r"sigma of unit u0 has \d+ bytes, not the \d+"):
        run(tmp_path, spoil=lambda data: data[:-2])
    assert not (tmp_path / "jobs" / "job" / "result" / "surface_reflectance.json").exists()


def test_bands_come_from_the_cube() -> None:
    assert corrected(plan(WINDOW, ("B04", "B02", "B03"), 64)) == ("B02", "B03", "B04")
    assert PIXEL.itemsize == 8


def test_the_item_says_what_was_found_of_the_air(done: Done) -> None:
    (air,) = json.loads((done.out / "surface_reflectance.json").read_text())["properties"]["eo_shards:air"]
    assert air == {
        "scene": "s",
        "aot550": 0.2,
        "aot550_range": [0.1, 0.3],
        "aot550_from": "net",
        "water_vapour": 1.53,
        "water_vapour_from": "B09",
        "ozone": 0.3,
        "ozone_from": "given",
        "sun_zenith": 31.5,
        "sun_azimuth": 150.0,
        "sun_from": "product",
        "view_zenith": 5.0,
        "view_azimuth": 0.0,
        "view_from": "product",
        "physics_in_place_of_the_model": 0.25,
    }
    assert "s: physics stands in for the model over 25.0 % of the granule" in done.result.summary["notes"]
    assert any("sun stands lower" in note for note in done.result.summary["notes"])
