"""Kinds of surfaces, where their spectra come from, and what scenes are made of.

TRAIN and UNSEEN share no kind: what is measured on UNSEEN tells how a model does on ground that it never saw.
"""

from collections.abc import Callable
from dataclasses import dataclass

from training.atmospheric_correction.surfaces import canopy, drawn, measured, snow, water
from training.atmospheric_correction.surfaces.optics import Spectra


@dataclass(frozen=True)
class Kind:
    """A kind of surface."""

    make: Callable[[int], Spectra]
    """(seed) to spectra (n, bands). Needs prosail or Py6S for some kinds."""
    source: str
    """Whose values or model."""
    how: str
    """Formula and ranges, in words."""


_PROSAIL = "PROSAIL: Feret et al. 2017 doi:10.1016/j.rse.2017.03.004, Verhoef et al. 2007 doi:10.1109/TGRS.2007.895844"
_WATER = "Lee et al. 1999, 2002; Pope & Fry 1997; Palmer & Williams 1974; see surfaces/water.py"
_SNOW = "Kokhanovsky & Zege 2004, Zege et al. 2011, Warren & Brandt 2008; see surfaces/snow.py"


def _canopy(ranges: canopy.Canopy, count: int) -> Kind:
    return Kind(lambda seed: canopy.spectra(ranges, count, seed), _PROSAIL, str(ranges))


def _water(ranges: water.Waters, count: int) -> Kind:
    return Kind(lambda seed: water.spectra(ranges, count, seed), _WATER, str(ranges))


def _snow(ranges: snow.Snow, count: int) -> Kind:
    return Kind(lambda seed: snow.spectra(ranges, count, seed), _SNOW, str(ranges))


def _measured(library: str, prefixes: str, count: int) -> Kind:
    how = f"samples {', '.join(prefixes) or 'all'}; {measured.HOW}"
    return Kind(lambda seed: measured.spectra(library, prefixes, count, seed), measured.SOURCES[library], how)


def _drawn(name: str, count: int) -> Kind:
    return Kind(lambda seed: drawn.spectra(name, count, seed), "own parametrisation", drawn.HOW)


TRAIN = {
    "crop": _canopy(canopy.CROP, 256),
    "grass": _canopy(canopy.GRASS, 128),
    "broadleaf": _canopy(canopy.BROADLEAF, 128),
    "conifer": _canopy(canopy.CONIFER, 128),
    "shrub": _canopy(canopy.SHRUB, 128),
    "soil": _measured("OSSL", "", 128),
    "field": Kind(
        lambda seed: canopy.ground(64, seed),
        "soils of the package prosail 2.0.5 (soil_reflectance.txt)",
        "dry to wet, times 0.4 to 1.5",
    ),
    "sand": Kind(
        lambda seed: measured.sand(48, seed),
        "dry sand of 6S (Vermote et al. 1997, doi:10.1109/36.581987)",
        measured.SAND,
    ),
    "clear water": _water(water.CLEAR, 64),
    "coastal water": _water(water.COASTAL, 128),
    "lake water": _water(water.LAKE, 128),
    "snow": _snow(snow.SNOW, 128),
    "ice": _snow(snow.ICE, 64),
    "asphalt": _measured("SLUM", "A", 48),
    "concrete": _measured("SLUM", "CGSX", 64),
    "brick": _measured("SLUM", "B", 48),
    "roof tile": _measured("SLUM", "R", 48),
    "metal": _measured("SLUM", "Z", 32),
}
"""Kinds to train on and, in the test's first set, to test on."""

UNSEEN = {
    "char and ash": _drawn("char and ash", 64),
    "salt flat": _drawn("salt flat", 64),
    "gypsum": _drawn("gypsum", 32),
    "laterite": _drawn("laterite", 64),
    "lava": _drawn("lava", 48),
    "muddy water": _water(water.TURBID, 64),
    "algal bloom": _water(water.BLOOM, 64),
    "rice paddy": Kind(
        lambda seed: drawn.paddy(64, seed),
        f"{_PROSAIL}; {_WATER}",
        "PROSAIL over wet soil in shallow turbid water: 10 to 70 % of plants, the rest water of 5 to 60 g/m3 sediment",
    ),
    "photovoltaics": _drawn("photovoltaics", 32),
    "greenhouse": _drawn("greenhouse", 48),
    "roof sheet": _measured("SLUM", "VL", 48),
    "tundra": _drawn("tundra", 64),
}
"""Kinds to test on and never to train on."""

SCENE_TYPES: dict[str, dict[str, dict[str, float]]] = {
    "train": {
        "rural": {"crop": 0.4, "grass": 0.2, "soil": 0.15, "field": 0.1, "broadleaf": 0.1, "asphalt": 0.03, "lake water": 0.02},
        "forest": {"broadleaf": 0.4, "conifer": 0.4, "grass": 0.12, "lake water": 0.04, "soil": 0.04},
        "arid": {"sand": 0.4, "soil": 0.3, "shrub": 0.27, "concrete": 0.03},
        "coastal": {"coastal water": 0.35, "clear water": 0.25, "crop": 0.15, "broadleaf": 0.1, "sand": 0.05, "concrete": 0.1},
        "urban": {
            "asphalt": 0.2, "concrete": 0.2, "roof tile": 0.15, "brick": 0.1, "metal": 0.05, "grass": 0.12,
            "broadleaf": 0.12, "lake water": 0.06,
        },
        "alpine-snow": {"snow": 0.4, "ice": 0.08, "conifer": 0.25, "grass": 0.17, "soil": 0.1},
        "lake": {"lake water": 0.5, "broadleaf": 0.15, "conifer": 0.1, "crop": 0.15, "grass": 0.1},
    },
    "unseen": {
        "burnt": {"char and ash": 0.6, "conifer": 0.2, "shrub": 0.2},
        "salt": {"salt flat": 0.5, "gypsum": 0.3, "shrub": 0.1, "soil": 0.1},
        "tropical": {"laterite": 0.6, "broadleaf": 0.25, "muddy water": 0.15},
        "volcanic": {"lava": 0.7, "tundra": 0.2, "clear water": 0.1},
        "delta": {"muddy water": 0.45, "rice paddy": 0.45, "crop": 0.1},
        "eutrophic": {"algal bloom": 0.6, "rice paddy": 0.1, "crop": 0.2, "broadleaf": 0.1},
        "glasshouses": {"greenhouse": 0.5, "photovoltaics": 0.2, "roof sheet": 0.1, "soil": 0.2},
        "industrial": {"roof sheet": 0.45, "photovoltaics": 0.25, "asphalt": 0.15, "concrete": 0.15},
        "arctic": {"tundra": 0.75, "lava": 0.1, "snow": 0.15},
    },
}  # fmt: skip
"""Shares of kinds in a scene, by group and type of scene; unseen kinds are 60 to 100 % of an unseen scene."""
