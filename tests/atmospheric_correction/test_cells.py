"""How a granule is cut into cells, whose pixels are looked at and whose values are spread."""

import numpy as np
import pytest

from atmospheric_correction.cells import CELL, Cells

SHAPES = [(1, 1), (2, 2), (61, 61), (62, 62), (61, 130), (305, 320), (915, 915)]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_used_pixel_is_in_the_set_of_its_cell_alone(shape: tuple[int, int]) -> None:
    cells, random = Cells(shape), np.random.default_rng(1)
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    used = random.random(shape) < 0.7
    used[: min(CELL, shape[0]) // 2] = False
    layers = np.stack([rows, cols]).astype(np.float32)
    layers[:, ~used] = np.nan
    pixels, valid = cells.sets(layers, used)
    assert np.isfinite(pixels).all()
    assert pixels.shape[:2] == valid.shape == (cells.count, valid.shape[1])
    step = 2 if min(shape) >= 305 else 1
    found = set()
    for cell in range(cells.count):
        own = pixels[cell][valid[cell] > 0].astype(int)
        assert (valid[cell][: len(own)] == 1).all(), "those that are used come first"
        row, col = divmod(cell, cells.grid[1])
        assert (own // CELL == [row, col]).all()
        assert (own % CELL % step == 0).all()
        found |= set(map(tuple, own.tolist()))
    wanted = used & (rows % CELL % step == 0) & (cols % CELL % step == 0)
    assert found == set(zip(rows[wanted].tolist(), cols[wanted].tolist(), strict=True))


@pytest.mark.parametrize("shape", SHAPES)
def test_sets_of_nothing_have_one_pixel_that_does_not_count(shape: tuple[int, int]) -> None:
    pixels, valid = Cells(shape).sets(np.full((3, *shape), np.nan, np.float32), np.zeros(shape, bool))
    assert pixels.shape == (Cells(shape).count, 1, 3)
    assert not pixels.any()
    assert not valid.any()


def test_neighbours_touch_and_rows_do_not_wrap() -> None:
    near = Cells((3 * CELL, 4 * CELL)).neighbours()
    assert np.flatnonzero(near[0]).tolist() == [0, 1, 4, 5]
    assert np.flatnonzero(near[3]).tolist() == [2, 3, 6, 7]
    assert np.flatnonzero(near[5]).tolist() == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    np.testing.assert_array_equal(near, near.T)


@pytest.mark.parametrize("shape", SHAPES)
def test_spreading_keeps_constants_and_bounds_and_has_no_jumps(shape: tuple[int, int]) -> None:
    cells = Cells(shape)
    np.testing.assert_allclose(cells.spread(np.full(cells.count, 0.3, np.float32)), 0.3, rtol=1e-6)
    values = np.random.default_rng(2).random(cells.count).astype(np.float32)
    spread = cells.spread(values)
    assert spread.shape == shape
    assert values.min() - 1e-6 <= spread.min() <= spread.max() <= values.max() + 1e-6
    for axis in (0, 1):
        assert np.abs(np.diff(spread, axis=axis)).max(initial=0) <= 1.01 * np.ptp(values) / CELL


def test_centres_lie_in_the_context() -> None:
    down, across = Cells((62, 915)).centres()
    assert down.shape == across.shape == (2 * 15,)
    assert 0 < across.min() < across.max() < 1
    np.testing.assert_allclose(across[:15], (np.arange(15) + 0.5) / 15, atol=1e-6)
    # The last row of cells is one pixel high, so its centre is held at the context's edge.
    np.testing.assert_allclose(down[[0, -1]], [30.5 / 62, 1])
