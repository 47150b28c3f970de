"""The merge of a point cloud: PLY, COPC, pictures and STAC item from what the shards left."""

import json
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo import found_air, from_disk, lineage
from eo.errors import NothingFound
from eo.job import Part, Plan, Result
from eo.outcome import align_counts, attributions, left_out, pixels
from eo.pictures import png
from eo.ply import header
from eo.thumbnail import lattice, step
from eo.unit_io import ResultIO
from point_cloud import copc_merge
from point_cloud.item import COPC, ITEM, OBLIQUE, PLY, PREVIEW, captions, stac_item, title
from point_cloud.pictures import above, ground, oblique
from point_cloud.place import origin
from point_cloud.process import formats
from point_cloud.thumbnail import PIXEL


def merge(parts: list[Part], io: ResultIO) -> Result:
    """Write the result's files, the item last: who sees it sees all it names.

    Raises NothingFound where no pixel became a point.
    """
    plan = io.plan
    counts: Counter[str] = Counter()
    for part in parts:
        counts.update(part.counts)
    counts.update(align_counts(io))
    if not counts["points"]:
        raise NothingFound(_why_empty(counts, plan))
    extremes = joined_extremes(parts)
    # The pictures first: what they need is checked before the large file is made.
    cloud = ground(*canvas(parts, io), step(plan) * plan.grid.resolution)
    seen_from_above = above(cloud)
    seen_from_south, exaggeration = oblique(cloud)
    if "ply" in formats(plan):
        head = header(counts["points"], coordinates=plan.inputs["coordinates"], comments=comments(plan))
        io.concatenate(PLY, head, [part.body("body") for part in parts if part.sizes["body"]])
    if "copc" in formats(plan):
        copc_merge.write(COPC, parts, extremes, io, about=description(plan))
    io.write_checksums()
    io.write(PREVIEW, png(seen_from_above))
    io.write(OBLIQUE, png(seen_from_south))
    summary: dict[str, Any] = {
        "points": counts["points"],
        "bytes": sum(io.sizes[name] for name in (PLY, COPC) if name in io.sizes),
        "pixels_inside": counts["inside"],
        "pixels_without_data": counts["empty"],
        "pixels_masked": counts["masked"],
        "pixels_without_elevation": counts["void"],
        "bounds": {axis: list(extremes[axis]) for axis in ("x", "y", "z")},
        "offset": list(offset(plan)),
        "vertical_exaggeration_of_oblique_view": exaggeration,
        "attributions": attributions(plan),
        "notes": [*plan.notes, *left_out(counts, plan)],
    }
    if plan.inputs.get("correct"):  # plans of older software do not say
        field = io.parts("field")
        summary["air"] = found_air.air(field, plan)
        summary["notes"] += found_air.notes(field, plan)
        summary["notes"] += found_air.unknown_elevation(io.parts("context"), plan.scene_names)
    page = from_disk.page(
        title(plan),
        files=[*io.sizes, ITEM],
        pictures=captions(summary),
        notices=summary["attributions"],
    )
    io.write(from_disk.INDEX, page)
    shapes = {PREVIEW: seen_from_above.shape[:2], OBLIQUE: seen_from_south.shape[:2]}
    item = stac_item(plan, summary, sizes=io.sizes, digests=io.digests, shapes=shapes)
    io.write(ITEM, (json.dumps(item, indent=2) + "\n").encode())
    return Result(files=dict(io.digests), summary=summary)


def offset(plan: Plan) -> tuple[float, float, float]:
    """What has to be added to the file's x, y and z, in metres of the CRS."""
    if plan.inputs["coordinates"] == "absolute":
        return 0.0, 0.0, 0.0
    return origin(plan)


def description(plan: Plan) -> str:
    """What the COPC file says of itself in words, a line each: as the PLY file, but for its origin.

    Scenes last: there is no room for a thousand of them, and what the data's licences want said is to be there.
    """
    lines = [(key, text) for key, text in comments(plan) if not key.startswith("offset_")]
    return "".join(f"{key} {text}\n" for key, text in sorted(lines, key=lambda line: line[0] == "scene"))


def comments(plan: Plan) -> list[tuple[str, str]]:
    """All that is needed to put the points where they belong and to say where they come from."""
    lines = [
        ("generator", f"{plan.software}, process {plan.process} {plan.version}"),
        ("crs", plan.grid.crs),
        ("vertical", plan.vertical_crs or "unknown"),
        ("units", "metre"),
        *((f"offset_{axis}", number(value)) for axis, value in zip("xyz", offset(plan), strict=True)),
        ("resolution", str(plan.grid.resolution)),
        ("sampled_fraction", number(plan.inputs["sampled_fraction"])),
        *(("model", f"{model['name']} {model['digest']}") for model in lineage.models(plan)),
        ("colour", f"linear, reflectance 0 to {number(plan.inputs['max_reflectance'])} as 0 to 255"),
        *(("scene", f"{scene.id} {scene.datetime} baseline {scene.baseline or 'unknown'}") for scene in plan.scenes),
        ("dem", plan.elevation_name or "none"),
        *((text.partition(" ")[0], text.partition(" ")[2]) for text in attributions(plan)),
    ]
    return [(key, plain(text)) for key, text in lines]


def number(value: float) -> str:
    """A number as short as it can be without losing anything."""
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


LINE = 900
"""Characters of a comment's text, at most: readers hold lines in 1024 bytes (eo.ply.MAX_LINE)."""


def plain(text: str) -> str:
    """A name from a catalogue or a disk as a header line can hold it: printable ASCII, not too long, not empty."""
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text)[:LINE] or "?"


def canvas(parts: list[Part], io: ResultIO) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(elevation (rows, columns) with NaN, colours (3, rows, columns) 0-255) of the whole job on the coarse lattice."""
    every = step(io.plan)
    whole = lattice(io.plan.grid.window, every)
    points = np.zeros(whole.shape, PIXEL)
    points["z"] = np.nan
    thumbnails = io.read_all([part.body("thumbnail") for part in parts])
    for unit, data in zip(io.units(io.plan.stages[-1].name), thumbnails, strict=True):
        window = lattice(unit.window, every)
        if window.width > 0 and window.height > 0:
            points[window.slices(whole)] = np.frombuffer(data, PIXEL).reshape(window.shape)
    colours = np.stack([points[name] for name in ("red", "green", "blue")])
    return np.ascontiguousarray(points["z"]), colours.astype(np.float32)


def joined_extremes(parts: list[Part]) -> dict[str, tuple[float, float]]:
    """Smallest and largest of all shards, by name."""
    joined: dict[str, tuple[float, float]] = {}
    for part in parts:
        for name, (low, high) in part.extremes.items():
            before = joined.get(name, (low, high))
            joined[name] = (min(before[0], low), max(before[1], high))
    return joined


def _why_empty(counts: Counter[str], plan: Plan) -> str:
    """Say which of the reasons left nothing, and what helps against it."""
    box = f"bbox {plan.bbox}"
    if not counts["inside"]:
        return f"no pixel has its centre in {box}: pixels are {plan.grid.resolution} m wide, choose a larger bbox"
    if counts["void"] and counts["void"] == counts["valid"]:
        return (
            f"{plan.elevation_name} has no elevation at any of the {pixels(counts['void'])} with data in {box}: "
            "choose another dem, or check that it covers the bbox"
        )
    if not counts["valid"] and counts["masked"]:
        return (
            f"clouds, shadows or defects cover all {pixels(counts['masked'])} with data in {box}: "
            "lower max_cloud_cover, choose other dates, or turn mask_clouds off"
        )
    if not counts["valid"]:
        return (
            f"no scene has data at any of the {pixels(counts['inside'])} in {box}: choose other dates or another bbox"
        )
    if not counts["known"] and counts["clouded"]:
        return (
            f"the corrector found clouds at all {pixels(counts['clouded'])} in {box} that could be points: lower "
            "max_cloud_cover, choose other dates, or turn mask_clouds off"
        )
    return (
        f"sampled_fraction {plan.inputs['sampled_fraction']:g} keeps none of the {pixels(counts['known'])} in {box} that "
        "could be points: raise it, or choose a larger bbox"
    )
