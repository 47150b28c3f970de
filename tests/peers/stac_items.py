"""Thousands of Sentinel-2 L2A items, as a catalogue holds them for a region and a year; made, and always the same."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry import Polygon, box, mapping

from peers.stac_assets import Assets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapely.geometry.base import BaseGeometry

ALPS = (3.2833, 45.3833, 11.2, 50.1833)
"""600 x 530 km between the Massif Central and the Tyrol, in UTM zones 31 and 32."""

_SQUARE = 100_000
_EDGE = 109_800
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_COLUMNS = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")  # of zones 3n, 3n + 1, 3n + 2
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
# 143 orbits repeat in 10 days, so neighbouring tracks lie 360 / 143 degrees apart, each 7 days after the one west of it
# (mod 10). The swath is 290 km wide; seen at these latitudes, tracks lean 0.37 degrees of longitude per degree of latitude.
_SPACING = 360 / 143
_HALF_SWATH_KM = 145
_LEAN = 0.37
_SATELLITES = (("S2A", 3), ("S2B", 0), ("S2C", 5))
_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Tile:
    """A tile of 109.8 km, every 100 km, so that neighbours share 9.8 km."""

    name: str
    """MGRS name, such as `32TPS`."""
    epsg: int
    left: int
    top: int

    @property
    def area(self) -> Polygon:
        """Outline in lon/lat, with points every 11 km, since its edges are curved there."""
        square = box(self.left, self.top - _EDGE, self.left + _EDGE, self.top)
        to_lonlat = _to_lonlat(self.epsg)
        return shapely.transform(square.segmentize(_EDGE / 10), lambda xy: np.column_stack(to_lonlat.transform(*xy.T)))


@dataclass(frozen=True)
class _Pass:
    """How a tile is seen from one ground track, each time."""

    track: int
    footprint: Mapping[str, Any]
    share: float
    """Of the tile's area."""


def tiles(bbox: tuple[float, float, float, float] = ALPS, *, overhang: float = 1.2) -> list[Tile]:
    """Return the tiles of the northern hemisphere that meet a box (which must not cross the antimeridian).

    Tiles of one zone go on over its edge for `overhang` degrees: somewhat more than the real tiling has, so that there
    are 60 in the Alps (48 at 0), and scenes of both zones to choose from.
    """
    west, south, east, north = bbox
    found = []
    for zone in range(int((west + 180) // 6) + 1, min(int((east + 180) // 6) + 1, 60) + 1):
        epsg = 32600 + zone
        low, high = max(west, zone * 6 - 186 - overhang), min(east, zone * 6 - 180 + overhang)
        if low >= high:
            continue
        slice_ = box(low, south, high, north)
        to_utm = Transformer.from_crs(4326, epsg, always_xy=True)
        left, bottom, right, top = to_utm.transform_bounds(*slice_.bounds)
        # A tile reaches 9.8 km over its square to the east and to the south: hence one column and one row more.
        for column in range(int(left // _SQUARE) - 1, int(right // _SQUARE) + 1):
            for row in range(int(bottom // _SQUARE), int(top // _SQUARE) + 2):
                tile = _tile(zone, column, row)
                if 1 <= column <= 8 and tile.area.intersects(slice_):
                    found.append(tile)
    return found


def grid_items(
    bbox: tuple[float, float, float, float] = ALPS,
    *,
    days: int = 360,
    end: datetime = datetime(2026, 10, 1, tzinfo=UTC),
    cloud_cover: tuple[float, float] = (0, 100),
    without_cloud_cover: int = 0,
) -> Iterator[dict[str, Any]]:
    """Yield the items of three satellites over some days, for the Alps by default: some 13,000 in 360 days.

    Footprints are cut where the swath ends. Cloud cover is drawn evenly from `cloud_cover`, in percent, by a hash of the
    item's id; of every `without_cloud_cover` items one has no such property (0: none). `assets` are made when they are
    looked at (`json.dumps(item, default=dict)`).
    """
    begin = end - timedelta(days=days)
    number = 0
    for tile in tiles(bbox):
        for seen in _passes(tile):
            for satellite, phase in _SATELLITES:
                # Day 0 is fixed, so that a longer search finds the same items and more.
                first = (7 * seen.track + phase) % 10
                day = datetime(2015, 6, 27, tzinfo=UTC) + timedelta(days=first)
                day += timedelta(days=10 * -(-(begin - day) // timedelta(days=10)))
                while day < end:
                    number += 1
                    item = _item(tile, seen, satellite, day, cloud_cover)
                    if without_cloud_cover and number % without_cloud_cover == 0:
                        del item["properties"]["eo:cloud_cover"]
                    yield item
                    day += timedelta(days=10)


def _passes(tile: Tile) -> Iterator[_Pass]:
    """Yield the tracks from which a tile is seen."""
    area = tile.area
    west, south, east, north = area.bounds
    margin = _HALF_SWATH_KM / 50  # degrees, more than enough below 65 degrees of latitude
    centre = (south + north) / 2
    lowest = west - _LEAN * (centre - 48) - margin
    for track in range(int(lowest // _SPACING), int((east - west + 2 * margin) // _SPACING + lowest // _SPACING) + 2):
        seen = area.intersection(_swath(track, south, north))
        share = seen.area / area.area
        if share >= _LEAST_SHARE:
            yield _Pass(track, _geometry(seen), share)


def _swath(track: int, south: float, north: float) -> BaseGeometry:
    edges = []
    for side in (-1, 1):
        for latitude in (south - 0.5, north + 0.5):
            half = _HALF_SWATH_KM / (111.32 * math.cos(math.radians(latitude)))
            edges.append((track * _SPACING + _LEAN * (latitude - 48) + side * half, latitude))
    return Polygon([edges[0], edges[1], edges[3], edges[2]])


def _geometry(area: BaseGeometry) -> Mapping[str, Any]:
    """Return GeoJSON with few points, as catalogues have it, and rings of lists, as JSON has it."""
    simple = shapely.set_precision(area.simplify(0.002), 1e-6)
    outline = mapping(simple)
    return {
        "type": outline["type"],
        "coordinates": [[list(point) for point in ring] for ring in outline["coordinates"]],
    }


def _item(tile: Tile, seen: _Pass, satellite: str, day: datetime, cloud_cover: tuple[float, float]) -> dict[str, Any]:
    orbit = seen.track % 143 + 1
    moment = day + timedelta(hours=10, minutes=10 + orbit % 30, seconds=orbit % 60, milliseconds=25)
    sensed = f"{moment:%Y%m%dT%H%M%S}"
    made = f"{moment + timedelta(hours=4):%Y%m%dT%H%M%S}"
    name = f"{satellite}_MSIL2A_{sensed}_N0512_R{orbit:03d}_T{tile.name}_{made}"
    draw = random.Random(name)  # a str seeds by its SHA-512: the same everywhere
    absolute = 10_000 + (day - datetime(2015, 6, 27, tzinfo=UTC)).days * 143 // 10
    granule = f"GRANULE/L2A_T{tile.name}_A{absolute:06d}_{sensed}"
    when = f"{moment:%Y-%m-%dT%H:%M:%S}.025Z"
    ring = seen.footprint["coordinates"][0]
    west, east = min(point[0] for point in ring), max(point[0] for point in ring)
    south, north = min(point[1] for point in ring), max(point[1] for point in ring)
    href = "https://stac.dataspace.copernicus.eu/v1/collections/sentinel-2-l2a"
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": _EXTENSIONS,
        "id": name,
        "collection": "sentinel-2-l2a",
        "bbox": [west, south, east, north],
        "geometry": seen.footprint,
        "properties": {
            "datetime": when,
            "start_datetime": when,
            "end_datetime": when,
            "created": f"{moment + timedelta(hours=5):%Y-%m-%dT%H:%M:%S}.000000Z",
            "updated": f"{moment + timedelta(hours=6):%Y-%m-%dT%H:%M:%S}.000000Z",
            "published": f"{moment + timedelta(hours=6):%Y-%m-%dT%H:%M:%S}.000000Z",
            "platform": f"sentinel-{satellite[1:].lower()}",
            "constellation": "sentinel-2",
            "instruments": ["msi"],
            "gsd": 10,
            "grid:code": f"MGRS-{tile.name}",
            "product:type": "S2MSI2A",
            "processing:level": "L2",
            "processing:version": "05.12",
            "processing:datetime": f"{moment + timedelta(hours=4):%Y-%m-%dT%H:%M:%S}.000000Z",
            "eo:cloud_cover": round(draw.uniform(*cloud_cover), 6),
            "eo:snow_cover": round(draw.uniform(0, 5), 6),
            "statistics": {"nodata": round(100 * (1 - seen.share), 6), "water": round(draw.uniform(0, 5), 6)},
            "sat:orbit_state": "descending",
            "sat:relative_orbit": orbit,
            "sat:absolute_orbit": absolute,
            "view:sun_azimuth": 161.14,
            "view:sun_elevation": 44.22,
            "view:incidence_angle": 3.38,
            "auth:schemes": _AUTH,
            "storage:schemes": _STORAGE,
        },
        "links": [
            {"rel": "collection", "type": "application/json", "href": href},
            {"rel": "self", "type": "application/geo+json", "href": f"{href}/items/{name}"},
        ],
        "assets": Assets(name, f"T{tile.name}", sensed, granule, tile.epsg, tile.left, tile.top),
    }


def _tile(zone: int, column: int, row: int) -> Tile:
    epsg = 32600 + zone
    # Real origins are off the 100 km lattice by 20 m in x or in y: 499980 / 5400000 and 600000 / 5200020 are both found.
    left, top = (
        (column * _SQUARE - 20, (row + 1) * _SQUARE) if zone % 2 else (column * _SQUARE, (row + 1) * _SQUARE + 20)
    )
    _, latitude = _to_lonlat(epsg).transform(left + _EDGE / 2, top - _EDGE / 2)
    letters = _COLUMNS[zone % 3][(column - 1) % 8] + _ROWS[(row + (0 if zone % 2 else 5)) % 20]
    return Tile(f"{zone:02d}{_BANDS[min(int((latitude + 80) // 8), 19)]}{letters}", epsg, left, top)


@cache
def _to_lonlat(epsg: int) -> Transformer:
    return Transformer.from_crs(epsg, 4326, always_xy=True)


_EXTENSIONS = [
    "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json",
    "https://stac-extensions.github.io/authentication/v1.1.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/product/v0.1.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/sat/v1.1.0/schema.json",
    "https://stac-extensions.github.io/storage/v2.0.0/schema.json",
    "https://stac-extensions.github.io/view/v1.0.0/schema.json",
]
_AUTH = {
    "s3": {"type": "s3"},
    "oidc": {
        "type": "openIdConnect",
        "openIdConnectUrl": "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/.well-known/openid-configuration",
    },
}
_STORAGE = {
    "cdse-s3": {
        "type": "custom-s3",
        "title": "Copernicus Data Space Ecosystem S3",
        "platform": "https://eodata.dataspace.copernicus.eu",
        "requester_pays": False,
    },
    "creodias-s3": {
        "type": "custom-s3",
        "title": "CREODIAS S3",
        "platform": "https://eodata.cloudferro.com",
        "requester_pays": True,
    },
}
