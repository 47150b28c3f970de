"""Which part of which file is fetched, and how."""

from typing import Any

import pytest

from eo.catalog import Asset, Scene
from eo.grid import RasterGrid, TargetGrid, Window
from eo.sources.raster import FileInfo
from plan.cells import touched
from plan.scene_sources import Decimated, _remote, near, needed, scene_names

BAND = RasterGrid("EPSG:32632", 399_960, 5_200_020, 10, 10, 10_980, 10_980)


def info(*, tlm: bool = False, driver: str = "JP2OpenJPEG", **more: Any) -> FileInfo:
    given: dict[str, Any] = {
        "grid": BAND,
        "tile": (1024, 1024),
        "overviews": (2, 4, 8, 16),
        "dtype": "uint16",
        "bands": 1,
        "nodata": None,
        "driver": driver,
        "tile_lengths": tlm,
    }
    return FileInfo(**(given | more))


@pytest.mark.parametrize(
    ("resolution", "level", "mean", "factor"),
    [(10, -1, 1, 1), (20, 0, 1, 2), (30, -1, 3, 3), (40, 1, 1, 4), (60, 0, 3, 6), (15, -1, 1, 1), (100, 0, 5, 10)],
)
def test_levels_are_used_where_they_fit(resolution: int, level: int, mean: int, factor: int) -> None:
    file = Decimated.of(info(), resolution, classes=False)
    assert (file.level, file.mean, file.grid.dx) == (level, mean, 10 * factor)
    assert file.size == (10_980 // factor, 10_980 // factor)
    classes = Decimated.of(info(), resolution, classes=True)
    assert (classes.level, classes.mean) == (-1, factor)


def how(cells: set[tuple[int, int]], *, tlm: bool, size: int = 119_000_000, driver: str = "JP2OpenJPEG") -> Any:
    file = Decimated.of(info(tlm=tlm, driver=driver), 10, classes=False)
    return _remote("cdse", Asset("s3://eodata/a.jp2", size=size), file, file.cutting(1024), cells)


ALL = {(row, col) for row in range(11) for col in range(11)}


def test_a_whole_file_is_one_request_and_one_block() -> None:
    for tlm in (True, False):
        remote = how(ALL, tlm=tlm)
        assert (remote.whole, remote.one_call, remote.requests, remote.size) == (True, True, 1, 119_000_000)


def test_few_tiles_are_ranges_where_the_file_says_where_they_are() -> None:
    remote = how({(5, 5), (5, 6)}, tlm=True)
    assert (remote.whole, remote.requests) == (False, 4)
    assert remote.size == 119_000_000 * 2 // 121


def test_without_tile_lengths_each_tile_before_costs_a_request() -> None:
    assert how({(0, 1)}, tlm=False).requests == 4
    assert how({(5, 5)}, tlm=False).requests == 3 + 60
    assert not how({(5, 5)}, tlm=False).whole
    assert how({(10, 10)}, tlm=False).whole  # 120 hops take longer than 119 MB
    assert how({(5, 5)}, tlm=False, size=20_000_000).whole


def test_cogs_are_never_fetched_whole_and_local_files_not_at_all() -> None:
    remote = how({(0, 0), (3, 4)}, tlm=False, driver="GTiff")
    assert (remote.whole, remote.one_call, remote.requests) == (False, False, 3)
    file = Decimated.of(info(), 10, classes=False)
    assert _remote("local", Asset("/a.jp2"), file, file.cutting(1024), ALL).requests == 0


def test_only_what_shards_need_is_fetched() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(41_000, -519_000, 300, 300))
    windows = needed(grid, [grid.window], BAND, 9.0)
    assert touched(windows, (1024, 1024)) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert needed(grid, [grid.window.shifted(20_000, 0)], BAND, 9.0) == []


def test_shards_far_from_a_scene_are_left_out_and_none_that_meets_it() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(0, -560_000, 100_000, 60_000))
    shards = list(grid.window.cells(2048, 2048))
    for raster in (BAND, RasterGrid("EPSG:32631", 699_960, 5_200_020, 10, 10, 10_980, 10_980)):
        close = near(shards, raster, grid)
        meeting = [shard for shard in shards if needed(grid, [shard], raster, 9.0)]
        assert set(meeting) <= set(close)
        assert len(close) < len(shards) / 5


def test_names_of_scenes_are_paths_and_unique() -> None:
    def named(name: str) -> Scene:
        return Scene(name, "c", "2026-07-01T00:00:00.000000Z", 0, "", None, {}, {}, None, 2026, "")

    assert scene_names([named("S2A_x.SAFE"), named("../../etc"), named("S2A_x/SAFE"), named("")]) == [
        "S2A_x_SAFE",
        "______etc",
        "S2A_x_SAFE-2",
        "scene",
    ]
