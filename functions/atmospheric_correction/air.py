"""What the air does to each band: between the levels and cells for which a model says it, and as gain and bias of DNs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.adjacency import Surroundings
from atmospheric_correction.cells import Cells
from eo.correction import SURFACE

Floats = NDArray[np.floating[Any]]

OPTICS = ("path", "t_down", "t_dir", "t_dif", "albedo", "gas")
"""Path reflectance; scattering transmittance from the sun, and direct and diffuse to the sensor; spherical albedo;
transmittance of gases there and back."""
LEVELS = np.array([0.0, 1.0, 2.0, 3.5, 5.5], np.float32)
"""Kilometres for which models are asked; between them the optics are as good as linear in pressure."""
SCALE_HEIGHT = 8.2
"""Kilometres in which pressure falls to 1/e (US Standard Atmosphere 1976, lowest 5 km)."""


@dataclass(frozen=True)
class Air:
    """The optics of a granule's cells for the corrected bands."""

    cells: Cells
    optics: Mapping[str, Floats]
    """By name of OPTICS, each (cells, levels, bands)."""

    def on_context(self, band: int, elevation: Floats) -> dict[str, Floats]:
        """The optics of a band on the context grid, each (rows, columns), at the elevation (metres) of each pixel."""
        weights = _level_weights(elevation)
        down, across = self.cells.spreads()
        return {
            name: _at_height(values[..., band], weights, down, across, self.cells.grid)
            for name, values in self.optics.items()
        }


def _level_weights(elevation: Floats) -> dict[int, Floats]:
    """By level: its weight for each pixel. Levels that no pixel needs are left out; below and above, the outermost holds.

    Linear in pressure.
    """
    pressure = np.exp(-elevation / (1000 * SCALE_HEIGHT)).astype(np.float32)
    at = np.exp(-LEVELS / SCALE_HEIGHT)
    low, high = pressure.min(), pressure.max()
    weights = {}
    for level in range(len(LEVELS)):
        if (level and low >= at[level - 1]) or (level + 1 < len(LEVELS) and high <= at[level + 1]):
            continue
        weight = np.ones_like(pressure)
        if level:
            weight = np.minimum(weight, (at[level - 1] - pressure) / (at[level - 1] - at[level]))
        if level + 1 < len(LEVELS):
            weight = np.minimum(weight, (pressure - at[level + 1]) / (at[level] - at[level + 1]))
        weights[level] = np.clip(weight, 0, 1)
    return weights


def _at_height(
    values: Floats, weights: Mapping[int, Floats], down: Floats, across: Floats, grid: tuple[int, int]
) -> Floats:
    """Values of cells and levels (cells, levels) on the context grid."""
    parts = [weight * (down @ values[:, level].reshape(grid) @ across) for level, weight in weights.items()]
    total: Floats = sum(parts[1:], start=parts[0])
    return total


def uniform_inverse(toa: Floats, optics: Mapping[str, Floats]) -> Floats:
    """Surface reflectance where the surroundings are like the pixel: exact."""
    light = (toa / optics["gas"] - optics["path"]) / (optics["t_down"] * (optics["t_dir"] + optics["t_dif"]))
    return light / (1 + optics["albedo"] * light)


def inverse(toa: Floats, around: Floats, optics: Mapping[str, Floats]) -> Floats:
    """Surface reflectance where the surroundings reflect `around`: exact."""
    light = (toa / optics["gas"] - optics["path"]) * (1 - optics["albedo"] * around) / optics["t_down"]
    return (light - optics["t_dif"] * around) / optics["t_dir"]


def forward(rho: Floats, around: Floats, optics: Mapping[str, Floats]) -> Floats:
    """TOA reflectance: Tg (path + Td (t_dir rho + t_dif rho_env) / (1 - S rho_env))."""
    light = optics["t_down"] * (optics["t_dir"] * rho + optics["t_dif"] * around) / (1 - optics["albedo"] * around)
    return optics["gas"] * (optics["path"] + light)


def surroundings_of(toa: Floats, optics: Mapping[str, Floats], counted: Surroundings) -> Floats:
    """What surrounds each pixel of the context reflects, in two fixed-point steps from "like the pixel itself"."""
    around = counted.mean(np.clip(uniform_inverse(toa, optics), 0, 1.2))
    return counted.mean(np.clip(inverse(toa, around, optics), 0, 1.2))


def gain_and_bias(around: Floats, optics: Mapping[str, Floats], quantification: int) -> tuple[Floats, Floats]:
    """(gain, bias) for which surface DN = gain (TOA DN + offset) + bias, on the context grid.

    With the surroundings known the inversion is linear in what the sensor saw. The offset is the product's: left out here,
    so that products with and without one give equal bits.
    """
    slope = (1 - optics["albedo"] * around) / (optics["t_down"] * optics["t_dir"])
    return _as_dn(
        slope, slope * optics["path"] + optics["t_dif"] / optics["t_dir"] * around, optics["gas"], quantification
    )


def uniform_gain_and_bias(optics: Mapping[str, Floats], quantification: int) -> tuple[Floats, Floats]:
    """(gain, bias) of the same form for light = reflectance / (1 - albedo reflectance): see `uniform_inverse`."""
    slope = 1 / (optics["t_down"] * (optics["t_dir"] + optics["t_dif"]))
    return _as_dn(slope, slope * optics["path"], optics["gas"], quantification)


def _as_dn(slope: Floats, less: Floats, gas: Floats, quantification: int) -> tuple[Floats, Floats]:
    """Slope TOA / gas - less, from DNs without offset to DNs of SURFACE."""
    gain = SURFACE.quantification * slope / (gas * quantification)
    bias = -SURFACE.offset - SURFACE.quantification * less
    return gain.astype(np.float32), bias.astype(np.float32)
