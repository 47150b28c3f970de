"""The field stage: one granule's air, and what it makes of every DN, on the granule's coarse grid.

It reads nothing but the granule, whatever the job's extent: two jobs that overlap correct alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.adjacency import Surroundings
from atmospheric_correction.air import gain_and_bias, surroundings_of, uniform_gain_and_bias
from atmospheric_correction.correctors import SAID, Found, find
from atmospheric_correction.granule import Granule, Told
from atmospheric_correction.physics import BANDS
from atmospheric_correction.quality import CIRRUS, CLOUD, CORRECTED, FALLBACK, NO_DATA, seen_ground
from eo.catalog import MASKS, Auxiliary, Scene
from eo.correction import ALBEDO, BIAS, GAIN, PHYSICS, QUALITY, SIGMA, STATISTICS, UNET, corrected
from eo.errors import CorruptData, InvalidInput
from eo.found_air import ASSUMED, HOW, MILLI, WATER_BY
from eo.imagery import ELEVATION
from eo.job import Part, Unit
from eo.model import Model, load
from eo.radiometry import SATURATION, Radiometry
from eo.unit_io import UnitIO

Floats = NDArray[np.floating[Any]]

HALF = 0.5
"""Share of physics from which a pixel's quality says so."""
LOW_SUN = 76
"""Degrees from the zenith up to which physics was fitted to 6S."""
DOUBTFUL = 2.0
"""By how much sigma grows under cirrus and clouds, which no corrector takes away."""


@dataclass(frozen=True)
class Coefficients:
    """What turns the DNs of a band into surface DNs, on the coarse grid; each (rows, columns)."""

    gain: Floats
    bias: Floats
    albedo: Floats | None
    """Where surroundings are left out: surface light = gain (DN + offset) + bias is light / (1 + albedo light) then."""
    sigma: Floats
    """1-sigma of surface reflectance."""


def field(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Find a granule's air, and write gain, bias, sigma and quality on its coarse grid."""
    plan = io.plan
    scene = plan.scenes[plan.scene_names.index(unit.id)]
    bands, inputs = corrected(plan), plan.inputs
    granule = _granule(unit, scene, io)
    if "B08" in bands and granule.water[1] == ASSUMED:
        raise InvalidInput(
            f"B08 needs the water vapour over scene {scene.id}, which neither its auxiliary data nor B09 beside B8A tell: give "
            "water_vapour in g/cm2 (0.5 in dry winters, 5 in the tropics), or leave B08 out of the bands"
        )
    table = load(PHYSICS, bands=BANDS)
    net = None if inputs["model"] in {PHYSICS, UNET} else _net(inputs["model"])
    found = find(granule, bands, table=table, net=net, adjacency=inputs["adjacency"])
    counted = surroundings(granule, found) if inputs["adjacency"] else None
    for number, band in enumerate(bands):
        made = coefficients(granule, found, number, band, counted, plan.radiometry[band].quantification)
        layers = {GAIN: made.gain, BIAS: made.bias, SIGMA: made.sigma}
        for name, values in (layers | ({} if made.albedo is None else {ALBEDO: made.albedo})).items():
            io.cube.write(f"{unit.array}/{name}{band}", unit.window, values)
    codes = found.quality.copy()
    fallback = granule.cells.spread(found.fallback) >= HALF
    # Where a band of a coarse pixel is missing, what lies in it and has data is corrected all the same.
    codes[np.isin(codes, (CORRECTED, NO_DATA)) & fallback] = FALLBACK
    io.cube.write(f"{unit.array}/{QUALITY}", unit.window, codes)
    water, who = granule.water
    known = {"low_sun": int(granule.angles.lowest_sun > LOW_SUN), f"{WATER_BY}{who}": round(MILLI * water)}
    return Part(unit=unit.id, counts=_counts(found, codes) | known, extremes=_extremes(found))


def surroundings(granule: Granule, found: Found) -> Surroundings:
    """The means around a granule's pixels, of those that show the ground."""
    return Surroundings(seen_ground(found.quality), granule.pixel)


def coefficients(  # noqa: PLR0917 - of one band what find gives of all
    granule: Granule, found: Found, number: int, band: str, counted: Surroundings | None, quantification: int
) -> Coefficients:
    """Gain, bias and sigma of a band, the `number`th that is corrected; without `counted`, surroundings are left out."""
    optics = found.air.on_context(number, granule.ground)
    sigma = granule.cells.spread(np.ascontiguousarray(found.sigma[:, number]))
    sigma = np.where(np.isin(found.quality, (CLOUD, CIRRUS)), DOUBTFUL * sigma, sigma).astype(np.float32)
    if counted is None:
        gain, bias = uniform_gain_and_bias(optics, quantification)
        return Coefficients(gain, bias, optics["albedo"], sigma)
    toa = granule.toa[band]
    if band == "B08":
        # What counts has every band but this one: where it has no data, the nearest in wavelength has.
        toa = np.where(np.isnan(toa), granule.toa["B8A"], toa)
    around = surroundings_of(toa, optics, counted)
    gain, bias = gain_and_bias(around, optics, quantification)
    return Coefficients(gain, bias, None, sigma)


def _granule(unit: Unit, scene: Scene, io: UnitIO) -> Granule:
    plan, inputs = io.plan, io.plan.inputs
    index = plan.scene_names.index(unit.id)
    names = [name.removeprefix(f"{unit.array}/") for name in plan.sources if name.startswith(f"{unit.array}/")]
    read = {name: io.cube.read(f"{unit.array}/{name}", unit.window) for name in names}
    if scene.angles is None:
        raise CorruptData(f"scene {scene.id} has no angles in its plan: plan again")
    return Granule(
        toa={name: reflectance(dn, _radiometry(scene, name)) for name, dn in read.items() if name not in MASKS},
        elevation=io.cube.read(f"{unit.array}/{ELEVATION}", unit.window),
        masks={name: flags for name, flags in read.items() if name in MASKS},
        pixel=plan.contexts[index].dx,
        angles=scene.angles,
        told=Told(inputs["aot"], inputs["water_vapour"], inputs["ozone"], inputs["aerosol"]),
        auxiliary=scene.auxiliary or Auxiliary(),
    )


def _net(name: str) -> Model:
    """The net, if it reads what the coarse grid has. Raises InvalidInput where it reads other bands, or says other things."""
    net = load(name)
    lacking = [band for band in net.card.bands if band not in STATISTICS]
    silent = [output for output in SAID if output not in {tensor.name for tensor in net.card.outputs}]
    if lacking or silent:
        raise InvalidInput(
            f"model {name} reads {', '.join(net.card.bands)} and the coarse grid has {', '.join(STATISTICS)}; of "
            f"{', '.join(SAID)} it says {'all' if not silent else 'no ' + ', '.join(silent)}: publish a corrector there, or "
            f"choose model {PHYSICS}"
        )
    return net


def _radiometry(scene: Scene, band: str) -> Radiometry:
    radiometry = scene.assets[band].radiometry
    if radiometry is None:
        raise CorruptData(f"scene {scene.id} does not say what the numbers of {band} mean: get the product again")
    return radiometry


def reflectance(dn: NDArray[np.uint16], radiometry: Radiometry) -> Floats:
    """TOA reflectance of DNs; NaN where there is no data, or where pixels are saturated."""
    values = (dn.astype(np.float32) + radiometry.offset) / radiometry.quantification
    return np.where((dn == 0) | (dn == SATURATION), np.nan, values).astype(np.float32)


def _counts(found: Found, codes: NDArray[np.uint8]) -> dict[str, int]:
    kinds = np.bincount(codes.ravel(), minlength=7)
    return {
        **{f"quality_{code}": int(count) for code, count in enumerate(kinds)},
        "cells": len(found.aot),
        "fallback_milli": round(MILLI * float(found.fallback.sum(dtype=np.float64))),
        "aot_milli": round(MILLI * float(found.aot.sum(dtype=np.float64))),
        f"{HOW}{found.how}": 1,
    }


def _extremes(found: Found) -> Mapping[str, tuple[float, float]]:
    return {"aot": (float(found.aot.min()), float(found.aot.max()))}
