"""Longitudes in another turn: the same heights to the last bit, and no half of a globe lost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.transform import Affine

from eo.bbox import BBox
from eo.errors import NothingFound
from eo.grid import RasterGrid, TargetGrid, Window
from eo.settings import Settings
from eo.sources import elevation
from eo.sources.lattice import Lattice, copies
from eo.traffic import Traffic
from l1c import raster
from plan.elevation_sources import sheets
from routes.places import WORLD, scene_at
from support import bounds_of, local, run_job

TURN = 1_296_000
GLOBES = [
    RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, TURN, 648_000, turn=TURN),
    RasterGrid("EPSG:4326", -180.0, 90.0, 1 / 3600, 1 / 3600, TURN, 648_000, turn=TURN),
    RasterGrid("EPSG:4326", 0.0, 90.0, 1 / 3600, 1 / 3600, TURN, 648_000, turn=TURN),
    RasterGrid("EPSG:4326", -180 - 1 / 4800, 90 + 1 / 7200, 1 / 2400, 1 / 3600, 864_000, 648_000, turn=864_000),
]


@pytest.mark.parametrize("globe", GLOBES)
@pytest.mark.parametrize("side", [180.0, -180.0])
def test_a_part_anywhere_in_another_turn_gives_the_same_bits(globe: RasterGrid, side: float) -> None:
    lon = side + np.random.default_rng(3).uniform(-1, 1, 20_000)
    lon[:3] = side, np.nextafter(side, 0), np.nextafter(side, 2 * side)
    y = np.zeros(lon.size)
    first = round((side - 2 - globe.x) / globe.dx)
    wide = globe.cropped(Window(first, 0, 4 * 3600, 10)).indices(lon, y)[0]
    narrow = globe.cropped(Window(first + 3600, 0, 7200, 10)).indices(lon, y)[0]
    turns = -1 if side > 0 else 1
    moved = globe.cropped(Window(first + 3600 + turns * globe.turn, 0, 7200, 10))
    np.testing.assert_array_equal(wide, narrow + 3600)
    np.testing.assert_array_equal(moved.indices(lon + 360 * turns, y)[0], narrow)
    np.testing.assert_allclose(wide, (lon - globe.x) / globe.dx - 0.5 - first, rtol=0, atol=1e-8)


def test_a_raster_is_copied_where_the_job_meets_it() -> None:
    globe = RasterGrid("EPSG:4326", 0.0, 90.0, 0.25, 0.25, 1440, 720)
    lefts = {
        (10.0, 20.0): [0],
        (-70.0, -60.0): [-360],
        (-5.0, 5.0): [-360, 0],
        (179.0, 181.0): [0],
        (-181.0, -179.0): [-360],
        (359.9, 360.2): [0, 360],
    }
    for (west, east), wanted in lefts.items():
        found = copies(globe, west, east)
        assert [grid.x for grid in found] == wanted
        assert all(grid.turn == 1440 and grid.width == 1440 for grid in found)
    # Steps that divide no turn, and rasters of a part of the globe.
    odd = RasterGrid("EPSG:4326", -175.0, 90.0, 0.7, 0.7, 500, 200)
    assert [(grid.x, grid.turn) for grid in copies(odd, -190.0, -170.0)] == [(-535.0, 0), (-175.0, 0)]
    assert copies(replace(odd, width=50), 20.0, 21.0) == []


def write_globe(path: Path, left: float, step: float = 0.5) -> NDArray[np.float32]:
    """A globe as it lies in many files: pixels that begin at `left` degrees, with heights of their absolute places."""
    width, height = round(360 / step), round(180 / step)
    lon, lat = left + (np.arange(width) + 0.5) * step, 90 - (np.arange(height) + 0.5) * step
    values = height_at(lon[None, :], lat[:, None])
    raster(path, values, "EPSG:4326", Affine(step, 0, left, 0, -step, 90), block=None)
    return values


def height_at(lon: Any, lat: Any) -> NDArray[np.float32]:
    return np.asarray(1000 + 500 * np.sin(np.radians(lon)) + 10 * lat, np.float32)


def lattices(path: Path, bbox: BBox) -> Sequence[Lattice]:
    return elevation.describe("local", path=str(path), bbox=bbox, settings=Settings(), traffic=Traffic())


@pytest.mark.parametrize("left", [-180.0, 0.0])
@pytest.mark.parametrize(
    ("epsg", "lon"), [(32632, 9.0), (32618, -75.0), (32660, 179.995), (32701, -180.0), (32630, 0.0)]
)
def test_a_global_file_is_there_on_both_halves(tmp_path: Path, left: float, epsg: int, lon: float) -> None:
    write_globe(tmp_path / "dem.tif", left)
    scene = scene_at(tmp_path / "catalog", epsg, lon, 16.6 if epsg < 32700 else -16.4, file_format="gtiff", world=WORLD)
    done = run_job(tmp_path, **local(scene.folder, tmp_path / "dem.tif", bounds_of(scene, inset=100)))
    assert len(done.cloud.xyz) == done.result.summary["pixels_inside"] > 3000
    lons, lats = done.cloud.lonlat
    # A step of half a degree: bilinear is 1 cm off the sine, and the joint holds a value for a quarter of a degree.
    assert np.abs(done.cloud.xyz[:, 2] - height_at(lons, lats)).max() < 3


@pytest.mark.parametrize("left", [-180.0, 0.0])
def test_a_global_file_is_described_once_per_turn_that_the_job_meets(tmp_path: Path, left: float) -> None:
    write_globe(tmp_path / "dem.tif", left)
    found = lattices(tmp_path / "dem.tif", BBox(179.8, 10.0, -179.8, 10.3))
    assert [lattice.grid.x for lattice in found] == ([-540, -180] if left < 0 else [-360])
    assert [lattice.grid.x for lattice in lattices(tmp_path / "dem.tif", BBox(-75.2, 10.0, -75.0, 10.3))] == [
        -180 if left < 0 else -360
    ]


def test_a_regional_file_elsewhere_still_says_what_it_covers(tmp_path: Path) -> None:
    heights = np.zeros((10, 10), np.int16)
    raster(tmp_path / "dem.tif", heights, "EPSG:4326", Affine(0.1, 0, 30, 0, -0.1, 10), block=None)
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(67_000, -517_000, 300, 300))
    with pytest.raises(NothingFound, match=r"covers \(30.0, 9.0, 31.0, 10.0\) in EPSG:4326"):
        sheets(
            lattices(tmp_path / "dem.tif", BBox(11.2, 46.6, 11.3, 46.7)),
            grid=grid,
            shards=[grid.window],
            centre_lon=11.25,
        )
