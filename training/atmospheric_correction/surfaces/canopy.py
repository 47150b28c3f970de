"""Vegetation: PROSAIL, as the package prosail runs it over its own soils.

That is PROSPECT-D in leaves (Feret et al. 2017, doi:10.1016/j.rse.2017.03.004) and 4SAIL in the canopy (Verhoef et al.
2007, doi:10.1109/TGRS.2007.895844).

PROSAIL knows no crowns: the shade that they throw is a share of the ground that reflects nothing (own
parametrisation), and lowers the whole spectrum.
"""

from dataclasses import dataclass

import numpy as np

from training.atmospheric_correction.surfaces.optics import Range, Spectra, even, in_bands


@dataclass(frozen=True)
class Canopy:
    """Ranges of a kind of vegetation, evenly filled."""

    lai: Range
    """Leaf area index."""
    chlorophyll: Range
    """ug/cm2; carotenoids are a fifth to a third of it."""
    brown: Range
    """Senescent pigment, 0-1."""
    water: Range
    """Equivalent water thickness of leaves, cm."""
    matter: Range
    """Dry matter of leaves, g/cm2."""
    layers: Range
    """PROSPECT's leaf structure."""
    angle: Range
    """Mean angle of leaves, degrees."""
    shade: Range
    """Share of the canopy in the shade of crowns."""


CROP = Canopy((0.1, 6.0), (15, 80), (0, 0.4), (0.005, 0.035), (0.002, 0.010), (1.2, 2.0), (30, 70), (0, 0.05))
GRASS = Canopy((0.2, 5.0), (5, 55), (0, 1), (0.003, 0.025), (0.002, 0.012), (1.2, 2.2), (50, 80), (0, 0.05))
BROADLEAF = Canopy((1.5, 7.0), (25, 75), (0, 0.3), (0.006, 0.025), (0.004, 0.015), (1.4, 2.2), (25, 60), (0.05, 0.35))
CONIFER = Canopy((1.0, 6.0), (25, 70), (0, 0.4), (0.015, 0.05), (0.012, 0.03), (2.0, 3.0), (40, 65), (0.3, 0.65))
SHRUB = Canopy((0.1, 1.5), (10, 50), (0, 0.8), (0.004, 0.02), (0.006, 0.025), (1.4, 2.5), (40, 75), (0, 0.3))


def spectra(canopy: Canopy, count: int, seed: int, *, wet_ground: bool = False) -> Spectra:
    """Reflectances over soils from dark and wet to bright and dry, (count, bands)."""
    import prosail  # noqa: PLC0415 - building alone needs it

    dryness = (0.0, 0.2 if wet_ground else 1.0)
    sides = [*vars(canopy).values(), (0.2, 0.33), (0.0, 8.0), (0.4, 1.4), dryness, (20, 65), (0.05, 0.5)]
    made = []
    for lai, cab, brown, water, matter, layers, angle, shade, carotene, anthocyanin, bright, dry, sun, hot in even(
        sides, count, seed
    ):
        reflectance = prosail.run_prosail(
            layers, cab, carotene * cab, brown, water, matter, lai, angle, hot, sun, 0.0, 0.0,
            ant=anthocyanin * brown, prospect_version="D", rsoil=bright, psoil=dry,
        )  # fmt: skip
        made.append((1 - shade) * reflectance)
    return in_bands(np.array(made))


def ground(count: int, seed: int) -> Spectra:
    """Dry and wet soil of the package prosail, mixed and made brighter or darker, (count, bands)."""
    from prosail.spectral_library import get_spectra  # noqa: PLC0415 - building alone needs it

    soil = get_spectra().soil
    points = even([(0.0, 1.0), (0.4, 1.5)], count, seed)
    dry, bright = points[:, :1], points[:, 1:]
    return in_bands(bright * (dry * soil.rsoil1 + (1 - dry) * soil.rsoil2))
