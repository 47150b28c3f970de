"""Resampling against a scalar implementation that goes point by point from the definition."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from eo.resample import bilinear_dn, bilinear_float, mean_dn, nearest

SIZES = st.tuples(st.integers(1, 6), st.integers(1, 6))
PLACES = st.lists(
    st.tuples(
        *[
            st.one_of(
                st.floats(-2, 7),
                st.integers(-2, 7).map(float),
                st.integers(-4, 14).map(lambda half: half / 2),
                st.sampled_from(
                    [-0.5, math.nextafter(-0.5, -1), math.nextafter(5.5, 0), 5.5, 1e-300, -1e-300, 1e9, -1e9]
                ),
            )
        ]
        * 2
    ),
    min_size=1,
    max_size=12,
)
HEIGHTS = SIZES.flatmap(
    lambda shape: arrays.arrays(
        np.float32, shape, elements=st.one_of(st.floats(-500, 9000, width=32), st.just(math.nan))
    )
)
DNS = SIZES.flatmap(
    lambda shape: arrays.arrays(
        np.uint16, shape, elements=st.one_of(st.integers(0, 65_535), st.sampled_from([0, 1, 65_535]))
    )
)


def split(places: list[tuple[float, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    u, v = np.array(places, np.float64).T
    return np.ascontiguousarray(u), np.ascontiguousarray(v)


def neighbours(shape: tuple[int, int], u: float, v: float) -> list[tuple[int, int, float]] | None:
    """(row, column, weight) of what a point is made of, None off the raster."""
    height, width = shape
    if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
        return None
    u, v = min(max(u, 0.0), width - 1.0), min(max(v, 0.0), height - 1.0)
    left, top = math.floor(u), math.floor(v)
    found = []
    for row, down in ((top, 1 - (v - top)), (top + 1, v - top)):
        for col, right in ((left, 1 - (u - left)), (left + 1, u - left)):
            if down * right > 0 and down > 0 and right > 0:
                found.append((row, col, down * right))
    return found


@settings(max_examples=200, deadline=None)
@given(HEIGHTS, PLACES)
def test_heights_are_bilinear_and_unknown_beside_unknown(
    values: NDArray[np.float32], places: list[tuple[float, float]]
) -> None:
    found = bilinear_float(values, *split(places))
    assert found.dtype == np.float32
    for at, height in zip(places, found, strict=True):
        parts = neighbours(values.shape, *at)
        truth = math.nan if parts is None else sum(float(values[row, col]) * weight for row, col, weight in parts)
        if math.isnan(truth):
            assert math.isnan(height)
        else:
            assert abs(height - truth) <= 1e-6 * max(1.0, *np.abs(values[np.isfinite(values)]))


@settings(max_examples=200, deadline=None)
@given(DNS, PLACES)
def test_dns_are_bilinear_among_those_with_data(values: NDArray[np.uint16], places: list[tuple[float, float]]) -> None:
    found = bilinear_dn(values, *split(places))
    near = nearest(values, *split(places), outside=0)
    assert found.dtype == np.uint16
    for at, dn, closest in zip(places, found, near, strict=True):
        parts = neighbours(values.shape, *at)
        known = [(int(values[row, col]), weight) for row, col, weight in parts or [] if values[row, col] > 0]
        if not known or closest == 0:
            assert dn == 0
        elif any(value == 65_535 for value, _ in known):
            assert dn == 65_535
        else:
            truth = sum(value * weight for value, weight in known) / sum(weight for _, weight in known)
            assert dn >= 1
            assert abs(int(dn) - truth) <= 0.5 + 1e-6


@settings(max_examples=200, deadline=None)
@given(DNS, PLACES)
def test_a_class_is_that_of_the_pixel_in_which_a_point_lies(
    values: NDArray[np.uint16], places: list[tuple[float, float]]
) -> None:
    found = nearest(values, *split(places), outside=7)
    for (u, v), code in zip(places, found, strict=True):
        col, row = math.floor(u + 0.5), math.floor(v + 0.5)
        on = 0 <= col < values.shape[1] and 0 <= row < values.shape[0]
        assert code == (values[row, col] if on else 7)


@settings(deadline=None)
@given(DNS, st.integers(1, 4))
def test_a_mean_is_that_of_the_pixels_with_data(values: NDArray[np.uint16], edge: int) -> None:
    found = mean_dn(values, edge)
    assert found.shape == (values.shape[0] // edge, values.shape[1] // edge)
    for (row, col), mean in np.ndenumerate(found):
        block = values[row * edge : (row + 1) * edge, col * edge : (col + 1) * edge]
        data = [int(value) for value in block.ravel() if value]
        # Half up, in integers.
        truth = (2 * sum(data) + len(data)) // (2 * len(data)) if data else 0
        assert mean == (65_535 if 65_535 in data else truth)


def test_a_large_mean_does_not_overflow() -> None:
    assert mean_dn(np.full((512, 512), 65_535, np.uint16), 512) == 65_535


@pytest.mark.parametrize("kernel", [bilinear_float, bilinear_dn])
def test_a_pixels_value_does_not_depend_on_the_others_asked_for(kernel: Any) -> None:
    rng = np.random.default_rng(0)
    dtype = np.float32 if kernel is bilinear_float else np.uint16
    values = rng.uniform(1, 3000, (40, 50)).astype(dtype)
    if kernel is bilinear_float:
        values[10:12, 20:25] = np.nan
    else:
        values[10:12, 20:25] = 0
    u, v = rng.uniform(-1, 51, (2, 30, 30))
    whole = kernel(values, u, v)
    for top, left in np.ndindex(6, 6):
        part = slice(5 * top, 5 * top + 5), slice(5 * left, 5 * left + 5)
        np.testing.assert_array_equal(kernel(values, u[part], v[part]), whole[part])


def test_between_whole_posts_a_point_does_not_look_beyond() -> None:
    """A missing neighbour of no weight must not spoil a height."""
    values = np.array([[1.0, 2.0, np.nan], [3.0, 4.0, np.nan], [np.nan, np.nan, np.nan]], np.float32)
    u, v = np.array([0.0, 1.0, 0.5, 1.0, 1.0001]), np.array([0.0, 1.0, 1.0, 0.25, 0.0])
    np.testing.assert_array_equal(bilinear_float(values, u, v), np.array([1, 4, 3.5, 2.5, np.nan], np.float32))


def test_what_a_saturated_pixel_takes_part_in_is_saturated() -> None:
    """How bright it was is not known, so no mean with it is a number."""
    dn = np.full((4, 6), 1000, np.uint16)
    dn[0, 0], dn[3, 5] = 65535, 0
    np.testing.assert_array_equal(mean_dn(dn, 2), [[65535, 1000, 1000], [1000, 1000, 1000]])
    u, v = np.array([0.4, 0.9, 1.0, 2.5]), np.array([0.0, 0.9, 0.0, 0.5])
    np.testing.assert_array_equal(bilinear_dn(dn, u, v), [65535, 65535, 1000, 1000])
