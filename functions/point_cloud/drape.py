"""The drape stage: a shard of the cube as the body of a PLY file, as nodes of a COPC file, or as both."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.catalog import CLASSES
from eo.correction import SURFACE, surface
from eo.grid import Window
from eo.job import Part, Plan, Unit
from eo.ply import encode
from eo.radiometry import Radiometry, stretch_lut
from eo.sampling import below, keep, rank
from eo.thumbnail import thumbnail
from eo.unit_io import UnitIO
from point_cloud.copc_shard import NO_POINT, Pixels, Shard
from point_cloud.octree import octree
from point_cloud.place import origin_pixel
from point_cloud.process import BANDS, formats
from point_cloud.thumbnail import packed


def drape(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Turn the valid pixels of a shard, sampled, into points."""
    plan, window = io.plan, unit.window
    inputs, wanted = plan.inputs, formats(plan)
    height = io.cube.read_target("elevation", window, np.nan)
    known = io.cube.read_target("valid", window).view(np.bool_) & ~np.isnan(height)
    bands, radiometries, lost = _colours(known, plan, window, io)
    ranks = rank(window) if "copc" in wanted else None
    fraction = inputs["sampled_fraction"]
    kept = known & (keep(window, fraction) if ranks is None else below(ranks, fraction))
    stretches = [stretch_lut(radiometry, inputs["max_reflectance"]) for radiometry in radiometries]
    colours = list(zip(stretches, bands, strict=True))
    extremes: dict[str, tuple[float, float]] = {}
    heights = _Range()
    if "ply" in wanted:
        io.put("body", _vertices(kept, height, colours, plan, window, heights=heights))
    elif kept.any():
        heights.add(height[kept])
    if ranks is not None:
        extremes |= _nodes(kept, ranks, _pixels(height, colours, window, io), io)
    small = np.where(thumbnail(known, window, plan), thumbnail(height, window, plan), np.nan)
    io.put("thumbnail", [packed(small, [lut[thumbnail(dn, window, plan)] for lut, dn in colours]).tobytes()])
    return Part(
        unit=unit.id,
        keys=io.left.keys,
        sizes=io.left.sizes,
        digests=io.left.digests,
        counts={"points": int(np.count_nonzero(kept)), "known": int(np.count_nonzero(known)), "clouded": lost},
        extremes=_extremes(kept, heights, plan, window) | extremes,
    )


def _pixels(
    height: NDArray[np.float32],
    colours: list[tuple[NDArray[np.uint8], NDArray[np.uint16]]],
    window: Window,
    io: UnitIO,
) -> Pixels:
    """The pixels of a shard with all that LAS has a field for."""
    scl = io.cube.read_target(CLASSES, window) if io.cube.has(CLASSES) else None
    scene = io.cube.read_target("scene", window) if io.cube.has("scene") else None
    return Pixels(io.plan, window, height=height, colours=colours, scl=scl, scene=scene)


def _nodes(
    kept: NDArray[np.bool_], ranks: NDArray[np.uint32], pixels: Pixels, io: UnitIO
) -> dict[str, tuple[float, float]]:
    """Write the shard's nodes and what it shares of others; gives the extremes that PLY has not."""
    tree = octree(io.plan)
    levels = tree.levels(ranks)
    levels[~kept] = NO_POINT
    shard = Shard(tree, pixels, levels)
    io.put("copc", shard.body())
    io.put("rest", shard.rest())
    return {"gps_time": shard.times} if kept.any() else {}


def _colours(
    known: NDArray[np.bool_], plan: Plan, window: Window, io: UnitIO
) -> tuple[list[NDArray[np.uint16]], list[Radiometry], int]:
    """(DNs of red, green and blue, what they mean, how many pixels have none because the corrector left them out).

    Those are taken out of `known`.
    """
    if not plan.inputs.get("correct"):
        return [io.cube.read_target(band, window) for band in BANDS], [plan.radiometry[band] for band in BANDS], 0
    bands = [io.cube.read_target(surface(band), window) for band in BANDS]
    before = int(np.count_nonzero(known))
    for dn in bands:
        known &= dn > 0
    return bands, [SURFACE] * len(BANDS), before - int(np.count_nonzero(known))


@dataclass
class _Range:
    """Smallest and largest of values that come in pieces."""

    low: float = math.inf
    high: float = -math.inf

    def add(self, values: NDArray[np.float32]) -> None:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))


STRIP_PIXELS = 1 << 18
"""Pixels encoded at once: their columns, rows and coordinates stay in the core's cache, and memory stays small."""


def _vertices(
    kept: NDArray[np.bool_],
    height: NDArray[np.float32],
    colours: list[tuple[NDArray[np.uint8], NDArray[np.uint16]]],
    plan: Plan,
    window: Window,
    *,
    heights: _Range,
) -> Iterator[memoryview]:
    """Vertices of the kept pixels, row by row, in strips. Colours are (stretch, DNs) of red, green and blue.

    Their heights go into `heights` on the way.
    """
    coordinates = plan.inputs["coordinates"]
    x, y = axes(plan, window, absolute=coordinates == "absolute")
    lines = max(1, STRIP_PIXELS // window.width)
    for top in range(0, window.height, lines):
        strip = slice(top, top + lines)
        chosen = kept[strip]
        # Indices into the flat strip: `take` by them costs a fifth of a boolean mask, once for each layer.
        at = np.flatnonzero(chosen)
        if not at.size:
            continue
        if at.size == chosen.size:
            shape = chosen.shape
            east, north = np.broadcast_to(x, shape).ravel(), np.broadcast_to(y[strip, None], shape).ravel()
            z = height[strip].ravel()
            red, green, blue = (lut.take(dn[strip].ravel()) for lut, dn in colours)
        else:
            rows = at // window.width
            east, north = x.take(at - rows * window.width), y[strip].take(rows)
            z = height[strip].ravel().take(at)
            red, green, blue = (lut.take(dn[strip].ravel().take(at)) for lut, dn in colours)
        heights.add(z)
        yield encode(east, north, z, (red, green, blue), coordinates).data.cast("B")


def axes(plan: Plan, window: Window, *, absolute: bool) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(x of each column, y of each row) of a window's pixel centres.

    Relative to the local origin they are whole multiples of the resolution, which float32 holds exactly up to 2^24 m.
    """
    grid = plan.grid
    cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
    if absolute:
        return grid.x(0.5) + cols * float(grid.resolution), grid.y(0.5) - rows * float(grid.resolution)
    col, row = origin_pixel(plan)
    x, y = (cols - col) * grid.resolution, (row - rows) * grid.resolution
    return x.astype(np.float32), y.astype(np.float32)


def _extremes(kept: NDArray[np.bool_], heights: _Range, plan: Plan, window: Window) -> dict[str, tuple[float, float]]:
    """Smallest and largest absolute coordinates of the kept points."""
    cols, rows = np.flatnonzero(kept.any(axis=0)), np.flatnonzero(kept.any(axis=1))
    if not cols.size:
        return {}
    x, y = axes(plan, window, absolute=True)
    return {
        "x": (float(x[cols[0]]), float(x[cols[-1]])),
        "y": (float(y[rows[-1]]), float(y[rows[0]])),
        "z": (heights.low, heights.high),
    }
