"""The STAC item of a point cloud (STAC 1.1.0, https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec)."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely
from pyproj import Transformer

from eo import lineage
from eo.checksums import CHECKSUMS
from eo.geolocate import LONLAT
from eo.job import Plan

PLY, ITEM, PREVIEW, OBLIQUE = "point_cloud.ply", "point_cloud.json", "preview.png", "oblique.png"

STAC_VERSION = "1.1.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/pointcloud/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
SHA2_256 = "1220"
"""Multihash prefix: function 0x12, 32 bytes (https://github.com/multiformats/multihash)."""
PLY_TYPE = "application/ply"
"""IANA has registered no media type for PLY; of those in use (`model/ply`, `application/vnd.ply`) this is the commonest."""
SENTINEL_NOTICE = "https://sentinel.esa.int/documents/247904/690755/Sentinel_Data_Legal_Notice"
PICTURE = "image/png"


def stac_item(
    plan: Plan,
    summary: Mapping[str, Any],
    *,
    sizes: Mapping[str, int],
    digests: Mapping[str, str],
    shapes: Mapping[str, tuple[int, int]],
) -> dict[str, Any]:
    """Describe the result. `shapes` are (rows, columns) of the pictures.

    Links are relative, times are the scenes' and the id is that of the points: equal plans give equal items.
    """
    files = {name: (size, digests[name]) for name, size in sizes.items() if name in digests}
    data = asset(PLY, PLY_TYPE, "Point cloud", "data", files)
    # Nobody read the joined file as a whole, so there is no checksum of the usual kind: its pieces have theirs.
    del data["file:checksum"]
    data |= {"eo_shards:checksums": f"./{CHECKSUMS}", "eo_shards:composite_sha256": digests[PLY]}
    from_south = f"Oblique view from the south, heights x {summary['vertical_exaggeration_of_oblique_view']:g}"
    assets = {
        "data": data,
        "checksums": asset(CHECKSUMS, "application/json", "SHA-256 of every piece of the data", "metadata", files),
        "preview": asset(PREVIEW, PICTURE, "From above, hill-shaded", "overview", files),
        "oblique": asset(OBLIQUE, PICTURE, from_south, "thumbnail", files),
    }
    for picture in (assets["preview"], assets["oblique"]):
        # The projection extension's advice for pictures without a location of their own.
        picture |= {"proj:code": None, "proj:shape": list(shapes[picture["href"].removeprefix("./")])}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{plan.process}-{digests[PLY][:16]}",
        **footprint(plan, summary["bounds"]["x"], summary["bounds"]["y"]),
        "properties": {**about(plan, summary), **cloud(plan, summary), **processing(plan), **own(plan, summary)},
        "links": links(plan),
        "assets": assets,
    }


def about(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Common metadata. No `created`: it would make equal results differ."""
    times = sorted((scene.datetime for scene in plan.scenes), key=dt.datetime.fromisoformat)
    platforms = {scene.platform.lower() for scene in plan.scenes if scene.platform}
    return {
        "title": f"Coloured point cloud of {plan.bbox}",
        "description": "; ".join(
            ["Sentinel-2 pixels lifted to their elevation, coloured by their reflectance", *summary["attributions"]]
        ),
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


def cloud(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Where the points are, in metres of the CRS, and what a point is made of."""
    x, y, z = (summary["bounds"][axis] for axis in "xyz")
    dimensions = schema(plan.inputs["coordinates"])
    return {
        "proj:code": plan.grid.crs,
        "proj:bbox": [x[0], y[0], z[0], x[1], y[1], z[1]],
        "pc:count": summary["points"],
        # "eopc" is the extension's word for points from electro-optical images.
        "pc:type": "eopc",
        # Points per square metre, where there are any.
        "pc:density": plan.inputs["sampled_fraction"] / plan.grid.resolution**2,
        "pc:schemas": dimensions,
        "pc:statistics": [
            {"name": name, "position": place, "count": summary["points"], "minimum": low, "maximum": high}
            for place, (name, (low, high)) in enumerate(zip("XYZ", (x, y, z), strict=True))
        ],
    }


def schema(coordinates: str) -> list[dict[str, Any]]:
    """Dimensions of a vertex in the file's order, in the words of PDAL; sizes in bytes."""
    size = 4 if coordinates == "local" else 8
    places = [{"name": axis, "size": size, "type": "floating"} for axis in ("X", "Y", "Z")]
    return [*places, *({"name": colour, "size": 1, "type": "unsigned"} for colour in ("Red", "Green", "Blue"))]


def processing(plan: Plan) -> dict[str, Any]:
    """What made it from what. No `processing:level`: none of the usual ones means a drape of two products."""
    scenes = ", ".join(f"{scene.id} (baseline {scene.baseline or 'unknown'})" for scene in plan.scenes)
    return {
        **lineage.software(plan),
        "processing:lineage": (
            f"Pixels of {scenes} on the grid {plan.grid.crs} at {plan.grid.resolution} m, lifted to "
            f"{plan.elevation_name} (bilinear), sampled at {plan.inputs['sampled_fraction']:g}"
        ),
    }


def own(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What no extension has a field for."""
    return {
        "eo_shards:vertical_crs": plan.vertical_crs or "unknown",
        "eo_shards:offset": summary["offset"],
        "eo_shards:inputs": lineage.inputs(plan),
        "eo_shards:sources": lineage.sources(plan),
        # Nothing learned is in a point cloud; a process that applies models names them and their digests here.
        "eo_shards:models": [],
        "eo_shards:notes": summary["notes"],
    }


def asset(name: str, media_type: str, title: str, role: str, files: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """One file of the result, with its size in bytes and its checksum (`files`)."""
    return {
        "href": f"./{name}",
        "type": media_type,
        "title": title,
        "roles": [role],
        "file:size": files[name][0],
        "file:checksum": SHA2_256 + files[name][1],
    }


def links(plan: Plan) -> list[dict[str, str]]:
    """Where the sources and the licence are."""
    notice = "Legal notice on the use of Copernicus Sentinel Data and Service Information"
    return [*lineage.links(plan), {"rel": "license", "href": SENTINEL_NOTICE, "title": notice}]


def footprint(plan: Plan, x: list[float], y: list[float]) -> dict[str, Any]:
    """`bbox` and `geometry`: the points' extent (x, y: lowest and highest pixel centre, metres) within the job's bbox.

    Split at the antimeridian, where `bbox` then has west > east (RFC 7946, 3.1.9 and 5.2). Degrees, to 1 cm.
    """
    half = plan.grid.resolution / 2
    left, right, bottom, top = x[0] - half, x[1] + half, y[0] - half, y[1] + half
    across, up = np.linspace(left, right, 9), np.linspace(bottom, top, 9)
    ring_x = np.concatenate([across, np.full(8, right), across[-2::-1], np.full(7, left)])
    ring_y = np.concatenate([np.full(9, bottom), up[1:], np.full(8, top), up[-2:0:-1]])
    lon, lat = Transformer.from_crs(plan.grid.crs, LONLAT, always_xy=True).transform(ring_x, ring_y)
    extent = shapely.Polygon(np.column_stack([plan.bbox.unwrap(lon), lat]))
    inside = extent.intersection(shapely.box(*plan.bbox.unwrapped()))
    parts = []
    for polygon in shapely.get_parts(inside if _thick(inside) else extent):
        for turn in (-360, 0, 360):
            part = polygon.intersection(shapely.box(turn - 180, -90, turn + 180, 90))
            if part.geom_type == "Polygon" and _thick(part):
                ring = shapely.get_coordinates(shapely.orient_polygons(part).exterior)
                parts.append((ring - (turn, 0)).round(7))
    # The part that ends at 180 degrees comes first: east of it lies the one that begins at -180.
    parts.sort(key=lambda ring: -ring[:, 0].min() if len(parts) > 1 else 0)
    rings = [[ring.tolist()] for ring in parts]
    lats = np.concatenate(parts)[:, 1]
    bbox = [parts[0][:, 0].min(), lats.min(), parts[-1][:, 0].max(), lats.max()]
    return {
        "geometry": {"type": "Polygon", "coordinates": rings[0]}
        if len(rings) == 1
        else {"type": "MultiPolygon", "coordinates": rings},
        "bbox": [float(edge) for edge in bbox],
    }


def _thick(area: shapely.Geometry) -> bool:
    """Whether an area is still one when its degrees are rounded to a centimetre."""
    west, south, east, north = shapely.bounds(area)
    return bool(min(east - west, north - south) > 2e-7)
