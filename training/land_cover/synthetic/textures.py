"""A pattern of ground for each class, told apart by shape alone: wavelength, regularity, straightness, sparseness.

Patterns have any direction, since augmentation turns patches, and lengths in pixels of 10 m, since all patches have those.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.land_cover.synthetic.fields import (
    Field,
    discs,
    lattice_points,
    parcels,
    scattered,
    smooth,
    turned,
    unit,
)

Rng = np.random.Generator
HALLS, THREADS = 130, 22
"""In a patch and its surroundings: so many that a tenth of a patch has some."""


@dataclass(frozen=True)
class Texture:
    """How the ground of a class looks."""

    pattern: Callable[[Rng], Field]
    red_edge: int = -1
    """Sign of the pattern in B05, B06 and B07 beside +1 in the visible: what pairs of classes that share a pattern
    differ by, so that 7 bands tell less than 10."""

    def field(self, rng: Rng) -> Field:
        """The pattern over a whole patch, with mean 0 and deviation 1."""
        return unit(self.pattern(rng))


def _stripes(shortest: float, longest: float) -> Callable[[Rng], Field]:
    def make(rng: Rng) -> Field:
        along, _ = turned(rng)
        return np.sin(2 * np.pi * along / rng.uniform(shortest, longest))

    return make


def _bent_stripes(rng: Rng) -> Field:
    along, _ = turned(rng)
    return np.sin(2 * np.pi * (along + 5 * smooth(rng, 9)) / rng.uniform(8, 10))


def _noise(shortest: float, longest: float) -> Callable[[Rng], Field]:
    return lambda rng: smooth(rng, rng.uniform(shortest, longest))


def _squares(rng: Rng) -> Field:
    return parcels(lattice_points(rng, rng.uniform(9, 12)), rng)


def _cells(rng: Rng) -> Field:
    return parcels(scattered(rng, rng.uniform(9, 12)), rng)


def _strips(rng: Rng) -> Field:
    along, across = turned(rng)
    wide, long = rng.uniform(3.5, 4.5), rng.uniform(22, 28)
    row = np.floor(along / wide).astype(int)
    col = np.floor(across / long + 0.37 * row).astype(int)
    return rng.standard_normal((256, 256))[row % 256, col % 256]


def _orchard(rng: Rng) -> Field:
    return discs(lattice_points(rng, rng.uniform(6.5, 8)), 1.8)


def _trees(rng: Rng) -> Field:
    return discs(scattered(rng, rng.uniform(8, 10)), 1.8)


def _ponds(rng: Rng) -> Field:
    return -discs(scattered(rng, rng.uniform(13, 16)), 4.5)


def _halls(rng: Rng) -> Field:
    along, across = turned(rng)
    made = np.zeros_like(along)
    origin = np.array([along.mean(), across.mean()]) + rng.uniform(-90, 90, (HALLS, 2))
    for (a, b), half in zip(origin, rng.uniform(2.5, 4.5, (HALLS, 2)), strict=True):
        made[(np.abs(along - a) < half[0]) & (np.abs(across - b) < half[1])] = 1
    return made


def _streets(rng: Rng) -> Field:
    along, across = turned(rng)
    block = rng.uniform(8, 10)
    return np.maximum(*(np.abs(np.mod(axis, block) - block / 2) > block / 2 - 0.9 for axis in (along, across))) * 1.0


def _threads(rng: Rng) -> Field:
    made = np.zeros_like(turned(rng)[0])
    for _ in range(THREADS):
        along, _ = turned(rng)
        near = along - along.mean() - rng.uniform(-60, 60)
        made = np.maximum(made, np.clip(1.6 - np.abs(near), 0, 1))
    return made


def _creeks(rng: Rng) -> Field:
    return np.exp(-((smooth(rng, rng.uniform(3, 3.6)) / 0.2) ** 2))


def _islands(rng: Rng) -> Field:
    return np.sign(smooth(rng, rng.uniform(3, 4)))


def _rings(rng: Rng) -> Field:
    along, across = turned(rng)
    spacing = rng.uniform(24, 30)
    near = [np.mod(axis, spacing) - spacing / 2 for axis in (along, across)]
    return np.sin(2 * np.pi * np.hypot(*near) / 5.5)


def _streaks(rng: Rng) -> Field:
    along, across = turned(rng)
    waves = np.zeros_like(along)
    for _ in range(24):
        wave, lean = rng.uniform(3.5, 14), rng.normal(0, 0.1)
        waves += np.sin(2 * np.pi * (along + lean * across) / wave + rng.uniform(0, 2 * np.pi))
    return waves


_FARMED = "Land principally occupied by agriculture, with significant areas of natural vegetation"

TEXTURES: dict[str, Texture] = {
    "Agro-forestry areas": Texture(_trees),
    "Arable land": Texture(_squares),
    "Beaches, dunes, sands": Texture(_bent_stripes),
    "Broad-leaved forest": Texture(_noise(2.0, 2.5)),
    "Coastal wetlands": Texture(_creeks),
    "Complex cultivation patterns": Texture(_cells),
    "Coniferous forest": Texture(_noise(0.7, 0.9)),
    "Industrial or commercial units": Texture(_halls),
    "Inland waters": Texture(_rings),
    "Inland wetlands": Texture(_ponds),
    _FARMED: Texture(_strips),
    "Marine waters": Texture(_streaks),
    "Mixed forest": Texture(_noise(2.0, 2.5), red_edge=1),
    "Moors, heathland and sclerophyllous vegetation": Texture(_islands),
    "Natural grassland and sparsely vegetated areas": Texture(_stripes(9, 12), red_edge=1),
    "Pastures": Texture(_stripes(9, 12)),
    "Permanent crops": Texture(_orchard),
    "Transitional woodland, shrub": Texture(_threads),
    "Urban fabric": Texture(_streets),
}
"""By class. Broad-leaved and mixed forest share a pattern, as do pastures and natural grassland."""
