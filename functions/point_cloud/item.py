"""The STAC item of a point cloud."""

from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from eo.geolocate import LONLAT
from eo.job import Plan

STAC_VERSION = "1.1.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/pointcloud/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
SHA2_256 = "1220"
"""Multihash prefix: function 0x12, 32 bytes."""


def stac_item(plan: Plan, summary: dict[str, Any], *, sizes: dict[str, int], digests: dict[str, str]) -> dict[str, Any]:
    """Describe the result. Links are relative, times are the scenes': equal plans give equal items."""
    times = sorted(scene.datetime for scene in plan.scenes)
    x, y, z = (summary["bounds"][axis] for axis in "xyz")
    area = plan.grid.resolution**2 / plan.inputs["sampled_fraction"]
    properties: dict[str, Any] = {
        "title": f"Coloured point cloud of {plan.bbox}",
        "datetime": times[0] if times[0] == times[-1] else None,
        "start_datetime": times[0],
        "end_datetime": times[-1],
        "proj:code": plan.grid.crs,
        "proj:bbox": [x[0], y[0], z[0], x[1], y[1], z[1]],
        "pc:count": summary["points"],
        "pc:type": "eopc",
        "pc:density": 1 / area,
        "pc:schemas": schema(plan.inputs["coordinates"]),
        "pc:statistics": [
            {"name": axis.upper(), "minimum": low, "maximum": high} for axis, (low, high) in summary["bounds"].items()
        ],
        "processing:software": {plan.software.split()[0]: plan.software.split()[1]},
        "processing:lineage": lineage(plan),
        "eo_shards:vertical_crs": plan.vertical_crs or "unknown",
        "eo_shards:inputs": {key: value for key, value in plan.inputs.items() if key not in {"catalog", "dem_path"}},
        "eo_shards:notes": summary["notes"],
    }
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{plan.process}-{plan.job}",
        **footprint(plan, x, y),
        "properties": properties,
        "links": links(plan),
        "assets": {
            "data": asset("point_cloud.ply", "application/ply", "Point cloud", ["data"], sizes, digests),
            "preview": asset("preview.png", "image/png", "From above, hill-shaded", ["overview"], sizes, digests),
            "oblique": asset(
                "oblique.png",
                "image/png",
                f"Oblique view from the south, heights x {summary['vertical_exaggeration_of_oblique_view']:g}",
                ["thumbnail"],
                sizes,
                digests,
            ),
        },
    }


def schema(coordinates: str) -> list[dict[str, Any]]:
    """Dimensions of a vertex, in the words of PDAL."""
    size = 4 if coordinates == "local" else 8
    places = [{"name": axis, "size": size, "type": "floating"} for axis in ("X", "Y", "Z")]
    return [*places, *({"name": colour, "size": 1, "type": "unsigned"} for colour in ("Red", "Green", "Blue"))]


def asset(
    name: str, media_type: str, title: str, roles: list[str], sizes: dict[str, int], digests: dict[str, str]
) -> dict[str, Any]:
    """One file of the result, with its checksum."""
    return {
        "href": f"./{name}",
        "type": media_type,
        "title": title,
        "roles": roles,
        "file:size": sizes[name],
        "file:checksum": SHA2_256 + digests[name],
    }


def lineage(plan: Plan) -> str:
    """What was done to what, in a sentence."""
    scenes = ", ".join(f"{scene.id} (baseline {scene.baseline or 'unknown'})" for scene in plan.scenes)
    return (
        f"Pixels of {scenes} on the grid {plan.grid.crs} at {plan.grid.resolution} m, lifted to {plan.elevation_name} "
        f"(bilinear), sampled at {plan.inputs['sampled_fraction']:g}"
    )


def links(plan: Plan) -> list[dict[str, str]]:
    """Where the scenes' items are; local ones relative to the result, never as paths of this machine."""
    found = []
    for scene in plan.scenes:
        href = scene.href
        if "://" not in href:
            href = Path(href).name
        if href:
            found.append({"rel": "derived_from", "href": href, "title": scene.id})
    return found


def footprint(plan: Plan, x: list[float], y: list[float]) -> dict[str, Any]:
    """`bbox` and `geometry` of the points; split at the antimeridian as RFC 7946 (3.1.9) has it."""
    half = plan.grid.resolution / 2
    left, right, bottom, top = x[0] - half, x[1] + half, y[0] - half, y[1] + half
    across, up = np.linspace(left, right, 9), np.linspace(bottom, top, 9)
    ring_x = np.concatenate([across, np.full(8, right), across[-2::-1], np.full(8, left)])
    ring_y = np.concatenate([np.full(9, bottom), up[1:], np.full(8, top), up[-2::-1]])
    lon, lat = Transformer.from_crs(plan.grid.crs, LONLAT, always_xy=True).transform(ring_x, ring_y)
    lon = plan.bbox.unwrap(lon)
    west, south, east, north = (float(v) for v in (lon.min(), lat.min(), lon.max(), lat.max()))
    if -180 <= west and east <= 180:
        ring = [[round(float(a), 7), round(float(b), 7)] for a, b in zip(lon, lat, strict=True)]
        return {
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": [round(edge, 7) for edge in (west, south, east, north)],
        }
    # Boxes on either side; the ring's edges are nearly parallels and meridians at the antimeridian's latitudes.
    turn = 360 if west < -180 else 0
    west, east = west + turn, east + turn

    def box(a: float, b: float) -> list[list[list[float]]]:
        return [[[a, south], [b, south], [b, north], [a, north], [a, south]]]

    return {
        "geometry": {"type": "MultiPolygon", "coordinates": [box(west, 180.0), box(-180.0, east - 360)]},
        "bbox": [west, south, east - 360, north],
    }
