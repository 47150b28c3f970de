"""Coarser pixels than the file's, and bands, classes and grids that do not fit each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.windows import Window as RasterioWindow

from scenes.rasters import Encoding, write_raster
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import (
    MASKED,
    Bounds,
    Done,
    Job,
    bounds_of,
    clear,
    colour_of,
    colours,
    local,
    lonlat,
    places,
    quick_dem,
    read_cloud,
    run_job,
    within,
)

WORLD = World(seed=9)
ULX, ULY = 671_240, 5_168_180
BANDS = ("B04", "B03", "B02")


def write(folder: Path, **more: Any) -> Scene:
    options: dict[str, Any] = {"epsg": 32632, "ulx": ULX, "uly": ULY, "tile": "32TPS", "size": 240, "block": 64}
    return write_scene(folder / "c", world=WORLD, **(options | more))


def run(folder: Path, scene: Scene, bbox: Bounds | None = None, **more: Any) -> Done:
    dem = quick_dem(folder / "dem.tif", WORLD, bounds_of(scene))
    inputs = local(folder / "c", dem.path, bbox or bounds_of(scene, inset=70))
    done = run_job(folder, **({"shard": 64} | inputs | more))
    lon, lat = done.cloud.lonlat
    assert np.abs(done.cloud.xyz[:, 2] - dem.truth(lon, lat)).max() <= 0.05
    return done


def coarse(scene: Scene, band: str, factor: int) -> NDArray[np.float64]:
    """Means of blocks, by the file's own levels as far as they are whole multiples, else of all its pixels."""
    with rasterio.open(scene.assets[band]) as file:
        levels = [level for level in file.overviews(1) if factor % level == 0 and file.width % level == 0]
        level = max(levels, default=1)
        index = file.overviews(1).index(level) if level > 1 else -1
    with rasterio.open(scene.assets[band], **({"overview_level": index} if index >= 0 else {})) as file:
        values = file.read(1).astype(float)
    edge = factor // level
    size = values.shape[0] // edge
    return np.asarray(values[: size * edge, : size * edge].reshape(size, edge, size, edge).mean(axis=(1, 3)))


@pytest.mark.parametrize("file_format", ["jp2", "cog", "gtiff"])
@pytest.mark.parametrize("resolution", [20, 40, 60, 100])
def test_coarser_pixels_are_means_on_the_same_corner(resolution: int, file_format: Any, tmp_path: Path) -> None:
    scene = write(tmp_path, file_format=file_format)
    done = run(tmp_path, scene, resolution=resolution)
    factor = resolution // 10
    size = 240 // factor
    rows, cols = (a.ravel() for a in np.mgrid[:size, :size])
    x, y = ULX + (cols + 0.5) * resolution, ULY - (rows + 0.5) * resolution
    inside = within(bounds_of(scene, inset=70), *lonlat("EPSG:32632", x, y))
    # Class of the pixel in which the centre lies, at the classes' own resolution.
    codes = scene.true_scl(np.floor((x - ULX) / 20).astype(int), np.floor((ULY - y) / 20).astype(int))
    inside &= ~np.isin(codes, MASKED)
    assert places(done.cloud.xyz) == set(zip(x[inside].tolist(), y[inside].tolist(), strict=True))
    assert len(done.cloud.xyz) == inside.sum()
    assert done.plan.grid.resolution == resolution
    order = np.lexsort((done.cloud.xyz[:, 0], -done.cloud.xyz[:, 1]))
    for channel, band in enumerate(BANDS):
        dn = np.floor(coarse(scene, band, factor) + 0.5).astype(int)[rows, cols]
        np.testing.assert_array_equal(done.cloud.rgb[order, channel], colour_of(dn, -1000)[inside])
        # And the levels are what they should be: near the plain mean of all pixels (wavelets are not exactly that).
        plain = scene.true_dn(band, *np.meshgrid(np.arange(240), np.arange(240))).astype(float)
        plain = plain[: size * factor, : size * factor].reshape(size, factor, size, factor).mean(axis=(1, 3))
        assert np.abs(dn - plain.ravel()).mean() < 40


def test_classes_never_come_from_overviews(tmp_path: Path) -> None:
    """A checkerboard of vegetation and cloud: the average is a class that neither has."""
    scene = write(tmp_path, file_format="gtiff", size=256)
    codes = np.where(np.add.outer(np.arange(128), np.arange(128)) % 2 == 0, 4, 8).astype(np.uint8)
    with rasterio.open(scene.assets["SCL"], "r+") as file:
        file.write(codes, 1)
        file.build_overviews([2, 4], Resampling.average)
        assert file.overviews(1) == [2, 4]
    done = run(tmp_path, scene, bounds_of(scene, inset=70), resolution=40)
    x, y = done.cloud.xyz[:, 0], done.cloud.xyz[:, 1]
    # All pixels take the class next to their middle, right and below of it: an even sum, vegetation.
    assert len(x) == done.result.summary["pixels_inside"]
    cols, rows = ((x - ULX) // 20).astype(int), ((ULY - y) // 20).astype(int)
    assert (codes[rows, cols] == 4).all()


@pytest.mark.parametrize("resolution", [20, 40, 60])
@pytest.mark.parametrize("file_format", ["jp2", "cog", "gtiff"])
def test_coarser_pixels_at_the_border_of_the_data_are_means_of_the_data(
    file_format: Any, resolution: int, tmp_path: Path
) -> None:
    """Zeros that mean no data are no part of a mean; wavelets would spread them, and data into them."""
    scene = write(tmp_path, file_format=file_format, nodata_wedge=0.7)
    done = run(tmp_path, scene, resolution=resolution, mask_clouds=False)
    factor = resolution // 10
    size = 240 // factor
    rows, cols = np.mgrid[: size * factor, : size * factor]
    at = (
        ((ULY - done.cloud.xyz[:, 1]) // resolution).astype(int),
        ((done.cloud.xyz[:, 0] - ULX) // resolution).astype(int),
    )
    for channel, band in enumerate(BANDS):
        dn = scene.true_dn(band, cols, rows).reshape(size, factor, size, factor).astype(int)
        total, count = dn.sum(axis=(1, 3)), (dn > 0).sum(axis=(1, 3))
        part = ((count > 0) & (count < factor * factor))[at]
        assert part.sum() > 20
        assert (count[at] > 0).all()
        mean = np.floor(total / np.maximum(count, 1) + 0.5).astype(int)
        np.testing.assert_array_equal(
            done.cloud.rgb[part, channel], colour_of(mean, -1000).reshape(size, size)[at][part]
        )


def test_bands_of_different_pixel_sizes_meet_on_the_grid_of_the_first(tmp_path: Path) -> None:
    scene = write(tmp_path, file_format="gtiff", size=64)
    rows, cols = np.mgrid[:32, :32]
    dn = (3000 + 40 * cols + 20 * rows).astype(np.uint16)
    write_raster(
        scene.assets["B02"],
        dn,
        crs="EPSG:32632",
        transform=Affine(20, 0, ULX, 0, -20, ULY),
        encoding=Encoding(format="gtiff", block=32),
    )
    dem = quick_dem(tmp_path / "dem.tif", WORLD, bounds_of(scene))
    job = Job(tmp_path, local(tmp_path / "c", dem.path, bounds_of(scene, inset=30)), shard=32, chunk=32)
    job.stage("fetch")
    fetched = {path: path.read_bytes() for path in (job.cube / "scenes").rglob("c/*/*")}
    job.stage("align")
    assert {path: path.read_bytes() for path in (job.cube / "scenes").rglob("c/*/*")} == fetched
    job.merge(job.stage("drape"))
    cloud = read_cloud(job.out / "point_cloud.ply")
    x, y = cloud.xyz[:, 0], cloud.xyz[:, 1]
    cols, rows = ((x - ULX) // 10).astype(int), ((ULY - y) // 10).astype(int)
    np.testing.assert_array_equal(cloud.rgb[:, :2], colours(scene, cols, rows)[:, :2])
    plane = 3000 + 40 * ((x - ULX) / 20 - 0.5) + 20 * ((ULY - y) / 20 - 0.5)
    np.testing.assert_array_equal(cloud.rgb[:, 2], colour_of(np.floor(plane + 0.5).astype(int), -1000))


@pytest.mark.parametrize("phase", [(0, 0), (4, 7)])
def test_a_scene_off_whole_tens_of_metres_keeps_its_own_pixels(phase: tuple[int, int], tmp_path: Path) -> None:
    scene = write(tmp_path, file_format="gtiff", size=64, ulx=ULX + phase[0], uly=ULY + phase[1])
    done = run(tmp_path, scene, bounds_of(scene))
    x, y = done.cloud.xyz[:, 0], done.cloud.xyz[:, 1]
    cols, rows = (x - ULX - phase[0] - 5) / 10, (ULY + phase[1] - 5 - y) / 10
    np.testing.assert_array_equal(cols, np.round(cols))
    np.testing.assert_array_equal(done.cloud.rgb, colours(scene, cols.astype(int), rows.astype(int)))
    assert len(x) == clear(scene, *(a.ravel() for a in np.meshgrid(np.arange(64), np.arange(64)))).sum() == 4096


@pytest.mark.parametrize(("block", "chunk"), [(33, 50), (48, 64), (100, 64), (240, 50), (64, 32)])
def test_blocks_and_chunks_of_any_size_fit_each_other(block: int, chunk: int, tmp_path: Path) -> None:
    scene = write(tmp_path, file_format="jp2", block=block, ulx=ULX + 370)
    bbox = bounds_of(scene, inset=500)
    done = run(tmp_path, scene, bbox, chunk=chunk, shard=2 * chunk, lattice=(3, 5))
    x, y = done.cloud.xyz[:, 0], done.cloud.xyz[:, 1]
    cols, rows = ((x - ULX - 370) // 10).astype(int), ((ULY - y) // 10).astype(int)
    np.testing.assert_array_equal(done.cloud.rgb, colours(scene, cols, rows))
    assert len(x) == done.result.summary["pixels_inside"] > 10_000


def test_only_what_is_needed_of_a_file_is_read(tmp_path: Path) -> None:
    scene = write(tmp_path, file_format="gtiff", size=512, block=64)
    west, _, _, north = bounds_of(scene)
    bbox = (west, north - 0.004, west + 0.006, north)
    done = run(tmp_path, scene, bbox, shard=64)
    fetched = sum(
        unit.pixels for source in done.plan.sources.values() for unit in [source.grid.window] if source.kind == "image"
    )
    # 45 x 45 pixels and their neighbours: one or two tiles each way, of three bands, and a quarter of that of classes.
    assert fetched <= 3 * 128 * 128 + 128 * 128
    with rasterio.open(scene.assets["B04"]) as file:
        assert file.read(1, window=RasterioWindow(0, 0, 64, 64)).shape == (64, 64)
