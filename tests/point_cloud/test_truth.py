"""Points against truth: the scenes' formulas, exact transforms, and nothing of the code under test."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scenes.dem import Dem, write_geotiff
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import bounds_of, centres, colours, crs_of, local, lonlat, projected, run_job, within

WORLD = World(seed=7)
CELL = (256, 256)
SIZE = 96


@dataclass(frozen=True)
class Place:
    name: str
    epsg: int
    lon: float
    lat: float


PLACES = [
    Place("zone 1", 32601, -179.2, 51.9),
    Place("zone 31", 32631, 2.9, 48.8),
    Place("zone 32", 32632, 11.4, 46.6),
    Place("zone 33", 32633, 12.1, 47.1),
    Place("zone 60", 32660, 178.6, 66.3),
    Place("south", 32756, 150.4, -33.7),
    Place("far south", 32724, -36.8, -54.4),
    Place("Bergen, zone 32 where 31 would be", 32632, 5.1, 60.4),
    Place("Svalbard, zone 33 where 34 would be", 32633, 19.4, 78.2),
    Place("northern Greenland", 32624, -35.4, 83.4),
]


def scene_at(folder: Path, epsg: int, lon: float, lat: float, **more: Any) -> Scene:
    """A small scene whose middle is at a place."""
    size = more.pop("size", SIZE)
    x, y = projected(f"EPSG:{epsg}", lon, lat)
    ulx, uly = round(float(x) / 20) * 20 - size * 5, round(float(y) / 20) * 20 + size * 5
    options: dict[str, Any] = {"tile": f"{epsg % 100:02}XAA", "file_format": "gtiff", "block": 64}
    return write_scene(folder, world=WORLD, epsg=epsg, ulx=ulx, uly=uly, size=size, **(options | more))


def check(cloud_xyz: NDArray[np.float64], crs: str, dem: Dem) -> None:
    lon, lat = lonlat(crs, cloud_xyz[:, 0], cloud_xyz[:, 1])
    assert np.abs(cloud_xyz[:, 2] - dem.truth(lon, lat)).max() <= 0.05


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_every_pixel_is_where_it_is_with_its_height_and_colour(place: Place, tmp_path: Path) -> None:
    scene = scene_at(tmp_path / "c", place.epsg, place.lon, place.lat)
    bbox = bounds_of(scene, inset=190)
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=CELL)
    done = run_job(tmp_path, shard=64, **local(tmp_path / "c", dem.path, bbox))
    cloud = done.cloud
    assert cloud.crs == f"EPSG:{place.epsg}"
    cols, rows, x, y = centres(scene)
    inside = within(bbox, *lonlat(crs_of(scene), x, y))
    assert 1000 < inside.sum() < SIZE * SIZE - 1000
    order = np.lexsort((cloud.xyz[:, 1], cloud.xyz[:, 0]))
    wanted = np.lexsort((y[inside], x[inside]))
    assert len(cloud.xyz) == inside.sum()
    assert np.abs(cloud.xyz[order, 0] - x[inside][wanted]).max() <= 0.001
    assert np.abs(cloud.xyz[order, 1] - y[inside][wanted]).max() <= 0.001
    np.testing.assert_array_equal(cloud.rgb[order], colours(scene, cols[inside], rows[inside])[wanted])
    check(cloud.xyz, cloud.crs, dem)


@pytest.mark.parametrize(("zarr_format", "ascending"), [(2, True), (3, True), (2, False)])
def test_latitudes_may_run_either_way_and_zarr_be_of_either_format(
    zarr_format: Any, ascending: bool, tmp_path: Path
) -> None:
    scene = scene_at(tmp_path / "c", 32632, 11.4, 46.6, size=64)
    dem = write_edh_zarr(
        tmp_path / "dem.zarr",
        world=WORLD,
        bounds=bounds_of(scene),
        chunks=CELL,
        zarr_format=zarr_format,
        ascending=ascending,
    )
    cloud = run_job(tmp_path, **local(tmp_path / "c", dem.path, bounds_of(scene))).cloud
    assert len(cloud.xyz) == 64 * 64
    check(cloud.xyz, cloud.crs, dem)


@pytest.mark.parametrize(
    ("crs", "resolution"),
    [("EPSG:4326", 1 / 3600), ("EPSG:32632", 30.0), ("EPSG:32633", 25.0), ("EPSG:3035", 25.0)],
    ids=["degrees", "same zone", "other zone", "LAEA Europe"],
)
def test_a_local_geotiff_may_have_any_crs(crs: str, resolution: float, tmp_path: Path) -> None:
    scene = scene_at(tmp_path / "c", 32632, 11.4, 46.6, size=64)
    west, south, east, north = bounds_of(scene)
    x, y = (west, east, west, east), (south, south, north, north)
    if crs != "EPSG:4326":
        x, y = (tuple(axis) for axis in projected(crs, np.array(x), np.array(y)))
    bounds = (min(x) - 9 * resolution, min(y) - 9 * resolution, max(x) + 9 * resolution, max(y) + 9 * resolution)
    dem = write_geotiff(
        tmp_path / "dem.tif", world=WORLD, crs=crs, bounds=bounds, resolution=resolution, vertical="EPSG:3855"
    )
    done = run_job(tmp_path, shard=64, lattice=(7, -9), **local(tmp_path / "c", dem.path, (west, south, east, north)))
    assert len(done.cloud.xyz) == 64 * 64
    assert done.cloud.comments["vertical"] == ["EPSG:3855"]
    check(done.cloud.xyz, done.cloud.crs, dem)


def test_absolute_coordinates_are_the_same_points(tmp_path: Path) -> None:
    scene = scene_at(tmp_path / "c", 32632, 11.4, 46.6, size=64)
    dem = write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=CELL)
    inputs = local(tmp_path / "c", dem.path, bounds_of(scene, inset=100))
    near, far = run_job(tmp_path, **inputs), run_job(tmp_path, coordinates="absolute", **inputs)
    np.testing.assert_array_equal(near.cloud.table(), far.cloud.table())
    assert [far.cloud.comments[f"offset_{axis}"] for axis in "xyz"] == [["0"], ["0"], ["0"]]
    assert (
        np.abs(near.cloud.xyz[:, :2] - [float(near.cloud.comments[f"offset_{axis}"][0]) for axis in "xy"]).max() < 700
    )
