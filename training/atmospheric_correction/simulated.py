"""Simulated scenes as the functions get granules."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.granule import WATER_HEIGHT, Granule, Told
from eo.catalog import Angles, Auxiliary
from training.atmospheric_correction import scenes, testset
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.net import CORRECTED
from training.atmospheric_correction.scenes import CELL, COMPARED, FACTOR, OFFSET, OPTICS, QUANTIFICATION
from training.atmospheric_correction.sixs import BANDS, TYPES, Atmosphere
from training.atmospheric_correction.surfaces import BANDS as LIBRARY_BANDS
from training.atmospheric_correction.surfaces import SCENE_TYPES, library
from training.atmospheric_correction.testset import JITTER, Case, emulate

Floats = NDArray[np.floating[Any]]

SMALLEST, LARGEST = 171, 915
"""Coarse pixels along a scene: 20 to 110 km."""


@dataclass(frozen=True)
class Simulated:
    """A case as correctors get it."""

    case: Case
    granule: Granule
    piece: dict[str, Floats]
    """TOA reflectance at 10 m."""

    @classmethod
    def of(cls, case: Case) -> "Simulated":
        """The granule of a case, its air told as products tell it."""
        state = case.atmosphere
        sun = ((state.sun_zenith,) * 2,) * 2
        granule = Granule(
            toa={band: _reflectance(dn) for band, dn in case.scene.context.items()},
            elevation=case.scene.elevation,
            masks={},
            pixel=CELL,
            angles=Angles(sun, state.azimuth, dict.fromkeys(CORRECTED, (state.view_zenith, 0.0)), "product"),
            told=Told(water_vapour=_over_ground(state.water, case), ozone=state.ozone),
            auxiliary=Auxiliary(),
        )
        return cls(case, granule, {band: _reflectance(dn) for band, dn in case.scene.piece.items()})

    def at_piece(self, layer: Floats) -> Floats:
        """A layer of the context grid at the piece's pixels, bilinear."""
        row, col = self.case.scene.corner
        step = (np.arange(COMPARED) + 0.5) / FACTOR - 0.5
        rows, cols = row / FACTOR + step, col / FACTOR + step
        top, left = np.floor(rows).astype(int), np.floor(cols).astype(int)
        down, across = (rows - top).astype(np.float32)[:, None], (cols - left).astype(np.float32)
        upper = layer[top] + (layer[top + 1] - layer[top]) * down
        made: Floats = upper[:, left] + (upper[:, left + 1] - upper[:, left]) * across
        return made


def _reflectance(dn: NDArray[np.uint16]) -> Floats:
    return ((dn.astype(np.float32) + OFFSET) / QUANTIFICATION).astype(np.float32)


def _over_ground(water: float, case: Case) -> float:
    """6S's column down to the sea as one over the scene's mean ground, which is what products tell."""
    return float(water * np.exp(-case.scene.elevation.mean() / 1000 / WATER_HEIGHT))


def held_out(emulator: Emulator, *, seed: int, count: int) -> Iterator[Case]:
    """Whole scenes like those of the test sets, but none of them: ground that training sees under the emulator's air.

    `emulator` in float64. Aerosol types are pure and in turn, AOT is log-uniform from 0.02 to 0.8, the sun at 15 to 70
    degrees; nothing is adjacent.
    """
    columns = [LIBRARY_BANDS.index(band) for band in BANDS]
    spectra = {kind: values[:, columns] for kind, values in library().items()}
    types = SCENE_TYPES["train"]
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        state = Atmosphere(
            sun_zenith=rng.uniform(15, 70),
            view_zenith=rng.uniform(0, 12),
            azimuth=rng.uniform(0, 180),
            aot=math.exp(rng.uniform(math.log(0.02), math.log(0.8))),
            altitude=3 * rng.uniform() ** 2,
            water=rng.uniform(0.3, 5),
            ozone=rng.uniform(0.22, 0.45),
            mix={list(TYPES)[index % len(TYPES)]: 1.0},
        )
        weights = types[list(types)[rng.integers(len(types))]]
        materials = scenes.jittered(rng, scenes.chosen_spectra(rng, spectra, weights, rng.integers(3, 9)), JITTER)
        edge = round(math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST))))
        varied = scenes.variation(rng, altitude=state.altitude)
        aot, altitude = state.aot * varied.aot.ravel(), state.altitude + varied.altitude.ravel()
        said = emulate(emulator, state, np.append(aot, state.aot), np.append(altitude, state.altitude))
        optics = {name: said[name][:-1].reshape(scenes.NODES, scenes.NODES, -1) for name in OPTICS}
        centre = {name: values[-1] for name, values in said.items()}
        relief = 1000 * (state.altitude + varied.altitude)
        scene = scenes.simulate(rng, materials, optics, relief, edge=edge, adjacency=False)
        # Which pixels of a scene are compared is the test sets' to say.
        yield Case(index, state, scene, centre, ~testset._snow(scene.truth))  # noqa: SLF001
