"""Overlapping tiles: which of them contribute to a window, what they read, and where what they contribute lies."""

import pytest

from eo.grid import Window
from eo.stage import Stage
from eo.tiling import Tiling
from plan.job_grid import tile_units

TILING = Tiling(stride=160, used=256, margin=32, block=3)


def numbers(tiles: Window) -> set[tuple[int, int]]:
    return {(row, col) for row in range(tiles.row, tiles.row_end) for col in range(tiles.col, tiles.col_end)}


def test_tiles_along_an_axis_are_those_that_contribute() -> None:
    for first in range(-700, 700, 37):
        for length in (1, 95, 96, 161, 1000):
            want = [k for k in range(-30, 30) if k * 160 < first + length and k * 160 + 256 > first]
            assert list(TILING.along(first, first + length)) == want


def test_tiles_that_touch_a_window_hold_it() -> None:
    for window in (Window(-1, 5, 1, 1), Window(0, 0, 160, 96), Window(1234, -777, 500, 30)):
        tiles = TILING.touching(window)
        assert TILING.pixels(tiles).intersection(window) == window
        assert TILING.read(tiles) == TILING.pixels(tiles).grown(32)
        assert numbers(tiles) == {
            (row, col)
            for row in range(-10, 20)
            for col in range(-10, 20)
            if TILING.pixels(Window(col, row, 1, 1)).intersection(window)
        }


def test_each_tile_has_a_chunk_of_its_own() -> None:
    first = Window(-2, 7, 4, 3)
    places = [TILING.stored(tile, first) for tile in first.cells(1, 1)]
    assert len(set(places)) == 12
    assert all(place.shape == (256, 256) and place.col % 256 == place.row % 256 == 0 for place in places)
    assert TILING.stored(first, first) == Window(0, 0, 4 * 256, 3 * 256)


@pytest.mark.parametrize("edge", [64, 128, 1000])
@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_units_share_out_the_tiles_that_shards_need(edge: int, block: int) -> None:
    tiling = Tiling(stride=160, used=256, margin=32, block=block)
    shards = list(Window(-300, 200, 1000, 700).cells(edge, edge))
    units = tile_units(shards, tiling)
    needed = set[tuple[int, int]]().union(*(numbers(tiling.touching(shard)) for shard in shards))
    computed = [tile for unit in units for tile in numbers(unit.window)]
    assert sorted(computed) == sorted(needed)
    assert len({unit.id for unit in units}) == len(units)
    assert [unit.id for unit in units] == sorted(unit.id for unit in units)
    assert all(unit.window.width <= block and unit.window.height <= block for unit in units)


def test_units_leave_out_what_no_shard_needs() -> None:
    """Two shards far apart: the tiles between them are nobody's."""
    shards = [Window(0, 0, 160, 160), Window(16_000, 16_000, 160, 160)]
    units = tile_units(shards, TILING)
    assert sum(unit.window.pixels for unit in units) == 8
    assert units[0].id == "r00000c00000"


def test_a_stage_is_over_tiles_where_it_says_where_they_lie() -> None:
    for over, tiling in (("tiles", None), ("shards", TILING)):
        with pytest.raises(ValueError, match="one needs the other"):
            Stage(name="a", map="a:b", over=over, tiling=tiling)
    stage = Stage(name="a", map="a:b", over="tiles", tiling=TILING)
    assert Stage.model_validate_json(stage.model_dump_json()) == stage
