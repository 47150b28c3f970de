"""Two pictures of a point cloud: from above with hill shading, and one oblique view.

They are drawn from all valid pixels of the job's coarse lattice (`eo.thumbnail`), whatever `sampled_fraction`
keeps of them as points: a picture shows what the cloud covers, not how densely.
Arrays are of shape (rows, columns), rows from north to south; elevation in metres, NaN where there are no points;
colours (3, rows, columns) from 0 to 255; `spacing` is metres between values.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eo.pictures import Picture

Floats = NDArray[np.float32]

LONGEST = 1200
"""Values along the longer side of what is drawn; longer lattices are halved first, which also smooths them."""


@dataclass(frozen=True)
class Ground:
    """What both pictures are drawn from: few enough values, hill-shaded."""

    elevation: Floats
    colours: Floats
    """Shaded; 0 where nothing is known."""
    weight: Floats
    """Share of the values behind each value that are known, 0 to 1."""
    spacing: float


def ground(elevation: Floats, rgb: Floats, spacing: float) -> Ground:
    """Prepare a cloud for drawing."""
    elevation, rgb, weight, spacing = _halved(elevation, rgb, spacing)
    light = shade(elevation, spacing)
    return Ground(elevation, np.clip(rgb * light + AMBIENT * (light - 1), 0, 255), weight, spacing)


def preview(elevation: Floats, rgb: Floats, spacing: float) -> Picture:
    """The cloud from above, hill-shaded, transparent where there are no points. Flat ground keeps its colours."""
    return above(ground(elevation, rgb, spacing))


def above(cloud: Ground) -> Picture:
    """The cloud from above, transparent where there are no points."""
    if not cloud.weight.size:
        return np.zeros((1, 1, 4), np.uint8)
    return np.dstack([*_bytes(cloud.colours), _bytes(255 * cloud.weight)])


def _bytes(values: Floats) -> Picture:
    return (np.clip(values, 0, 255) + np.float32(0.5)).astype(np.uint8)


def _halved(elevation: Floats, rgb: Floats, spacing: float) -> tuple[Floats, Floats, Floats, float]:
    """(elevation, colours, share of known values, spacing) in means over 2 x 2 values, again until they are few enough.

    Unknown values count for nothing in the means; colours are 0 where nothing is known.
    """
    weight = (~np.isnan(elevation)).astype(np.float32)
    while max(weight.shape) > LONGEST:
        rows, cols = weight.shape
        if rows % 2 or cols % 2:
            odd = [(0, rows % 2), (0, cols % 2)]
            elevation, weight = np.pad(elevation, odd, constant_values=np.nan), np.pad(weight, odd)
            rgb = np.pad(rgb, [(0, 0), *odd])
        elevation, rgb, weight = _quartered(elevation, rgb, weight)
        spacing = 2 * spacing
    return elevation, np.where(weight > 0, rgb, np.float32(0)), weight, spacing


def _quartered(elevation: Floats, rgb: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Means over 2 x 2 values."""
    total: Floats = np.zeros((4, *(edge // 2 for edge in weight.shape)), np.float32)
    count: Floats = np.zeros(total.shape[1:], np.float32)
    for corner in ((slice(row, None, 2), slice(col, None, 2)) for row in (0, 1) for col in (0, 1)):
        share = weight[corner]
        known = share > 0
        count += share
        for layer, values in zip(total, (elevation, *rgb), strict=True):
            np.add(layer, np.where(known, values[corner], np.float32(0)) * share, out=layer)
    with np.errstate(invalid="ignore"):
        total /= count
    count /= 4
    return total[0], total[1:], count


SUN_AZIMUTH, SUN_ALTITUDE = 315.0, 45.0
"""Degrees. North-west by cartographic convention: lit from the south, relief reads inverted."""
CONTRAST = 0.5
"""Shading stays within 1 -+ this."""
TYPICAL_SLOPE = 0.6
"""Slopes are scaled so that the steep tenth of the ground exceeds this: gentle ground shows, mountains do not blacken."""
AMBIENT = 36
"""Of 255: dark ground such as forest is lightened and darkened as if it were brighter by this, or its relief would not show."""


def shade(elevation: Floats, spacing: float) -> Floats:
    """Brightness of a surface lit from the north-west: 1 where it is flat, from 0.5 to 1.5, softly limited.

    Lambert's cosine law, relative to flat ground, on central differences.
    """
    east, south = (_slope(elevation, axis) / np.float32(spacing) for axis in (1, 0))
    square = east**2 + south**2
    known = square[~np.isnan(elevation)]
    steep = float(np.sqrt(np.quantile(known[:: max(1, known.size // 10_000)], 0.9))) if known.size else 0.0
    scale = np.float32(np.clip(TYPICAL_SLOPE / max(steep, 1e-6), 0.5, 4.0))
    azimuth, altitude = np.radians(SUN_AZIMUTH), np.radians(SUN_ALTITUDE)
    sun_east, sun_north = np.float32(np.sin(azimuth)), np.float32(np.cos(azimuth))
    # The surface's normal is (-east, south, 1): rows go south. tan(altitude) is 1 for a sun at 45 degrees.
    facing = scale * (sun_north * south - sun_east * east) / np.float32(np.tan(altitude))
    cosine = (1 + facing) / np.sqrt(1 + scale**2 * square)
    light: Floats = 1 + np.float32(CONTRAST) * np.tanh((cosine - 1) / np.float32(CONTRAST))
    return light


def _slope(elevation: Floats, axis: int) -> Floats:
    """Central differences per value, one-sided beside unknown values, 0 where neither neighbour is known."""
    step: Floats = np.diff(elevation, axis=axis)
    edge = [(0, 0), (0, 0)]
    edge[axis] = (1, 0)
    before = np.pad(step, edge, constant_values=np.nan)
    edge[axis] = (0, 1)
    after = np.pad(step, edge, constant_values=np.nan)
    both = (before + after) / 2
    one = np.where(np.isnan(before), after, before)
    return np.nan_to_num(np.where(np.isnan(both), one, both))


SKY = (236, 240, 244)
LARGEST = (1200, 900)
"""Width and height of the oblique view, at most, in pixels."""
MARGIN = 24
"""Pixels of sky around the cloud."""
LOOK_DOWN = 0.75
"""Tangent (37 degrees) of the angle at which the camera sees the middle of the cloud."""
RELIEF = 0.2
"""Heights are exaggerated towards this share of the cloud's mean side, at most ten times."""


def oblique(cloud: Ground) -> tuple[Picture, float]:
    """(the cloud in perspective from the south, as large as the picture, vertical exaggeration).

    Rows are drawn from near to far, each only above what is drawn already: the floating-horizon method (T. J. Wright,
    IEEE Trans. Computers C-22, 1973). Between neighbouring rows the surface is closed; holes stay open.
    """
    elevation = cloud.elevation
    known = np.isfinite(elevation)
    if not known.any():
        picture = np.empty((LARGEST[1] // 2, LARGEST[0], 4), np.uint8)
        picture[...] = (*SKY, 255)
        return picture, 1.0
    low, high = float(elevation[known].min()), float(elevation[known].max())
    extent = float(np.sqrt(elevation.size)) * cloud.spacing
    exaggeration = float(np.clip(round(RELIEF * extent / max(high - low, 1e-6), 1), 1.0, 10.0))
    height = (elevation - np.float32(low)) * np.float32(exaggeration / cloud.spacing)
    camera = _fitted(height, known)
    return _drawn(np.concatenate([height[None], cloud.colours + np.float32(0.5)]), camera), exaggeration


@dataclass(frozen=True)
class _Camera:
    """Where the camera stands, in values of the lattice from the middle of its southern edge, and what it sees.

    Its picture plane is vertical, so that vertical lines stay vertical, which the floating horizon needs.
    """

    distance: float
    """South of the cloud's edge."""
    altitude: float
    """Above the lowest point."""
    focal: float
    """Pixels."""
    left: float
    top: float
    """Screen coordinates of the picture's corner, in pixels from the camera's axis."""
    width: int
    height: int


def _fitted(height: Floats, known: NDArray[np.bool_]) -> _Camera:
    """The camera from which the known part of the cloud fills the picture."""
    rows, cols = height.shape
    relief = float(height[known].max())
    distance = 0.8 * float(np.hypot(rows, cols))
    altitude = LOOK_DOWN * (distance + rows / 2) + relief
    used = np.flatnonzero(known.any(axis=1))
    known, height = known[used], height[used]
    first, last = known.argmax(axis=1) - cols / 2, cols / 2 - known[:, ::-1].argmax(axis=1)
    lowest = height.min(axis=1, where=known, initial=np.inf)
    highest = height.max(axis=1, where=known, initial=-np.inf)
    near = rows - 1 - used + distance
    # Nearer and farther edge of every row's values.
    x = np.array([side / (near + edge) for side in (first, last) for edge in (0, 1)])
    y = np.array([(altitude - side) / (near + edge) for side in (lowest, highest) for edge in (0, 1)])
    wide, tall = float(np.ptp(x)), float(np.ptp(y))
    focal = min((LARGEST[0] - 2 * MARGIN) / wide, (LARGEST[1] - 2 * MARGIN) / tall)
    return _Camera(
        distance=distance,
        altitude=altitude,
        focal=focal,
        left=float(x.min()) * focal - MARGIN,
        top=float(y.min()) * focal - MARGIN,
        width=min(int(np.ceil(wide * focal)) + 2 * MARGIN, LARGEST[0]),
        height=min(int(np.ceil(tall * focal)) + 2 * MARGIN, LARGEST[1]),
    )


FINE = 2
"""Screen lines per pixel: what is drawn is averaged over them, so that ridges have no steps."""


def _drawn(layers: Floats, camera: _Camera) -> Picture:
    """The picture of (height and three colours, rows, columns)."""
    _, rows, cols = layers.shape
    lines = FINE * camera.height
    picture = np.empty((lines, camera.width, 3), np.uint8)
    picture[...] = SKY
    horizon = np.full(camera.width, lines, np.float32)
    across = (np.arange(camera.width) + 0.5 + camera.left) / camera.focal
    unseen = np.full((4, camera.width), np.nan, np.float32)
    line_before, edge_before, colour_before = unseen[0], unseen[0], unseen[1:]
    for row in range(rows - 1, -2, -1):
        ahead = rows - 0.5 - row + camera.distance
        values = unseen if row < 0 else _across(layers[:, row], across * ahead + cols / 2 - 0.5)
        drop = (camera.altitude - values[0]) * np.float32(camera.focal * FINE)
        line, nearer, farther = (drop / np.float32(ahead + edge) - camera.top * FINE for edge in (0, -0.5, 0.5))
        colour = values[1:]
        lower, upper, near_colour, far_colour = line_before, line, colour_before, colour
        # Where the surface begins, its first value reaches to its nearer edge; where it ends, the last to its farther one.
        begins = np.isnan(line_before) & ~np.isnan(line)
        if begins.any():
            lower = np.where(begins, np.maximum(nearer, line + 1), lower)
            near_colour = np.where(begins, colour, near_colour)
        ends = np.isnan(line) & ~np.isnan(line_before)
        if ends.any():
            upper = np.where(ends, edge_before, upper)
            far_colour = np.where(ends, colour_before, far_colour)
        # fmin passes over NaN, maximum keeps it: nothing is drawn where neither row is known.
        start = np.fmin(np.maximum(np.rint(upper), 0), lines)
        stop = np.fmin(horizon, np.rint(lower))
        seen = np.flatnonzero(stop > start)
        if seen.size:
            near, far = (lower[seen], near_colour[:, seen]), (upper[seen], far_colour[:, seen])
            _fill(picture, seen, (start[seen].astype(np.intp), stop[seen].astype(np.intp)), near, far)
            horizon[seen] = start[seen]
        line_before, edge_before, colour_before = line, farther, colour
    half = picture.reshape(camera.height, FINE, camera.width, 3).mean(axis=1, dtype=np.float32)
    return np.dstack([_bytes(half), np.full(half.shape[:2], 255, np.uint8)])


def _across(row: Floats, position: NDArray[np.float64]) -> Floats:
    """Linear values of (height and three colours, columns) between columns; the nearer one where the other is unknown.

    Height is NaN beyond the row's ends and where the nearer value is unknown.
    """
    cols = row.shape[1]
    inside = np.clip(position, 0, cols - 1)
    left = inside.astype(np.intp)
    share = (inside - left).astype(np.float32)
    a, b = row[:, left], row[:, np.minimum(left + 1, cols - 1)]
    values: Floats = a + (b - a) * share
    rim = np.isnan(values[0])
    if rim.any():
        values = np.where(rim, np.where(share < 0.5, a, b), values)
    values[0, (position < -0.5) | (position > cols - 0.5)] = np.nan
    return values


def _fill(
    picture: Picture,
    columns: NDArray[np.intp],
    lines: tuple[NDArray[np.intp], NDArray[np.intp]],
    near: tuple[Floats, Floats],
    far: tuple[Floats, Floats],
) -> None:
    """Draw vertical strips, lines [start, stop), whose (line, colours (3, n)) run from near to far."""
    start, length = lines[0], lines[1] - lines[0]
    total = int(length.sum())
    if total == columns.size:
        picture[start, columns] = far[1].T
        return
    strip = np.repeat(np.arange(columns.size), length)
    y = np.arange(total) + (start - np.cumsum(length) + length)[strip]
    rise = np.maximum(near[0] - far[0], 1e-6)
    share = np.clip((near[0][strip] - y - 0.5) / rise[strip], 0, 1).astype(np.float32)
    picture[y, columns[strip]] = (near[1][:, strip] + (far[1] - near[1])[:, strip] * share).T
