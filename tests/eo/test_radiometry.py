"""Reflectance, colours and masks, held against rational arithmetic."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eo.errors import CorruptData, InvalidInput
from eo.radiometry import SCL_MASKED, SCL_MASKED_WITH_SNOW, Radiometry, common, shift_lut, stretch_lut

DNS = st.integers(0, 65535)
OFFSETS = st.integers(-3000, 1000)
QUANTIFICATIONS = st.sampled_from([1, 1000, 9999, 10_000, 65_535])


def colour(dn: int, radiometry: Radiometry, max_reflectance: str) -> int:
    """The formula of the design, word by word."""
    rho = Fraction(dn + radiometry.offset, radiometry.quantification)
    return floor(255 * min(max(rho / Fraction(max_reflectance), Fraction(0)), Fraction(1)) + Fraction(1, 2))


@given(DNS, OFFSETS, QUANTIFICATIONS, st.decimals("0.0001", "7", places=4))
def test_colours_are_the_formula_in_rational_numbers(
    dn: int, offset: int, quantification: int, maximum: object
) -> None:
    radiometry = Radiometry(offset, quantification)
    assert stretch_lut(radiometry, float(str(maximum)))[dn] == colour(dn, radiometry, str(maximum))


@pytest.mark.parametrize("maximum", ["0.3", "0.255", "0.51", "1", "0.0001", "1.5"])
@pytest.mark.parametrize("offset", [0, -1000])
def test_every_colour_of_a_band_is_exact(offset: int, maximum: str) -> None:
    radiometry = Radiometry(offset)
    lut = stretch_lut(radiometry, float(maximum))
    assert lut.shape == (65536,)
    assert lut.dtype == np.uint8
    assert lut.tolist() == [colour(dn, radiometry, maximum) for dn in range(65536)]


def test_ties_round_up() -> None:
    # 0.51 * 10000 / 255 = 20 DN a colour, so DN 10, 30, 50 ... lie exactly half-way.
    lut = stretch_lut(Radiometry(0), 0.51)
    for half in range(10, 5100, 20):
        assert lut[half] == lut[half - 1] + 1 == (half + 10) // 20


@pytest.mark.parametrize("maximum", [5e-324, 1e-300, 1e300])
def test_extreme_maxima_neither_fail_nor_wrap(maximum: float) -> None:
    lut = stretch_lut(Radiometry(-1000), maximum)
    assert lut[65535] == (255 if maximum < 1 else 0)
    assert lut[1000] == 0


@pytest.mark.parametrize("maximum", [0.0, -0.3, float("nan"), float("inf")])
def test_a_maximum_that_is_no_reflectance_is_refused(maximum: float) -> None:
    with pytest.raises(InvalidInput, match="max_reflectance"):
        stretch_lut(Radiometry(0), maximum)


@given(st.integers(-20_000, 2000), st.integers(0, 70_000))
def test_shifted_numbers_mean_the_same_reflectance(offset: int, shift: int) -> None:
    lut = shift_lut(Radiometry(offset), offset - shift)
    assert lut.shape == (65536,)
    assert lut.dtype == np.uint16
    assert lut[0] == 0
    assert (lut[1:] > 0).all()
    np.testing.assert_array_equal(lut[1:], np.minimum(np.arange(1, 65536) + shift, 65535))


def test_numbers_are_never_shifted_down() -> None:
    with pytest.raises(InvalidInput, match="-1000"):
        shift_lut(Radiometry(-1000), 0)


def test_the_common_offset_is_the_most_negative() -> None:
    assert common([Radiometry(0), Radiometry(-1000), Radiometry(0)]) == Radiometry(-1000)
    assert common(iter([Radiometry(0)])) == Radiometry(0)


@pytest.mark.parametrize("radiometries", [[], [Radiometry(0, 10_000), Radiometry(0, 1000)]])
def test_nothing_and_unequal_quantifications_have_nothing_in_common(radiometries: list[Radiometry]) -> None:
    with pytest.raises(InvalidInput, match="quantifications"):
        common(radiometries)


@pytest.mark.parametrize(
    ("scale", "offset", "expected"),
    [
        (0.0001, -0.1, Radiometry(-1000)),
        (0.0001, 0, Radiometry(0)),
        (0.0001, 0.1, Radiometry(1000)),
        (0.001, 0.0, Radiometry(0, 1000)),
        (1, 0, Radiometry(0, 1)),
        (2.75e-05, -0.2, None),  # Landsat Collection 2
        (1 / 3, 0, None),
        (0.0001, -0.10001, None),
        (0, 0, None),
        (-0.0001, 0, None),
        (float("nan"), 0, None),
        (0.0001, float("inf"), None),
    ],
)
def test_scale_and_offset_are_read_as_decimals(scale: float, offset: float, expected: Radiometry | None) -> None:
    if expected is None:
        with pytest.raises(CorruptData, match="scale"):
            Radiometry.from_scale_offset(scale, offset)
    else:
        assert Radiometry.from_scale_offset(scale, offset) == expected


@given(OFFSETS, st.sampled_from([1, 10, 1000, 10_000, 100_000]))
def test_scale_and_offset_come_back_from_any_radiometry(offset: int, quantification: int) -> None:
    found = Radiometry.from_scale_offset(1 / quantification, offset / quantification)
    assert found == Radiometry(offset, quantification)


def test_a_quantification_must_be_positive() -> None:
    with pytest.raises(CorruptData, match="quantification is 0"):
        Radiometry(0, 0)


def test_clouds_shadows_defects_and_unknown_classes_are_masked_and_snow_is_not() -> None:
    assert SCL_MASKED.shape == (256,)
    assert np.flatnonzero(~SCL_MASKED).tolist() == [2, 4, 5, 6, 7, 11]
    assert np.flatnonzero(SCL_MASKED != SCL_MASKED_WITH_SNOW).tolist() == [11]
