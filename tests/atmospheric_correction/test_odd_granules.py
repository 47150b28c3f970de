"""Granules of one kind, of one pixel, without what most have: always numbers, never invented reflectance."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from atmospheric_correction import physics
from atmospheric_correction.correctors import Found, find
from atmospheric_correction.field import coefficients, reflectance, surroundings
from atmospheric_correction.granule import OZONE, WATER, Granule, Told
from atmospheric_correction.quality import CIRRUS, CLOUD, CORRECTED, NO_DATA, SNOW, grown
from eo.catalog import Angles, Auxiliary
from eo.model import load
from eo.radiometry import SATURATION, Radiometry
from l1c import CLOUD as CLOUDY
from l1c import PLANT, SOIL, optics
from l1c import SNOW as SNOWY
from l1c import WATER as LAKE
from small_net import models

Floats = NDArray[np.floating[Any]]

BANDS = ("B02", "B03", "B04", "B08")
STATISTICS = ("B01", "B02", "B03", "B04", "B08", "B8A", "B12")
ANGLES = Angles(((40.0, 41.0), (40.5, 41.5)), 150.0, dict.fromkeys(BANDS, (5.0, 100.0)), "product")


def granule(spectrum: dict[str, float], shape: tuple[int, int] = (70, 65), *, aot: float = 0.2, **more: Any) -> Granule:
    """One ground everywhere, seen through the air."""
    air, random = optics(40.0, aot, 0.0), np.random.default_rng(1)
    toa = {}
    for band in STATISTICS:
        path, down, direct, diffuse, albedo, gas = (air[n][physics.BANDS.index(band)] for n in air if n in ORDER)
        rho = spectrum[band] * random.uniform(0.9, 1.1, shape)
        toa[band] = (gas * (path + down * (direct + diffuse) * rho / (1 - albedo * rho))).astype(np.float32)
    made = Granule(
        toa=toa | {"B10": np.full(shape, 0.001, np.float32), "B09": (0.4 * toa["B8A"]).astype(np.float32)},
        elevation=np.full(shape, 100, np.float32),
        masks={},
        pixel=120.0,
        angles=ANGLES,
        told=Told(),
        auxiliary=Auxiliary(),
    )
    return replace(made, **more)


ORDER = ("path", "t_down", "t_dir", "t_dif", "albedo", "gas")


@pytest.fixture(params=["physics", "net"])
def net(request: pytest.FixtureRequest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m")))
    return load("atmosphere-field") if request.param == "net" else None


def corrected(one: Granule, net: Any) -> tuple[Found, dict[str, Floats]]:
    """What is found, and the surface reflectance of the coarse pixels by band; all that is made is checked to be numbers."""
    found = find(one, BANDS, table=load("physics"), net=net, adjacency=True)
    assert found.quality.shape == one.elevation.shape
    assert np.isfinite(found.aot).all()
    assert ((found.aot >= 0) & (found.aot < 3)).all()
    result = {}
    for adjacency in (True, False):
        counted = surroundings(one, found) if adjacency else None
        for number, band in enumerate(BANDS):
            made = coefficients(one, found, number, band, counted, 10_000)
            for values in (made.gain, made.bias, made.sigma):
                assert values.dtype == np.float32
                assert np.isfinite(values).all()
            assert (made.gain > 0).all()
            assert ((made.sigma > 0) & (made.sigma < 0.2)).all()
            if adjacency:
                result[band] = (one.toa[band] * 10_000 * made.gain + made.bias) / 10_000 - 0.1
    return found, result


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 2), (61, 61), (62, 62), (3, 130)])
def test_granules_of_any_size(shape: tuple[int, int], net: Any) -> None:
    found, made = corrected(granule(PLANT, shape), net)
    assert (found.quality == CORRECTED).all()
    assert all(np.isfinite(rho).all() for rho in made.values())
    if net is None:
        for band in ("B02", "B03", "B04"):
            assert np.abs(made[band].mean() - PLANT[band]) < 0.01


@pytest.mark.parametrize(
    ("spectrum", "code"), [(CLOUDY, CLOUD), (SNOWY, SNOW), (LAKE, CORRECTED), (SOIL, CORRECTED), (PLANT, CORRECTED)]
)
def test_granules_of_one_kind(spectrum: dict[str, float], code: int, net: Any) -> None:
    found, made = corrected(granule(spectrum), net)
    assert (found.quality == code).all()
    if net is None:
        # Nothing dark tells of the aerosol but in forest: it is assumed, and sigma is the larger for it.
        assert found.how == ("dark pixels" if spectrum is PLANT else "assumed")
        assert all(abs(made[band].mean() - spectrum[band]) < 0.03 for band in ("B02", "B03", "B04"))


def test_where_nothing_tells_a_net_is_not_asked(net: Any) -> None:
    for spectrum in (CLOUDY, SNOWY):
        found, _ = corrected(granule(spectrum), net)
        assert (found.fallback == (0 if net is None else 1)).all()


def test_a_granule_without_data(net: Any) -> None:
    one = granule(PLANT)
    empty = replace(one, toa={band: np.full_like(values, np.nan) for band, values in one.toa.items()})
    found, made = corrected(empty, net)
    assert (found.quality == NO_DATA).all()
    assert all(np.isnan(rho).all() for rho in made.values())


def test_half_a_granule_tells_for_the_other_half(net: Any) -> None:
    one = granule(PLANT, (70, 200))
    toa = {band: np.where(np.arange(200) < 120, values, np.nan) for band, values in one.toa.items()}
    found, _ = corrected(replace(one, toa=toa), net)
    assert (found.quality[:, :120] == CORRECTED).all()
    assert (found.quality[:, 120:] == NO_DATA).all()
    if net is None:
        np.testing.assert_allclose(found.aot, 0.2, atol=0.06)


@pytest.mark.parametrize("known", ["none", "some", "mad"])
def test_heights_that_are_unknown_or_absurd(known: str, net: Any) -> None:
    one = granule(PLANT)
    heights = np.full(one.elevation.shape, np.nan, np.float32)
    if known != "none":
        heights[:20] = 100 if known == "some" else 30_000
    _, made = corrected(replace(one, elevation=heights), net)
    assert np.isfinite(made["B02"]).all()
    if known != "mad" and net is None:
        assert np.abs(made["B02"].mean() - PLANT["B02"]) < 0.015


@pytest.mark.parametrize("missing", [["B10"], ["B09"], ["B09", "B10"]])
def test_bands_that_some_products_lack(missing: list[str], net: Any) -> None:
    one = granule(PLANT)
    found, _ = corrected(replace(one, toa={b: v for b, v in one.toa.items() if b not in missing}), net)
    assert (found.quality == CORRECTED).all()


def test_views_and_gases_that_nobody_tells(net: Any) -> None:
    one = granule(PLANT)
    _, known = corrected(one, net)
    _, assumed = corrected(replace(one, angles=replace(ANGLES, view={}, origin="time")), net)
    assert np.abs(known["B04"] - assumed["B04"]).max() < 0.01
    bare = replace(one, toa={band: values for band, values in one.toa.items() if band != "B09"})
    assert (bare.water[0], bare.ozone) == (WATER, (OZONE, "assumed"))
    told = replace(bare, told=Told(water_vapour=0.0, ozone=0.3), auxiliary=Auxiliary(ozone=0.4, water_vapour=3.0))
    assert told.water == (0.0, "given")
    assert told.ozone == (0.3, "given")
    corrected(told, net)
    product = replace(bare, auxiliary=Auxiliary(aot550=0.5, ozone=0.4, water_vapour=3.0))
    assert (product.water, product.ozone, product.aot) == ((3.0, "product"), (0.4, "product"), (0.5, "product"))
    if net is None:
        found, _ = corrected(product, net)
        assert found.how == "product"
        np.testing.assert_array_equal(found.aot, np.float32(0.5))


def test_azimuths_on_both_sides_of_north_have_a_mean_in_the_north() -> None:
    view = {"B02": (6.0, 350.0), "B03": (6.0, 0.0), "B04": (6.0, 10.0)}
    state = granule(PLANT, angles=replace(ANGLES, view=view, sun_azimuth=355.0)).state(("B02", "B03", "B04"))
    np.testing.assert_allclose(state.azimuth, 5, atol=1e-3)
    np.testing.assert_allclose(state.view_zenith, 6)


def test_the_sun_of_a_cell_lies_between_the_corners() -> None:
    state = granule(PLANT, (122, 183), angles=replace(ANGLES, sun_zenith=((30.0, 36.0), (40.0, 46.0)))).state(())
    np.testing.assert_allclose(state.sun_zenith.reshape(2, 3), [[33.5, 35.5, 37.5], [38.5, 40.5, 42.5]], atol=1e-4)


def test_the_product_s_own_masks_decide(net: Any) -> None:
    one = granule(PLANT)
    masks = {name: np.zeros(one.elevation.shape, np.uint8) for name in ("MSK_OPAQUE", "MSK_CIRRUS", "MSK_SNOW")}
    masks["MSK_OPAQUE"][:10], masks["MSK_CIRRUS"][5:20], masks["MSK_SNOW"][30:40] = 1, 1, 1
    found, _ = corrected(replace(one, masks=masks), net)
    assert (found.quality[:10] == CLOUD).all()
    assert (found.quality[10:20] == CIRRUS).all()
    assert (found.quality[30:40] == SNOW).all()
    assert (found.quality[50:] == CORRECTED).all()


def test_cirrus_raises_b10_and_mountains_may_too(net: Any) -> None:
    one = granule(PLANT)
    b10 = np.full(one.elevation.shape, 0.005, np.float32)
    low, high = (replace(one, toa=dict(one.toa) | {"B10": b10}, elevation=b10 * 0 + h) for h in (200, 2500))
    assert (corrected(low, net)[0].quality == CIRRUS).all()
    assert (corrected(high, net)[0].quality == CORRECTED).all()


def test_doubt_is_larger_under_clouds() -> None:
    one = granule(PLANT)
    masks = {name: np.zeros(one.elevation.shape, np.uint8) for name in ("MSK_OPAQUE", "MSK_CIRRUS", "MSK_SNOW")}
    masks["MSK_OPAQUE"][:10] = 1
    one = replace(one, masks=masks)
    found = find(one, BANDS, table=load("physics"), net=None, adjacency=False)
    sigma = coefficients(one, found, 0, "B02", None, 10_000).sigma
    assert sigma[:10].min() > 1.5 * sigma[10:].max()


def test_no_data_and_saturated_numbers_are_no_reflectance() -> None:
    dn = np.array([0, 1, 999, 1000, 11_000, 65_534, SATURATION], np.uint16)
    found = reflectance(dn, Radiometry(-1000))
    assert np.isnan(found[[0, -1]]).all()
    np.testing.assert_allclose(found[1:-1], [-0.0999, -0.0001, 0, 1, 6.4534], atol=1e-6)


@pytest.mark.parametrize("pixels", [1, 2, 5, 50])
def test_masks_grow_along_rows_and_columns(pixels: int) -> None:
    mask = np.zeros((20, 30), bool)
    mask[7, 3] = mask[19, 29] = True
    rows, cols = np.mgrid[:20, :30]
    wanted = np.zeros(mask.shape, bool)
    for row, col in ((7, 3), (19, 29)):
        wanted |= (abs(rows - row) <= pixels) & (abs(cols - col) <= pixels)
    np.testing.assert_array_equal(grown(mask, pixels), wanted)
    assert not grown(np.zeros((1, 1), bool), pixels).any()
