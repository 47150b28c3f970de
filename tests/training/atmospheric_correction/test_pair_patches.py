"""Patches and coarse sets of real pairs: what they hold, in which order, and that no place is in two splits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

from eo.errors import NothingFound
from eo.grid import Window
from eo.sources import raster
from safe_pairs import EPSG, LEFT, TOP, Written, write_pair

torch = pytest.importorskip("torch")

from training.atmospheric_correction.pairs import reading  # noqa: E402
from training.atmospheric_correction.pairs.coarse import CoarseSets, coarse_sets  # noqa: E402
from training.atmospheric_correction.pairs.config import PairConfig  # noqa: E402
from training.atmospheric_correction.pairs.patches import PairPatches  # noqa: E402
from training.atmospheric_correction.sixs import BANDS  # noqa: E402

SIZE = 192
COARSE_SIZE = 1464
"""10 m pixels: two cells of 61 x 12 along each side."""


def config(folder: Path, **more: Any) -> PairConfig:
    return PairConfig(**{"folders": (folder,), "size": 64, "tiles": {"train": ("33TWM",)}, **more})


def spoil(written: Written, band: str) -> None:
    """Damage a file's pixels; its header stays."""
    data = bytearray(written.files[band].read_bytes())
    start = len(data) // 4
    data[start:] = b"\xff" * (len(data) - start)
    written.files[band].write_bytes(data)


def test_patches_are_windows_of_the_pair_with_nothing_where_nothing_counts(tmp_path: Path) -> None:
    scl = np.full((96, 96), 5, np.uint8)
    scl[:4] = 9
    write_pair(tmp_path, size=SIZE, scl=scl)
    patches = PairPatches(config(tmp_path))
    assert sorted((p.window.col, p.window.row) for p in patches.places) == [
        (col, row) for col in (0, 64, 128) for row in (0, 64, 128)
    ]
    for place, patch in zip(patches.places, (patches[index] for index in range(len(patches))), strict=True):
        piece = reading.read(patches.pairs[0], place.window, patches.config.bands)
        np.testing.assert_array_equal(patch.mask.numpy(), piece.mask)
        np.testing.assert_array_equal(patch.toa.numpy(), piece.toa * piece.mask)
        np.testing.assert_array_equal(patch.boa.numpy(), piece.boa * piece.mask)
        assert patch.mask[:8].any() == (place.window.row > 0)
        assert patch.tile == "33TWM"
        assert patch.toa.dtype == torch.float32
        np.testing.assert_allclose(patch.angles, [33, 150, 6, 105])


def test_the_order_is_the_seeds(tmp_path: Path) -> None:
    write_pair(tmp_path, size=SIZE)
    one, same, other = (PairPatches(config(tmp_path, seed=seed)) for seed in (1, 1, 2))
    assert one.places == same.places
    assert one.places != other.places
    assert sorted(one.places, key=str) == sorted(other.places, key=str)
    few = PairPatches(config(tmp_path, per_pair=4))
    assert len(few) == 4
    assert few.places == PairPatches(config(tmp_path, per_pair=4)).places


@pytest.mark.parametrize(("allowed", "count"), [(0.49, 0), (0.5, 3)])
def test_the_share_of_invalid_pixels_is_bounded(tmp_path: Path, allowed: float, count: int) -> None:
    scl = np.full((96, 96), 8, np.uint8)
    scl[:, :16] = 4  # half of the first column of patches
    write_pair(tmp_path, size=SIZE, scl=scl)
    wanted = config(tmp_path, max_invalid=allowed)
    if count:
        assert len(PairPatches(wanted)) == count
    else:
        with pytest.raises(NothingFound, match=r"train has 0 patches of 64 .* 9 have more than 49% invalid pixels"):
            PairPatches(wanted)


def test_a_patch_whose_own_pixels_lack_data_gives_its_place_to_another(tmp_path: Path) -> None:
    toa, _ = write_pair(tmp_path, size=SIZE)
    import rasterio  # noqa: PLC0415

    with rasterio.open(toa.files["B02"], "r+") as file:
        dn = file.read(1)
        dn[:64, :64] = 0
        file.write(dn, 1)
    patches = PairPatches(config(tmp_path))
    assert len(patches) == 9
    assert all(patches[index].mask.all() for index in range(9))


def ground(patches: PairPatches, crs: str) -> list[tuple[float, float]]:
    """Centres of all pixels of all patches, in one CRS, to the metre."""
    found: list[tuple[float, float]] = []
    for place in patches.places:
        grid = patches.pairs[place.pair].grid
        window = place.window
        cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
        x, y = np.meshgrid(grid.x + 10 * (cols + 0.5), grid.y - 10 * (rows + 0.5))
        x, y = Transformer.from_crs(grid.crs, crs, always_xy=True).transform(x.ravel(), y.ravel())
        found += zip(np.round(x).tolist(), np.round(y).tolist(), strict=True)
    return found


@pytest.mark.parametrize("epsg", [EPSG, 32634])
def test_no_place_is_in_two_splits_although_tiles_overlap(tmp_path: Path, epsg: int) -> None:
    # Near the boundary of two UTM zones; the second tile begins in the middle of the first.
    left, top = 732_000, 5_100_000
    write_pair(tmp_path, size=320, left=left, top=top, tile="33TYM")
    middle = Transformer.from_crs(f"EPSG:{EPSG}", f"EPSG:{epsg}", always_xy=True).transform(left + 1670, top - 1530)
    x, y = (round(value / 10) * 10 for value in middle)
    write_pair(tmp_path, size=320, left=x, top=y, epsg=epsg, tile="34TBS", seed=9)
    lists = {"train": ("33TYM",), "test": ("34TBS",)}
    train, test = (PairPatches(config(tmp_path, tiles=lists, split=split, size=32)) for split in ("train", "test"))
    alone = PairPatches(config(tmp_path, tiles={"train": ("33TYM", "34TBS")}, size=32))
    crs = f"EPSG:{EPSG}"
    one, other = ground(train, crs), ground(test, crs)
    # A raster of the ground at 20 m: pixels of different zones are turned against each other.
    assert not {(x // 20, y // 20) for x, y in one} & {(x // 20, y // 20) for x, y in other}
    assert len(train) + len(test) < len(alone) == 200
    # What is not under another split's tile stays: of 100 patches a quarter overlaps, and what the turned rectangle adds.
    assert min(len(train), len(test)) >= 60


def test_a_damaged_file_is_named_and_training_goes_on(tmp_path: Path) -> None:
    bad, _ = write_pair(tmp_path, size=SIZE, file_format="jp2")
    write_pair(tmp_path, size=SIZE, tile="33TWN", top=TOP + 100_000, seed=5)
    lists = {"train": ("33TWM", "33TWN")}
    spoil(bad, "B03")
    patches = PairPatches(config(tmp_path, tiles=lists))
    assert len(patches) == 18
    for index in range(18):  # whether a patch of the damaged product is seen before the damage is found
        patches[index]
    assert {patches[index].tile for index in range(18)} == {"33TWN"}
    assert [line for line in patches.reports if line.startswith(bad.product.id) and "B03" in line]
    spoiled = PairPatches(config(tmp_path))
    with pytest.raises(NothingFound, match="none of the 9 patches can be read"):
        [spoiled[index] for index in range(9)]


def test_without_a_dem_it_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for tile, top in (("33TWM", TOP), ("33TWN", TOP + 100_000)):
        write_pair(tmp_path, size=64, tile=tile, top=top)
    PairPatches(config(tmp_path, tiles={"train": ("33TWM", "33TWN")}))
    assert sum("no DEM is given" in record.message for record in caplog.records) == 1


def test_files_are_read_by_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pair(tmp_path, size=640)
    read, asked = raster.read_window, []

    def watched(dataset: Any, band: int, window: Window, name: str) -> Any:
        asked.append(window)
        return read(dataset, band, window, name)

    monkeypatch.setattr(raster, "read_window", watched)
    patches = PairPatches(config(tmp_path))
    assert max(window.height for window in asked) == 32  # of the 20 m SCL, a row of patches
    asked.clear()
    patches[3]
    assert {window.shape for window in asked} == {(64, 64), (32, 32)}
    assert len(asked) == 9


def test_patches_come_as_batches_of_a_data_loader(tmp_path: Path) -> None:
    write_pair(tmp_path, size=SIZE)
    batch = next(iter(torch.utils.data.DataLoader(PairPatches(config(tmp_path)), batch_size=4)))
    assert batch.toa.shape == batch.boa.shape == (4, 4, 64, 64)
    assert batch.mask.shape == (4, 64, 64)
    assert batch.angles.shape == (4, 4)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CoarseSets]:
    folder = tmp_path_factory.mktemp("coarse")
    scl = np.full((COARSE_SIZE // 2, COARSE_SIZE // 2), 4, np.uint8)
    scl[:60, :60] = 9
    scl[:4, 66:72] = 8  # a third of one coarse pixel
    aot = np.full(scl.shape, 150, np.uint16)
    aot[:, COARSE_SIZE // 4 :] = 300
    write_pair(folder, size=COARSE_SIZE, bands=BANDS, scl=scl, extra={"AOT": aot})
    return folder, coarse_sets(config(folder), scenes=3, pixels=64)


def test_coarse_pixels_are_means_of_what_counts(coarse: tuple[Path, CoarseSets]) -> None:
    folder, found = coarse
    pair = PairPatches(config(folder, bands=BANDS)).pairs[0]
    piece = reading.read(pair, Window(0, 0, COARSE_SIZE, COARSE_SIZE), BANDS)
    edge = COARSE_SIZE // 12
    mask = piece.mask.reshape(edge, 12, edge, 12).transpose(0, 2, 1, 3).reshape(edge, edge, 144)
    known = mask.mean(-1) >= 0.5

    def means(values: np.ndarray) -> np.ndarray:
        blocks = values.reshape(edge, 12, edge, 12).transpose(0, 2, 1, 3).reshape(edge, edge, 144)
        return np.array([block[inside].mean() for block, inside in zip(blocks[known], mask[known], strict=True)])

    toa, boa = (np.stack([means(band) for band in side], -1) for side in (piece.toa, piece.boa))
    (sets,) = found.sets
    assert len(sets.count) == 4
    assert (sets.count == 64).all()
    drawn = sets.toa.reshape(-1, len(BANDS))[::5]
    source = [int(abs(toa - each).max(-1).argmin()) for each in drawn]
    assert len(set(source)) == len(source)
    np.testing.assert_allclose(drawn, toa[source], atol=2e-6)
    np.testing.assert_allclose(sets.rho.reshape(-1, len(BANDS))[::5], boa[source], atol=2e-6)
    assert not known[:10, :10].any()
    np.testing.assert_allclose(sets.aot, [0.15, 0.3, 0.15, 0.3], rtol=1e-4)


def test_a_batch_is_like_a_simulated_one(coarse: tuple[Path, CoarseSets]) -> None:
    _, found = coarse
    batch = found.batch(0)
    assert batch.toa.shape == batch.rho.shape == batch.env.shape == (6, 64, len(BANDS))
    assert batch.valid.shape == batch.clean.shape == batch.heights.shape == (6, 64)
    assert list(batch.state) == ["sun_zenith", "view_zenith", "azimuth", "water", "ozone"]
    assert all(values.shape == (6,) for values in (*batch.state.values(), batch.aot))
    assert all(value.dtype == torch.float32 for value in batch[:6])
    np.testing.assert_allclose(batch.state["sun_zenith"], 33)
    np.testing.assert_allclose(batch.state["azimuth"], 45)
    assert (batch.state["sun_zenith"][::2] == batch.state["sun_zenith"][1::2]).all()
    assert (batch.aot[::2] == batch.aot[1::2]).all()
    # Surroundings are smoother than the ground, and of its mean.
    assert float(batch.env.std()) < 0.5 * float(batch.rho.std())
    assert float((batch.env - batch.rho).mean()) == pytest.approx(0, abs=2e-3)
    # The neighbourhood is one cell, the rest has none of it.
    cells = {tuple(row): number for number, cell in enumerate(found.sets[0].toa) for row in cell.tolist()}
    for near, rest in zip(batch.toa[::2], batch.toa[1::2], strict=True):
        one, others = ({cells[tuple(row)] for row in rows.tolist()} for rows in (near, rest))
        assert len(one) == 1
        assert others == {0, 1, 2, 3} - one


def test_batches_follow_from_seed_and_number(coarse: tuple[Path, CoarseSets]) -> None:
    folder, found = coarse
    again = coarse_sets(config(folder), scenes=3, pixels=64)
    assert torch.equal(again.batch(1).toa, found.batch(1).toa)
    assert not torch.equal(found.batch(0).toa, found.batch(1).toa)


def test_few_pixels_are_padded_and_cells_with_next_to_none_left_out(tmp_path: Path) -> None:
    scl = np.full((120, 120), 9, np.uint8)
    scl[:18, :24] = 4  # 3 x 4 coarse pixels
    write_pair(tmp_path, size=240, bands=BANDS, scl=scl)
    batch = coarse_sets(config(tmp_path), scenes=1, pixels=20).batch(0)
    np.testing.assert_array_equal(batch.valid.sum(1), [12, 12])
    assert (batch.toa[:, 12:] == batch.toa[:, :1]).all()
    assert torch.isnan(batch.aot).all()
    scl[:18, 12:] = 9
    write_pair(tmp_path / "less", size=240, bands=BANDS, scl=scl)
    with pytest.raises(NothingFound, match="0 pairs with coarse pixels, at least 1 is needed, 1 were found"):
        coarse_sets(config(tmp_path / "less"))


def test_coarse_sets_keep_out_of_other_splits_tiles(tmp_path: Path) -> None:
    write_pair(tmp_path, size=COARSE_SIZE, bands=BANDS)
    write_pair(tmp_path, size=240, bands=BANDS, tile="33TWN", left=LEFT + 12_000, top=TOP)
    lists = {"train": ("33TWM",), "test": ("33TWN",)}
    (sets,) = coarse_sets(config(tmp_path, tiles=lists), pixels=64).sets
    assert len(sets.count) == 3
