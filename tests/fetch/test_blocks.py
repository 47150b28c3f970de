"""One image block: what fetch compares with the plan, and how much of a file it holds at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rasterio.transform import Affine

from eo.catalog import CLASSES, Asset
from eo.errors import CorruptData, InvalidInput
from eo.grid import RasterGrid, Window
from eo.job import ImageSource, Part, Unit
from eo.resample import mean_dn
from eo.sources import raster
from fetch import blocks
from plan import budget
from plan.scene_sources import Decimated
from scenes.rasters import Encoding, write_raster

SIZE = 192
GRID = RasterGrid("EPSG:32632", 600_000, 5_200_000, 10, 10, SIZE, SIZE)
DN = np.random.default_rng(5).integers(0, 3000, (SIZE, SIZE), dtype=np.uint16)


def written(
    folder: Path, grid: RasterGrid = GRID, *, block: int = 64, dtype: str = "uint16", dn: Any = DN, **more: Any
) -> Path:
    path = folder / "B04.tif"
    encoding = Encoding(block=block, format=more.get("format", "gtiff"))
    transform = Affine(grid.dx, 0, grid.x, 0, -grid.dy, grid.y)
    write_raster(path, dn.astype(dtype), crs=grid.crs, transform=transform, encoding=encoding)
    return path


def fetched(
    path: Path, planned: RasterGrid = GRID, *, resolution: int = 10, band: str = "B04", chunk: int = 64
) -> np.ndarray[Any, Any]:
    """All of a file as fetch writes it, by a plan that believes in this grid."""
    with raster.opened(str(path), name=path.name) as dataset:
        info = replace(raster.inspect(dataset, path.name), grid=planned)
    file = Decimated.of(info, resolution, classes=band == CLASSES)
    source = ImageSource(
        adapter="local",
        scene=0,
        band=band,
        asset=Asset(href=str(path)),
        file_grid=planned,
        grid=file.grid,
        origin=(0, 0),
        level=file.level,
        mean=file.mean,
        tile=file.tile,
        cell=file.cutting(chunk).cell,
    )
    result = np.zeros(file.size, np.uint8 if band == CLASSES else np.uint16)

    def write(_array: str, window: Window, values: Any) -> None:
        result[window.slices(file.grid.window)] = values

    io = SimpleNamespace(
        plan=SimpleNamespace(sources={"a": source}),
        cube=SimpleNamespace(write=write),
        settings=None,
        traffic=None,
        scratch=path.parent / "scratch",
        upload=None,
    )
    part = blocks.fetch(Unit(id="u", window=file.grid.window, array="a"), None, cast("Any", io))
    assert part == Part(unit="u", counts={"pixels": file.grid.window.pixels})
    return result


@pytest.mark.parametrize("file_format", ["gtiff", "cog", "jp2"])
@pytest.mark.parametrize("resolution", [10, 20, 40])
def test_a_file_that_is_as_planned_is_read(tmp_path: Path, file_format: str, resolution: int) -> None:
    found = fetched(written(tmp_path, format=file_format), resolution=resolution)
    assert found.shape == (SIZE * 10 // resolution,) * 2
    if resolution == 10:
        np.testing.assert_array_equal(found, DN)


@pytest.mark.parametrize("resolution", [10, 40])
@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"crs": "EPSG:32633"}, r"B04.tif is in EPSG:32633, but the plan expects EPSG:32632: the catalogue is wrong"),
        ({"dx": 20, "dy": 20}, r"B04.tif has pixels of 20 x 20, but the plan expects 10 x 10: the catalogue is wrong"),
        ({"dy": 20}, r"B04.tif has pixels of 10 x 20, but the plan expects 10 x 10"),
        ({"x": GRID.x + 10}, r"B04.tif begins at 600010.0, 5200000.0 with 192 x 192 pixels, but the plan expects"),
    ],
    ids=["zone", "pixels", "rows", "place"],
)
def test_a_file_that_is_not_as_planned_is_refused(
    tmp_path: Path, changed: dict[str, Any], told: str, resolution: int
) -> None:
    """Its shape is the planned one, so nothing else would tell."""
    path = written(tmp_path, replace(GRID, **changed), format="cog")
    with pytest.raises(CorruptData, match=told):
        fetched(path, resolution=resolution)


@pytest.mark.parametrize("band", ["B04", CLASSES])
def test_coarse_pixels_are_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, band: str) -> None:
    path = written(tmp_path, block=SIZE, dtype="uint8" if band == CLASSES else "uint16")
    read: list[Window] = []

    def noted(dataset: Any, number: int, window: Window, name: str) -> Any:
        read.append(window)
        return read_window(dataset, number, window, name)

    read_window = raster.read_window
    monkeypatch.setattr(raster, "read_window", noted)
    monkeypatch.setattr(blocks, "READ_AT_ONCE", 50)
    found = fetched(path, resolution=40, band=band)
    assert max(window.pixels for window in read) == 48 * 48
    assert sum(window.pixels for window in read) == SIZE * SIZE
    expected = DN.astype(np.uint8)[2::4, 2::4] if band == CLASSES else mean_dn(DN, 4)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("file_format", ["cog", "jp2"])
@pytest.mark.parametrize("resolution", [20, 40, 60])
def test_what_lies_beside_no_data_does_not_depend_on_the_chunks(
    tmp_path: Path, file_format: str, resolution: int
) -> None:
    """A swath's edge runs through 6 of the file's 9 tiles, whatever is read together."""
    rows, cols = np.indices(DN.shape)
    dn = np.where(rows + 2 * cols < 200, 0, DN + 500)
    path = written(tmp_path, dn=dn, format=file_format)
    first, *others = (fetched(path, resolution=resolution, chunk=chunk) for chunk in (16, 20, 64, 100, 1024))
    for other in others:
        np.testing.assert_array_equal(first, other)
    # Pixels beside the edge are means of what is there: the level alone would mix zeros in.
    expected = mean_dn(dn.astype(np.uint16), resolution // 10)
    edge = 64 * 10 // resolution if 64 * 10 % resolution == 0 else 192 * 10 // resolution
    np.testing.assert_array_equal(first[:edge, :edge], expected[:edge, :edge])
    assert 0 < (first == 0).mean() < 0.5


def test_the_plan_counts_with_the_pieces_that_are_read() -> None:
    assert budget.READ_AT_ONCE == blocks.READ_AT_ONCE**2


def test_a_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")  # root, as whom tests may run, is never denied

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InvalidInput, match=r"B04.tif may not be read: allow it to this user"):
        fetched(path)
