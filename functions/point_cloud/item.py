"""The STAC item of a point cloud (STAC 1.1.0, https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec)."""

from collections.abc import Mapping
from typing import Any

from eo import from_disk, lineage
from eo.checksums import CHECKSUMS
from eo.job import Plan
from eo.result_item import PICTURE, STAC_VERSION, asset, footprint, links, sensed
from point_cloud.process import formats

PLY, COPC = "point_cloud.ply", "point_cloud.copc.laz"
ITEM, PREVIEW, OBLIQUE = "point_cloud.json", "preview.png", "oblique.png"

EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/pointcloud/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
PLY_TYPE = "application/ply"
"""IANA has registered no media type for PLY; of those in use (`model/ply`, `application/vnd.ply`) this is the commonest."""
COPC_TYPE = "application/vnd.laszip+copc"
"""What IANA has registered for COPC."""


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
    clouds = {}
    if PLY in files:
        clouds["data"] = joined(PLY, PLY_TYPE, "Point cloud", files)
    if COPC in files:
        clouds["copc"] = joined(COPC, COPC_TYPE, "Cloud-optimised point cloud", files) | {"pc:schemas": COPC_SCHEMA}
    shown = captions(summary)
    assets = {
        **clouds,
        "checksums": asset(CHECKSUMS, "application/json", "SHA-256 of every piece of the data", "metadata", files),
        "preview": asset(PREVIEW, PICTURE, shown[PREVIEW], "overview", files),
        "oblique": asset(OBLIQUE, PICTURE, shown[OBLIQUE], "thumbnail", files),
    }
    if from_disk.INDEX in files:
        assets["page"] = asset(from_disk.INDEX, from_disk.TYPE, from_disk.TITLE, "metadata", files)
    for picture in (assets["preview"], assets["oblique"]):
        # The projection extension's advice for pictures without a location of their own.
        picture |= {"proj:code": None, "proj:shape": list(shapes[picture["href"].removeprefix("./")])}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{plan.process}-{digests[PLY if PLY in files else COPC][:16]}",
        **footprint(plan, summary["bounds"]["x"], summary["bounds"]["y"]),
        "properties": {**about(plan, summary), **cloud(plan, summary), **processing(plan), **own(plan, summary)},
        "links": links(plan),
        "assets": assets,
    }


def joined(name: str, media_type: str, title: str, files: Mapping[str, tuple[int, str]]) -> dict[str, Any]:
    """A file that was joined from pieces.

    Nobody read it as a whole, so there is no checksum of the usual kind: its pieces have theirs.
    """
    described = asset(name, media_type, title, "data", files)
    del described["file:checksum"]
    return described | {"eo_shards:checksums": f"./{CHECKSUMS}", "eo_shards:composite_sha256": files[name][1]}


def title(plan: Plan) -> str:
    """What it is called."""
    return f"Coloured point cloud of {plan.bbox}"


def captions(summary: Mapping[str, Any]) -> dict[str, str]:
    """What the pictures show, by file."""
    exaggeration = summary["vertical_exaggeration_of_oblique_view"]
    return {
        PREVIEW: "From above, hill-shaded",
        OBLIQUE: f"Oblique view from the south, heights x {exaggeration:g}",
    }


def about(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What it is, and of what."""
    notices = ["Sentinel-2 pixels lifted to their elevation, coloured by their reflectance", *summary["attributions"]]
    return {
        "title": title(plan),
        "description": "; ".join(notices),
        **sensed(plan),
    }


def cloud(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Where the points are, in metres of the CRS, and what a point is made of."""
    x, y, z = (summary["bounds"][axis] for axis in "xyz")
    dimensions = schema(plan.inputs["coordinates"]) if "ply" in formats(plan) else COPC_SCHEMA
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


COPC_SCHEMA = [
    *({"name": axis, "size": 4, "type": "signed"} for axis in ("X", "Y", "Z")),
    {"name": "Classification", "size": 1, "type": "unsigned"},
    {"name": "GpsTime", "size": 8, "type": "floating"},
    *({"name": colour, "size": 2, "type": "unsigned"} for colour in ("Red", "Green", "Blue")),
]
"""Dimensions of a LAS point that say something, likewise; coordinates are scaled integers."""


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
            f"Pixels of {scenes} on the grid {plan.grid.crs} at {plan.grid.resolution} m, {_corrected(plan)}lifted to "
            f"{plan.elevation_name} (bilinear), sampled at {plan.inputs['sampled_fraction']:g}"
        ),
    }


def _corrected(plan: Plan) -> str:
    return f"atmosphere corrected by {plan.inputs['model']}, " if plan.inputs.get("correct") else ""


def own(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What no extension has a field for."""
    return {
        "eo_shards:vertical_crs": plan.vertical_crs or "unknown",
        "eo_shards:offset": summary["offset"],
        "eo_shards:inputs": lineage.inputs(plan),
        "eo_shards:sources": lineage.sources(plan),
        "eo_shards:models": lineage.models(plan),
        **({"eo_shards:air": summary["air"]} if "air" in summary else {}),
        "eo_shards:notes": summary["notes"],
    }
