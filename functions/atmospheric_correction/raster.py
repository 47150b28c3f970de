"""The raster stage: a shard of surface reflectance and quality as tiles of GeoTIFFs, with what the merge draws and counts."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.quality import CIRRUS, CLOUD, CORRECTED, FALLBACK, NO_DATA, SATURATED, SNOW
from atmospheric_correction.spectra import series
from eo import cog, correction
from eo.cog_layout import Band, Raster, whole
from eo.correction import SURFACE, corrected
from eo.grid import Window
from eo.job import Part, Plan, Unit
from eo.radiometry import stretch_lut
from eo.thumbnail import thumbnail
from eo.unit_io import UnitIO

QUALITY = {
    NO_DATA: ("no_data", "no data"),
    CORRECTED: ("corrected", "corrected"),
    FALLBACK: ("physics", "corrected by the physics fallback"),
    SNOW: ("snow", "snow"),
    CIRRUS: ("cirrus", "cirrus"),
    CLOUD: ("cloud", "cloud"),
    SATURATED: ("saturated", "saturated"),
}
"""(name, description) of the codes of `quality`."""
GOOD = (CORRECTED, FALLBACK)
"""Codes of the pixels whose reflectance the statistics describe."""
COLOURS: Mapping[str, Literal["Red", "Green", "Blue"]] = {"B04": "Red", "B03": "Green", "B02": "Blue"}
BRIGHTEST = 0.3
"""Reflectance that pictures show as full brightness, before and after alike; 0 is black, linear."""
PIXEL = np.dtype([(name, "u1", 3) for name in ("before", "after")] + [(name, "u1") for name in ("seen", "made")])
"""A point of the coarse lattice: colours (red, green, blue) before and after, and whether there is data for each."""


def surface_raster(bands: tuple[str, ...]) -> Raster:
    """Surface reflectance as a file, whose visible bands readers show in their own colours."""
    return Raster("surface", "uint16", tuple(Band(b, 1e-4, -0.1, colour=COLOURS.get(b, "")) for b in bands), 0)


QUALITY_RASTER = Raster("quality", "uint8", (Band("quality"),), 0, classes=True)


def uncertainty_raster(bands: tuple[str, ...]) -> Raster:
    """The uncertainty of surface reflectance as a file."""
    return Raster("uncertainty", "uint16", tuple(Band(f"{band} 1-sigma", 1e-4, 0.0) for band in bands), 0)


def encode(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Leave the tiles, statistics and thumbnail of a shard."""
    plan, window = io.plan, unit.window
    bands = corrected(plan)
    quality = io.cube.read_target("quality", window)
    surface = {band: io.cube.read_target(correction.surface(band), window) for band in bands}
    cog.put(io, surface_raster(bands), whole(plan), window, list(surface.values()))
    cog.put(io, QUALITY_RASTER, whole(plan), window, [quality])
    statistics: dict[str, Any] = {}
    described = np.isin(quality, GOOD)
    small = np.zeros(thumbnail(quality, window, plan).shape, PIXEL)
    small["seen"] = small["made"] = 1
    for band, after in surface.items():
        before = io.cube.read_target(band, window)
        good = described & (before > 0) & (after > 0)
        statistics[band] = {
            "before": series(before, good, plan.radiometry[band]),
            "after": series(after, good, SURFACE),
        }
        if band in COLOURS:
            place = tuple(COLOURS).index(band)
            for name, known, dn, radiometry in (
                ("before", "seen", before, plan.radiometry[band]),
                ("after", "made", after, SURFACE),
            ):
                points = thumbnail(dn, window, plan)
                small[name][..., place] = stretch_lut(radiometry, BRIGHTEST)[points]
                small[known] &= points > 0
    io.put("statistics", [json.dumps(statistics).encode()])
    io.put("thumbnail", [small.tobytes()])
    counts = np.bincount(quality.ravel(), minlength=len(QUALITY))
    return Part(
        unit=unit.id,
        keys=io.left.keys,
        sizes=io.left.sizes,
        digests=io.left.digests,
        counts={f"quality_{code}": int(counts[code]) for code in QUALITY},
        extremes=_extremes(quality > 0, plan, window),
    )


def _extremes(made: NDArray[np.bool_], plan: Plan, window: Window) -> dict[str, tuple[float, float]]:
    """Smallest and largest coordinates of the centres of pixels with data."""
    cols, rows = np.flatnonzero(made.any(axis=0)), np.flatnonzero(made.any(axis=1))
    if not cols.size:
        return {}
    x = [plan.grid.x(window.col + int(cols[end]) + 0.5) for end in (0, -1)]
    y = [plan.grid.y(window.row + int(rows[end]) + 0.5) for end in (-1, 0)]
    return {"x": (x[0], x[1]), "y": (y[0], y[1])}
