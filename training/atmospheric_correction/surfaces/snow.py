"""Snow and bare ice: the asymptotic solution of radiative transfer for weak absorption.

    rho = exp(-5.8 sqrt(gamma a)),  gamma = 4 pi (chi + 0.2 c) / wavelength

after Kokhanovsky & Zege 2004 (doi:10.1364/AO.43.001589) and, for the form factor 5.8 (grains of mixed shapes) and the
soot, Zege et al. 2011 (doi:10.1016/j.rse.2011.06.001): a is the effective radius of grains, chi the imaginary part of
the refractive index of ice, c the volume of soot in a volume of ice. It is the albedo under diffuse light; the angles
of sun and view are left out, as everything here is Lambertian.
"""

from dataclasses import dataclass

import numpy as np

from training.atmospheric_correction.surfaces.optics import NANOMETRES, Range, Spectra, even, ice_absorption, in_bands


@dataclass(frozen=True)
class Snow:
    """Ranges, filled evenly in their logarithm."""

    radius: Range
    """Effective, of grains, um."""
    soot: Range
    """Volume of soot in a volume of ice."""


SNOW = Snow((50, 1500), (1e-9, 5e-7))
ICE = Snow((2000, 15000), (2e-8, 3e-6))


def spectra(snow: Snow, count: int, seed: int) -> Spectra:
    """Reflectances, (count, bands)."""
    points = np.exp(even(np.log([snow.radius, snow.soot]).tolist(), count, seed))
    return in_bands(albedo(points[:, :1], points[:, 1:]))


def albedo(radius: Spectra, soot: Spectra) -> Spectra:
    """Spectra (n, 2101) of grains of some radius (um) and soot, both (n, 1)."""
    absorbed = 4 * np.pi * (ice_absorption() + 0.2 * soot) / (NANOMETRES * 1e-9)
    reflected: Spectra = np.exp(-5.8 * np.sqrt(absorbed * radius * 1e-6))
    return reflected
