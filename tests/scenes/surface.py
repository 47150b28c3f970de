"""What covers the ground of the generated world, and the light it reflects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.ground import Ground, ground_at
from scenes.noise import METRES_PER_DEGREE, Field, Floats, scramble, smoothstep, unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scenes.clouds import Clouds, Sun
    from scenes.world import World

BANDS = ("B02", "B03", "B04", "B08")

# Surface reflectance in B02, B03, B04 and B08 (492, 560, 665, 833 nm). Round numbers chosen by hand to be typical of each
# class, not means of a library; for real spectra see the ECOSTRESS library (Meerdink et al. 2019,
# doi:10.1016/j.rse.2019.05.015), the USGS library 7 (Kokaly et al. 2017, doi:10.3133/ds1035) and, for snow, Dozier and
# Painter 2004 (doi:10.1146/annurev.earth.32.101802.120404).
_REFLECTANCE = {
    "conifers": (0.020, 0.036, 0.022, 0.24),
    "beeches": (0.026, 0.058, 0.032, 0.38),
    "meadow": (0.036, 0.080, 0.054, 0.40),
    "turf": (0.056, 0.090, 0.086, 0.30),
    "rock": (0.190, 0.220, 0.240, 0.29),
    "town": (0.115, 0.125, 0.135, 0.21),
    "roofs": (0.120, 0.130, 0.190, 0.26),
    "snow": (0.880, 0.870, 0.850, 0.76),
    "water": (0.038, 0.044, 0.026, 0.012),
    "cloud": (0.720, 0.705, 0.700, 0.73),
}
_CROPS = np.array(
    [
        (0.032, 0.078, 0.036, 0.46),  # maize
        (0.040, 0.092, 0.050, 0.42),  # clover
        (0.036, 0.080, 0.054, 0.40),  # meadow
        (0.036, 0.080, 0.054, 0.40),
        (0.048, 0.094, 0.082, 0.37),  # mown meadow
        (0.075, 0.120, 0.145, 0.32),  # ripe cereals
        (0.080, 0.105, 0.130, 0.22),  # bare loam
        (0.030, 0.062, 0.036, 0.37),  # orchards
        (0.030, 0.062, 0.036, 0.37),
        (0.034, 0.072, 0.044, 0.38),  # vineyards
    ],
    np.float32,
)

WATER, SNOW, VEGETATION, BARE, SHADOW, CLOUD_MEDIUM, CLOUD_HIGH = 6, 11, 4, 5, 3, 8, 9
"""Codes of the Sentinel-2 scene classification (SCL)."""


@dataclass(frozen=True)
class Cover:
    """Shares of what covers each place, float32 in 0 to 1, laid one over the other in this order."""

    fields: Field
    crop: NDArray[np.uint32]
    """Index into `_CROPS` of the parcel at the place."""
    forest: Field
    broadleaf: Field
    turf: Field
    rock: Field
    town: Field
    roofs: Field
    water: Field
    snow: Field


def snow_line(lat: Floats) -> Field:
    """Altitude above which snow lies in summer: about 2,600 m in the Alps, down to 900 m on Svalbard."""
    return (5000 - 52 * np.abs(lat)).astype(np.float32)


def cover_at(world: World, ground: Ground, lon: Floats, lat: Floats) -> Cover:
    """Decide what covers each place from altitude, slope, water and chance; arrays of one shape."""
    patchy, fine = world.noise(lon, lat, 90, 40), world.noise(lon, lat, 34, 41)
    rough = np.float32(0.7) * patchy + np.float32(0.5) * fine
    line = snow_line(lat)
    tree_line = line - np.float32(650)
    height, slope = ground.elevation, ground.slope
    flat = smoothstep(-0.17, -0.11, -slope) * smoothstep(-0.24, -0.17, -ground.shore)
    forest = smoothstep(-60, 60, tree_line - height + 110 * ground.moisture + 50 * rough)
    clearing = smoothstep(0.10, 0.22, ground.moisture + np.float32(0.22) * rough) * smoothstep(-0.6, -0.35, -slope)
    forest = forest * (1 - clearing) * (1 - flat)
    rock = np.maximum(
        smoothstep(-120, 160, height - tree_line - 340 + 160 * rough + 700 * (slope - 0.5)),
        smoothstep(0.95, 1.15, slope + np.float32(0.15) * rough),
    )
    snow = smoothstep(-80, 60, height - line - 120 + 150 * ground.moisture + 60 * rough - 420 * (slope - 0.55))
    town = flat * smoothstep(0.56, 0.64, ground.people)
    block = unit(scramble(np.floor(lon * 4500), np.floor(lat * 5600), 91))
    return Cover(
        fields=flat,
        crop=_parcels(lon, lat),
        forest=forest,
        broadleaf=smoothstep(-250, 250, tree_line - 750 - height)
        * smoothstep(-0.1, 0.3, ground.moisture + patchy * np.float32(0.2)),
        turf=smoothstep(-300, 200, height - tree_line),
        rock=rock,
        town=town * (block > np.float32(0.3)),
        roofs=(block > np.float32(0.72)).astype(np.float32),
        water=smoothstep(-0.0015, 0.0015, -ground.shore),
        snow=snow,
    )


def _parcels(lon: Floats, lat: Floats) -> NDArray[np.uint32]:
    """Crop of the parcel at each place: long strips in rows, laid out anew in each tenth of a degree of latitude."""
    belt = np.floor(lat * 10)
    x = lon * METRES_PER_DEGREE * np.cos(np.radians(belt / 10))
    y = lat * METRES_PER_DEGREE
    along, across = 0.88 * x + 0.47 * y, 0.88 * y - 0.47 * x
    row = np.floor(across / 130)
    luck = unit(scramble(row, belt, 7)).astype(np.float64)
    column = np.floor(along / (80 + 210 * luck) + 50 * luck)
    return scramble(column, row, 8) % np.uint32(len(_CROPS))


def sensor_noise(columns: NDArray[Any], rows: NDArray[Any], *, band: str, seed: int) -> Field:
    """Noise of one detector sample in reflectance, rms 0.0006: a signal-to-noise ratio of about 170 at 0.1.

    It gives the files the entropy of real ones, on which the time to decode JPEG 2000 depends.
    """
    stream = seed * 16 + BANDS.index(band)
    bits = scramble(columns, rows, stream)
    # The sum of three uniform numbers of 10 bits is close enough to a normal one; its variance is 3 / 12.
    ten = np.uint32(1023)
    total = (bits & ten) + (bits >> np.uint32(10) & ten) + (bits >> np.uint32(20) & ten)
    return np.asarray((total.astype(np.float32) - np.float32(1534.5)) * np.float32(0.0006 * 2 / 1024), np.float32)


def reflectance(cover: Cover, ground: Ground, bands: tuple[str, ...]) -> list[Field]:
    """Surface reflectance of each band as seen through the clouds, float32, not below 0.0005."""
    light = (np.float32(0.38) + np.float32(0.62) * ground.shade) * (np.float32(1) + np.float32(0.10) * ground.grain)
    light *= np.float32(1) - np.float32(0.62) * ground.shadow
    return [_band(BANDS.index(band), cover, ground, light) for band in bands]


def _band(index: int, cover: Cover, ground: Ground, light: Field) -> Field:
    def pick(name: str) -> np.float32:
        return np.float32(_REFLECTANCE[name][index])

    trees = pick("conifers") + (pick("beeches") - pick("conifers")) * cover.broadleaf
    houses = pick("town") + (pick("roofs") - pick("town")) * cover.roofs
    rho = pick("meadow") + (pick("turf") - pick("meadow")) * cover.turf
    for share, over in (
        (cover.fields, _CROPS[:, index][cover.crop]),
        (cover.forest, trees),
        (cover.rock, pick("rock")),
        (cover.town, houses),
        (cover.snow, pick("snow")),
    ):
        rho += (over - rho) * share
    rho *= light
    # Water mirrors the sky and has no slope: it keeps its own light.
    rho += (pick("water") - rho) * cover.water
    rho += (pick("cloud") * (np.float32(1) + np.float32(0.06) * ground.grain) - rho) * ground.cloud
    return np.asarray(np.maximum(rho, np.float32(0.0005)), np.float32)


def scene_class(cover: Cover, ground: Ground) -> NDArray[np.uint8]:
    """SCL code of each place, uint8."""
    half = 0.5
    code = np.full(cover.water.shape, VEGETATION, np.uint8)
    bare_crop = (cover.fields > half) & (cover.forest <= half) & ((cover.crop == 5) | (cover.crop == 6))
    code[bare_crop | (cover.rock > half) | (cover.town > half)] = BARE
    code[cover.snow > half] = SNOW
    code[cover.water > half] = WATER
    code[ground.shadow > half] = SHADOW
    code[ground.cloud > 0.2] = CLOUD_MEDIUM
    code[ground.cloud > 0.7] = CLOUD_HIGH
    return code


def look(world: World, lon: Floats, lat: Floats, *, sun: Sun, clouds: Clouds) -> tuple[Ground, Cover]:
    """Everything about places that an image needs; `lon` and `lat` of one shape."""
    ground = ground_at(world, lon, lat, sun=sun, clouds=clouds)
    return ground, cover_at(world, ground, lon, lat)
