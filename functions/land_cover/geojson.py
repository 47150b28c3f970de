"""Patches as GeoJSON (RFC 7946): longitude and latitude, counter-clockwise, split at the antimeridian."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from eo.geolocate import LONLAT
from eo.job import Plan
from eo.result_item import geometry, turned
from land_cover.patches import EDGE, Records, corner
from land_cover.table import Table

AT_ONCE = 4096
"""Patches whose text is held at a time: 6 MB."""
DECIMALS = 4
"""Of probabilities and shares: a model's third one is noise."""


def document(records: Records, table: Table, told: Mapping[str, Any]) -> Iterator[bytes]:
    """The text of a FeatureCollection, in pieces. `told`: what it says of itself (foreign members, RFC 7946, 6.1)."""
    head = json.dumps({"type": "FeatureCollection", **told})
    yield f'{head[:-1]}, "features": ['.encode()
    for start in range(0, len(records), AT_ONCE):
        some = records[start : start + AT_ONCE]
        text = ",\n".join(json.dumps(feature) for feature in _features(some, table))
        yield ((",\n" if start else "\n") + text).encode()
    yield b"\n]}\n"


def _features(records: Records, table: Table) -> Iterator[dict[str, Any]]:
    columns = table.columns(records)
    rings = rings_of(records, table.plan)
    for index, ring in enumerate(rings):
        values = {name: _rounded(column[index]) for name, column in columns.items()}
        yield {"type": "Feature", "id": values.pop("id"), "geometry": geometry(_turned(ring)), "properties": values}


def rings_of(records: Records, plan: Plan) -> NDArray[np.float64]:
    """(patches, 5, 2): degrees of closed outlines, counter-clockwise from the south-west, in the job's own turn."""
    left, top = corner(records)
    x = np.stack([left, left + EDGE, left + EDGE, left, left], axis=1)
    y = np.stack([top - EDGE, top - EDGE, top, top, top - EDGE], axis=1)
    lon, lat = Transformer.from_crs(plan.grid.crs, LONLAT, always_xy=True).transform(x, y)
    return np.stack([plan.bbox.unwrap(lon), lat], axis=-1)


def _turned(ring: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Within +-180 degrees; in two parts where the antimeridian crosses it."""
    if np.abs(ring[:, 0]).max() <= 180:
        return [ring.round(7)]
    return turned(shapely.Polygon(ring))


def _rounded(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    return round(value, DECIMALS) if isinstance(value, float) else value
