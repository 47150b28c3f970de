"""Scenes as a job sees them: all that fetching needs, so that a plan is complete without the catalogue.

`eo.stac_item` makes them from STAC items, `plan.local_catalog` from SAFE products.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from eo.grid import RasterGrid
from eo.radiometry import Radiometry

Json = Mapping[str, Any]

CLASSES = "SCL"
"""The scene classification; the one band without radiometry."""


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

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Json) -> Self:
        """Undo `to_dict`."""
        return cls(**{**values, "assets": {name: Asset.from_dict(asset) for name, asset in values["assets"].items()}})
