"""The corrector `physics`: 6S's functions for an AOT and an aerosol type, told or found from dark pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.air import LEVELS, OPTICS, forward, uniform_inverse
from eo.found_air import CLIMATOLOGY
from eo.model import Model

Floats = NDArray[np.floating[Any]]

TYPES = ("continental", "maritime", "urban", "desert")
"""Aerosol types of 6S, in the order of the models' inputs and outputs."""
BANDS = ("B01", "B02", "B03", "B04", "B08", "B8A", "B12")
"""Those of the table."""
TRIED = np.geomspace(0.01, 2.0, 24).astype(np.float32)
"""AOTs between which dark pixels decide."""
OF_INFRARED = {"B04": 0.5, "B02": 0.25}
"""Reflectance of dark vegetation at 0.66 and 0.49 um, relative to 2.1 um (Kaufman et al. 1997, doi:10.1109/36.628795)."""
DARK = (0.01, 0.12)
"""Reflectance at 2.2 um of pixels that count as dark."""
GREEN = 0.35
"""Normalised difference of 0.86 and 0.66 um, without air molecules, from which a pixel is vegetation."""
ENOUGH = 5
"""Dark pixels that a neighbourhood has to have."""


@dataclass(frozen=True)
class State:
    """What is known of each cell but its aerosol; all (cells,), float32."""

    sun_zenith: Floats
    """Degrees."""
    view_zenith: Floats
    azimuth: Floats
    """Between sun and view, degrees, 0 to 180."""
    water: Floats
    """g/cm2, of a column down to the sea."""
    ozone: Floats
    """cm-atm."""

    def repeated(self, times: int) -> dict[str, Floats]:
        """Each cell's values so many times in a row."""
        return {name: np.repeat(values, times) for name, values in vars(self).items()}


def optics(  # noqa: PLR0917 - what the air is made of
    model: Model, state: State, aot: Floats, mix: Floats, bands: Sequence[str], levels: Floats = LEVELS
) -> dict[str, Floats]:
    """The optics by name, each (cells, levels, bands), for an AOT (cells,) and shares of types (cells, types)."""
    cells, count = len(aot), len(levels)
    said = model.run(
        **state.repeated(count),
        aot=np.repeat(aot, count),
        altitude=np.tile(levels, cells),
        mix=np.repeat(mix, count, axis=0),
    )
    chosen = [BANDS.index(band) for band in bands]
    return {name: said[name].reshape(cells, count, -1)[..., chosen] for name in OPTICS}


def mixture(kind: str, cells: int) -> Floats:
    """(cells, types) of one type everywhere."""
    shares = np.zeros((cells, len(TYPES)), np.float32)
    shares[:, TYPES.index(kind)] = 1
    return shares


@dataclass(frozen=True)
class DarkPixels:
    """What dark vegetation says about the aerosol of each cell."""

    aot: Floats
    """(cells,), CLIMATOLOGY where nothing is known."""
    known: NDArray[np.bool_]
    """(cells,): whether a dark pixel is near."""


def from_dark_pixels(
    model: Model,
    state: State,
    near: Floats,
    *,
    pixels: Mapping[str, Floats],
    clear: Mapping[str, Floats],
    valid: Floats,
    heights: Floats,
    kind: str,
    around: Mapping[str, Floats] | None,
) -> DarkPixels:
    """AOT of each cell from the dark vegetation in its neighbourhood, else in the scene, else CLIMATOLOGY.

    `pixels` and `clear` are TOA reflectances, as seen and without air molecules, by band, (cells, n); `valid` 1 or 0;
    `heights` km; `near` (cells, cells). The AOT under which blue and red are what the short-wave infrared says.

    `around`, where given, is the mean TOA reflectance around each pixel in the bands of OF_INFRARED. Dark pixels are seen
    through the light of their surroundings, and bright ones would pass for aerosol; without, they are taken to be as dark.
    """
    infrared, red, near_infrared = clear["B12"], clear["B04"], clear["B8A"]
    with np.errstate(invalid="ignore", divide="ignore"):
        vegetation = (near_infrared - red) / np.maximum(near_infrared + red, 1e-3)
        dark = (valid > 0) & (infrared > DARK[0]) & (infrared < DARK[1]) & (vegetation > GREEN)
    count = dark.sum(1).astype(np.float32)

    def mean(values: Floats) -> Floats:
        of_them: Floats = near @ np.where(dark, values, 0).sum(1).astype(np.float32) / np.maximum(near @ count, 1)
        return of_them

    cells, tries = len(count), len(TRIED)
    altitude = mean(heights)
    mix = mixture(kind, cells * tries)
    said = model.run(**state.repeated(tries), aot=np.tile(TRIED, cells), altitude=np.repeat(altitude, tries), mix=mix)
    ground = mean(infrared)
    found = np.zeros(cells, np.float32)
    for band, ratio in OF_INFRARED.items():
        air = {name: said[name][:, BANDS.index(band)].reshape(cells, tries) for name in OPTICS}
        rho = (ratio * ground)[:, None]
        beside = rho if around is None else np.clip(uniform_inverse(mean(around[band])[:, None], air), 0, 1.2)
        seen = forward(rho, beside, air)
        wanted = mean(pixels[band])
        found += 0.5 * np.array([np.interp(w, *_rising(s)) for w, s in zip(wanted, seen, strict=True)], np.float32)
    here = near @ count >= ENOUGH
    if not here.any():
        return DarkPixels(np.full(cells, CLIMATOLOGY, np.float32), here)
    return DarkPixels(np.where(here, found, np.median(found[here])).astype(np.float32), here)


def _rising(seen: Floats) -> tuple[Floats, Floats]:
    """(TOA reflectances, AOTs) as far as more aerosol means a brighter pixel."""
    top = int(np.argmax(seen)) + 1
    return seen[:top], TRIED[:top]
