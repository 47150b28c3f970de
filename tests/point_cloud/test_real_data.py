"""Jobs on files that none of us made, against rasterio and arithmetic."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from l1c import ALL_BANDS, raster, write_item
from real_data import test_data
from scenes.dem import Dem, write_geotiff
from scenes.world import World
from support import MASKED, Bounds, Done, colour_of, local, lonlat, projected, run_job, within

WORLD = World(seed=4)
RGB = ("B04", "B03", "B02")


def read(path: Path, band: int = 1) -> tuple[NDArray[np.int64], Affine]:
    with rasterio.open(path) as file:
        return file.read(band).astype(np.int64), file.transform


def pixel(transform: Affine, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pixel coordinates with centres at whole numbers."""
    return (x - transform.c) / transform.a - 0.5, (y - transform.f) / transform.e - 0.5


def bilinear(values: NDArray[Any], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values between centres; zeros do not count; -1 off the raster or in a pixel of 0."""
    height, width = values.shape
    on = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    u, v = np.clip(u, 0, width - 1), np.clip(v, 0, height - 1)
    left, top = np.floor(u).astype(int), np.floor(v).astype(int)
    right, below = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    total, weights = np.zeros(u.shape), np.zeros(u.shape)
    for rows, down in ((top, 1 - (v - top)), (below, v - top)):
        for cols, across in ((left, 1 - (u - left)), (right, u - left)):
            total += values[rows, cols] * down * across
            weights += (values[rows, cols] != 0) * down * across
    on &= values[np.floor(v + 0.5).astype(int), np.floor(u + 0.5).astype(int)] != 0
    return np.where(on, total / np.where(weights > 0, weights, 1), -1.0)


def grid_in(bbox: Bounds, crs: str, resolution: int, phase: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centres of a grid's pixels in a box, row by row from the north-west."""
    x, y = projected(
        crs, np.array([bbox[0], bbox[0], bbox[2], bbox[2]]), np.array([bbox[1], bbox[3], bbox[1], bbox[3]])
    )
    first, last = ((value - phase[0]) // resolution for value in (x.min() - 3000, x.max() + 3000))
    low, high = ((value - phase[1]) // resolution for value in (y.min() - 3000, y.max() + 3000))
    cols, rows = np.meshgrid(np.arange(first, last), np.arange(high, low, -1))
    x, y = phase[0] + (cols.ravel() + 0.5) * resolution, phase[1] + (rows.ravel() + 0.5) * resolution
    inside = within(bbox, *lonlat(crs, x, y))
    return x[inside], y[inside]


def check(done: Done, x: NDArray[Any], y: NDArray[Any], rgb: NDArray[Any]) -> None:
    """Exactly these points, in whatever order, with these colours."""
    order = np.lexsort((done.cloud.xyz[:, 0], -done.cloud.xyz[:, 1]))
    wanted = np.lexsort((x, -y))
    assert len(order) == len(wanted)
    np.testing.assert_array_equal(done.cloud.xyz[order, :2], np.column_stack([x, y])[wanted])
    np.testing.assert_array_equal(done.cloud.rgb[order], rgb[wanted])


def degrees_dem(path: Path, bbox: Bounds, step: float = 1 / 600) -> Dem:
    west, south, east, north = bbox
    around = (west - 5 * step, south - 5 * step, east + 5 * step, north + 5 * step)
    return write_geotiff(path, world=WORLD, crs="EPSG:4326", bounds=around, resolution=step)


AUSTRIA = (15.55, 45.92, 15.75, 46.09)
"""Across the 9.8 km that the two tiles share."""


@pytest.mark.parametrize("mask", [True, False])
def test_neighbouring_austrian_tiles_join_without_gap_or_double(mask: bool, tmp_path: Path) -> None:
    folder = test_data("austria_l2a_120m")
    dem = degrees_dem(tmp_path / "dem.tif", AUSTRIA)
    done = run_job(tmp_path, shard=64, lattice=(11, 3), **local(folder, dem.path, AUSTRIA, mask_clouds=mask))
    ids = [scene.id for scene in done.plan.scenes]
    # The clearest first; the southern tile lies half a pixel off its grid.
    assert ids == ["S2A_33TWM_20230815_0_L2A", "S2B_33TWL_20230820_0_L2A"]
    x, y = grid_in(AUSTRIA, "EPSG:32633", 120, (60, 60))
    rgb, taken = np.zeros((x.size, 3), np.uint8), np.zeros(x.size, bool)
    counts = []
    for scene in ids:
        bands = [read(folder / scene / f"{band}.tif") for band in RGB]
        classes, transform = read(folder / scene / "SCL.tif")
        dn = [bilinear(values, *pixel(at, x, y)) for values, at in bands]
        u, v = (np.floor(value + 0.5).astype(int) for value in pixel(transform, x, y))
        on = (u >= 0) & (v >= 0) & (u < 915) & (v < 915)
        code = np.where(on, classes[np.clip(v, 0, 914), np.clip(u, 0, 914)], 0)
        new = on & (np.min(dn, axis=0) > 0) & ~taken
        if mask:
            new &= ~np.isin(code, MASKED) & (code <= 11)
        # `earthsearch:boa_offset_applied`: the offset is in the numbers already.
        rgb[new] = np.column_stack([colour_of(np.floor(values[new] + 0.5).astype(int), 0) for values in dn])
        taken |= new
        counts.append(int(new.sum()))
    assert min(counts) > 1000
    assert bool(taken.all()) is not mask
    check(done, x[taken], y[taken], rgb[taken])
    lon, lat = done.cloud.lonlat
    assert np.abs(done.cloud.xyz[:, 2] - dem.truth(lon, lat)).max() <= 0.05


def linked(folder: Path, source: Path) -> str:
    """A real file in a catalogue of the test's own, which must hold all files that its items name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / source.name).write_bytes(source.read_bytes())
    return f"./{source.name}"


@pytest.mark.parametrize("names", ["raster:bands", "eo:bands", "bands"])
def test_slovenian_bands_in_one_file_off_every_grid(names: str, tmp_path: Path) -> None:
    source, dem = test_data("slovenia", "S2_L1C_20150830.tif"), test_data("slovenia", "dem.tif")
    scaling = [{"name": band, "scale": 0.0001, "offset": 0} for band in ALL_BANDS]
    asset: dict[str, Any] = {"href": linked(tmp_path / "c", source), "roles": ["data"], "raster:bands": scaling}
    if names != "raster:bands":
        asset[names] = [{"name": band} for band in ALL_BANDS]
        asset["raster:bands"] = [{"scale": 0.0001, "offset": 0} for _ in ALL_BANDS]
    bbox = (14.551, 45.866, 14.5645, 45.875)
    box, properties = (14.55, 45.865, 14.566, 45.876), {"datetime": "2015-08-30T10:00:00Z"}
    write_item(tmp_path / "c", "S2A_20150830", box, {"data": asset}, properties)
    done = run_job(
        tmp_path, shard=32, chunk=32, lattice=(5, 1), **local(tmp_path / "c", dem, bbox, collection="sentinel-2-l1c")
    )
    assert done.cloud.crs == "EPSG:32633"
    # Whole metres, from the file's own corner at 465181.05, 5080254.63.
    x, y = grid_in(bbox, "EPSG:32633", 10, (465_181 % 10, 5_080_255 % 10))
    dn = []
    for band in RGB:
        values, transform = read(source, ALL_BANDS.index(band) + 1)
        dn.append(bilinear(values, *pixel(transform, x, y)))
    on = np.min(dn, axis=0) > 0
    assert on.sum() > 6_000
    rgb = np.column_stack([colour_of(np.floor(values[on] + 0.5).astype(int), 0) for values in dn])
    check(done, x[on], y[on], rgb)
    with rasterio.open(dem) as file:
        heights = bilinear(file.read(1).astype(np.float64), *pixel(file.transform, x[on], y[on]))
    order = np.lexsort((done.cloud.xyz[:, 0], -done.cloud.xyz[:, 1]))
    assert np.abs(done.cloud.xyz[order, 2] - heights).max() <= 0.001
    assert done.cloud.comments["vertical"] == ["unknown"]
    assert "clouds are not masked" in done.notes


JP2 = [
    pytest.param(
        "T31TDH_20180101T105441_B01.jp2", 60, None, (2.0, 42.55, 2.2, 42.75), "int16", id="60 m, tiles of 192"
    ),
    pytest.param("T31TDH_20180101T105441_B01.jp2", 60, 120, (2.0, 42.55, 2.2, 42.75), "float32", id="60 m at 120 m"),
    pytest.param(
        "ref_S2A_20160608T153121_T33UUU_sub.jp2",
        10,
        None,
        (12.62, 52.74, 12.65, 52.755),
        "float32",
        id="10 m, tiles of 1024",
    ),
    pytest.param(
        "ref_S2A_20160608T153121_T33UUU_sub.jp2", 10, 40, (12.62, 52.74, 12.65, 52.755), "int16", id="10 m at 40 m"
    ),
]


@pytest.mark.parametrize(("name", "own", "resolution", "bbox", "dtype"), JP2)
def test_real_jpeg_2000_files(  # noqa: PLR0917 - one row of the table above
    name: str, own: int, resolution: int | None, bbox: Bounds, dtype: str, tmp_path: Path
) -> None:
    source = test_data("jp2", name)
    href = linked(tmp_path / "c", source)
    scaling = [{"scale": 0.0001, "offset": 0}]
    assets = {band: {"href": href, "roles": ["data"], "raster:bands": scaling} for band in RGB}
    with rasterio.open(source) as file:
        crs = f"EPSG:{file.crs.to_epsg()}"
        wide = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    write_item(tmp_path / "c", "S2A_JP2", wide, assets, {"datetime": "2018-01-01T10:54:41Z"})
    heights, transform, nodata = plane(tmp_path / "dem.tif", bbox, dtype)
    done = run_job(
        tmp_path,
        shard=128,
        **local(tmp_path / "c", tmp_path / "dem.tif", bbox, collection="sentinel-2-l1c", resolution=resolution),
    )
    assert done.cloud.crs == crs
    step = resolution or own
    level = step // own
    values, at = read_level(source, level)
    x, y = grid_in(bbox, crs, step, (round(at.c) % step, round(at.f) % step))
    u, v = (np.floor(value + 0.5).astype(int) for value in pixel(at, x, y))
    on = (u >= 0) & (v >= 0) & (u < values.shape[1]) & (v < values.shape[0])
    x, y, u, v = x[on], y[on], u[on], v[on]
    lon, lat = lonlat(crs, x, y)
    i, j = pixel(transform, lon, lat)
    corners = [heights[np.floor(j).astype(int) + a, np.floor(i).astype(int) + b] for a in (0, 1) for b in (0, 1)]
    data = values[v, u] > 0
    known = np.min([corner != nodata for corner in corners], axis=0)
    assert (~known & data).sum() > 50
    keep = data & known
    assert keep.sum() > 1000
    grey = colour_of(values[v, u][keep], 0)
    check(done, x[keep], y[keep], np.column_stack([grey] * 3))
    assert done.result.summary["pixels_without_elevation"] == (data & ~known).sum()
    points = done.cloud.xyz
    a, b = pixel(transform, *done.cloud.lonlat)
    assert np.abs(points[:, 2] - (300 + 2 * a + 3 * b)).max() <= 0.01


def read_level(path: Path, factor: int) -> tuple[NDArray[np.int64], Affine]:
    """The file's own resolution level of pixels this many times as large; means of the data where zeros are near."""
    with rasterio.open(path) as file:
        full = file.read(1).astype(np.int64)
        tile = file.block_shapes[0][0] // factor
        if factor == 1:
            return full, file.transform
        index = file.overviews(1).index(factor)
    with rasterio.open(path, overview_level=index) as file:
        values, transform = file.read(1).astype(np.int64), file.transform
    height, width = values.shape
    blocks = full[: height * factor, : width * factor].reshape(height, factor, width, factor)
    count = (blocks > 0).sum(axis=(1, 3))
    means = np.where(count > 0, (2 * blocks.sum(axis=(1, 3)) + count) // np.maximum(2 * count, 1), 0)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            part = slice(top, top + tile), slice(left, left + tile)
            if values[part].any() and not values[part].all():
                values[part] = means[part]
    return values, transform


def plane(path: Path, bbox: Bounds, dtype: str) -> tuple[NDArray[Any], Affine, float]:
    """A tilted plane as a DEM in degrees with a hole of no data."""
    west, south, east, north = bbox
    step = 1 / 1200
    width, height = int((east - west) / step) + 20, int((north - south) / step) + 20
    rows, cols = np.mgrid[:height, :width]
    nodata = -32_768 if dtype == "int16" else -9999.0
    heights = (300 + 2 * cols + 3 * rows).astype(dtype)
    heights[height // 2 - 4 : height // 2 + 4, width // 2 - 6 : width // 2 + 6] = nodata
    transform = Affine(step, 0, west - 10 * step, 0, -step, north + 10 * step)
    raster(path, heights, "EPSG:4326", transform, block=None, nodata=nodata)
    return heights.astype(np.float64), transform, nodata
