"""Constants of water and ice, and what is common to all models of a surface: wavelengths and the mean over a band.

Tables are thinned and read linearly in wavelength between their points.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

BANDS = ("B01", "B02", "B03", "B04", "B08", "B8A", "B11", "B12")
"""Bands of every spectrum here, Sentinel-2A."""
CENTRES = (443.0, 492.0, 560.0, 665.0, 833.0, 865.0, 1614.0, 2202.0)
"""Their central wavelengths, nm."""
NANOMETRES = np.arange(400.0, 2501.0)
"""Wavelengths of every modelled spectrum, those of PROSAIL."""

Spectra = NDArray[np.float64]
"""(n, wavelengths) or (n, bands), reflectance."""
Range = tuple[float, float]
"""From, to."""

_WATER = """400 .00663 410 .00473 420 .00454 430 .00495 440 .00635 450 .00922 460 .00979 470 .0106 480 .0127 490 .0150
500 .0204 510 .0325 520 .0409 530 .0434 540 .0474 550 .0565 560 .0619 570 .0695 580 .0896 590 .1351 600 .2224 610 .2644
620 .2755 630 .2916 640 .3108 650 .340 660 .410 670 .439 680 .465 690 .516 700 .624 710 .827 720 1.231 727.5 1.678
735 2.38 746 2.75 758 2.72 769 2.51 781 2.30 794 2.10 806 1.95 820 1.99 833 3.08 847 3.87 862 4.28 877 5.06 893 6.09
909 7.5 926 11.9 943 21.4 962 47.1 973 51.4 990 46.9 1010 35.1 1031 23.1 1053 16.4 1070 14.8 1099 19.2 1124 32.3
1149 97 1190 125 1220 122 1250 111 1282 113 1316 167 1351 387 1389 913 1443 3170 1493 2170 1515 1560 1538 1210 1563 968
1587 807 1613 680 1639 607 1667 565 1695 565 1724 623 1754 760 1802 948 1852 1080 1887 5750 1927 12400 1961 10900
2000 6920 2041 4500 2083 3100 2128 2360 2198 1930 2273 2300 2326 2930 2381 4180 2439 6350 2500 9570"""
"""nm and absorption of pure water in 1/m: Pope & Fry 1997 (doi:10.1364/AO.36.008710) to 727.5 nm, then Palmer &
Williams 1974 (doi:10.1364/JOSA.64.001107)."""

_ICE = """400 2.365e-11 420 3.135e-11 440 6.268e-11 460 1.325e-10 480 2.861e-10 500 5.889e-10 520 1.076e-9 540 1.813e-9
560 2.839e-9 580 4.159e-9 600 5.73e-9 620 8.58e-9 640 1.22e-8 660 1.66e-8 680 2.09e-8 700 2.9e-8 720 4.03e-8 740 4.92e-8
760 7.08e-8 780 1.02e-7 800 1.34e-7 820 1.43e-7 840 1.51e-7 850 1.83e-7 860 2.15e-7 870 2.65e-7 880 3.35e-7 900 4.2e-7
920 4.74e-7 950 6.02e-7 980 1.12e-6 1000 1.62e-6 1030 2.33e-6 1050 2.17e-6 1090 1.73e-6 1130 2.04e-6 1150 2.29e-6
1200 6.71e-6 1250 1.29e-5 1300 1.32e-5 1350 1.39e-5 1400 1.98e-5 1430 1.028e-4 1460 2.942e-4 1493 5.532e-4 1504 5.373e-4
1527 4.908e-4 1538 4.594e-4 1563 3.858e-4 1587 3.105e-4 1613 2.659e-4 1650 2.361e-4 1680 2.046e-4 1700 1.875e-4
1760 1.522e-4 1830 1.302e-4 1870 1.632e-4 1905 4.081e-4 1942 1.108e-3 1980 1.614e-3 2020 1.566e-3 2062 1.267e-3
2083 1.023e-3 2105 7.586e-4 2130 5.255e-4 2150 4.025e-4 2170 3.235e-4 2190 2.707e-4 2220 2.228e-4 2245 2.026e-4
2270 2.171e-4 2290 2.538e-4 2310 3.138e-4 2330 3.858e-4 2370 5.187e-4 2430 6.259e-4 2500 7.53e-4"""
"""nm and imaginary part of the refractive index of ice, Warren & Brandt 2008 (doi:10.1029/2007JD009744)."""


def table(text: str) -> Spectra:
    """Pairs of wavelength and value at NANOMETRES, (2101,)."""
    nm, value = np.array(text.split(), np.float64).reshape(-1, 2).T
    read: Spectra = np.interp(NANOMETRES, nm, value)
    return read


def water_absorption() -> Spectra:
    """(2101,), 1/m."""
    return table(_WATER)


def ice_absorption() -> Spectra:
    """(2101,), imaginary part of the refractive index."""
    return table(_ICE)


def knots(points: dict[float, float]) -> Spectra:
    """A spectrum drawn through some points (nm: reflectance), (2101,)."""
    drawn: Spectra = np.interp(NANOMETRES, list(points), list(points.values()))
    return drawn


@cache
def _weights() -> Spectra:
    """(bands, wavelengths): share of each wavelength in a band of Sentinel-2A."""
    from training.atmospheric_correction.sixs import spectral_response  # noqa: PLC0415 - building alone needs Py6S

    rows = []
    for band in BANDS:
        first, last, response = spectral_response("S2A", band)
        nm = 1000 * np.linspace(first, last, len(response))
        row = np.interp(NANOMETRES, nm, response, left=0, right=0)
        rows.append(row / row.sum())
    return np.array(rows)


def even(ranges: Sequence[Range], count: int, seed: int) -> NDArray[np.float64]:
    """Points that fill ranges evenly (Sobol, scrambled by the seed), (count, ranges). A range may be one value wide."""
    from scipy.stats import qmc  # noqa: PLC0415 - building alone needs it

    lows, highs = np.array(ranges, np.float64).T
    points: NDArray[np.float64] = lows + (highs - lows) * qmc.Sobol(len(ranges), seed=seed).random(count)
    return points


def in_bands(spectra: Spectra) -> Spectra:
    """Means over the bands of spectra (n, 2101), weighted by the spectral response: (n, bands)."""
    means: Spectra = spectra @ _weights().T
    return means
