"""Surfaces that are drawn through points, where no published table could be had: own parametrisation.

They are shaped by what is known of such surfaces (iron bands near 530 and 870 nm in laterite, water of crystallisation
near 1.45 and 1.94 um in gypsum, silicon's edge at 1.1 um, lichens that lack the depth of a red edge), and their levels
are chosen, not measured. They serve to test on ground that no model was trained on, not to describe it.
"""

import numpy as np

from training.atmospheric_correction.surfaces import canopy, water
from training.atmospheric_correction.surfaces.optics import Spectra, in_bands, knots

# fmt: off
_NM = (400, 443, 492, 560, 620, 665, 705, 760, 833, 865, 950, 1100, 1300, 1450, 1614, 1750, 1940, 2100, 2202, 2300, 2500)
_ENDS: dict[str, tuple[tuple[float, ...], ...]] = {
    "char and ash": (
        (2.5, 2.6, 2.8, 3.2, 3.5, 3.8, 4.1, 4.6, 5.3, 5.6, 6.3, 7.8, 9.4, 10.4, 11.6, 12.4, 13.3, 14.4, 15, 15.4, 16),
        (4, 4.3, 4.9, 6.1, 7.2, 8, 8.9, 10.2, 12, 12.7, 14.4, 17.6, 21, 22.5, 25, 26, 25, 26, 26, 25, 23),
        (22, 24, 26, 29, 31, 32.5, 33.5, 35, 37, 37.5, 39, 41, 43, 42, 45, 46, 42, 45, 45, 42, 40),
        (8, 9, 10.5, 13, 15, 16.5, 18, 19.5, 21.5, 22, 24, 27, 30, 30, 33, 34, 31, 33, 33, 31, 28),
    ),
    "salt flat": (
        (40, 44, 49, 55, 58, 60, 61, 62, 63, 63, 63, 62, 60, 49, 53, 52, 33, 40, 41, 37, 25),
        (24, 27, 31, 37, 41, 43, 44, 45, 47, 47, 47, 47, 46, 35, 41, 41, 24, 33, 34, 30, 20),
        (17, 19, 22, 27, 31, 33, 34, 35, 36, 36, 35, 33, 29, 13, 18, 18, 6, 11, 12, 10, 6),
    ),
    "gypsum": (
        (58, 62, 66, 70, 72, 73, 74, 75, 76, 76, 75, 75, 70, 45, 62, 50, 22, 42, 38, 36, 22),
        (36, 40, 45, 51, 55, 57, 58, 59, 60, 60, 60, 60, 57, 38, 51, 43, 20, 35, 32, 30, 18),
    ),
    "laterite": (
        (3, 3.4, 4.2, 7.5, 15, 18.5, 21, 23.5, 23, 22.8, 24.5, 30, 36, 35, 39, 40, 34, 38, 33, 37, 31),
        (5, 5.8, 7.2, 12, 22.5, 26.5, 29.5, 32, 31, 30.8, 33, 40, 47, 45, 50, 51, 42, 48, 41, 46, 38),
        (2.2, 2.4, 2.8, 4.4, 8.5, 10.5, 12, 13.5, 13, 12.8, 13.8, 17, 20.5, 19, 22, 22.5, 18, 20.5, 18, 20, 16.5),
    ),
    "lava": (
        (3.2, 3.5, 3.8, 4.2, 4.5, 4.7, 4.8, 5, 5, 5, 4.9, 5.1, 5.6, 5.9, 6.2, 6.4, 6.4, 6.6, 6.7, 6.6, 6.5),
        (6, 6.6, 7.4, 8.5, 9.3, 9.8, 10.1, 10.4, 10.3, 10.2, 9.9, 10.2, 11.4, 12, 12.8, 13.1, 12.9, 13.2, 13.2, 13, 12.7),
        (5, 5.6, 6.6, 9, 12.5, 14.2, 15, 15.8, 15.7, 15.6, 15.9, 17.6, 19.7, 20, 21.4, 22, 21, 22, 22, 21.6, 20.6),
    ),
    "photovoltaics": (
        (4.5, 4, 3.5, 3.2, 3.1, 3.1, 3.1, 3.2, 3.4, 3.6, 4.3, 13, 23, 24, 26, 25, 22, 22, 20, 17, 14),
        (8, 9, 7.5, 5, 4.4, 4.2, 4.2, 4.4, 4.8, 5, 6.2, 19, 31, 31, 33, 31, 27, 26, 24, 20, 16),
        (9, 8.5, 8, 7.6, 7.4, 7.3, 7.3, 7.4, 7.5, 7.6, 7.8, 8.5, 9, 9.2, 9.5, 9.5, 9.3, 9.4, 9.3, 9, 8.8),
    ),
    "greenhouse": (
        (30, 36, 41, 45, 46, 46.5, 47, 48, 48, 48, 47, 45, 43, 38, 39, 30, 33, 33, 31, 18, 17),
        (20, 23, 26, 30, 29.5, 28, 31, 40, 44, 44.5, 44, 43, 39, 28, 31, 24, 22, 25, 24, 14, 12),
        (13, 15, 18, 22, 24.5, 26, 27, 28.5, 30, 30.5, 31, 32, 32, 28, 31, 25, 25, 28, 27, 16, 15),
        (50, 60, 68, 71, 72, 72, 71.5, 71, 70, 69.5, 67, 64, 60, 54, 54, 40, 45, 44, 41, 24, 22),
    ),
    "tundra": (
        (9, 12, 16, 23, 26, 27, 29.5, 35, 39, 40, 42, 46, 46, 34, 39, 36, 22, 25, 25, 22, 16),
        (3, 3.4, 4, 6.5, 7.2, 6.6, 10, 19, 22.5, 23.2, 24.5, 26, 25, 15, 20, 18, 8, 12, 12, 10, 7),
        (4, 4.7, 5.6, 8, 10, 10.5, 13, 20, 23.5, 24.3, 26, 30, 31, 21, 27, 24, 12, 17, 17, 15, 10),
        (3.5, 4.2, 5, 6.6, 8.6, 9.8, 11.4, 14.5, 17, 17.8, 19.6, 23.5, 26, 21, 26, 25, 17, 21, 20.5, 18, 14),
    ),
}
# fmt: on
"""Ends of mixtures, per cent at _NM: char, char and soil, white ash, ash and litter; crust, dirty and wet crust; bright
and dirty gypsum; light, bright and dark laterite; fresh, weathered and oxidised lava; panels of one crystal, of many,
and thin film; film over ground, over plants, dusty film, whitened film; lichen, moss, sedge, heath."""
HOW = (
    "drawn through points (surfaces/drawn.py), linear in wavelength; mixtures of the ends, times 0.8 to 1.25, "
    "tilted by up to 10 % over the range"
)


def spectra(name: str, count: int, seed: int) -> Spectra:
    """Mixtures of a kind's ends, (count, bands)."""
    ends = np.array([knots(dict(zip(_NM, end, strict=True))) for end in _ENDS[name]]) / 100
    return varied(in_bands(ends), count, seed)


def varied(ends: Spectra, count: int, seed: int, *, spread: float = 0.22, tilt: float = 0.1) -> Spectra:
    """Mixtures of spectra, made brighter or darker and tilted: (count, bands).

    Shares are of a Dirichlet distribution of total concentration 2: few ends in each, whatever their number. Brightness
    is exp(+-spread).
    """
    random = np.random.default_rng(seed)
    made = random.dirichlet(np.full(len(ends), 2 / len(ends)), count) @ ends
    made = made * np.exp(random.uniform(-spread, spread, (count, 1)))
    slope = random.uniform(-tilt, tilt, (count, 1)) * np.linspace(-1, 1, ends.shape[1])
    varied: Spectra = made * (1 + slope)
    return varied


def paddy(count: int, seed: int) -> Spectra:
    """Plants that stand in water, (count, bands)."""
    plants = canopy.spectra(canopy.GRASS, count, seed, wet_ground=True)
    shallow = water.spectra(water.Waters((2, 30), (0.2, 2), (5, 60)), count, seed + 1)
    share = np.random.default_rng(seed).uniform(0.1, 0.7, (count, 1))
    mixed: Spectra = share * plants + (1 - share) * shallow
    return mixed
