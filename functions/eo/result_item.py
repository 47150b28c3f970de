"""What STAC items of results have in common (STAC 1.1.0, https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec).

Links are relative, times are the scenes': equal plans give equal items.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from eo import lineage
from eo.cog_layout import COG, Layout, Place, Raster
from eo.geolocate import LONLAT
from eo.job import Plan

STAC_VERSION = "1.1.0"
SENTINEL_NOTICE = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
PICTURE = "image/png"


def sensed(plan: Plan) -> dict[str, Any]:
    """Common metadata of what is made from the plan's scenes. No `created`: it would make equal results differ."""
    times = sorted((scene.datetime for scene in plan.scenes), key=dt.datetime.fromisoformat)
    platforms = {scene.platform.lower() for scene in plan.scenes if scene.platform}
    return {
        "datetime": times[0] if times[0] == times[-1] else None,
        "start_datetime": times[0],
        "end_datetime": times[-1],
        **({"platform": platforms.pop()} if len(platforms) == 1 else {}),
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": plan.grid.resolution,
        # Not in the SPDX list: the licence is the notice that the links name.
        "license": "other",
        "providers": [
            {
                "name": "European Union, Copernicus Sentinel data",
                "roles": ["producer", "licensor"],
                "url": "https://dataspace.copernicus.eu",
            }
        ],
    }


def asset(name: str, media_type: str, title: str, role: str, files: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """One file of the result, with its size in bytes and its checksum (`files`)."""
    return {
        "href": f"./{name}",
        "type": media_type,
        "title": title,
        "roles": [role],
        "file:size": files[name][0],
        "file:checksum": lineage.SHA2_256 + files[name][1],
    }


def raster_asset(  # noqa: PLR0917 - what a file is, and where its pixels lie
    name: str,
    title: str,
    roles: list[str],
    raster: Raster,
    laid: Layout,
    place: Place,
    files: Mapping[str, tuple[int, str]],
    bands: list[dict[str, Any]],
) -> dict[str, Any]:
    """A GeoTIFF of the result: one file, its pixels' place, and what its `bands` are."""
    rows, cols = laid.shape(0)
    right, bottom = place.left + cols * place.pixel, place.top - rows * place.pixel
    return asset(name, COG, title, roles[0], files) | {
        "roles": roles,
        "gsd": place.pixel,
        "data_type": raster.dtype,
        "nodata": "nan" if raster.dtype == "float32" else raster.nodata,
        "proj:shape": [rows, cols],
        "proj:transform": [place.pixel, 0, place.left, 0, -place.pixel, place.top],
        "proj:bbox": [place.left, bottom, right, place.top],
        "raster:spatial_resolution": place.pixel,
        "bands": bands,
    }


def model_link(model: Mapping[str, str]) -> dict[str, str]:
    """The own STAC item of a model: {"name", "digest", "href"}."""
    title = f"Model {model['name']}, SHA-256 {model['digest'][:16]}"
    return {"rel": "derived_from", "href": model["href"], "type": "application/geo+json", "title": title}


def links(plan: Plan) -> list[dict[str, str]]:
    """Where the sources and the licence are."""
    notice = "Legal notice on the use of Copernicus Sentinel Data and Service Information"
    return [*lineage.links(plan), {"rel": "license", "href": SENTINEL_NOTICE, "title": notice}]


def footprint(plan: Plan, x: list[float], y: list[float], *, clip: bool = True) -> dict[str, Any]:
    """`bbox` and `geometry`: the points' extent (x, y: lowest and highest pixel centre, metres) within the job's bbox.

    All of the extent, without `clip`. Split at the antimeridian, where `bbox` then has west > east (RFC 7946, 3.1.9 and
    5.2). Degrees, to 1 cm.
    """
    half = plan.grid.resolution / 2
    left, right, bottom, top = x[0] - half, x[1] + half, y[0] - half, y[1] + half
    across, up = np.linspace(left, right, 9), np.linspace(bottom, top, 9)
    ring_x = np.concatenate([across, np.full(8, right), across[-2::-1], np.full(7, left)])
    ring_y = np.concatenate([np.full(9, bottom), up[1:], np.full(8, top), up[-2:0:-1]])
    lon, lat = Transformer.from_crs(plan.grid.crs, LONLAT, always_xy=True).transform(ring_x, ring_y)
    extent = shapely.Polygon(np.column_stack([plan.bbox.unwrap(lon), lat]))
    inside = extent.intersection(shapely.box(*plan.bbox.unwrapped())) if clip else extent
    parts = turned(inside if _thick(inside) else extent)
    lats = np.concatenate(parts)[:, 1]
    bbox = [parts[0][:, 0].min(), lats.min(), parts[-1][:, 0].max(), lats.max()]
    return {"geometry": geometry(parts), "bbox": [float(edge) for edge in bbox]}


def turned(area: shapely.Geometry) -> list[NDArray[np.float64]]:
    """Outer rings (points, 2) of an area whose longitudes may be counted in any turn, split at the antimeridian.

    Counter-clockwise, to 1 cm; the part that ends at 180 degrees comes first, for east of it lies the one that begins at -180.
    """
    parts = []
    for polygon in shapely.get_parts(area):
        for turn in (-360, 0, 360):
            part = polygon.intersection(shapely.box(turn - 180, -90, turn + 180, 90))
            if part.geom_type == "Polygon" and _thick(part):
                ring = shapely.get_coordinates(shapely.orient_polygons(part).exterior)
                parts.append((ring - (turn, 0)).round(7))
    parts.sort(key=lambda ring: -ring[:, 0].min() if len(parts) > 1 else 0)
    return parts


def geometry(rings: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
    """GeoJSON of areas without holes."""
    coordinates = [[ring.tolist()] for ring in rings]
    if len(coordinates) == 1:
        return {"type": "Polygon", "coordinates": coordinates[0]}
    return {"type": "MultiPolygon", "coordinates": coordinates}


def _thick(area: shapely.Geometry) -> bool:
    """Whether an area is still one when its degrees are rounded to a centimetre."""
    west, south, east, north = shapely.bounds(area)
    return bool(min(east - west, north - south) > 2e-7)
