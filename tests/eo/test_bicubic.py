"""Bicubic resampling against Keys' kernel in rational numbers and against Pillow's; meshes against points."""

from collections.abc import Callable
from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from PIL import Image

from eo.radiometry import Radiometry, reflectance, shift_lut
from eo.resample import bicubic_dn, bilinear_dn, nearest

Kernel = Callable[..., NDArray[np.uint16]]
DNS = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: arrays.arrays(
        np.uint16, shape, elements=st.one_of(st.integers(1, 65_534), st.sampled_from([0, 1, 65_534, 65_535]))
    )
)
# Sixteenths, so that weights are exact in binary too.
PLACES = st.lists(st.tuples(*[st.integers(-40, 110).map(lambda n: n / 16)] * 2), min_size=1, max_size=12)


def keys(distance: Fraction) -> Fraction:
    """R. G. Keys 1981, equation 15: a = -1/2."""
    x = abs(distance)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return Fraction(-1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x < 2 else Fraction(0)


def around(at: float, size: int) -> list[tuple[int, Fraction]]:
    """(pixel, weight) of four neighbours, the outermost standing for those beyond."""
    first = floor(at) - 1
    return [(min(max(first + n, 0), size - 1), keys(Fraction(at) - (first + n))) for n in range(4)]


@settings(max_examples=200, deadline=None)
@given(DNS, PLACES)
def test_dns_are_bicubic_where_all_sixteen_are_known_and_bilinear_elsewhere(
    values: NDArray[np.uint16], places: list[tuple[float, float]]
) -> None:
    u, v = (np.array(axis) for axis in zip(*places, strict=True))
    found, linear = bicubic_dn(values, u, v), bilinear_dn(values, u, v)
    height, width = values.shape
    for (x, y), dn, other in zip(places, found, linear, strict=True):
        used = [(int(values[row, col]), a * b) for row, a in around(y, height) for col, b in around(x, width)]
        if not (-0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5):
            assert dn == 0
        elif any(value in {0, 65_535} for value, _ in used):
            assert dn == other
        else:
            truth = floor(sum(value * weight for value, weight in used) + Fraction(1, 2))
            assert dn == min(max(truth, 1), 65_534)


@pytest.mark.parametrize("factor", [2, 3])
def test_inside_it_is_what_pillow_makes(factor: int) -> None:
    dn = np.random.default_rng(1).integers(500, 6_000, (20, 24)).astype(np.uint16)
    at = [(np.arange(size * factor) + 0.5) / factor - 0.5 for size in dn.shape]
    found = bicubic_dn(dn, at[1][None], at[0][:, None])
    size = (dn.shape[1] * factor, dn.shape[0] * factor)
    truth = np.asarray(Image.fromarray(dn.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))
    inner = slice(3 * factor, -3 * factor)
    assert np.abs(found.astype(float) - truth)[inner, inner].max() <= 0.51


@pytest.mark.parametrize("kernel", [bilinear_dn, bicubic_dn, lambda *a: nearest(*a, outside=0)])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_mesh_is_its_points_and_a_part_of_it_the_same_part(kernel: Kernel, gaps: bool) -> None:
    draw = np.random.default_rng(2)
    dn = draw.integers(1, 9_000, (30, 41)).astype(np.uint16)
    if gaps:
        dn[draw.random(dn.shape) < 0.02] = 0
        dn[draw.random(dn.shape) < 0.02] = 65_535
    u, v = (np.arange(400) + 0.5)[None] / 6 - 2.5, (np.arange(370) + 0.5)[:, None] / 6 - 3.5
    mesh = kernel(dn, u, v)
    points = kernel(dn, *(np.ascontiguousarray(axis) for axis in np.broadcast_arrays(u, v)))
    np.testing.assert_array_equal(mesh, points)
    assert len(np.unique(mesh)) > 1_000
    np.testing.assert_array_equal(kernel(dn, u[:, 37:300], v[100:250]), mesh[100:250, 37:300])


@given(st.lists(st.integers(1, 60_000), min_size=1, max_size=9), st.sampled_from([0, -1000, -2000]))
def test_reflectance_is_the_same_bits_whatever_the_offset(dns: list[int], offset: int) -> None:
    dn = np.array(dns, np.uint16).reshape(1, 1, -1)
    plain = reflectance(dn, [Radiometry(0)])
    np.testing.assert_array_equal(reflectance(shift_lut(Radiometry(0), offset)[dn], [Radiometry(offset)]), plain)
    assert plain.dtype == np.float32
    assert [float(value) for value in plain.ravel()] == [float(np.float32(Fraction(value, 10_000))) for value in dns]
