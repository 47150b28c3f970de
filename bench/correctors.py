"""The rows of the corrector's benchmark: what each of them makes of one simulated scene."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from atmospheric_correction import correctors, physics
from atmospheric_correction.adjacency import Surroundings
from atmospheric_correction.air import forward, inverse, surroundings_of, uniform_inverse
from atmospheric_correction.granule import Told
from atmospheric_correction.quality import seen_ground
from eo.errors import InvalidInput
from eo.found_air import CLIMATOLOGY
from eo.model import Model, load
from training.atmospheric_correction.pixelsets import PixelSets
from training.atmospheric_correction.scenes import OPTICS
from training.atmospheric_correction.simulated import Simulated
from training.atmospheric_correction.testset import load_emulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from atmospheric_correction.correctors import Found, Looked
    from training.atmospheric_correction.testset import Case

    Floats = NDArray[np.floating[Any]]

BANDS = ("B02", "B03", "B04", "B08")
DARKEST, ITS_REFLECTANCE = 1.0, 0.01
"""Dark object: the percentile of a scene that is taken for it, and what it reflects (Chavez 1996)."""
FORECAST = 0.35
"""Standard deviation of the logarithm of a forecast AOT about the true one: a relative RMSE of 39 %, the lower end of
what studies of CAMS against AERONET find (Gueymard & Yang 2020: 40 to 60 %)."""
LINE_SEED, LINE_BATCHES, LINE_SCENES = 4, 8, 64
"""Simulated training scenes that the lines are fitted to: no test scene is among them."""


@cache
def net(name: str) -> Model | None:
    """A model, None where it is not published."""
    try:
        return load(name)
    except InvalidInput:
        return None


def results(case: Case, *, adjacency: bool) -> Iterator[tuple[str, dict[str, Floats]]]:
    """(row, surface reflectance of the piece by band); a row "sigma of ..." is that corrector's, after its own.

    physics is run as it runs where the AOT is given, comes with the product (a forecast), is looked for in dark pixels,
    or is assumed. U-Net and nets that are not published have no row.
    """
    scene = Simulated.of(case)
    table = net("physics")
    assert table is not None
    looked = correctors.Looked.at(scene.granule, table)
    yield "no correction", {band: scene.piece[band] for band in BANDS}
    yield "dark object", _dark_object(scene)
    yield "one line per band", {band: gain * scene.piece[band] + bias for band, (gain, bias) in lines().items()}
    state = case.atmosphere
    kind = max(state.mix, key=lambda name: state.mix[name])
    told = Told(state.aot, scene.granule.told.water_vapour, state.ozone, kind)
    draw = np.random.default_rng((7, case.index))
    forecast = float(state.aot * np.exp(FORECAST * draw.standard_normal()))
    modes = {
        "physics, told AOT and type": told,
        "physics, told AOT but not the type": replace(told, aerosol="continental"),
        "physics, forecast AOT": replace(told, aerosol="continental", aot=min(forecast, 2.0)),
        "physics, dark pixels": replace(told, aerosol="continental", aot=None),
        "physics, AOT 0.12": replace(told, aerosol="continental", aot=CLIMATOLOGY),
    }
    for name, saying in modes.items():
        if adjacency and name not in {"physics, told AOT and type", "physics, dark pixels"}:
            continue
        said = correctors.by_physics(
            replace(looked, granule=replace(scene.granule, told=saying)), BANDS, table, adjacency=adjacency
        )
        yield from _corrected(name, scene, looked, said, adjacency=adjacency)
    for name, model in (("field, visible only", "atmosphere-field-visible"), ("field", "atmosphere-field")):
        found = net(model)
        if found is not None:
            said = correctors.by_net(looked, BANDS, table=table, net=found, adjacency=adjacency)
            yield from _corrected(name, scene, looked, said, adjacency=adjacency)
    unet = net("unet-efficientnet-b2")
    if unet is not None:
        yield "U-Net", _by_unet(scene, unet)


def _dark_object(scene: Simulated) -> dict[str, Floats]:
    made = {}
    for band in BANDS:
        darkest = float(np.percentile(scene.granule.toa[band], DARKEST))
        made[band] = scene.piece[band] - max(darkest - ITS_REFLECTANCE, 0)
    return made


@cache
def lines() -> dict[str, tuple[float, float]]:
    """(gain, bias) by band: surface reflectance as the line through TOA's, by least squares over training scenes."""
    scenes = PixelSets(load_emulator(), seed=LINE_SEED, scenes=LINE_SCENES)
    batches = [scenes.batch(number) for number in range(LINE_BATCHES)]
    found = {}
    for band in BANDS:
        at = physics.BANDS.index(band)
        toa, rho = (
            np.concatenate([getattr(batch, name)[..., at][batch.clean > 0].double().numpy() for batch in batches])
            for name in ("toa", "rho")
        )
        gain, bias = np.polyfit(toa, rho, 1)
        found[band] = float(gain), float(bias)
    return found


def _corrected(
    name: str, scene: Simulated, looked: Looked, found: Found, *, adjacency: bool
) -> Iterator[tuple[str, dict[str, Floats]]]:
    """A corrector's row; with adjacency, one with and one without its correction."""
    granule = scene.granule
    made: dict[str, Floats] = {}
    around: dict[str, Floats] = {}
    counted = Surroundings(seen_ground(looked.quality), granule.pixel) if adjacency else None
    for number, band in enumerate(BANDS):
        optics = found.air.on_context(number, granule.ground)
        here = {each: scene.at_piece(optics[each]) for each in OPTICS}
        made[band] = uniform_inverse(scene.piece[band], here)
        if counted is not None:
            near = scene.at_piece(surroundings_of(granule.toa[band], optics, counted))
            around[band] = inverse(scene.piece[band], near, here)
    if counted is None:
        yield name, made
    else:
        yield f"{name}, adjacency left in", made
        yield f"{name}, adjacency corrected", around
    if name in {"field", "field, visible only"}:
        yield (
            f"sigma of {name}",
            {
                band: scene.at_piece(granule.cells.spread(np.ascontiguousarray(found.sigma[:, number])))
                for number, band in enumerate(BANDS)
            },
        )


def _by_unet(scene: Simulated, model: Model) -> dict[str, Floats]:
    """The U-Net on the piece as one tile."""
    visible = np.stack([scene.piece[band] for band in ("B02", "B03", "B04")])[None]
    (made,) = model.run(**{model.card.inputs[0].name: np.ascontiguousarray(visible, np.float32)}).values()
    return dict(zip(("B02", "B03", "B04"), made[0], strict=True))


def told_the_truth(case: Case) -> dict[str, Floats]:
    """Errors of the table itself: TOA under 6S's own optics, surface under the table's, for reflectances 0 to 0.6."""
    state, table = case.atmosphere, net("physics")
    assert table is not None
    if len(state.mix) > 1:
        return {}
    rho = np.linspace(0, 0.6, 13)
    cell = {
        name: np.array([getattr(state, name)], np.float32)
        for name in ("sun_zenith", "view_zenith", "azimuth", "water", "ozone")
    }
    mix = physics.mixture(next(iter(state.mix)), 1)
    said = table.run(
        **cell, aot=np.array([state.aot], np.float32), altitude=np.array([state.altitude], np.float32), mix=mix
    )
    errors = {}
    for band in BANDS:
        at = physics.BANDS.index(band)
        true = {name: case.optics[name][at] for name in OPTICS}
        own = {name: said[name][0, at] for name in OPTICS}
        errors[band] = uniform_inverse(forward(rho, rho, true), own) - rho
    return errors
