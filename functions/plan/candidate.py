"""What a search keeps of each item: enough to choose by, small enough for ten thousand of them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from eo.catalog import Json
from eo.stac_item import baseline, cloud_cover, footprint, sensing_time

_TILE = re.compile(r"(?:^|_|MGRS-)T?(\d{1,2}[C-X][A-Z]{2})(?:_|$)")


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that a search found."""

    id: str
    collection: str
    datetime: str
    """Sensing time, ISO 8601 in UTC."""
    cloud_cover: float | None
    """Percent, None where the item does not say."""
    footprint: dict[str, Any]
    """GeoJSON geometry, degrees."""
    baseline: str | None = None
    """Processing baseline such as 05.11."""
    platform: str = ""
    tile: str | None = None
    """MGRS tile such as 32TPS."""
    path: Path | None = None
    """File of a local item, or folder of a local SAFE product."""

    @classmethod
    def from_item(cls, item: Json, path: Path | None = None) -> Self:
        """Read an item; raises KeyError, TypeError or ValueError where it is malformed."""
        properties = item["properties"]
        return cls(
            id=str(item["id"]),
            collection=str(item.get("collection") or ""),
            datetime=sensing_time(item),
            cloud_cover=cloud_cover(item),
            footprint=footprint(item),
            baseline=baseline(item),
            platform=str(properties.get("platform") or "").lower(),
            tile=tile_of(properties.get("grid:code"), properties.get("s2:mgrs_tile"), item["id"]),
            path=path,
        )

    @property
    def acquisition(self) -> tuple[str, str, str] | None:
        """What all processings of one datatake and tile share; None where the tile is unknown.

        The minute stands for the datatake: a satellite needs 100 of them to come back, and processings differ by
        milliseconds in how they date a tile.
        """
        return None if self.tile is None else (self.tile, self.platform, self.datetime[:16])


def tile_of(*texts: object) -> str | None:
    """Find the MGRS tile in a grid code, tile name or product name, the first that has one."""
    for text in texts:
        if match := _TILE.search(str(text or "")):
            return match[1].rjust(5, "0")
    return None
