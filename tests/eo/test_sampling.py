"""Sampling: even at every scale, without lines, nested, and the same wherever it is evaluated."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.grid import Window
from eo.sampling import keep, rank

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5, 0.6, 2 / 3, 0.75, 0.8, 0.9)
# The origin and its neighbours, unaligned and negative ones, and tiles of both hemispheres at 10 and 20 m.
CORNERS = (
    *((0, 0), (1024, 0), (0, 1024), (1024, 1024), (-1024, -1024), (-512, -512), (1, 1), (1000, 2000), (-1000, -2000)),
    *((12345, -54321), (60000, -520000), (49998, -310002), (19998, -590002), (9996, -820000), (39996, -420000)),
    (30000, -265000),
)
columns = st.integers(-100_000, 100_000)
rows = st.integers(-1_100_000, 1_100_000)
fractions = st.floats(0.001, 1)


def windows(largest: int) -> st.SearchStrategy[Window]:
    sides = st.integers(1, largest)
    return st.builds(Window, columns, rows, sides, sides)


@given(columns, rows, st.integers(0, 9), st.one_of(fractions, st.sampled_from(FRACTIONS)))
def test_an_aligned_block_holds_its_share_to_the_pixel(col: int, row: int, level: int, fraction: float) -> None:
    side = 1 << level
    kept = keep(Window(col // side * side, row // side * side, side, side), fraction)
    assert abs(int(kept.sum()) - fraction * kept.size) <= 1


@given(columns, rows)
def test_the_ranks_of_an_aligned_block_fall_one_in_each_interval(col: int, row: int) -> None:
    ranks = rank(Window(col // 64 * 64, row // 64 * 64, 64, 64))
    for level in range(7):
        side = 1 << level
        blocks = ranks.reshape(64 // side, side, 64 // side, side).swapaxes(1, 2).reshape(-1, side * side)
        intervals = np.sort(blocks.astype(np.uint64) >> np.uint64(32 - 2 * level), axis=1)
        assert (intervals == np.arange(side * side)).all()


@settings(deadline=None)
@given(windows(700), st.one_of(fractions, st.sampled_from(FRACTIONS)))
def test_any_window_holds_its_share(window: Window, fraction: float) -> None:
    kept = keep(window, fraction)
    expected = fraction * window.pixels
    assert abs(int(kept.sum()) - expected) <= max(0.001 * expected, window.width + window.height)


@pytest.mark.parametrize(("width", "height"), [(1, 100_000), (100_000, 1), (2, 65_537), (3000, 3001)])
def test_long_and_large_windows_hold_their_share(width: int, height: int) -> None:
    kept = keep(Window(-12_345, -54_321, width, height), 0.2)
    assert abs(int(kept.sum()) - 0.2 * kept.size) <= max(0.0002 * kept.size, width + height)


@settings(deadline=None)
@given(windows(300), fractions, fractions)
def test_a_smaller_fraction_is_a_subset(window: Window, one: float, other: float) -> None:
    assert not (keep(window, min(one, other)) & ~keep(window, max(one, other))).any()


@given(windows(10), columns, rows)
def test_a_whole_keeps_all(window: Window, col: int, row: int) -> None:
    assert keep(window.shifted(col, row), 1).all()


@settings(deadline=None)
@given(windows(400), st.data())
def test_a_part_of_a_window_is_what_it_is_alone(window: Window, data: st.DataObject) -> None:
    left, top = data.draw(st.integers(0, window.width - 1)), data.draw(st.integers(0, window.height - 1))
    width, height = data.draw(st.integers(1, window.width - left)), data.draw(st.integers(1, window.height - top))
    part = Window(window.col + left, window.row + top, width, height)
    np.testing.assert_array_equal(rank(part), rank(window)[part.slices(window)])


@pytest.mark.parametrize("corner", [(-300, -300), (65_536 - 300, -65_536 - 300), (2**31 - 300, -(2**31) - 300)])
def test_nothing_changes_across_zero_and_large_cells(corner: tuple[int, int]) -> None:
    window = Window(*corner, 600, 600)
    whole = rank(window)
    assert whole.dtype == np.uint32
    for part in window.cells(97, 101):
        np.testing.assert_array_equal(rank(part), whole[part.slices(window)])


def reference(col: int, row: int, noise: dict[tuple[int, int, int], list[int]]) -> int:
    """Place of a pixel in its 512^2 block, digit by digit from the definition, given each parent cell's permutation."""
    digits = [(row >> level & 1) * 2 + (col >> level & 1) for level in range(9)]
    return sum(
        noise[level, col >> level + 1, row >> level + 1][digit] * 4 ** (8 - level) for level, digit in enumerate(digits)
    )


def test_ranks_are_permuted_radical_inverses() -> None:
    window = Window(-512, 512, 512, 512)
    top = (rank(window) >> np.uint32(14)).astype(int)
    noise: dict[tuple[int, int, int], list[int]] = {}
    for level in range(9):
        digits = top >> 2 * (8 - level) & 3
        first = digits[:: 1 << level, :: 1 << level]
        for y, x in np.ndindex(256 >> level, 256 >> level):
            noise[level, (window.col >> level + 1) + x, (window.row >> level + 1) + y] = (
                first[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
            )
    assert all(sorted(permutation) == [0, 1, 2, 3] for permutation in noise.values())
    rng = np.random.default_rng(0)
    for x, y in rng.integers(0, 512, (2000, 2)):
        assert top[y, x] == reference(window.col + int(x), window.row + int(y), noise)


def test_all_24_permutations_are_equally_frequent_and_neighbours_independent() -> None:
    first = rank(Window(-1024, -1024, 2048, 2048)) >> np.uint32(30)
    codes = first[::2, ::2] * 64 + first[::2, 1::2] * 16 + first[1::2, ::2] * 4 + first[1::2, 1::2]
    kinds, index = np.unique(codes, return_inverse=True)
    assert len(kinds) == 24
    index = index.reshape(codes.shape)
    assert chi_square(np.bincount(index.ravel())) < 5
    for one, other in ((index[:, :-1], index[:, 1:]), (index[:-1], index[1:]), (index[:-1, :-1], index[1:, 1:])):
        assert chi_square(np.bincount((one * 24 + other).ravel())) < 5


def chi_square(counts: NDArray[np.intp]) -> float:
    """Standard deviations by which counts miss an equal distribution."""
    mean, freedom = counts.mean(), counts.size - 1
    return float((((counts - mean) ** 2).sum() / mean - freedom) / np.sqrt(2 * freedom))


@pytest.mark.parametrize("corner", CORNERS)
def test_no_lines_in_the_spectrum(corner: tuple[int, int]) -> None:
    ranks = rank(Window(*corner, 1024, 1024))
    for fraction in FRACTIONS:
        kept = ranks < np.uint32(np.ceil(fraction * 2**32))
        power = periodogram(kept)
        assert power.max() <= 20 * fraction * (1 - fraction) * kept.size, f"peak at fraction {fraction}"


def test_the_spectrum_is_noise_without_low_frequencies() -> None:
    """Holds in every window, unlike the bound on single peaks, and would show any line or period."""
    mean = np.mean([periodogram(keep(Window(*corner, 1024, 1024), 0.25)) for corner in CORNERS], axis=0)
    mean /= 0.25 * 0.75 * 1024**2
    ky, kx = np.meshgrid(np.fft.fftfreq(1024), np.fft.rfftfreq(1024), indexing="ij")
    expected = 4 / 3 * (1 - (np.cos(np.pi * kx) * np.cos(np.pi * ky)) ** 2)  # one of each 2 x 2 block, independently
    # Means of 16 exponential values: for 524,288 of them the largest lies near 3.2 times the expectation.
    assert (mean <= 4 * expected + 0.05).all()
    for axis in (0, 1):
        lines = mean.sum(axis) / expected.sum(axis)
        assert abs(lines[1:] - 1).max() < 0.1


def periodogram(kept: NDArray[np.bool_]) -> NDArray[np.floating]:
    spectrum = np.fft.rfft2(kept.astype(np.float32) - np.float32(kept.mean()))
    power: NDArray[np.floating] = spectrum.real**2 + spectrum.imag**2
    power[0, 0] = 0
    return power


@pytest.mark.parametrize("fraction", [0, -0.1, 1.0000001, float("nan"), float("inf")])
def test_fractions_outside_the_range_are_refused(fraction: float) -> None:
    with pytest.raises(InvalidInput, match="fraction is"):
        keep(Window(0, 0, 4, 4), fraction)


def test_every_pixel_is_drawn_once() -> None:
    ranks = rank(Window(0, -1024, 1024, 1024))
    assert np.unique(ranks).size == ranks.size
    steps = itertools.pairwise([0.1, 0.2, 0.5, 1])
    assert all(int(keep(Window(0, 0, 64, 64), a).sum()) < int(keep(Window(0, 0, 64, 64), b).sum()) for a, b in steps)
