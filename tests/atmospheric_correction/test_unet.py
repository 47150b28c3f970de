"""The U-Net's jobs: each tile is computed once, however many shards share it, and no tiling changes a bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from atmospheric_correction import tiles as kernel
from atmospheric_correction.tiles import Lattice, correct_tiles
from eo import correction
from eo.correction import UNET
from eo.errors import CorruptData, LostWork
from eo.folder_store import FolderStore
from eo.grid import Window
from eo.job import Part
from eo.model import load, read_card
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from eo.tiling import Tiling
from l1c import Corrected, Tile, correct, spoil, stock
from small_unet import BANDS, SIGMA, unet

TILING = Tiling(stride=160, used=256, margin=32, block=2)
"""That of tiles of 320 pixels with a halo of 128."""


def holes(band: str, dn: NDArray[np.uint16]) -> None:
    """No data in a corner and in single pixels, of one band alone; saturated ones."""
    if band in BANDS:
        spoil(band, dn, corner=(0.3, 0.35))


TILE = Tile(change=holes)
BOX = TILE.box(0.2, 0.2, 0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = stock(tmp_path_factory.mktemp("unet"), TILE)
    unet(folder / "models")
    return folder


@pytest.fixture(autouse=True)
def _small(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(folder / "models"))
    monkeypatch.setattr(correction, "UNET_TILING", TILING)


@pytest.fixture(scope="module")
def whole(folder: Path) -> Corrected:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EO_SHARDS_MODELS", str(folder / "models"))
        patch.setattr(correction, "UNET_TILING", TILING)
        return correct(folder, BOX, model=UNET, chunk=1024)


def surface(done: Corrected) -> NDArray[np.uint16]:
    return np.stack([done.target(f"surface_{band}") for band in BANDS])


def directly(done: Corrected) -> NDArray[np.uint16]:
    """By tiles computed for the job's whole window, from what the source has of its valid pixels."""
    valid, grid = done.target("valid") > 0, done.window
    toa = np.stack([np.where(valid, done.target(band), 0) for band in BANDS]).astype(np.uint16)

    def read(window: Window) -> NDArray[np.uint16]:
        found = np.zeros((3, *window.shape), np.uint16)
        common = window.intersection(grid)
        if common is not None:
            found[(slice(None), *common.slices(window))] = toa[(slice(None), *common.slices(grid))]
        return found

    made = correct_tiles(grid, read, [done.plan.radiometry[band] for band in BANDS], load(UNET))
    made[:, (done.target("quality") == 5) | ~valid] = 0
    return made


def again(done: Corrected, stage: str) -> list[Part]:
    """Do the units of a stage anew."""
    store, settings = FolderStore(done.home), Settings.from_environment({"EO_SHARDS_HOME": str(done.home)})
    return [run_unit(store, "job", stage, unit, 1, settings)[0] for unit in read_units(store, "job", stage)]


def test_a_job_is_the_net_over_its_valid_pixels(whole: Corrected) -> None:
    found = surface(whole)
    np.testing.assert_array_equal(found, directly(whole))
    assert (found > 0).mean() > 0.7
    assert len(np.unique(found)) > 1000
    assert (found == 65_535).sum() > 100
    sigma = whole.files()["uncertainty.tif"][0]
    for index, band in enumerate(BANDS):
        assert set(np.unique(sigma[index])) <= {0, round(SIGMA[band] * 10_000)}


@pytest.mark.parametrize(
    ("block", "cut"),
    [
        (2, {"chunk": 64, "shard": 64, "lattice": (67_400, -516_601)}),
        (3, {"chunk": 64, "shard": 128, "lattice": (13, 7)}),
        (1, {"chunk": 128, "shard": 512}),
    ],
)
def test_any_tiling_gives_the_same_pixels(
    folder: Path, whole: Corrected, monkeypatch: pytest.MonkeyPatch, block: int, cut: dict[str, Any]
) -> None:
    monkeypatch.setattr(correction, "UNET_TILING", Tiling(160, 256, 32, block))
    other = correct(folder, BOX, model=UNET, only="correct", **cut)
    assert len(other.parts["correct"]) > 3
    np.testing.assert_array_equal(surface(other), surface(whole))
    np.testing.assert_array_equal(other.target("quality"), whole.target("quality"))


def test_nor_does_it_matter_which_shards_a_slanting_box_misses(folder: Path) -> None:
    """In another zone's grid the box is a rhomb: small shards leave out corners of which large ones have pixels."""
    large = correct(folder, BOX, model=UNET, crs="EPSG:32631", chunk=1024, only="correct")
    small = correct(folder, BOX, model=UNET, crs="EPSG:32631", chunk=32, shard=32, only="correct")
    assert len(small.parts["correct"]) < len(list(small.window.cells(32, 32)))
    np.testing.assert_array_equal(surface(small), surface(large))
    np.testing.assert_array_equal(surface(small), directly(large))


def test_each_tile_is_computed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    predicted = kernel.predicted

    def counted(dn: NDArray[np.uint16], *more: Any) -> Any:
        seen.append(dn.tobytes())
        return predicted(dn, *more)

    monkeypatch.setattr(kernel, "predicted", counted)
    done = correct(folder, BOX, model=UNET, shard=64, only="correct")
    needed = TILING.touching(done.window).pixels
    assert len(done.parts["correct"]) > 2 * needed
    assert len(seen) == needed == sum(part.counts["tiles"] for part in done.parts["tiles"])
    empty = sum(part.counts["empty"] for part in done.parts["tiles"])
    assert len(set(seen)) == needed - max(0, empty - 1)


def test_a_plan_says_what_tiles_take(whole: Corrected) -> None:
    plan = whole.plan
    names = [stage.name for stage in plan.stages]
    assert names.index("tiles") == names.index("correct") - 1
    assert plan.tiling == TILING
    tiles = TILING.touching(plan.grid.window)
    arrays = [array for array in plan.arrays if array.name.startswith("tiles/")]
    assert [array.name for array in arrays] == [f"tiles/{band}" for band in BANDS]
    for array in arrays:
        assert (array.shape, array.chunks, array.dtype) == (
            (tiles.height * 256, tiles.width * 256), (256, 256), "float32",
        )  # fmt: skip
        assert len(chunks(whole, array.name)) == tiles.pixels
    assert plan.predicted.units["tiles"] == len(whole.parts["tiles"]) == -(-tiles.width // 2) * -(-tiles.height // 2)
    assert plan.predicted.unit_memory_bytes >= 320**2 * correction.TILES_BYTES_PER_PIXEL
    stored = sum(path.stat().st_size for path in (whole.home / "scratch").rglob("*") if path.is_file())
    assert stored / 2 < plan.predicted.scratch_bytes < 2 * stored


def test_other_correctors_have_no_tiles(folder: Path) -> None:
    plan = correct(folder, BOX, model="physics", only="fetch").plan
    assert plan.tiling is None
    assert not any(array.name.startswith("tiles/") for array in plan.arrays)
    assert "tiles" not in plan.predicted.units


@pytest.fixture
def done(folder: Path) -> Corrected:
    return correct(folder, BOX, model=UNET, shard=256, only="correct")


def chunks(done: Corrected, array: str) -> list[Path]:
    """Files of an array's chunks."""
    return sorted((done.home / "scratch" / "job" / "1" / "cube.zarr" / array / "c").glob("*/*"))


def lose(done: Corrected, array: str) -> None:
    for path in chunks(done, array):
        path.unlink()


def test_a_lost_tile_is_lost_work(done: Corrected) -> None:
    path = next(path for path in chunks(done, "tiles/B03") if path.match("1/2"))
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(LostWork, match=r"tiles/B03/c/1/2 was lost"):
        again(done, "correct")
    path.write_bytes(kept)
    again(done, "correct")


def test_a_band_lost_under_valid_pixels_is_lost_work(done: Corrected) -> None:
    lose(done, done.plan.targets["B04"].array)
    with pytest.raises(LostWork, match=r"B04/c/.* was lost"):
        again(done, "tiles")


def test_validity_that_is_lost_is_lost_work_at_the_latest_in_its_shard(done: Corrected) -> None:
    lose(done, "valid")
    assert all(part.counts["empty"] == part.counts["tiles"] for part in again(done, "tiles"))
    with pytest.raises(LostWork, match=r"valid/c/.* was lost"):
        again(done, "correct")


def test_doing_a_unit_again_leaves_equal_bytes(done: Corrected) -> None:
    paths = [path for band in BANDS for path in chunks(done, f"tiles/{band}")]
    before = [path.read_bytes() for path in paths]
    assert again(done, "tiles") == done.parts["tiles"]
    assert [path.read_bytes() for path in paths] == before


def test_tiles_of_another_size_than_planned_are_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(unet(tmp_path / "models", tile=384)))
    with pytest.raises(
        CorruptData, match=r"the plan has tiles of 320 pixels, one every 160, and model .* tiles of 384"
    ):
        correct(folder, BOX, model=UNET, only="tiles")


def test_the_published_model_has_the_tiles_that_are_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.delenv("EO_SHARDS_MODELS", raising=False)
    planned = correction.UNET_TILING
    assert Lattice.of(read_card(UNET).grid).cut(planned.block) == planned
