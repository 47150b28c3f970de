"""Waters: reflectance from what absorbs and scatters in them.

    rrs = (0.0895 + 0.1247 u) u,  u = bb / (a + bb)        Lee et al. 1999, doi:10.1364/AO.38.003831
    Rrs = 0.52 rrs / (1 - 1.7 rrs)                         Lee et al. 2002, doi:10.1364/AO.41.005755
    rho = pi Rrs + glint

- pure water: absorption as in `optics`; scattering 0.00288 (500 / nm)^4.32 1/m (Morel 1974), half of it backwards;
- phytoplankton: absorption at 440 nm 0.06 chl^0.65 1/m (Lee et al. 1998, doi:10.1364/AO.37.006329), its shape a sum of
  Gaussians (own parametrisation); scattering 0.416 chl^0.766 1/m at 550 nm and the share of it that goes back after
  Morel & Maritorena 2001 (doi:10.1029/2000JC000319);
- dissolved matter: exp(-0.014 (nm - 440)), Bricaud et al. 1981 (doi:10.4319/lo.1981.26.1.0043);
- sediment: absorption 0.031 m2/g at 443 nm falling with exp(-0.0123 nm), Babin et al. 2003
  (doi:10.1029/2001JC000882); scattering 0.5 m2/g at 555 nm, 1.83 % of it backwards; its slope is a range here.
"""

from dataclasses import dataclass

import numpy as np

from training.atmospheric_correction.surfaces.optics import NANOMETRES, Range, Spectra, even, in_bands, water_absorption


@dataclass(frozen=True)
class Waters:
    """Ranges of a kind of water; the first three are filled evenly in their logarithm, the rest evenly."""

    chlorophyll: Range
    """mg/m3."""
    dissolved: Range
    """Absorption of dissolved matter at 440 nm, 1/m."""
    sediment: Range
    """g/m3."""
    slope: Range = (0.0, 1.2)
    """Of the sediment's scattering: (555 / nm)^slope."""
    glint: Range = (0.0, 0.02)
    """Added at every wavelength."""
    scum: Range = (0.0, 0.0)
    """Share of the surface under floating algae."""


CLEAR = Waters((0.03, 2.0), (0.005, 0.1), (0.01, 0.5))
COASTAL = Waters((0.5, 15.0), (0.05, 1.0), (0.5, 20.0))
LAKE = Waters((1.0, 40.0), (0.1, 3.0), (0.3, 10.0))
TURBID = Waters((1.0, 20.0), (0.1, 1.5), (60.0, 1500.0), slope=(0.0, 0.6))
BLOOM = Waters((60.0, 600.0), (0.3, 3.0), (1.0, 15.0), scum=(0.0, 0.4))

_PIGMENT = ((435.0, 26.0, 1.0), (470.0, 32.0, 0.65), (540.0, 40.0, 0.18), (625.0, 25.0, 0.18), (675.0, 12.0, 0.55))
"""Gaussians (nm, width, height) of the absorption of phytoplankton."""


def spectra(waters: Waters, count: int, seed: int) -> Spectra:
    """Reflectances, (count, bands)."""
    sides = np.array(list(vars(waters).values()))
    sides[:3] = np.log(sides[:3])
    points = even(sides.tolist(), count, seed)
    points[:, :3] = np.exp(points[:, :3])
    chlorophyll, dissolved, sediment, slope, glint, scum = (points[:, [column]] for column in range(6))
    open_water = np.pi * leaving(chlorophyll, dissolved, sediment, slope)
    return in_bands((1 - scum) * open_water + scum * _floating() + glint)


def leaving(chlorophyll: Spectra, dissolved: Spectra, sediment: Spectra, slope: Spectra) -> Spectra:
    """Remote-sensing reflectance of water without glint, 1/sr, (n, 2101); each given as (n, 1), as in `Waters`."""
    absorbed = water_absorption() + _pigment(chlorophyll) + dissolved * np.exp(-0.014 * (NANOMETRES - 440))
    absorbed = absorbed + 0.031 * sediment * np.exp(-0.0123 * (NANOMETRES - 443))
    back = 0.5 * 0.00288 * (500 / NANOMETRES) ** 4.32 + _plankton(chlorophyll)
    back = back + 0.0183 * 0.5 * sediment * (555 / NANOMETRES) ** slope
    share = back / (absorbed + back)
    below = (0.0895 + 0.1247 * share) * share
    above: Spectra = 0.52 * below / (1 - 1.7 * below)
    return above


def _pigment(chlorophyll: Spectra) -> Spectra:
    """Absorption of phytoplankton, 1/m."""
    bells = [height * np.exp(-0.5 * ((NANOMETRES - nm) / width) ** 2) for nm, width, height in _PIGMENT]
    shape = np.sum(bells, axis=0)
    at_440 = shape[NANOMETRES == 440]
    absorbed: Spectra = 0.06 * chlorophyll**0.65 * shape / at_440
    return absorbed


def _plankton(chlorophyll: Spectra) -> Spectra:
    """Backscattering of phytoplankton, 1/m; the shares of Morel & Maritorena hold to 2 mg/m3 and are kept beyond."""
    log = np.log10(np.clip(chlorophyll, 0.02, 2.0))
    slope = np.minimum(0.5 * (log - 0.3), 0.0)
    share = 0.002 + 0.01 * (0.5 - 0.25 * log) * (NANOMETRES / 550) ** slope
    back: Spectra = 0.416 * chlorophyll**0.766 * share
    return back


def _floating() -> Spectra:
    """Algae at the surface: green, with a red edge, dark where water absorbs. Own parametrisation."""
    edge = 1 / (1 + np.exp(-(NANOMETRES - 710) / 12))
    green = 0.05 + 0.06 * np.exp(-0.5 * ((NANOMETRES - 560) / 35) ** 2)
    floating: Spectra = (green + 0.35 * edge) * np.exp(-water_absorption() / 1500)
    return floating
