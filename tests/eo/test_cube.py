"""The cube: what was written is what is read, and what was not written is an error."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from zarr.storage import LocalStore

from eo.cube import Cube
from eo.errors import CorruptData
from eo.grid import Window
from eo.job import ArraySpec, TargetArray

TARGET = Window(-32, 64, 64, 48)
SPECS = (
    ArraySpec(name="scenes/a/B04", shape=(50, 70), chunks=(16, 16), dtype="uint16"),
    ArraySpec(name="elevation", shape=TARGET.shape, chunks=(16, 16), dtype="float32", fill="NaN"),
    ArraySpec(name="valid", shape=TARGET.shape, chunks=(16, 16), dtype="uint8"),
)
TARGETS = {
    "B04": TargetArray(array="scenes/a/B04", window=Window(-40, 60, 70, 50)),
    "elevation": TargetArray(array="elevation", window=TARGET),
    "valid": TargetArray(array="valid", window=TARGET),
}


@pytest.fixture
def cube(tmp_path: Path) -> Cube:
    made = Cube(LocalStore(tmp_path), TARGETS)
    made.create(SPECS)
    return made


def test_what_is_written_is_read_by_another(cube: Cube, tmp_path: Path) -> None:
    values = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64)
    cube.write("scenes/a/B04", Window(0, 0, 64, 48), values)
    other = Cube(LocalStore(tmp_path), TARGETS)
    np.testing.assert_array_equal(other.read("scenes/a/B04", Window(5, 7, 30, 20)), values[7:27, 5:35])
    # zarr itself, as any other program would read it.
    np.testing.assert_array_equal(zarr.open_group(str(tmp_path), mode="r")["scenes/a/B04"][:48, :64], values)  # type: ignore[index]


def test_an_unwritten_chunk_is_an_error_even_if_it_would_be_empty(cube: Cube) -> None:
    cube.write("valid", Window(0, 0, 16, 16), np.zeros((16, 16), np.uint8))
    assert not cube.read("valid", Window(0, 0, 16, 16)).any()
    with pytest.raises(CorruptData, match="valid/c/0/1"):
        cube.read("valid", Window(0, 0, 17, 16))


def test_a_missing_array_is_an_error() -> None:
    with pytest.raises(CorruptData, match="cube array valid is gone"):
        Cube(zarr.storage.MemoryStore(), TARGETS).read("valid", Window(0, 0, 1, 1))


def test_a_scene_may_be_called_like_the_folder_of_chunks(tmp_path: Path) -> None:
    cube = Cube(LocalStore(tmp_path), {})
    cube.create([ArraySpec(name="scenes/c/B04", shape=(16, 16), chunks=(16, 16), dtype="uint16")])
    with pytest.raises(CorruptData, match="scenes/c/B04/c/0/0"):
        cube.read("scenes/c/B04", Window(0, 0, 1, 1))
    with pytest.raises(CorruptData, match="cube array scenes/c/B03 is gone"):
        cube.read("scenes/c/B03", Window(0, 0, 1, 1))


def test_creating_again_changes_nothing(cube: Cube, tmp_path: Path) -> None:
    cube.write("valid", Window(0, 0, 16, 16), np.ones((16, 16), np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    Cube(LocalStore(tmp_path), TARGETS).create(SPECS)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_shard_at_the_jobs_edge_fills_up_its_chunk(cube: Cube) -> None:
    """Its chunk is its own, so a shard that ends inside of it writes the rest as no data."""
    edge = Window(-30, 66, 12, 10)
    cube.write_target("elevation", edge, np.full(edge.shape, 7, np.float32))
    found = cube.read_target("elevation", Window(-32, 64, 16, 16))
    inside = np.zeros((16, 16), bool)
    inside[edge.slices(Window(-32, 64, 16, 16))] = True
    np.testing.assert_array_equal(found[inside], 7)
    assert np.isnan(found[~inside]).all()


def test_writing_one_shard_leaves_its_neighbours_alone(cube: Cube) -> None:
    windows = list(TARGET.cells(32, 16))
    for number, window in enumerate(windows):
        cube.write_target("valid", window, np.full(window.shape, number, np.uint8))
    for number, window in enumerate(windows):
        assert (cube.read_target("valid", window) == number).all()


def test_an_alias_is_read_where_it_lies_on_the_grid(cube: Cube) -> None:
    values = np.arange(50 * 70, dtype=np.uint16).reshape(50, 70)
    cube.write("scenes/a/B04", Window(0, 0, 70, 50), values)
    np.testing.assert_array_equal(cube.read_target("B04", Window(-32, 64, 5, 3)), values[4:7, 8:13])
    beyond = cube.read_target("B04", Window(-42, 60, 4, 2), outside=9)
    np.testing.assert_array_equal(beyond, [[9, 9, 0, 1], [9, 9, 70, 71]])
    assert (cube.read_target("B04", Window(500, 500, 2, 2), outside=3) == 3).all()


def test_a_window_beside_a_variable_cannot_be_written(cube: Cube) -> None:
    with pytest.raises(CorruptData, match="outside of valid"):
        cube.write_target("valid", Window(200, 200, 4, 4), np.zeros((4, 4), np.uint8))


def test_it_knows_its_variables(cube: Cube) -> None:
    assert cube.has("elevation")
    assert not cube.has("scene")
