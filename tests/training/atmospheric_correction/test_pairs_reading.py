"""Products become pairs, and windows of them reflectance, as rasterio and NumPy find them on the whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.transform import Affine, from_bounds

from eo.errors import InvalidInput, NothingFound
from eo.grid import Window
from l1c import raster
from safe_pairs import EPSG, LEFT, MOMENT, NATIVE, TOP, Written, classes, write_pair, write_product
from training.atmospheric_correction.pairs import reading
from training.atmospheric_correction.pairs.config import PairConfig
from training.atmospheric_correction.pairs.find import Pair, find
from training.atmospheric_correction.pairs.slope import Slopes
from training.atmospheric_correction.pairs.splits import split_of

BANDS = ("B02", "B8A", "B01")
SIZE = 192


def only(folder: Path, bands: tuple[str, ...] = ("B02", "B03", "B04", "B08")) -> Pair:
    found = find([folder], bands)
    assert len(found.pairs) == 1, found.reports
    return found.pairs[0]


def whole(written: Written, band: str, offset: int) -> np.ndarray:
    """Reflectance of a whole band at 10 m, read by rasterio alone."""
    with rasterio.open(written.files[band]) as file:
        dn = file.read(1)
    rho = np.where((dn == 0) | (dn == 65535), np.nan, (dn.astype(float) + offset) / 10_000)
    return np.kron(rho, np.ones((NATIVE[band] // 10, NATIVE[band] // 10)))


@pytest.mark.parametrize("file_format", ["jp2", "cog", "gtiff"])
def test_a_window_is_that_of_the_whole_product(tmp_path: Path, file_format: Any) -> None:
    toa, boa = write_pair(tmp_path, size=SIZE, bands=BANDS, file_format=file_format)
    pair = only(tmp_path, BANDS)
    for window in (Window(13, 31, 64, 50), Window(0, 0, SIZE, SIZE), Window(SIZE - 5, SIZE - 7, 5, 7)):
        piece = reading.read(pair, window, BANDS)
        rows, cols = window.slices(Window(0, 0, SIZE, SIZE))
        for number, band in enumerate(BANDS):
            np.testing.assert_allclose(piece.toa[number], whole(toa, band, -1000)[rows, cols], atol=1e-7)
            np.testing.assert_allclose(piece.boa[number], whole(boa, band, -1000)[rows, cols], atol=1e-7)
        assert piece.mask.all()
        assert piece.mask.shape == window.shape


def test_an_offset_on_one_side_only_gives_equal_reflectance(tmp_path: Path) -> None:
    dn = {"B02": np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) + 1}
    write_product(tmp_path, "L1C", dn, size=64, baseline="03.01", offset=0)
    shifted = {"B02": dn["B02"] + np.uint16(1000), "SCL": classes(64)}
    write_product(tmp_path, "L2A", shifted, size=64, baseline="05.11", offset=-1000)
    found = find([tmp_path], ("B02",))
    piece = reading.read(found.pairs[0], Window(0, 0, 64, 64), ("B02",))
    np.testing.assert_array_equal(piece.toa, piece.boa)
    assert piece.toa[0, 0, 0] == pytest.approx(1e-4)
    (report,) = found.reports
    assert "MSIL1C" in report
    assert "baseline 03.01, but 05.11" in report
    assert not find([tmp_path], ("B02",), mixed_baselines="skip").pairs


def test_only_ground_with_data_on_both_sides_counts(tmp_path: Path) -> None:
    scl = np.repeat(np.arange(12, dtype=np.uint8), 8)[:96].reshape(1, 96).repeat(96, 0)
    toa, boa = write_pair(tmp_path, size=SIZE, scl=scl)
    for written, band, value in ((toa, "B03", 0), (toa, "B08", 65535), (boa, "B02", 0), (boa, "B04", 65535)):
        with rasterio.open(written.files[band], "r+") as file:
            dn = file.read(1)
            dn[{"B03": 10, "B08": 20, "B02": 30, "B04": 40}[band]] = value
            file.write(dn, 1)
    piece = reading.read(only(tmp_path), Window(0, 0, SIZE, SIZE), ("B02", "B03", "B04", "B08"))
    expected = np.isin(np.kron(scl, np.ones((2, 2), int)), [4, 5, 6, 7])
    expected[[10, 20, 30, 40]] = False
    np.testing.assert_array_equal(piece.mask, expected)
    assert np.isnan(piece.toa[1, 10]).all()
    assert np.isnan(piece.boa[2, 40]).all()


def test_the_finer_side_of_a_band_is_averaged(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    one = {"B02": rng.integers(1500, 4000, (96, 96)).astype(np.uint16), "B01": np.full((16, 16), 2000, np.uint16)}
    fine = rng.integers(1500, 4000, (48, 48)).astype(np.uint16)
    fine[0, 3] = 0
    write_product(tmp_path, "L1C", one, size=96)
    write_product(
        tmp_path, "L2A", {"B02": one["B02"], "B01": fine, "SCL": classes(96)}, size=96, resolutions={"B01": 20}
    )
    piece = reading.read(only(tmp_path, ("B02", "B01")), Window(7, 5, 80, 70), ("B02", "B01"))
    rho = np.where(fine == 0, np.nan, (fine.astype(float) - 1000) / 10_000)
    means = np.array([[rho[3 * r : 3 * r + 3, 3 * c : 3 * c + 3].mean() for c in range(16)] for r in range(16)])
    np.testing.assert_allclose(piece.boa[1], np.kron(means, np.ones((6, 6)))[5:75, 7:87], rtol=1e-5)
    expected = np.ones((70, 80), bool)
    expected[:1, :5] = False  # rows 0 to 5 and columns 6 to 11 are one pixel of 60 m
    np.testing.assert_array_equal(piece.mask, expected)


def test_aot_is_the_l2as_where_it_has_one(tmp_path: Path) -> None:
    aot = np.full((SIZE // 2, SIZE // 2), 123, np.uint16)
    aot[3, 4] = 0
    write_pair(tmp_path, size=SIZE, extra={"AOT": aot})
    found = reading.aot(only(tmp_path), Window(0, 0, SIZE, SIZE))
    assert found is not None
    assert np.isnan(found[6:8, 8:10]).all()
    assert np.nanmin(found) == np.nanmax(found) == pytest.approx(0.123)
    write_pair(tmp_path / "without", size=SIZE)
    assert reading.aot(only(tmp_path / "without"), Window(0, 0, 4, 4)) is None


def dem(path: Path, heights: np.ndarray, crs: str, bounds: tuple[float, float, float, float]) -> Path:
    rows, cols = heights.shape
    raster(path, heights.astype(np.float32), crs, from_bounds(*bounds, cols, rows), block=None)
    return path


@pytest.mark.parametrize(("degrees", "flat"), [(9.8, True), (10.2, False)])
@pytest.mark.parametrize("direction", ["across", "down"])
def test_ground_under_10_degrees_counts(tmp_path: Path, degrees: float, flat: bool, direction: str) -> None:
    write_pair(tmp_path, size=SIZE)
    step = 30 * np.tan(np.deg2rad(degrees)) * np.arange(90)
    heights = np.broadcast_to(step[None] if direction == "across" else step[:, None], (90, 90))
    bounds = (LEFT - 300, TOP - 2400, LEFT + 2400, TOP + 300)
    slopes = Slopes(dem(tmp_path / "dem.tif", heights, f"EPSG:{EPSG}", bounds), only(tmp_path).grid)
    for window in (Window(0, 0, 64, 64), Window(64, 128, 64, 64)):
        assert (slopes.flat(window) == flat).all()
        assert (reading.read(only(tmp_path), window, ("B02",), slopes).mask == flat).all()


def test_slopes_do_not_depend_on_the_window_nor_on_the_dems_crs(tmp_path: Path) -> None:
    write_pair(tmp_path, size=SIZE)
    pair = only(tmp_path)
    to_degrees = Transformer.from_crs(f"EPSG:{EPSG}", "EPSG:4326", always_xy=True)
    west, south, east, north = to_degrees.transform_bounds(LEFT - 500, TOP - 2600, LEFT + 2600, TOP + 500)
    lon, lat = np.meshgrid(
        west + (np.arange(120) + 0.5) / 120 * (east - west), north - (np.arange(120) + 0.5) / 120 * (north - south)
    )
    x, _ = Transformer.from_crs("EPSG:4326", f"EPSG:{EPSG}", always_xy=True).transform(lon, lat)
    heights = np.where(x < LEFT + 960, 0, np.tan(np.deg2rad(25)) * (x - LEFT - 960))  # a hill begins in the middle
    slopes = Slopes(dem(tmp_path / "dem.tif", heights, "EPSG:4326", (west, south, east, north)), pair.grid)
    everything = slopes.flat(Window(0, 0, SIZE, SIZE))
    assert everything[:, :88].all()
    assert not everything[:, 104:].any()
    window = Window(67, 41, 64, 32)
    np.testing.assert_array_equal(slopes.flat(window), everything[window.slices(Window(0, 0, SIZE, SIZE))])


def test_a_dem_elsewhere_is_refused_and_ground_beyond_one_does_not_count(tmp_path: Path) -> None:
    write_pair(tmp_path, size=SIZE)
    grid = only(tmp_path).grid
    far = dem(tmp_path / "far.tif", np.zeros((9, 9)), f"EPSG:{EPSG}", (LEFT + 90_000, TOP, LEFT + 90_900, TOP + 900))
    with pytest.raises(NothingFound, match="has no height in the granule"):
        Slopes(far, grid)
    half = dem(
        tmp_path / "half.tif", np.zeros((90, 40)), f"EPSG:{EPSG}", (LEFT - 300, TOP - 2400, LEFT + 900, TOP + 300)
    )
    flat = Slopes(half, grid).flat(Window(0, 0, SIZE, SIZE))
    assert flat[:, :80].all()
    assert not flat[:, 95:].any()


def test_products_pair_by_what_they_say_not_by_their_folders_names(tmp_path: Path) -> None:
    toa, _ = write_pair(tmp_path, size=64)
    toa.path.rename(tmp_path / "mine.SAFE")
    later = MOMENT.replace(day=22)
    lonely, _ = (
        write_product(
            tmp_path, level, {"B02": np.full((64, 64), 2000, np.uint16)} | scl, size=64, sensed=when, tile=tile
        )
        for level, scl, when, tile in (("L1C", {}, later, "33TWM"), ("L2A", {"SCL": classes(64)}, later, "33TVM"))
    )
    found = find([tmp_path], ("B02",))
    assert [pair.toa.path.name for pair in found.pairs] == ["mine.SAFE"]
    assert found.pairs[0].tile == "33TWM"
    assert len(found.reports) == 2
    assert any(line.startswith(lonely.product.id) and "no L2A" in line for line in found.reports)
    assert any("33TVM" in line and "no L1C" in line for line in found.reports)


def test_two_datatakes_of_one_tile_are_two_pairs(tmp_path: Path) -> None:
    for hour, orbit in ((10, 22), (11, 65)):
        write_pair(tmp_path, size=64, sensed=MOMENT.replace(hour=hour), orbit=orbit)
    found = find([tmp_path], ("B02",))
    assert [(p.toa.key.orbit, p.boa.key.orbit) for p in found.pairs] == [(22, 22), (65, 65)]
    assert not found.reports


def test_of_several_processings_those_of_one_baseline_are_used(tmp_path: Path) -> None:
    write_pair(tmp_path, size=64, l1c={"baseline": "05.09"}, l2a={"baseline": "05.09"})
    extra, _ = write_pair(tmp_path, size=64, l1c={"baseline": "05.11"}, l2a={"baseline": "05.09"})
    found = find([tmp_path], ("B02",))
    (pair,) = found.pairs
    assert pair.toa.meta.baseline == pair.boa.meta.baseline == "05.09"
    assert any(line.startswith(extra.product.id) and "another processing" in line for line in found.reports)


def damage(kind: str, written: Written) -> None:
    if kind == "metadata":
        next(written.path.glob("MTD_MSI*.xml")).write_text("<oops")
    elif kind == "granule":
        next(written.path.glob("GRANULE/*/MTD_TL.xml")).unlink()
    elif kind == "missing":
        written.files["B03"].unlink()
    elif kind == "no raster":
        written.files["B03"].write_bytes(b"hello")
    else:
        with rasterio.open(written.files["B03"], "r+") as file:
            file.transform = Affine(10, 0, LEFT + 10, 0, -10, TOP)


@pytest.mark.parametrize("kind", ["metadata", "granule", "missing", "no raster", "moved"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_damaged_product_is_named_and_the_rest_goes_on(tmp_path: Path, kind: str, side: int) -> None:
    bad = write_pair(tmp_path, size=64)[side]
    damage(kind, bad)
    write_pair(tmp_path, size=64, tile="33TWN", top=TOP + 100_000)
    found = find([tmp_path], ("B02", "B03"))
    assert [pair.tile for pair in found.pairs] == ["33TWN"]
    assert any(line.startswith(bad.path.name) for line in found.reports)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere does not exist"):
        find([tmp_path / "nowhere"], ("B02",))


def test_tiles_are_split_by_hash_or_by_lists() -> None:
    tiles = [f"{zone}T{a}{b}" for zone in range(30, 38) for a in "ABCDEFGH" for b in "KLMNPQRS"]
    config = PairConfig(folders=(Path(),))
    splits = [split_of(tile, config) for tile in tiles]
    share = [splits.count(split) / len(tiles) for split in ("train", "validation", "test")]
    assert share == pytest.approx([0.8, 0.1, 0.1], abs=0.05)
    assert splits == [split_of(tile, config) for tile in tiles]
    assert splits != [split_of(tile, config.model_copy(update={"seed": 1})) for tile in tiles]
    listed = PairConfig(folders=(Path(),), tiles={"train": ("33TWM",), "test": ("33TWN",)})
    assert [split_of(tile, listed) for tile in ("33TWM", "33TWN", "33TVM")] == ["train", "test", None]


def test_splits_that_share_a_tile_or_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match=r"33TWM.* more than once"):
        PairConfig(folders=(Path(),), tiles={"train": ("33TWM",), "test": ("33TWM",)})
    with pytest.raises(ValueError, match=r"make 0.9, they must make 1"):
        PairConfig(folders=(Path(),), shares=(0.7, 0.1, 0.1))
    with pytest.raises(ValueError, match="multiple of 32"):
        PairConfig(folders=(Path(),), size=100)
