"""Scenes as a job sees them: all that fetching needs, so that a plan is complete without the catalogue.

`eo.stac_item` makes them from STAC items, `plan.local_catalog` from SAFE products.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from eo.grid import RasterGrid
from eo.radiometry import Radiometry

Json = Mapping[str, Any]

CLASSES = "SCL"
"""The scene classification."""
MASKS: Mapping[str, int] = {"MSK_OPAQUE": 1, "MSK_CIRRUS": 2, "MSK_SNOW": 3}
"""Masks of opaque cloud, cirrus and snow, and their bands in a product's `MSK_CLASSI_B00.jp2`."""

_NATIVE: Mapping[str, int] = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B01": 60, "B09": 60, "B10": 60}

SYNTHETIC = "eo_shards:synthetic"
"""Property of items of generated scenes."""

Satellite = Literal["S2A", "S2B", "S2C"]
_SATELLITE = re.compile(r"(?:sentinel[- ]?|s)2([abc])")
_SATELLITES: Mapping[str, Satellite] = {"a": "S2A", "b": "S2B", "c": "S2C"}


def native_metres(band: str) -> int:
    """Pixel size of the sensor's band, 20 m where it is neither 10 nor 60; L1C file names do not say it."""
    return _NATIVE.get(band, 20)


def is_class(band: str) -> bool:
    """Whether a band holds codes instead of reflectance: it has no radiometry, is never averaged, and may be missing."""
    return band == CLASSES or band in MASKS


@dataclass(frozen=True, slots=True)
class Asset:
    """One band of a scene: where it is and what its numbers mean."""

    href: str
    """An absolute path, or a URL of a place that the settings name."""
    band: int = 1
    """Number of the band in the file, from 1."""
    radiometry: Radiometry | None = None
    """From numbers to reflectance; None for classes."""
    declared: RasterGrid | None = None
    """Grid as the catalogue declares it. It may be wrong: the file decides."""
    size: int | None = None
    """Bytes of the file, where the catalogue says."""
    checksum: str | None = None
    """Multihash of the file in hex (STAC file extension), where the catalogue says."""

    @classmethod
    def from_dict(cls, values: Json) -> Self:
        """Undo `dataclasses.asdict`."""
        radiometry, declared = values["radiometry"], values["declared"]
        read = {
            "radiometry": None if radiometry is None else Radiometry(**radiometry),
            "declared": None if declared is None else RasterGrid(**declared),
        }
        return cls(**{**values, **read})


Corners = tuple[tuple[float, float], tuple[float, float]]
"""Values at the corners of a granule: ((upper left, upper right), (lower left, lower right))."""


@dataclass(frozen=True, slots=True)
class Angles:
    """Where the sun and the sensor stood, in degrees."""

    sun_zenith: Corners
    """At the outer corners of the granule's images, for bilinear interpolation over them."""
    sun_azimuth: float
    """Mean, clockwise from north."""
    view: Mapping[str, tuple[float, float]]
    """Mean (zenith, azimuth) by band; without the bands that nothing is known of, so it may be empty."""
    origin: Literal["product", "item", "time"]
    """Where they come from: the granule's metadata, the catalogue's item, or the sun's position at the sensing time."""

    @property
    def lowest_sun(self) -> float:
        """The sun's zenith angle where it is largest."""
        return max(max(row) for row in self.sun_zenith)

    @classmethod
    def from_dict(cls, values: Json) -> Self:
        """Undo `dataclasses.asdict`, also after JSON, which has lists for tuples."""
        (ul, ur), (ll, lr) = values["sun_zenith"]
        view = {band: (zenith, azimuth) for band, (zenith, azimuth) in values["view"].items()}
        return cls(((ul, ur), (ll, lr)), values["sun_azimuth"], view, values["origin"])


@dataclass(frozen=True, slots=True)
class Auxiliary:
    """The weather model's atmosphere over a granule, as its product tells it: means, None where it does not."""

    aot550: float | None = None
    """Aerosol optical thickness at 550 nm."""
    water_vapour: float | None = None
    """Of the column, in g/cm2."""
    ozone: float | None = None
    """Of the column, in cm-atm (1 cm-atm is 1000 Dobson units)."""
    pressure: float | None = None
    """At mean sea level, in hPa."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One tile of one date in one processing."""

    id: str
    collection: str
    datetime: str
    """Sensing time, ISO 8601 in UTC with a Z."""
    cloud_cover: float | None
    """Percent."""
    platform: str
    baseline: str | None
    """Processing baseline such as 05.11."""
    footprint: dict[str, Any]
    """GeoJSON geometry, degrees."""
    assets: Mapping[str, Asset]
    """By Sentinel-2 name: B02, B8A, SCL."""
    crs: str | None
    """CRS that the catalogue declares, as an authority code."""
    year: int
    """Year of sensing, for the Copernicus attribution."""
    href: str
    """The item or product itself."""
    angles: Angles | None = None
    """None where nothing was said of them and nobody asked."""
    auxiliary: Auxiliary | None = None
    """None where the product has none of it, or nobody asked."""
    synthetic: bool = False
    """Whether its item says that it was generated, and shows no place on Earth (`SYNTHETIC`)."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> Self:
        """Undo `to_dict`."""
        angles, auxiliary = values.get("angles"), values.get("auxiliary")
        read = {
            "assets": {name: Asset.from_dict(asset) for name, asset in values["assets"].items()},
            "angles": None if angles is None else Angles.from_dict(angles),
            "auxiliary": None if auxiliary is None else Auxiliary(**auxiliary),
        }
        return cls(**{**values, **read})


def satellite(scene: Scene) -> Satellite | None:
    """Which of the satellites took a scene, by its platform, else by its name; None where neither says."""
    texts = (scene.platform.lower(), scene.id.lower()[:3])
    found = next((match for text in texts if (match := _SATELLITE.fullmatch(text))), None)
    return None if found is None else _SATELLITES[found[1]]
