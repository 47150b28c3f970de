"""What is known of a granule before its atmosphere is looked for: coarse bands, elevation, angles, gases."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.cells import Cells
from atmospheric_correction.physics import State
from atmospheric_correction.water import water_vapour
from eo.catalog import Angles, Auxiliary
from eo.found_air import ASSUMED, OZONE, VIEW, WATER, first, mean_view

Floats = NDArray[np.floating[Any]]

WATER_HEIGHT = 2.3
"""Kilometres in which the column of water vapour falls to 1/e (fitted to what 6S makes of altitude)."""


@dataclass(frozen=True)
class Told:
    """What the user says of the atmosphere; None where they leave it to the product or the pixels."""

    aot: float | None = None
    water_vapour: float | None = None
    ozone: float | None = None
    aerosol: str = "continental"
    """Type of 6S for the corrector `physics`."""


@dataclass(frozen=True)
class Granule:
    """The coarse grid of a scene and what lies on it. Arrays are (rows, columns)."""

    toa: Mapping[str, Floats]
    """TOA reflectance by band, NaN where there is no data."""
    elevation: Floats
    """Metres, NaN where unknown."""
    masks: Mapping[str, NDArray[np.uint8]]
    """The product's own, by name; empty where it has none."""
    pixel: float
    """Edge of a pixel in metres."""
    angles: Angles
    told: Told
    auxiliary: Auxiliary

    @property
    def cells(self) -> Cells:
        """Its cells."""
        return Cells(self.elevation.shape)

    @cached_property
    def ground(self) -> Floats:
        """Elevation in metres, the mean of what is known where it is not; the sea's where nothing is."""
        unknown = np.isnan(self.elevation)
        if unknown.all():
            return np.zeros_like(self.elevation)
        filled = np.where(unknown, np.nanmean(self.elevation, dtype=np.float64), self.elevation)
        return np.clip(filled, -450, 5500).astype(np.float32)

    @property
    def aot(self) -> tuple[float | None, str]:
        """(AOT at 550 nm that somebody tells, who)."""
        return first(self.told.aot, self.auxiliary.aot550)

    @cached_property
    def water(self) -> tuple[float, str]:
        """(column of water vapour above the granule's mean ground in g/cm2, who tells)."""
        value, who = first(self.told.water_vapour, self.auxiliary.water_vapour)
        if value is None and {"B09", "B8A"} <= self.toa.keys():
            (ul, ur), (ll, lr) = self.angles.sun_zenith
            sun, view = min((ul + ur + ll + lr) / 4, 80.0), self.angles.view.get("B09", VIEW)[0]
            value, who = water_vapour(self.toa["B09"], self.toa["B8A"], sun_zenith=sun, view_zenith=view), "B09"
        return (WATER, ASSUMED) if value is None else (value, who)

    @property
    def ozone(self) -> tuple[float, str]:
        """(column of ozone in cm-atm, who tells)."""
        value, who = first(self.told.ozone, self.auxiliary.ozone)
        return OZONE if value is None else value, who

    def state(self, bands: tuple[str, ...]) -> State:
        """What is known of each cell; the view is the mean of the bands'."""
        down, across = self.cells.centres()
        (ul, ur), (ll, lr) = self.angles.sun_zenith
        sun = (1 - down) * ((1 - across) * ul + across * ur) + down * ((1 - across) * ll + across * lr)
        (zenith, azimuth), _ = mean_view(self.angles, bands)
        between = abs((self.angles.sun_azimuth - azimuth + 180) % 360 - 180)
        sea = self.water[0] * np.exp(float(self.ground.mean(dtype=np.float64)) / 1000 / WATER_HEIGHT)

        def everywhere(value: float) -> Floats:
            return np.full(self.cells.count, value, np.float32)

        return State(
            sun_zenith=sun.astype(np.float32),
            view_zenith=everywhere(min(zenith, 15)),
            azimuth=everywhere(between),
            water=everywhere(min(max(sea, 0.05), 12)),
            ozone=everywhere(self.ozone[0]),
        )
