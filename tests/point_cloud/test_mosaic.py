"""Several scenes in one cloud: across the equator, the antimeridian, zone boundaries, offsets, clouds and gaps."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from scenes.clouds import Clouds
from scenes.dem import Dem
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import (
    MASKED,
    Bounds,
    Done,
    bounds_of,
    centres,
    classes_at,
    clear,
    colour_of,
    colours,
    crs_of,
    interpolated,
    local,
    lonlat,
    moved,
    places,
    projected,
    quick_dem,
    run_job,
    within,
)

WORLD = World(seed=5)
BANDS = ("B04", "B03", "B02")


def write(folder: Path, epsg: int, ulx: float, uly: float, **more: Any) -> Scene:
    options: dict[str, Any] = {"tile": f"{epsg % 100:02}XAA", "size": 96, "file_format": "gtiff", "block": 64}
    return write_scene(folder / "c", world=WORLD, epsg=epsg, ulx=ulx, uly=uly, **(options | more))


def run(folder: Path, scenes: Sequence[Scene], bbox: Bounds, **more: Any) -> tuple[Done, Dem]:
    bounds = bounds_of(*scenes)
    if bounds[0] > bounds[2]:
        dem = write_edh_zarr(folder / "dem.zarr", world=WORLD, bounds=bounds, chunks=(128, 128))
    else:
        dem = quick_dem(folder / "dem.tif", WORLD, bounds)
    return run_job(folder, **({"shard": 64} | local(folder / "c", dem.path, bbox) | more)), dem


def grid_points(done: Done, scenes: Sequence[Scene], bbox: Bounds) -> tuple[NDArray[Any], NDArray[Any]]:
    """Centres of the target grid's pixels in the box: multiples of 10 m plus 5, as native Sentinel-2 has them."""
    crs = done.cloud.crs
    ends = [moved(crs_of(s), crs, *(axis[[0, 95, -96, -1]] for axis in centres(s)[2:])) for s in scenes]
    left, right = (10 * np.floor(f(f(x) for x, _ in ends) / 10) for f in (min, max))
    low, high = (10 * np.floor(f(f(y) for _, y in ends) / 10) for f in (min, max))
    x, y = (
        a.ravel() for a in np.meshgrid(np.arange(left - 195, right + 200, 10), np.arange(low - 195, high + 200, 10))
    )
    inside = within(bbox, *lonlat(crs, x, y))
    return x[inside], y[inside]


def check_mosaic(done: Done, dem: Dem, scenes: Sequence[Scene], bbox: Bounds) -> dict[str, int]:
    """Hold a mosaic against truth; returns the points by scene."""
    cloud = done.cloud
    x, y = grid_points(done, scenes, bbox)
    by_id = {scene.id: scene for scene in scenes}
    rgb, taken = np.zeros((x.size, 3), int), np.zeros(x.size, bool)
    native, counts = np.zeros(x.size, bool), {}
    sibling = {f"EPSG:327{cloud.crs[-2:]}", f"EPSG:326{cloud.crs[-2:]}"}
    for chosen in done.plan.scenes:
        scene = by_id[chosen.id]
        sx, sy = moved(cloud.crs, crs_of(scene), x, y)
        if crs_of(scene) in sibling:
            # The same projection: GDAL and PROJ may go through degrees and back, which costs nanometres.
            sx, sy = np.round(sx, 3), np.round(sy, 3)
        dn = [interpolated(scene, band, sx, sy) for band in BANDS]
        classes = classes_at(scene, sx, sy)
        new = (np.min(dn, axis=0) > 0) & ~np.isin(classes, MASKED) & (classes <= 11) & ~taken
        taken |= new
        native[new] = crs_of(scene) in sibling
        counts[scene.id] = int(new.sum())
        for channel, values in enumerate(dn):
            rgb[new, channel] = colour_of(values, scene.view.offset)[new]
    truth = {at: i for i, at in enumerate(zip(x.tolist(), y.tolist(), strict=True)) if taken[i]}
    found = list(map(tuple, cloud.xyz[:, :2].tolist()))
    assert len(found) == len(set(found))
    assert set(found) == set(truth)
    index = np.array([truth[at] for at in found])
    own = native[index]
    np.testing.assert_array_equal(cloud.rgb[own], rgb[index][own])
    if not own.all():
        # A millimetre can tip a rounding between two DNs, and with it one of twelve colours.
        difference = np.abs(cloud.rgb[~own].astype(int) - rgb[index][~own])
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01
    lon, lat = lonlat(cloud.crs, cloud.xyz[:, 0], cloud.xyz[:, 1])
    assert np.abs(cloud.xyz[:, 2] - dem.truth(lon, lat)).max() <= 0.05
    return counts


@pytest.mark.parametrize("south_first", [False, True])
def test_across_the_equator(south_first: bool, tmp_path: Path) -> None:
    """Real tiles reach over the equator in the CRS of their half, with negative or very large northings."""
    reach = (480, 720) if south_first else (720, 480)
    scenes = [
        write(tmp_path, 32632, 499_980, reach[0] - 240, tile="32NNA"),
        write(tmp_path, 32732, 500_040, 10_000_000 - reach[0] + 720 - 240, tile="32MNA"),
    ]
    west, south, east, north = bounds_of(*scenes, inset=30)
    done, dem = run(tmp_path, scenes, (west, south, east, north))
    assert south < 0 < north
    counts = check_mosaic(done, dem, scenes, (west, south, east, north))
    assert min(counts.values()) > 1000
    assert "resampled" not in done.notes


def test_across_the_antimeridian(tmp_path: Path) -> None:
    latitude = 51.9
    x60, y60 = (round(float(v) / 20) * 20 for v in projected("EPSG:32660", 180.0, latitude))
    x1, y1 = (round(float(v) / 20) * 20 for v in projected("EPSG:32601", -180.0, latitude))
    scenes = [
        write(tmp_path, 32660, x60 - 640, y60 + 480, tile="60UXC"),
        write(tmp_path, 32601, x1 - 100, y1 + 480, tile="01UBT"),
    ]
    west, south, east, north = bounds_of(*scenes, inset=40)
    assert west > 0 > east
    done, dem = run(tmp_path, scenes, (west, south, east, north))
    counts = check_mosaic(done, dem, scenes, (west, south, east, north))
    assert min(counts.values()) > 1000
    assert "1 of 2 scenes are resampled to EPSG:326" in done.notes
    assert done.result.summary["pixels_inside"] == grid_points(done, scenes, (west, south, east, north))[0].size


@pytest.mark.parametrize(("crs", "notes"), [(None, False), ("EPSG:32631", False), ("EPSG:3035", True)])
def test_across_a_zone_boundary(crs: str | None, notes: bool, tmp_path: Path) -> None:
    x31, y31 = (round(float(v) / 20) * 20 for v in projected("EPSG:32631", 6.0, 46.3))
    x32, y32 = (round(float(v) / 20) * 20 for v in projected("EPSG:32632", 6.0, 46.3))
    scenes = [
        write(tmp_path, 32631, x31 - 700, y31 + 480, tile="31TGM", nodata_wedge=0.3),
        write(tmp_path, 32632, x32 - 300, y32 + 500, tile="32TLS", clouds=Clouds(blobs=((6.002, 46.3, 90.0),))),
    ]
    bbox = bounds_of(*scenes, inset=40)
    done, dem = run(tmp_path, scenes, bbox, crs=crs)
    assert done.cloud.crs == crs if crs else done.cloud.crs in {"EPSG:32631", "EPSG:32632"}
    counts = check_mosaic(done, dem, scenes, bbox)
    assert min(counts.values()) > 1000
    words = "all scenes are resampled to EPSG:3035 at 10 m" if notes else "1 of 2 scenes are resampled to EPSG:326"
    assert words in done.notes


DAYS = (datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC), datetime(2026, 8, 26, 10, 10, 41, tzinfo=UTC))
DOLOMITES: dict[str, Any] = {"epsg": 32632, "ulx": 671_240, "uly": 5_168_180, "tile": "32TPS", "size": 64}


def test_before_and_after_baseline_04_a_place_has_one_colour(tmp_path: Path) -> None:
    tables = []
    for baseline, offset in (("03.01", 0), ("05.11", -1000)):
        folder = tmp_path / baseline
        scene = write(folder, **DOLOMITES, baseline=baseline, offset=offset)
        assert bool(scene.true_dn("B02", 5, 5) > 1000) is (offset < 0)
        done, _ = run(folder, [scene], bounds_of(scene))
        cols, rows, _, _ = centres(scene)
        np.testing.assert_array_equal(sorted_rgb(done), colours(scene, cols, rows))
        tables.append(done.cloud.table())
    np.testing.assert_array_equal(tables[0], tables[1])


def sorted_rgb(done: Done) -> NDArray[np.uint8]:
    """Colours row by row from the north-west, as `centres` counts pixels."""
    return done.cloud.rgb[np.lexsort((done.cloud.xyz[:, 0], -done.cloud.xyz[:, 1]))]


@pytest.mark.parametrize("offset_in_the_clearer", [0, -1000])
def test_scenes_with_different_offsets_join_without_a_seam(offset_in_the_clearer: int, tmp_path: Path) -> None:
    """Where both lie on one date of one world, a mosaic of the two is as good as either."""
    other = -1000 - offset_in_the_clearer
    old, new = ("03.01", "05.11")
    scenes = [
        write(
            tmp_path,
            **DOLOMITES,
            baseline=new if offset_in_the_clearer else old,
            offset=offset_in_the_clearer,
            nodata_wedge=0.7,
            sensed=DAYS[1],
        ),
        write(tmp_path, **DOLOMITES, baseline=new if other else old, offset=other, sensed=DAYS[0]),
    ]
    done, dem = run(tmp_path, scenes, bounds_of(*scenes))
    assert len(done.plan.scenes) == 2
    counts = check_mosaic(done, dem, scenes, bounds_of(*scenes))
    assert min(counts.values()) > 500
    assert {radiometry.offset for radiometry in done.plan.radiometry.values()} == {-1000}


@pytest.mark.parametrize("applied", [True, False])
def test_an_offset_that_is_in_the_numbers_is_not_applied_twice(applied: bool, tmp_path: Path) -> None:
    scene = write(tmp_path, **DOLOMITES, item_style="earth-search", offset_applied=applied)
    assert scene.item is not None
    assert scene.item["assets"]["blue"]["raster:bands"][0]["offset"] == -0.1
    done, _ = run(tmp_path, [scene], bounds_of(scene))
    cols, rows, _, _ = centres(scene)
    np.testing.assert_array_equal(sorted_rgb(done), colours(scene, cols, rows))


def test_pixels_without_data_are_left_out_and_counted(tmp_path: Path) -> None:
    scene = write(tmp_path, **DOLOMITES, nodata_wedge=0.6)
    done, _ = run(tmp_path, [scene], bounds_of(scene), mask_clouds=False)
    cols, rows, x, y = centres(scene)
    valid = scene.true_dn("B02", cols, rows) > 0
    assert 500 < valid.sum() < 3800
    assert places(done.cloud.xyz) == set(zip(x[valid].tolist(), y[valid].tolist(), strict=True))
    inside = done.result.summary["pixels_inside"]
    assert done.result.summary["pixels_without_data"] == inside - valid.sum()
    assert f"{inside - valid.sum():,} pixels" in done.notes


def rewrite_classes(scene: Scene, codes: NDArray[np.uint8]) -> None:
    import rasterio  # noqa: PLC0415

    with rasterio.open(scene.assets["SCL"], "r+") as file:
        file.write(codes, 1)


@pytest.mark.parametrize("mask", [True, False])
def test_clouds_shadows_defects_and_codes_that_do_not_exist_are_masked(mask: bool, tmp_path: Path) -> None:
    scene = write(tmp_path, **DOLOMITES)
    codes = np.random.default_rng(1).choice([*range(16), 37, 255], (32, 32)).astype(np.uint8)
    rewrite_classes(scene, codes)
    done, _ = run(tmp_path, [scene], bounds_of(scene), mask_clouds=mask)
    cols, rows, x, y = centres(scene)
    ground = np.isin(codes, (2, 4, 5, 6, 7, 11))[rows // 2, cols // 2] | (not mask)
    assert places(done.cloud.xyz) == set(zip(x[ground].tolist(), y[ground].tolist(), strict=True))
    assert done.result.summary["pixels_masked"] == (~ground).sum()
    assert ("clouds, shadows" in done.notes) is mask


def test_clouds_of_one_day_are_filled_from_another(tmp_path: Path) -> None:
    lon, lat = lonlat("EPSG:32632", np.array([671_560.0]), np.array([5_167_900.0]))
    sky = Clouds(blobs=((float(lon[0]), float(lat[0]), 120.0),))
    scenes = [
        write(tmp_path, **DOLOMITES, sensed=DAYS[1], clouds=sky),
        write(tmp_path, **(DOLOMITES | {"ulx": 671_300, "tile": "32TQS"}), sensed=DAYS[0], clouds=Clouds(fraction=0.0)),
    ]
    done, dem = run(tmp_path, scenes, bounds_of(*scenes))
    counts = check_mosaic(done, dem, scenes, bounds_of(*scenes))
    assert len(done.plan.scenes) == 2
    assert min(counts.values()) > 300
    assert "2026-07-12 to 2026-08-26" in done.notes
    cols, rows, _, _ = centres(scenes[0])
    assert (~clear(scenes[0], cols, rows)).any()


def test_level_1c_has_no_mask_and_the_result_says_so(tmp_path: Path) -> None:
    scene = write(tmp_path, **DOLOMITES, level="L1C", clouds=Clouds(fraction=1.0))
    done, _ = run(tmp_path, [scene], bounds_of(scene), collection="sentinel-2-l1c")
    cols, rows, _, _ = centres(scene)
    np.testing.assert_array_equal(sorted_rgb(done), colours(scene, cols, rows))
    assert "clouds are not masked" in done.notes
    assert "clouds are not masked" in str((done.out / "point_cloud.json").read_text())


@pytest.mark.parametrize("maximum", ["0.15", "0.3", "1"])
def test_brightness_is_the_users_choice(maximum: str, tmp_path: Path) -> None:
    scene = write(tmp_path, **DOLOMITES)
    done, _ = run(tmp_path, [scene], bounds_of(scene), max_reflectance=float(maximum))
    cols, rows, _, _ = centres(scene)
    np.testing.assert_array_equal(sorted_rgb(done), colours(scene, cols, rows, maximum))
    assert f"reflectance 0 to {maximum} " in done.cloud.comments["colour"][0]


def test_a_scene_whose_footprint_lies_does_not_change_the_colours_of_another(tmp_path: Path) -> None:
    """Its file is elsewhere, so the other one is alone in the cube, with an offset of its own."""
    import json  # noqa: PLC0415

    own = write(tmp_path, **DOLOMITES, baseline="03.01", offset=0, sensed=DAYS[1])
    liar = write(tmp_path, **(DOLOMITES | {"ulx": 681_240, "tile": "32TQS"}), sensed=DAYS[0])
    assert liar.item is not None
    assert liar.item_path is not None
    west, south, east, north = bounds_of(own)
    wide = (west, south, east + 0.01, north)
    ring = [[wide[i], wide[j]] for i, j in ((0, 1), (2, 1), (2, 3), (0, 3), (0, 1))]
    liar.item_path.write_text(
        json.dumps(liar.item | {"geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": wide})
    )
    done, _ = run(tmp_path, [own], wide)
    assert [scene.id for scene in done.plan.scenes] == [own.id]
    cols, rows, _, _ = centres(own)
    np.testing.assert_array_equal(sorted_rgb(done), colours(own, cols, rows))
