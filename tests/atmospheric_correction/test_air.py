"""The light's way through the air and back: inversion, its form for DNs, and the optics between levels and cells."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from atmospheric_correction.air import (
    LEVELS,
    OPTICS,
    SCALE_HEIGHT,
    SURFACE,
    Air,
    forward,
    gain_and_bias,
    inverse,
    uniform_gain_and_bias,
    uniform_inverse,
)
from atmospheric_correction.cells import CELL, Cells
from eo.radiometry import Radiometry

Floats = NDArray[np.floating[Any]]

airs = st.fixed_dictionaries(
    {
        "path": st.floats(0, 0.3),
        "t_down": st.floats(0.4, 1),
        "t_dir": st.floats(0.3, 1),
        "t_dif": st.floats(0, 0.35),
        "albedo": st.floats(0, 0.35),
        "gas": st.floats(0.6, 1),
    }
)
grounds = st.floats(-0.02, 1.2)
radiometries = st.sampled_from([Radiometry(-1000), Radiometry(0), Radiometry(-1000, 20_000), Radiometry(-500)])


def arrays(optics: dict[str, float], dtype: Any = np.float64) -> dict[str, Floats]:
    return {name: np.array([value], dtype) for name, value in optics.items()}


def seen(rho: float, around: float, air: dict[str, float]) -> float:
    """TOA reflectance, by the sum over light that bounces between ground and air."""
    bounces = sum((air["albedo"] * around) ** n for n in range(60))
    light = air["t_down"] * bounces * (air["t_dir"] * rho + air["t_dif"] * around)
    return air["gas"] * (air["path"] + light)


@given(airs, grounds, st.floats(0, 1.2))
def test_inversion_undoes_the_forward_model(air: dict[str, float], rho: float, around: float) -> None:
    optics = arrays(air)
    toa = forward(np.array([rho]), np.array([around]), optics)
    assert toa[0] == pytest.approx(seen(rho, around, air), abs=1e-12)
    assert inverse(toa, np.array([around]), optics)[0] == pytest.approx(rho, abs=1e-12)
    alike = forward(np.array([rho]), np.array([rho]), optics)
    assert uniform_inverse(alike, optics)[0] == pytest.approx(rho, abs=1e-12)
    assert inverse(alike, np.array([rho]), optics)[0] == pytest.approx(rho, abs=1e-12)


@given(airs, st.floats(0, 1.2), st.integers(1, 20_000), radiometries)
def test_gain_and_bias_are_the_inversion_in_dn(
    air: dict[str, float], around: float, dn: int, radiometry: Radiometry
) -> None:
    toa = np.array([(dn + radiometry.offset) / radiometry.quantification])
    gain, bias = gain_and_bias(np.array([around]), arrays(air), radiometry.quantification)
    assert gain.dtype == bias.dtype == np.float32
    wanted = inverse(toa, np.array([around]), arrays(air))[0] * 10_000 + 1000
    # Two products of numbers of 24 bits.
    light = dn + radiometry.offset
    room = 2e-7 * (abs(float(gain[0]) * light) + abs(float(bias[0])) + abs(wanted))
    assert float(gain[0]) * light + float(bias[0]) == pytest.approx(wanted, abs=0.01 + room)


@given(airs, st.integers(1, 12_000), radiometries)
def test_without_surroundings_gain_and_bias_give_light_that_the_albedo_ends(
    air: dict[str, float], dn: int, radiometry: Radiometry
) -> None:
    toa = np.array([(dn + radiometry.offset) / radiometry.quantification])
    gain, bias = uniform_gain_and_bias(arrays(air), radiometry.quantification)
    light = (float(gain[0]) * (dn + radiometry.offset) + float(bias[0]) + SURFACE.offset) / SURFACE.quantification
    wanted = uniform_inverse(toa, arrays(air))[0]
    assert light / (1 + air["albedo"] * light) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("metres", [0, 500, 1000, 2500, 4400, 5500])
def test_optics_of_a_height_lie_between_the_levels_linear_in_pressure(metres: float) -> None:
    cells = Cells((4, 3))
    values = np.array([0.10, 0.09, 0.08, 0.05, 0.02], np.float32)
    air = Air(cells, dict.fromkeys(OPTICS, values[None, :, None]))
    found = air.on_context(0, np.full((4, 3), metres, np.float32))
    pressures = [math.exp(-level / SCALE_HEIGHT) for level in LEVELS]
    here = math.exp(-metres / 1000 / SCALE_HEIGHT)
    wanted = np.interp(here, pressures[::-1], values[::-1])
    np.testing.assert_allclose(found["path"], wanted, atol=1e-6)


@pytest.mark.parametrize("metres", [-450, -1, 5501, 8000])
def test_beyond_the_levels_the_outermost_one_holds(metres: float) -> None:
    air = Air(Cells((2, 2)), dict.fromkeys(OPTICS, np.arange(5, dtype=np.float32)[None, :, None]))
    found = air.on_context(0, np.full((2, 2), metres, np.float32))["gas"]
    np.testing.assert_array_equal(found, 0 if metres < 0 else 4)


def test_optics_of_cells_are_bilinear_between_their_centres_and_a_height_is_each_pixel_s_own() -> None:
    rows, cols = 2 * CELL, 3 * CELL
    cells = Cells((rows, cols))
    by_cell = np.array([[1, 2, 5], [3, 4, 9]], np.float32)
    values = by_cell.ravel()[:, None, None] + 10 * np.arange(5, dtype=np.float32)[None, :, None]
    air = Air(cells, dict.fromkeys(OPTICS, values))
    elevation = np.where(np.arange(cols) % 2, 0, 2000)[None].repeat(rows, 0).astype(np.float32)
    found = air.on_context(0, elevation)["albedo"]
    middle = CELL // 2
    for row, col in ((0, 0), (0, 2), (1, 1)):
        at = (row * CELL + middle, col * CELL + middle)
        level = 20 if elevation[at] else 0
        assert found[at] == pytest.approx(by_cell[row, col] + level, abs=1e-4)
    quarter = (CELL + middle - CELL // 2 - 1, 0)
    assert found[quarter[0], 0] - (20 if elevation[quarter] else 0) == pytest.approx(2, abs=0.03)
    # The rim's half a cell is the outermost cell's.
    assert found[0, 1] == pytest.approx(1, abs=1e-5)
    assert found[-1, -1] == pytest.approx(9 + (0 if (cols - 1) % 2 else 20), abs=1e-4)
