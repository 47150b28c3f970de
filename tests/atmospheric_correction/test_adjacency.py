"""Light from the surroundings: the environment function, and what taking it out brings."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from atmospheric_correction.adjacency import RATES, REACH, SHARES, Surroundings
from atmospheric_correction.air import LEVELS, OPTICS, Air, forward
from atmospheric_correction.correctors import Found
from atmospheric_correction.field import coefficients, surroundings
from atmospheric_correction.granule import Granule, Told
from atmospheric_correction.quality import CLOUD, CORRECTED, NO_DATA, SNOW
from eo.catalog import Angles, Auxiliary
from eo.correction import SURFACE
from l1c import optics

Floats = NDArray[np.floating[Any]]

PIXEL = 120.0


def within(r: float) -> float:
    """Share of the light from within r km (Vermote et al. 1997, eq. 26)."""
    return 1 - sum(share * np.exp(-rate * r) for share, rate in zip(SHARES, RATES, strict=True))


@cache
def weight(row: int, col: int, fine: int = 6) -> float:
    """Of a pixel so many rows and columns away, cut into fine x fine points."""
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    r = np.hypot(*np.meshgrid(row + offsets, col + offsets)) * PIXEL / 1000
    return float(np.mean(sum(s * k * np.exp(-k * r) for s, k in zip(SHARES, RATES, strict=True)) / r))


def environment(rho: Floats) -> Floats:
    """The mean around every pixel by that function, pixel by pixel. The ground goes on as a mirror image at the edges."""
    reach = min(int(np.ceil(REACH * 1000 / PIXEL)), min(rho.shape) - 1)
    mirrored = np.pad(rho, reach, mode="reflect")
    total, weights = np.zeros(rho.shape), 0.0
    for row in range(-reach, reach + 1):
        for col in range(-reach, reach + 1):
            own = weight(*sorted((abs(row), abs(col))))
            total += own * mirrored[reach + row :, reach + col :][: rho.shape[0], : rho.shape[1]]
            weights += own
    return np.asarray(total / weights)


def scattered(shape: tuple[int, int]) -> Floats:
    random = np.random.default_rng(3)
    coarse = random.random((-(-shape[0] // 7), -(-shape[1] // 7)))
    return np.kron(coarse, np.ones((7, 7)))[: shape[0], : shape[1]].astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (2, 9), (30, 41)])
def test_means_are_those_of_the_environment_function(shape: tuple[int, int]) -> None:
    rho = scattered(shape)
    found = Surroundings(np.ones(shape, bool), PIXEL).mean(rho)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, environment(rho), atol=0.01)


def test_a_bright_half_lends_its_edge_half_of_its_light() -> None:
    """Across a long straight edge the far side's share is known by integration of the function over the half plane."""
    rho = np.zeros((201, 201), np.float32)
    rho[:, 101:] = 1
    found = Surroundings(np.ones(rho.shape, bool), PIXEL).mean(rho)[100]
    assert found[100] + found[101] == pytest.approx(1, abs=0.01)
    assert (np.diff(found[50:150]) > 0).all()
    # All that comes from beyond 2 km and 10 km bounds what a place that far inside gets.
    far = int(2000 / PIXEL)
    assert 0.1 * (1 - within(2)) < found[100 - far] < 0.5 * (1 - within(2))


def test_what_does_not_count_has_no_say_and_the_less_counts_the_more_is_like_the_pixel_itself() -> None:
    shape = (40, 50)
    rho, counts = scattered(shape), np.random.default_rng(1).random(shape) < 0.6
    seen = np.where(counts, rho, np.float32(1.5))
    found = Surroundings(counts, PIXEL).mean(seen)
    share = environment(counts.astype(float))
    others = (1 - share) ** 2
    inner = environment(np.where(counts, rho, 0)) / share
    np.testing.assert_allclose(found, (1 - others) * inner + others * seen, atol=0.02)
    none = Surroundings(np.zeros(shape, bool), PIXEL).mean(rho)
    np.testing.assert_array_equal(none, rho)


def test_a_gap_is_surrounded_by_what_its_neighbours_are() -> None:
    """Interpolation between coarse pixels reaches into gaps, so what is there has to be like what is beside it."""
    rho = np.full((30, 40), 0.3, np.float32)
    rho[:, 20:] = np.nan
    found = Surroundings(~np.isnan(rho), PIXEL).mean(rho)
    np.testing.assert_allclose(found[:, :25], 0.3, atol=1e-3)
    assert np.isfinite(found).all()
    assert (Surroundings(np.zeros(rho.shape, bool), PIXEL).mean(np.full_like(rho, np.nan)) == 0).all()


def test_a_few_dark_pixels_do_not_stand_for_all_that_is_hidden() -> None:
    """A bright plain that passes for cloud but for dark spots: its pixels stay about as bright as without neighbours."""
    rho = np.full(SHAPE, 0.35, np.float32)
    rho[::4, ::4] = 0.05
    codes = np.where(rho > 0.1, CLOUD, CORRECTED).astype(np.uint8)
    made = through(rho, codes, adjacency=True, aot=0.7)
    bright = rho > 0.1
    assert np.abs(made - rho)[bright].max() < 0.05
    assert np.abs(made - rho)[bright].mean() < 1.5 * np.abs(through(rho, adjacency=False, aot=0.7) - rho)[bright].mean()


SHAPE = (50, 60)


def world(kind: str) -> Floats:
    """A lake in a bright plain, or dark spots in it."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    lake = np.hypot(rows - 25, cols - 30) < 6 if kind == "lake" else (rows // 5 + cols // 5) % 3 == 0
    return np.where(lake, 0.02, 0.35).astype(np.float32)


def through(rho: Floats, codes: NDArray[np.uint8] | None = None, *, adjacency: bool, aot: float = 0.4) -> Floats:
    """Surface reflectance that the field stage makes of a forward simulation in B04, told the truth about the air."""
    air = {name: float(values[3]) for name, values in optics(40.0, aot, 0.0).items()}
    toa = forward(rho, environment(rho).astype(np.float32), {k: np.float32(v) for k, v in air.items()})
    granule = Granule(
        toa={"B04": toa.astype(np.float32)},
        elevation=np.zeros(SHAPE, np.float32),
        masks={},
        pixel=PIXEL,
        angles=Angles(((40.0, 40.0), (40.0, 40.0)), 150.0, {}, "item"),
        told=Told(),
        auxiliary=Auxiliary(),
    )
    cells = granule.cells.count
    by_cell = {name: np.full((cells, len(LEVELS), 1), air[name], np.float32) for name in OPTICS}
    quality = np.full(SHAPE, CORRECTED, np.uint8) if codes is None else codes
    none = np.zeros(cells, np.float32)
    found = Found(Air(granule.cells, by_cell), np.full((cells, 1), 0.01, np.float32), none, none, quality, "net")
    counted = surroundings(granule, found) if adjacency else None
    made = coefficients(granule, found, 0, "B04", counted, 10_000)
    dn = np.round(toa * 10_000)
    light = (dn * made.gain + made.bias + SURFACE.offset) / SURFACE.quantification
    return np.asarray(light if made.albedo is None else light / (1 + made.albedo * light))


@pytest.mark.parametrize("kind", ["lake", "spots"])
def test_water_beside_a_bright_field_gets_nearer_to_the_truth(kind: str) -> None:
    rho = world(kind)
    water = rho < 0.1
    off, on = (through(rho, adjacency=taken) - rho for taken in (False, True))
    assert off[water].mean() > 0.012
    assert np.abs(on[water]).mean() < 0.15 * np.abs(off[water]).mean()
    assert np.sqrt(np.mean(on**2)) < 0.2 * np.sqrt(np.mean(off**2))
    assert np.abs(on).max() < 0.01


def test_over_ground_that_is_the_same_everywhere_both_are_right() -> None:
    rho = np.full(SHAPE, 0.15, np.float32)
    for taken in (False, True):
        np.testing.assert_allclose(through(rho, adjacency=taken), rho, atol=2e-4)


def test_snow_shines_on_its_surroundings_and_clouds_do_not() -> None:
    rho = world("lake")
    codes = np.full(SHAPE, CORRECTED, np.uint8)
    codes[:, :20] = SNOW
    np.testing.assert_allclose(through(rho, codes, adjacency=True), through(rho, adjacency=True), atol=1e-5)
    for hidden in (CLOUD, NO_DATA):
        codes[:, :20] = hidden
        changed = np.abs(through(rho, codes, adjacency=True) - through(rho, adjacency=True))
        assert changed[:, 21:].max() < 0.01
