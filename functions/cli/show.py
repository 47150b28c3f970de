"""What the command line prints."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.jobs import Outcome
from eo.grid import Window
from eo.job import Plan
from eo.ply import PlyHeader, read_header

PICTURE_EDGE = 1000
"""Pixels of the longer side of the picture that `inspect` draws."""
BLOCK_POINTS = 4_000_000
"""Vertices looked at at once, so that any file fits into memory."""


def outcome(found: Outcome) -> None:
    """Say what was made, how large it is and where the time went."""
    summary = found.result.summary
    ply = found.out / "point_cloud.ply"
    if found.already:
        print(f"job {found.job} was finished before; its files are what they were ({len(found.result.files)} digests checked)")
    for name in found.result.files:
        print(f"{found.out / name}  {(found.out / name).stat().st_size:,} bytes")
    print(f"{summary['points']:,} points, {ply.stat().st_size / 1e6:,.1f} MB, {found.plan.grid.crs}, {found.plan.grid.resolution} m")
    for note in summary["notes"]:
        print(f"note: {note}")
    if found.spent.usages:
        stages = ", ".join(f"{stage.name} {found.spent.cpu(stage.name):.2f} s" for stage in found.plan.stages)
        print(f"CPU by stage: {stages}; largest worker {found.spent.peak_rss / 1e6:,.0f} MB")


def plan(made: Plan) -> None:
    """Say what a job would do and cost."""
    predicted = made.predicted
    window = made.grid.window
    rows = [
        ("grid", f"{made.grid.crs}, {made.grid.resolution} m, {window.width} x {window.height} pixels"),
        ("scenes", f"{len(made.scenes)}, cover {100 * (1 - made.uncovered):.1f} % of the bbox"),
        *(
            ("", f"{scene.id}  {scene.datetime[:10]}  {'?' if scene.cloud_cover is None else format(scene.cloud_cover, '.1f')} % cloud")
            for scene in made.scenes[:20]
        ),
        *([("", f"... and {len(made.scenes) - 20} more")] if len(made.scenes) > 20 else []),
        ("elevation", f"{made.elevation_name}, vertical CRS {made.vertical_crs or 'unknown'}"),
        ("units", ", ".join(f"{name} {count:,}" for name, count in predicted.units.items())),
        ("shards", f"{made.shard} x {made.shard} pixels, {predicted.parts:,} parts of at most 10,000"),
        ("points", f"up to {predicted.points:,} of {predicted.pixels:,} pixels"),
        ("result", f"up to {predicted.result_bytes / 1e6:,.1f} MB"),
        ("scratch disk", f"about {predicted.scratch_bytes / 1e6:,.1f} MB"),
        ("from the source", f"about {predicted.source_requests:,} requests, {predicted.source_bytes / 1e6:,.1f} MB"),
        ("memory of a worker", f"up to {predicted.unit_memory_bytes / 1e6:,.0f} MB"),
        ("cost on AWS", f"about {predicted.cost_usd:.4f} USD of Lambda compute (list price, us-east-1)"),
        *(("note", note) for note in made.notes),
    ]
    for name, text in rows:
        print(f"{name:<20}{text}")


def point_cloud(file: Path, picture: Path | None) -> None:
    """Show a PLY file of ours: header, bounds, CRS, counts; draw it from above. Raises CorruptData, InvalidInput."""
    from point_cloud.pictures import png, preview  # noqa: PLC0415 - only inspect draws

    header = read_header(file)
    for key, values in header.comments.items():
        for value in values:
            print(f"{key:<20}{value}")
    print(f"{'points':<20}{header.count:,}")
    print(f"{'vertex':<20}{', '.join(f'{name} {kind}' for name, kind in header.dtype.descr)}")
    if not header.count:
        return
    low, high = _bounds(header, file)
    for axis, a, b, name in zip("xyz", low, high, ("offset_x", "offset_y", "offset_z"), strict=True):
        shift = float(header.comments.get(name, ["0"])[0])
        print(f"{axis + ' range':<20}{a + shift:,.3f} to {b + shift:,.3f}")
    target = picture or file.with_suffix(".inspect.png")
    elevation, rgb, spacing = _rastered(header, file, low, high)
    target.write_bytes(png(preview(elevation, rgb, spacing)))
    print(f"{'picture':<20}{target}")


def _blocks(header: PlyHeader, file: Path) -> "list[NDArray[np.void]]":
    vertices = header.vertices(file)
    return [vertices[start : start + BLOCK_POINTS] for start in range(0, header.count, BLOCK_POINTS)]


def _bounds(header: PlyHeader, file: Path) -> tuple[list[float], list[float]]:
    low, high = [np.inf] * 3, [-np.inf] * 3
    for block in _blocks(header, file):
        for index, axis in enumerate("xyz"):
            low[index] = min(low[index], float(block[axis].min()))
            high[index] = max(high[index], float(block[axis].max()))
    return low, high


def _rastered(
    header: PlyHeader, file: Path, low: list[float], high: list[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """(elevation, colours, metres between pixels): the last point that falls on a pixel wins."""
    pixel = float(header.comments.get("resolution", ["1"])[0])
    # One point in 1/fraction pixels: a coarser picture has few gaps.
    fraction = float(header.comments.get("sampled_fraction", ["1"])[0])
    extent = max(high[0] - low[0], high[1] - low[1], pixel)
    spacing = max(extent / PICTURE_EDGE, pixel / fraction**0.5)
    # One to spare: the last point of a file may round beyond the quotient.
    window = Window(0, 0, int((high[0] - low[0]) / spacing) + 2, int((high[1] - low[1]) / spacing) + 2)
    elevation = np.full(window.shape, np.nan, np.float32)
    rgb = np.zeros((3, *window.shape), np.float32)
    for block in _blocks(header, file):
        col = ((block["x"] - low[0]) / spacing).astype(np.intp)
        row = ((high[1] - block["y"]) / spacing).astype(np.intp)
        elevation[row, col] = block["z"]
        for index, colour in enumerate(("red", "green", "blue")):
            rgb[index, row, col] = block[colour]
    return elevation, rgb, spacing
