"""Two pictures of a point cloud: from above with hill shading, and one oblique view."""

import io

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
"""(rows, columns, 4): red, green, blue, alpha."""

SUN_AZIMUTH, SUN_ALTITUDE = 315.0, 45.0
"""Degrees. North-west by cartographic convention: lit from the south, relief reads inverted."""
SKY = (236, 240, 244)
OBLIQUE_SIZE = (1200, 720)


def png(picture: Picture) -> bytes:
    """Encode as PNG, the same bytes for the same picture."""
    from PIL import Image  # noqa: PLC0415 - only the merge draws

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def preview(elevation: Floats, rgb: Floats, spacing: float) -> Picture:
    """The cloud from above, transparent where there are no points. `spacing` is metres between values."""
    lit = np.clip(rgb * shade(elevation, spacing), 0, 255)
    known = ~np.isnan(elevation)
    lit, weight = halved(np.where(known, lit, 0)), halved(known[None].astype(np.float32))[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        colour = np.where(weight > 0, lit / weight, 0)
    return np.dstack([*colour, 255 * weight]).astype(np.uint8)


def shade(elevation: Floats, spacing: float) -> Floats:
    """Brightness from 0.45 to 1.25 of a surface lit from the north-west; 1 where it is flat or unknown.

    Lambert's cosine law on central differences; slopes are doubled so that gentle ground shows.
    """
    if min(elevation.shape) < 2:
        return np.ones_like(elevation)
    down, right = np.gradient(elevation, spacing)
    down, right = 2 * down, 2 * right
    azimuth, altitude = np.radians(SUN_AZIMUTH), np.radians(SUN_ALTITUDE)
    east, north, up = np.sin(azimuth) * np.cos(altitude), np.cos(azimuth) * np.cos(altitude), np.sin(altitude)
    cosine = (-right * east + down * north + up) / np.sqrt(right**2 + down**2 + 1)
    return np.nan_to_num(np.clip(cosine / up, 0.45, 1.25), nan=1.0).astype(np.float32)


def halved(layers: Floats) -> Floats:
    """Means of 2 x 2 values, for layers of shape (n, rows, columns); small layers are left as they are."""
    _, rows, cols = layers.shape
    if min(rows, cols) < 2 or max(rows, cols) <= 1000:
        return layers
    even = layers[:, : rows // 2 * 2, : cols // 2 * 2]
    result: Floats = even.reshape(len(layers), rows // 2, 2, cols // 2, 2).mean(axis=(2, 4))
    return result


def oblique(elevation: Floats, rgb: Floats, spacing: float) -> tuple[Picture, float]:
    """(the cloud from the south in perspective, vertical exaggeration).

    Rows are drawn from near to far, each only above what is drawn already (the floating-horizon method).
    """
    width, height = OBLIQUE_SIZE
    rows, cols = elevation.shape
    colour = np.clip(rgb * shade(elevation, spacing), 0, 255)
    low, high = float(np.nanmin(elevation)), float(np.nanmax(elevation))
    extent = max(rows, cols) * spacing
    exaggeration = float(np.clip(round(0.15 * extent / max(high - low, 1e-6), 1), 1.0, 10.0))
    # Camera: south of the cloud, above it, looking down; distances in units of the extent.
    aspect = rows / cols
    distance, altitude, tilt = 1.5 * max(aspect, 0.8), 0.95 * max(aspect, 0.8), 0.60
    focal = 1.25 * width * min(1.0, max(aspect, 0.8))
    picture = np.empty((height, width, 4), np.uint8)
    picture[...] = (*SKY, 255)
    horizon = np.full(width, height)
    screen = np.arange(width)
    scale = spacing / extent
    steps = max(1, int(np.ceil(2 * height / max(rows, 1))))
    for near in range((rows - 1) * steps, -1, -1):
        row = near / steps
        index = int(row)
        ahead = distance + (rows - 1 - row) * scale
        col = np.rint((screen - width / 2) * ahead / focal / scale + cols / 2).astype(int)
        on = (col >= 0) & (col < cols)
        z = np.where(on, elevation[index, np.clip(col, 0, cols - 1)], np.nan)
        drop = altitude - (z - low) * exaggeration / extent
        top = height * 0.42 + focal * (drop / ahead - tilt)
        seen = on & ~np.isnan(top)
        line = np.where(seen, np.nan_to_num(top), height).astype(int)
        line = np.clip(line, 0, height)
        seen &= line < horizon
        if not seen.any():
            continue
        columns, lengths = screen[seen], (horizon - line)[seen]
        # Only surface: a row's strip reaches down to the row before it, not through a gap to the bottom.
        lengths = np.minimum(lengths, np.where(horizon[seen] == height, 2, lengths))
        x = np.repeat(columns, lengths)
        start = np.repeat(line[seen], lengths)
        y = start + np.arange(x.size) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        source = np.repeat(col[seen], lengths)
        picture[y, x, :3] = colour[:, index, source].T.astype(np.uint8)
        horizon[seen] = line[seen]
    return picture, exaggeration
