"""Elevation: the truth of each kind of file is what the file holds, wherever on Earth it lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
import zarr
from pyproj import Transformer

from scenes.dem import write_geotiff
from scenes.edh import LATTICE_ROWS, write_edh_zarr
from scenes.glo30 import corner_of, tile_name, write_glo30
from scenes.world import POSTS_PER_DEGREE, World

if TYPE_CHECKING:
    from pathlib import Path

WORLD = World(seed=1)

PLACES = {
    "Dolomites": (11.4, 46.5),
    "antimeridian": (179.9999, -16.7),
    "equator": (9.3, 0.00001),
    "Svalbard": (20.9, 78.2),
    "south": (-70.0, -45.3),
}


def around(place: tuple[float, float], metres: float, count: int = 400) -> tuple[np.ndarray[Any, Any], ...]:
    offsets = np.random.default_rng(1).uniform(-metres / 111_320, metres / 111_320, (2, count))
    return (place[0] + offsets[0] + 180) % 360 - 180, place[1] + offsets[1]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_bilinear_truth_passes_through_the_posts(place: tuple[float, float]) -> None:
    row, column = round((90 - place[1]) * POSTS_PER_DEGREE), round((place[0] + 180) * POSTS_PER_DEGREE)
    rows, columns = np.arange(row - 3, row + 4), np.arange(column - 3, column + 4)
    posts = WORLD.dem_posts(rows, columns)
    lon, lat = np.meshgrid(columns / POSTS_PER_DEGREE - 180.0, 90.0 - rows / POSTS_PER_DEGREE)
    np.testing.assert_allclose(WORLD.bilinear_truth(lon, lat), posts, atol=2e-3)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_terrain_has_no_seam(place: tuple[float, float]) -> None:
    # Steps of 1 m: a seam would show as a jump, a mountain rises by some metres at most.
    along = np.arange(-200, 200) / 111_320
    for lon, lat in (
        (place[0] + along / np.cos(np.radians(place[1])), place[1] + 0 * along),
        (place[0] + 0 * along, place[1] + along),
    ):
        height = WORLD.terrain(lon, lat).elevation
        wrapped = WORLD.terrain((lon + 180) % 360 - 180, lat).elevation
        assert np.abs(np.diff(height)).max() < 6
        np.testing.assert_allclose(height, wrapped, atol=2e-3)


@pytest.mark.parametrize(
    ("zarr_format", "ascending", "dimensions"),
    [(3, False, ("latitude", "longitude")), (2, True, ("lat", "lon"))],
    ids=["v1", "v0"],
)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_edh_zarr_holds_the_truth(
    tmp_path: Path, place: tuple[float, float], zarr_format: Any, ascending: bool, dimensions: Any
) -> None:
    lon, lat = around(place, 900)
    west, east = (place[0] + step + 180 for step in (-0.01, 0.01))
    dem = write_edh_zarr(
        tmp_path / "dem.zarr",
        world=WORLD,
        bounds=(west % 360 - 180, lat.min(), east % 360 - 180, lat.max()),
        zarr_format=zarr_format,
        ascending=ascending,
        dimensions=dimensions,
        chunks=(900, 900),
    )
    group = zarr.open_group(str(tmp_path / "dem.zarr"), mode="r")
    dsm: Any = group["dsm"]
    latitude, longitude = (np.asarray(group[name]) for name in dimensions)
    assert dsm.shape == (len(latitude), len(longitude)) == (LATTICE_ROWS, 2 * LATTICE_ROWS)
    assert bool(latitude[0] < latitude[-1]) is ascending
    # Bilinear by weights from the coordinate arrays: another way than the generator's.
    column = np.searchsorted(longitude, lon, side="right") - 1
    following = (column + 1) % len(longitude)
    share = (lon - longitude[column]) * POSTS_PER_DEGREE
    rising = latitude if ascending else latitude[::-1]
    low = np.searchsorted(rising, lat, side="right") - 1
    weight = (lat - rising[low]) * POSTS_PER_DEGREE
    rows = [low, low + 1] if ascending else [len(latitude) - 1 - low, len(latitude) - 2 - low]
    south, north = (
        (1 - share) * dsm.get_coordinate_selection((row, column))
        + share * dsm.get_coordinate_selection((row, following))
        for row in rows
    )
    np.testing.assert_allclose(dem.truth(lon, lat), (1 - weight) * south + weight * north, atol=2e-3)
    np.testing.assert_allclose(dem.truth(lon, lat), WORLD.bilinear_truth(lon, lat), atol=2e-3)


def test_void_is_nan_in_file_and_truth(tmp_path: Path) -> None:
    bounds = (11.40, 46.50, 11.42, 46.52)
    dem = write_edh_zarr(
        tmp_path / "dem.zarr", world=WORLD, bounds=bounds, chunks=(90, 90), void=(11.41, 46.50, 11.42, 46.52)
    )
    assert np.isnan(dem.truth(np.array([11.415]), np.array([46.51]))).all()
    assert np.isfinite(dem.truth(np.array([11.405]), np.array([46.51]))).all()
    dsm: Any = zarr.open_group(str(tmp_path / "dem.zarr"), mode="r")["dsm"]
    row, column = round((90 - 46.51) * 3600), round((11.415 + 180) * 3600)
    assert np.isnan(dsm[row, column])
    assert np.isfinite(dsm[row, column - 36])


@pytest.mark.parametrize(("place", "columns"), [((11.0, 46.99), 3600), ((10.0, 60.4), 1800), ((20.9, -78.2), 1200)])
def test_glo30_tiles_hold_the_truth(tmp_path: Path, place: tuple[float, float], columns: int) -> None:
    lon, lat = around(place, 600)
    tiles = write_glo30(tmp_path, world=WORLD, bounds=(lon.min(), lat.min(), lon.max(), lat.max()))
    assert (tmp_path / "tileList.txt").read_text().split() == sorted(tiles.tiles)
    posts: dict[tuple[int, int], float] = {}
    for name, path in tiles.tiles.items():
        west, south = corner_of(name)
        assert tile_name(west, south) == name
        with rasterio.open(path) as file:
            assert (file.width, file.height) == (columns, 3600)
            pixels = file.read(1)
            # Pixel centres on whole degrees: the post of the corner is the first pixel.
            assert file.xy(0, 0) == pytest.approx((west, south + 1), abs=1e-9)
            for row, column in zip(*np.nonzero(pixels), strict=True):
                posts[(south + 1) * 3600 - row, west * columns + column] = pixels[row, column]
    for x, y, height in zip(lon[:60], lat[:60], tiles.truth(lon[:60], lat[:60]), strict=True):
        column, row = int(np.floor(x * columns)), int(np.floor(y * 3600))
        u, v = x * columns - column, y * 3600 - row
        low, high = ((1 - u) * posts[line, column] + u * posts[line, column + 1] for line in (row, row + 1))
        assert height == pytest.approx((1 - v) * low + v * high, abs=2e-3)


def test_missing_glo30_tile_is_sea(tmp_path: Path) -> None:
    name = tile_name(11, 46)
    tiles = write_glo30(tmp_path, world=WORLD, bounds=(10.999, 46.5, 11.001, 46.501), missing=(name,))
    assert list(tiles.tiles) == [tile_name(10, 46)]
    sea, land = tiles.truth(np.array([11.0005, 10.999]), np.array([46.5005, 46.5005]))
    assert sea == 0.0
    assert land > 100.0


@pytest.mark.parametrize("vertical", [None, "EPSG:3855"])
def test_geotiff_holds_the_truth_in_its_own_grid(tmp_path: Path, vertical: str | None) -> None:
    path = tmp_path / "dem.tif"
    bounds = (671000.0, 5160000.0, 674000.0, 5163000.0)
    dem = write_geotiff(path, world=WORLD, crs="EPSG:32632", bounds=bounds, resolution=25.0, vertical=vertical)
    with rasterio.open(path) as file:
        pixels = file.read(1)
        x, y = file.xy([40, 41], [50, 50])
        assert ("3855" in file.crs.to_wkt()) is (vertical is not None)
    lon, lat = Transformer.from_crs(32632, 4326, always_xy=True).transform(np.array(x), np.array(y))
    np.testing.assert_allclose(dem.truth(lon, lat), pixels[40:42, 50], atol=2e-3)
    middle = dem.truth(np.array([lon.mean()]), np.array([lat.mean()]))
    assert middle[0] == pytest.approx(pixels[40:42, 50].mean(), abs=2e-3)
