"""Training pairs for `atmosphere-field`: sets of coarse pixels of simulated scenes, made as they are needed.

A batch is as many scenes; each has a neighbourhood (pixels under one atmosphere, give or take) and the rest of its
granule (the same aerosol, more or less of it, at other altitudes). Grounds vary independently in each band around the
library's spectra, by up to a third: what models are worth on ground that they never saw is decided here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from atmospheric_correction.air import SCALE_HEIGHT
from atmospheric_correction.granule import OZONE, WATER
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.sixs import BANDS, TYPES
from training.atmospheric_correction.surfaces import BANDS as LIBRARY_BANDS
from training.atmospheric_correction.surfaces import SCENE_TYPES, library

MATERIALS = 8
"""Materials of a scene, at most."""
ELSEWHERE = 4
"""Atmospheres of the rest of the granule."""
DESERT = list(TYPES).index("desert")
WIDEST = 0.30
"""Largest standard deviation by which the bands of a spectrum vary independently of each other."""
Draw = Callable[..., Tensor]
"""Random numbers: (low, high, *shape) uniform ones, (*shape) normal ones."""


class Batch(NamedTuple):
    """Scenes, each with its neighbourhood (row 2 i) and the rest of its granule (row 2 i + 1)."""

    toa: Tensor
    """(2 scenes, pixels, bands) reflectance."""
    rho: Tensor
    """(2 scenes, pixels, bands): the ground's."""
    env: Tensor
    """As rho: what surrounds each pixel."""
    valid: Tensor
    """(2 scenes, pixels) 1 or 0."""
    clean: Tensor
    """(2 scenes, pixels) 1 where nothing lies over the pixel that the truth does not know."""
    heights: Tensor
    """(2 scenes, pixels) km."""
    state: dict[str, Tensor]
    """(2 scenes,) sun_zenith, view_zenith, azimuth, water, ozone: as the corrector is told."""
    aot: Tensor
    """(2 scenes,)."""


class PixelSets:
    """Batches by number, as many as anybody wants; what a number gives depends on the seed alone."""

    def __init__(self, emulator: Emulator, *, seed: int, scenes: int = 48, pixels: int = 128) -> None:
        self._emulator = emulator.float().eval()
        self._seed, self._scenes, self._pixels = seed, scenes, pixels
        columns = [LIBRARY_BANDS.index(band) for band in BANDS]
        kinds = {name: torch.tensor(values[:, columns], dtype=torch.float32) for name, values in library().items()}
        types = SCENE_TYPES["train"]
        used = sorted({kind for weights in types.values() for kind in weights})
        self._spectra = torch.cat([kinds[kind] for kind in used])
        odds = [
            torch.cat([torch.full((len(kinds[k]),), weights.get(k, 0.0) / len(kinds[k])) for k in used])
            for weights in types.values()
        ]
        # Any kind may lie anywhere, if seldom: real scenes do not keep to types.
        anything = torch.cat([torch.full((len(kinds[k]),), 1 / len(kinds[k]) / len(used)) for k in used])
        self._odds = torch.stack([0.75 * each / each.sum() + 0.25 * anything for each in odds])

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        draw = torch.Generator().manual_seed(int(np.random.SeedSequence((self._seed, number)).generate_state(1)[0]))
        with torch.no_grad():
            return self._made(draw)

    def _made(self, draw: torch.Generator) -> Batch:
        scenes, pixels, bands = self._scenes, self._pixels, len(BANDS)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(*shape, generator=draw)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=draw)

        rho = self._ground(draw, uniform, normal)
        mean = rho.mean(1, keepdim=True)
        near = uniform(0.3, 0.9, 2 * scenes, 1, 1)
        env = near * rho + (1 - near) * mean
        optics, state, heights, aot = self._air(uniform, normal)
        path, down, direct, diffuse, albedo, gas = optics
        toa = gas * (path + down * (direct * rho + diffuse * env) / (1 - albedo * env))
        # Thin cirrus over some scenes, and clouds' edges in some pixels: no truth for these, but models meet them.
        veil = torch.where(uniform(0, 1, 2 * scenes, 1, 1) < 0.15, uniform(0, 0.01, 2 * scenes, 1, 1), torch.zeros(()))
        cloudy = uniform(0, 1, 2 * scenes, pixels, 1) < uniform(0, 0.06, 2 * scenes, 1, 1) ** 1.5
        toa = toa + veil * gas + torch.where(cloudy, uniform(0, 0.15, 2 * scenes, pixels, 1), torch.zeros(()))
        toa = toa * (1 + 0.01 * normal(2 * scenes, 1, bands)) * (1 + 0.002 * normal(2 * scenes, pixels, bands))
        size = torch.exp(uniform(math.log(8), math.log(2 * pixels), 2 * scenes, 1))
        valid = (torch.arange(pixels)[None] < size).float()
        # Snow is left out, as the corrector leaves it out: most of it.
        green, infrared = rho[..., BANDS.index("B03")], rho[..., BANDS.index("B12")]
        snow = (green > 0.2) & (green - infrared > 0.4 * (green + infrared))
        valid = valid * ~(snow & (uniform(0, 1, 2 * scenes, pixels) < 0.95))
        valid[:, 0] = 1
        clean = (~cloudy[..., 0]).float() * valid * (veil[..., 0] == 0)
        return Batch(toa, rho, env, valid, clean, heights, state, aot)

    def _ground(self, draw: torch.Generator, uniform: Draw, normal: Draw) -> Tensor:
        """(2 scenes, pixels, bands): the neighbourhood has some of the granule's materials."""
        scenes, pixels, bands = self._scenes, self._pixels, len(BANDS)
        types = torch.randint(len(self._odds), (scenes,), generator=draw)
        chosen = torch.multinomial(self._odds[types], MATERIALS, generator=draw)
        spectra = self._spectra[chosen]
        spectra = spectra * torch.exp(uniform(0.05, WIDEST, scenes, 1, 1) * normal(scenes, MATERIALS, bands))
        spectra = spectra.repeat_interleave(2, 0)
        share = uniform(0.5, 2.5, 2 * scenes, 1) * normal(2 * scenes, MATERIALS)
        share = share - 20.0 * (
            torch.arange(MATERIALS)[None] >= torch.randint(1, MATERIALS + 1, (2 * scenes, 1), generator=draw)
        )
        gumbel = -torch.log(-torch.log(uniform(1e-6, 1 - 1e-6, 2 * scenes, pixels, MATERIALS)))
        mixed = torch.softmax((share[:, None] + gumbel) * uniform(1, 8, 2 * scenes, 1, 1), -1)
        rho = mixed @ spectra
        texture = torch.exp(uniform(0, 0.2, 2 * scenes, 1, 1) * normal(2 * scenes, pixels, 1))
        return torch.clamp(rho * texture * torch.exp(0.04 * normal(2 * scenes, pixels, bands)), 0, 1.2)

    def _air(self, uniform: Draw, normal: Draw) -> tuple[list[Tensor], dict[str, Tensor], Tensor, Tensor]:
        """(optics of each pixel, what the corrector is told, pixels' heights, AOT of each row)."""
        scenes, pixels = self._scenes, self._pixels
        state = {
            "sun_zenith": uniform(10, 75, scenes),
            "view_zenith": uniform(0, 12.5, scenes),
            "azimuth": uniform(0, 180, scenes),
            "water": uniform(0.2, 5.5, scenes),
            "ozone": uniform(0.22, 0.46, scenes),
        }
        aot = torch.exp(uniform(math.log(0.01), math.log(1.1), scenes))
        aot = torch.where(uniform(0, 1, scenes) < 0.25, uniform(0.02, 0.95, scenes), aot)
        base = 3.6 * uniform(0, 1, scenes) ** 2
        kinds = torch.eye(len(TYPES))[(uniform(0, 1, scenes) * len(TYPES)).long()]
        dusty = torch.eye(len(TYPES))[DESERT]
        blend = torch.where(uniform(0, 1, scenes, 1) < 0.25, uniform(0, 1, scenes, 1), torch.zeros(()))
        mix = (1 - blend) * kinds + blend * dusty
        # One atmosphere here, some others elsewhere in the granule.
        places = 1 + ELSEWHERE
        aots = aot[:, None] * torch.exp(uniform(0, 0.3, scenes, 1) * normal(scenes, places))
        aots[:, 0] = aot
        bases = torch.clamp(base[:, None] + uniform(0, 0.5, scenes, 1) * normal(scenes, places), min=0, max=4.4)
        bases[:, 0] = base

        def spread(values: Tensor) -> Tensor:
            return values[:, None].expand(-1, places).reshape(scenes * places)

        told = {name: spread(values) for name, values in state.items()}
        said = self._emulator(
            aot=aots.reshape(-1), altitude=bases.reshape(-1), mix=mix.repeat_interleave(places, 0), **told
        )
        place = torch.arange(pixels) % ELSEWHERE
        optics = []
        for each in said:
            by_place = each.reshape(scenes, places, 1, -1)
            here = by_place[:, :1].expand(-1, -1, pixels, -1)
            there = by_place[:, 1:, 0][:, place][:, None]
            optics.append(torch.cat([here, there], 1).reshape(2 * scenes, pixels, -1))
        rough = uniform(0, 0.2, 2 * scenes, 1) * normal(2 * scenes, pixels)
        heights = torch.stack([bases[:, :1].expand(-1, pixels), bases[:, 1:][:, place]], 1).reshape(2 * scenes, pixels)
        # Pixels' own heights thin out the air above them; the emulator's answer is for their place's.
        heights = torch.clamp(heights + rough, min=-0.3)
        thinner = torch.exp(-rough / SCALE_HEIGHT)[..., None]
        optics[0] = optics[0] * thinner
        # Water is told well, badly, or not at all.
        luck = uniform(0, 1, scenes)
        water = torch.where(luck < 0.5, state["water"] * torch.exp(0.15 * normal(scenes)), state["water"])
        water = torch.where(luck > 0.75, torch.full((scenes,), WATER), water)
        state = {
            **state,
            "water": water,
            "ozone": torch.where(luck > 0.9, torch.full((scenes,), OZONE), state["ozone"]),
        }
        return optics, {k: v.repeat_interleave(2) for k, v in state.items()}, heights, aot.repeat_interleave(2)
