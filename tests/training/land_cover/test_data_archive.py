"""A converted store has what the folder has, one patch in a chunk, and is there only when it is whole."""

import json
import shutil
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr

from eo.errors import CorruptData, InvalidInput
from training.land_cover.bands import ALL, BANDS
from training.land_cover.data import archive, convert
from training.land_cover.data.patches import PatchSet, PlacedPatches, Split, opened
from training.land_cover.data.shards import Chunks
from training.land_cover.synthetic.plan import Params
from training.land_cover.synthetic.write import write

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reben")
    write(folder, Params(patches=24))
    return folder


@pytest.fixture(scope="module")
def store(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("zarr") / "store"
    assert convert.convert(folder, store, "bilinear").counts == {"train": 14, "validation": 4, "test": 6}
    return store


def both(folder: Path, store: Path, split: Split, bands: tuple[str, ...] = ALL) -> list[PlacedPatches]:
    return [opened(place, split, bands, "bilinear") for place in (folder, store)]


@pytest.mark.parametrize("bands", [ALL, BANDS[7], ("B12", "B01")])
def test_a_store_has_what_the_folder_has(folder: Path, store: Path, bands: tuple[str, ...]) -> None:
    for split in SPLITS:
        tiff, stored = both(folder, store, split, bands)
        assert tiff.names == stored.names
        assert tiff.countries == stored.countries == ["Synthetic"] * len(tiff)
        assert stored.synthetic
        np.testing.assert_array_equal(tiff.labels, stored.labels)
        np.testing.assert_array_equal(tiff.footprints().corners, stored.footprints().corners)
        for index in range(0, len(tiff), 5):
            np.testing.assert_array_equal(tiff.read(index), stored.read(index))


def test_a_chunk_is_a_patch_and_chunks_share_files(store: Path) -> None:
    said = json.loads((store / "train" / "dn" / "zarr.json").read_text())
    assert said["zarr_format"] == 3
    (codec,) = said["codecs"]
    assert codec["name"] == "sharding_indexed"
    assert codec["configuration"]["chunk_shape"] == [1, 12, 120, 120]
    assert said["chunk_grid"]["configuration"]["chunk_shape"] == [14, 12, 120, 120]
    assert len([path for path in (store / "train" / "dn").rglob("*") if path.is_file()]) == 2


def test_chunks_are_those_that_zarr_python_reads(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in SPLITS:
        array = zarr.open_group(store, mode="r")[split]["dn"]
        chunks = Chunks(store / split / "dn")
        for index in range(array.shape[0]):
            np.testing.assert_array_equal(chunks.read(index), array[index])
    monkeypatch.setattr(archive, "SHARD", 3)
    group = zarr.create_group(tmp_path / "several")
    made = archive.create(group, 8)  # the last file has two chunks, and one of all has none: it is all fill
    values = np.random.default_rng(1).integers(0, 9000, made.shape).astype(np.uint16)
    values[4] = 0
    made[:] = values
    chunks = Chunks(tmp_path / "several" / "dn")
    for index in (7, 0, 5, 3):
        np.testing.assert_array_equal(chunks.read(index), values[index])
    with pytest.raises(ValueError, match="no such chunk"):
        chunks.read(4)


def test_a_patch_without_data_is_one_like_any_other(folder: Path, tmp_path: Path) -> None:
    empty = Path(shutil.copytree(folder, tmp_path / "empty"))
    name = opened(empty, "test", ("B02",), "nearest").names[2]
    for path in empty.rglob(f"{name}_B*.tif"):
        with rasterio.open(path, "r+") as file:
            file.write(np.zeros((1, *file.shape), np.uint16))
    convert.convert(empty, tmp_path / "store")
    stored = opened(tmp_path / "store", "test", ("B02",), "nearest")
    assert [bool(stored.read(place).any()) for place in range(len(stored))] == [place != 2 for place in range(6)]


def test_an_array_that_is_laid_out_otherwise_is_no_such_array(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a", shape=(4, 2), chunks=(1, 2), shards=(4, 2), dtype="uint16")
    with pytest.raises(ValueError, match="laid out otherwise"):
        Chunks(tmp_path / "a")


def test_what_an_interrupted_conversion_leaves_is_no_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SHARD", 8)
    bad = Path(shutil.copytree(folder, tmp_path / "bad"))
    victim = opened(bad, "validation", ("B02",), "nearest").names[3]
    file = next(bad.rglob(f"{victim}_B11.tif"))
    good = file.read_bytes()
    file.write_bytes(good[:3000])
    store = tmp_path / "store"
    with pytest.raises(CorruptData, match=f"{victim}_B11.tif cannot be read"):
        convert.convert(bad, store)
    assert not store.exists()
    left = tmp_path / ".store.part"
    assert any((left / "train" / "dn").rglob("c/*"))
    for split in SPLITS:
        with pytest.raises(InvalidInput, match="is no converted store"):
            opened(left, split, ("B02",), "nearest")
    file.write_bytes(good)
    assert convert.convert(bad, store).counts["validation"] == 4
    assert not left.exists()
    with pytest.raises(InvalidInput, match="exists: remove it"):
        convert.convert(bad, store)


def test_several_processes_write_the_same_store(
    folder: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "SHARD", 10)
    convert.convert(folder, tmp_path / "store", "bilinear", workers=2)
    for split in SPLITS:
        one, other = (opened(place, split, ALL, "bilinear") for place in (store, tmp_path / "store"))
        assert one.names == other.names
        np.testing.assert_array_equal(one.footprints().corners, other.footprints().corners)
        for index in range(len(one)):
            np.testing.assert_array_equal(one.read(index), other.read(index))


def test_another_resampling_and_an_empty_split_are_refused(store: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="with resampling bilinear, not nearest: choose that, or convert"):
        opened(store, "train", ALL, "nearest")
    part = Path(shutil.copytree(store, tmp_path / "part"))
    shutil.rmtree(part / "test")
    with pytest.raises(InvalidInput, match="has no patch of the split test"):
        opened(part, "test", ALL, "bilinear")


def test_a_store_of_other_classes_is_refused(store: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(store, tmp_path / "other"))
    group = zarr.open_group(other, mode="r+")
    group.attrs["classes"] = [*reversed(group.attrs["classes"])]
    with pytest.raises(InvalidInput, match="by another version of this program: convert the folder again"):
        opened(other, "train", ALL, "bilinear")


def test_a_damaged_file_is_found_and_named(store: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(store, tmp_path / "damaged"))
    file = next(path for path in (damaged / "train" / "dn" / "c").rglob("*") if path.is_file())
    data = bytearray(file.read_bytes())
    data[40_000] ^= 255
    file.write_bytes(data)
    patches, others = (opened(damaged, split, ALL, "bilinear") for split in SPLITS[:2])
    shutil.rmtree(damaged / "validation" / "dn" / "c")
    with pytest.raises(CorruptData, match=f"damaged/validation, patch {others.names[1]}: cannot be read .*No such"):
        others.read(1)
    with pytest.raises(CorruptData, match=f"damaged/train, patch {patches.names[0]}: cannot be read.*convert"):
        patches.read(0)
    assert patches.read(13).shape == (12, 120, 120)


def _read(patches: PatchSet, index: int, answers: object) -> None:
    answers.put(patches.read(index))  # type: ignore[attr-defined]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_a_store_that_was_read_before(store: Path, method: str) -> None:
    patches = opened(store, "test", ("B02", "B8A"), "bilinear")
    expected = patches.read(4)
    context = get_context(method)
    answers = context.Queue()
    worker = context.Process(target=_read, args=(patches, 4, answers))
    worker.start()
    np.testing.assert_array_equal(answers.get(timeout=60), expected)
    worker.join(60)
    assert worker.exitcode == 0


def test_single_patches_are_read_five_times_as_fast_as_from_files(folder: Path, store: Path) -> None:
    spent = []
    for patches in both(folder, store, "train", BANDS[10]):
        order = np.random.default_rng(2).permutation(len(patches)).tolist()
        patches.read(0)
        started = time.process_time()
        for index in order:
            patches.read(index)
        spent.append(time.process_time() - started)
    assert spent[0] > 5 * spent[1]


def test_the_command_converts_and_says_what_is_wrong(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "a" / "store"
    asked = ["--from", str(folder), "--to", str(store), "--workers", "1"]
    assert convert.main(asked) == 0
    assert "14 patches for train, 4 patches for validation, 6 patches for test" in capsys.readouterr().out
    assert convert.main(asked) == InvalidInput.exit_code
    assert "exists: remove it" in capsys.readouterr().err
