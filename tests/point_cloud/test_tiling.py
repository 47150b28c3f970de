"""Any tiling gives the same result."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eo.grid import Window
from eo.sampling import keep
from scenes.clouds import Clouds
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import Done, bounds_of, centres, clear, colours, crs_of, local, lonlat, places, projected, run_job, within

WORLD = World(seed=11)
SIZE = 64
ULX, ULY = 671_240, 5_168_180


def clouds(seed: int, count: int) -> Clouds:
    """Small round clouds here and there, so that every tile has both sky and clouds."""
    rng = np.random.default_rng(seed)
    lon, lat = lonlat("EPSG:32632", ULX + rng.uniform(0, 1100, count), ULY - rng.uniform(0, 700, count))
    radius = rng.uniform(30, 90, count)
    return Clouds(blobs=tuple(zip(lon.tolist(), lat.tolist(), radius.tolist(), strict=True)))


DAYS = (
    (datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC), clouds(1, 15)),
    (datetime(2026, 8, 26, 10, 10, 41, tzinfo=UTC), clouds(2, 30)),
)
FEW = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Cloudy:
    """Two overlapping tiles on two cloudy days."""

    folder: Path
    scenes: tuple[Scene, ...]
    bbox: tuple[float, float, float, float]

    def inputs(self, fraction: float) -> dict[str, Any]:
        return local(self.folder / "c", self.folder / "dem.zarr", self.bbox, sampled_fraction=fraction)


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory: pytest.TempPathFactory) -> Cloudy:
    folder = tmp_path_factory.mktemp("cloudy")
    # A wedge without data keeps any one scene from covering the box, so that all four are chosen.
    scenes = tuple(
        write_scene(
            folder / "c",
            world=WORLD,
            epsg=32632,
            ulx=ULX + east,
            uly=ULY - south,
            tile=tile,
            size=SIZE,
            sensed=sensed,
            clouds=sky,
            nodata_wedge=wedge,
            file_format="gtiff",
            block=32,
        )
        for (sensed, sky), wedge in zip(DAYS, (0.4, 0.0), strict=True)
        for tile, east, south in (("32TPS", 0, 0), ("32TQS", 440, 60))
    )
    bbox = bounds_of(*scenes, inset=60)
    write_edh_zarr(folder / "dem.zarr", world=WORLD, bounds=bounds_of(*scenes), chunks=(97, 61))
    return Cloudy(folder, scenes, bbox)


@pytest.fixture(scope="module", params=[1, 0.2])
def whole(request: pytest.FixtureRequest, cloudy: Cloudy) -> Done:
    return run_job(cloudy.folder, shard=256, chunk=256, **cloudy.inputs(request.param))


def test_the_scenes_put_the_tiling_to_the_test(whole: Done) -> None:
    assert len(whole.plan.scenes) == 4
    assert whole.result.summary["pixels_masked"] > 50
    assert len(whole.cloud.xyz) > 500


@FEW
@given(
    chunk=st.sampled_from([16, 32, 48, 64]),
    times=st.integers(1, 3),
    lattice=st.tuples(st.integers(-100, 100), st.integers(-100, 100)),
)
def test_any_tiling_gives_the_same_points(
    cloudy: Cloudy, whole: Done, chunk: int, times: int, lattice: tuple[int, int]
) -> None:
    fraction = whole.plan.inputs["sampled_fraction"]
    cut = run_job(cloudy.folder, shard=chunk * times, lattice=lattice, chunk=chunk, **cloudy.inputs(fraction))
    np.testing.assert_array_equal(cut.cloud.table(), whole.cloud.table())
    assert cut.cloud.comments == whole.cloud.comments
    assert invariant(cut.result.summary) == invariant(whole.result.summary)
    for picture in ("preview.png", "oblique.png"):
        assert cut.result.files[picture] == whole.result.files[picture]


def invariant(summary: dict[str, Any]) -> dict[str, Any]:
    """What no tiling changes: notes come in any order, and nodes of COPC, with their bytes, lie where the lattice does."""
    return {**summary, "notes": set(summary["notes"]), "bytes": None}


def pixels(cloudy: Cloudy, done: Done) -> Iterator[tuple[tuple[float, float], tuple[int, ...]]]:
    """((x, y), colour) of every valid pixel, by brute force, scene after scene in the plan's order."""
    by_id = {scene.id: scene for scene in cloudy.scenes}
    taken: set[tuple[float, float]] = set()
    for chosen in done.plan.scenes:
        scene = by_id[chosen.id]
        cols, rows, x, y = centres(scene)
        kept = within(cloudy.bbox, *lonlat(crs_of(scene), x, y)) & clear(scene, cols, rows)
        rgb = colours(scene, cols[kept], rows[kept])
        for at, colour in zip(zip(x[kept].tolist(), y[kept].tolist(), strict=True), rgb.tolist(), strict=True):
            if at not in taken:
                taken.add(at)
                yield at, tuple(colour)


def test_each_valid_pixel_is_there_once_with_the_colour_of_the_first_scene_that_sees_it(
    cloudy: Cloudy, whole: Done
) -> None:
    truth = dict(pixels(cloudy, whole))
    fraction = whole.plan.inputs["sampled_fraction"]
    if fraction < 1:
        truth = kept_of(truth, fraction)
    found = list(zip(map(tuple, whole.cloud.xyz[:, :2].tolist()), map(tuple, whole.cloud.rgb.tolist()), strict=True))
    assert len(found) == len(truth)
    assert dict(found) == truth


def kept_of(
    truth: dict[tuple[float, float], tuple[int, ...]], fraction: float
) -> dict[tuple[float, float], tuple[int, ...]]:
    """The pixels that sampling keeps, by their absolute columns and rows (test_sampling.py holds the sampling itself)."""
    at = {place: (int(place[0] // 10), int(-place[1] // 10)) for place in truth}
    left, top = (min(index[axis] for index in at.values()) for axis in (0, 1))
    kept = keep(Window(left, top, 2 * SIZE, 2 * SIZE), fraction)
    return {place: rgb for place, rgb in truth.items() if kept[at[place][1] - top, at[place][0] - left]}


def test_equal_plans_give_equal_bytes(cloudy: Cloudy) -> None:
    one, other = (run_job(cloudy.folder, shard=64, **cloudy.inputs(0.3)) for _ in range(2))
    assert one.result.files == other.result.files
    for name in one.result.files:
        assert (one.out / name).read_bytes() == (other.out / name).read_bytes()


@pytest.mark.parametrize(
    ("epsg", "lon", "lat", "fraction"),
    [(32632, 11.4, 46.6, 1), (32632, 5.2, 60.4, 1), (32632, 5.2, 60.4, 0.2), (32733, 12.2, -33.9, 1)],
)
def test_abutting_boxes_are_the_box_that_covers_them(
    epsg: int, lon: float, lat: float, fraction: float, tmp_path: Path
) -> None:
    x, y = projected(f"EPSG:{epsg}", lon, lat)
    ulx, uly = round(float(x) / 20) * 20, round(float(y) / 20) * 20
    scene = write_scene(
        tmp_path / "c", world=WORLD, epsg=epsg, ulx=ulx, uly=uly, tile="32TPS", size=80, file_format="gtiff", block=32
    )
    write_edh_zarr(tmp_path / "dem.zarr", world=WORLD, bounds=bounds_of(scene), chunks=(50, 70))
    west, south, east, north = bounds_of(scene, inset=90)
    # The hardest edges: exactly the longitude and the latitude of a pixel's centre.
    _, _, centre_x, centre_y = centres(scene)
    lons, lats = lonlat(crs_of(scene), centre_x, centre_y)
    middle = 41 * 80 + 37
    meridian, parallel = float(lons[middle]), float(lats[middle])
    boxes = {
        "all": (west, south, east, north),
        "west": (west, south, meridian, north),
        "east": (meridian, south, east, north),
        "south": (west, south, east, parallel),
        "north": (west, parallel, east, north),
    }
    table = {
        name: run_job(
            tmp_path, shard=32, chunk=32, **local(tmp_path / "c", tmp_path / "dem.zarr", box, sampled_fraction=fraction)
        ).cloud.table()
        for name, box in boxes.items()
    }
    for one, other in (("west", "east"), ("south", "north")):
        assert places(table[one]).isdisjoint(places(table[other]))
        joined = np.concatenate([table[one], table[other]])
        np.testing.assert_array_equal(joined[np.lexsort(joined.T[::-1])], table["all"])
