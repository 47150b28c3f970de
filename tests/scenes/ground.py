"""Smooth fields of the ground under a picture, interpolated from the world's lattice of posts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scenes.noise import METRES_PER_DEGREE, Field, Floats
from scenes.world import POSTS_PER_DEGREE, Indices, Terrain, World, post_latitude, post_longitude, unwrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scenes.clouds import Clouds, Sun


_SCATTERED = 12
"""Posts per place in a shared block beyond which it is cheaper to compute each place's own."""


@dataclass(frozen=True)
class Ground:
    """Fields at the places asked for, float32 of one shape."""

    elevation: Field
    """Metres."""
    shore: Field
    """As in `world.Terrain`."""
    slope: Field
    """Rise over run."""
    shade: Field
    """Direct light on the slope, relative to level ground: 0 to 1.4."""
    moisture: Field
    people: Field
    """Where people settle: noise of some 2 km."""
    grain: Field
    """Noise of 150 m that keeps surfaces from being uniform."""
    cloud: Field
    shadow: Field


def ground_at(world: World, lon: Floats, lat: Floats, *, sun: Sun, clouds: Clouds) -> Ground:
    """Interpolate the fields bilinearly to `lon`, `lat` (degrees, one shape).

    Dense places share one block of posts, scattered ones get four posts each; both give the same bits.
    """
    x = (lon + 180.0) * POSTS_PER_DEGREE
    y = (90.0 - lat) * POSTS_PER_DEGREE
    left, top = np.floor(x), np.floor(y)
    u, v = (x - left).astype(np.float32), (y - top).astype(np.float32)
    column, row = unwrapped(left.astype(np.int64)), top.astype(np.int64)
    first_column, first_row = int(column.min()), int(row.min())
    width, height = int(column.max()) - first_column + 2, int(row.max()) - first_row + 2
    if width * height > _SCATTERED * column.size:
        corners = [
            _own_posts(world, row + down, column + right, sun=sun, clouds=clouds)
            for down, right in ((0, 0), (0, 1), (1, 0), (1, 1))
        ]
        return Ground(*(_between(four, u, v) for four in zip(*corners, strict=True)))
    block = _block(world, first_row + np.arange(height), first_column + np.arange(width), sun=sun, clouds=clouds)
    start = (row - first_row) * width + (column - first_column)
    flat = [field.reshape(-1) for field in block]
    return Ground(*(_between((field[start + step] for step in (0, 1, width, width + 1)), u, v) for field in flat))


def _between(corners: Iterable[Field], u: Field, v: Field) -> Field:
    """Bilinear interpolation in a unit cell; float32 is enough for what is only looked at."""
    upper_left, upper_right, lower_left, lower_right = corners
    upper = upper_left + (upper_right - upper_left) * u
    lower = lower_left + (lower_right - lower_left) * u
    return np.asarray(upper + (lower - upper) * v, np.float32)


def _block(world: World, rows: Indices, columns: Indices, *, sun: Sun, clouds: Clouds) -> list[Field]:
    """Fields of `Ground`, in its order, on a block of posts."""
    # One more post on each side, for central differences.
    elevation, shore = world.posts(_padded(rows), _padded(columns))
    beside = (elevation[1:-1, :-2], elevation[1:-1, 2:], elevation[2:, 1:-1], elevation[:-2, 1:-1])
    lon, lat = post_longitude(columns)[np.newaxis, :], post_latitude(rows)[:, np.newaxis]
    here = (np.ascontiguousarray(elevation[1:-1, 1:-1]), np.ascontiguousarray(shore[1:-1, 1:-1]))
    return _fields(world, here, beside, (lon, lat), sun=sun, clouds=clouds)


def _own_posts(world: World, row: Indices, column: Indices, *, sun: Sun, clouds: Clouds) -> list[Field]:
    """Fields of `Ground`, in its order, on single posts."""

    def terrain(down: int, right: int) -> Terrain:
        return world.terrain(post_longitude(column + right), post_latitude(row + down))

    here = terrain(0, 0)
    beside = [terrain(down, right).elevation for down, right in ((0, -1), (0, 1), (1, 0), (-1, 0))]
    place = (post_longitude(column), post_latitude(row))
    return _fields(world, (here.elevation, here.shore), tuple(beside), place, sun=sun, clouds=clouds)


def _fields(
    world: World,
    here: tuple[Field, Field],
    beside: tuple[Field, ...],
    place: tuple[Floats, Floats],
    *,
    sun: Sun,
    clouds: Clouds,
) -> list[Field]:
    """Compute the fields from elevation and shore of posts, and the elevation of those west, east, south and north."""
    west, east, south, north = beside
    lon, lat = place
    step = METRES_PER_DEGREE / POSTS_PER_DEGREE
    across = np.maximum(np.cos(np.radians(lat)), 0.02) * step
    rise_east = ((east - west) / (2 * across)).astype(np.float32)
    rise_north = (north - south) / np.float32(2 * step)
    azimuth, tilt = np.radians(sun.azimuth), np.tan(np.radians(sun.elevation))
    # Cosine of the incidence angle over that on level ground: (n . s) / s_z, with n normalised.
    towards = rise_east * np.float32(np.sin(azimuth) / tilt) + rise_north * np.float32(np.cos(azimuth) / tilt)
    steep = np.square(rise_east) + np.square(rise_north)
    shade = np.clip((np.float32(1) - towards) / np.sqrt(np.float32(1) + steep), 0, np.float32(1.4))
    clear = np.zeros(steep.shape, np.float32)
    return [
        *here,
        np.sqrt(steep),
        shade,
        world.noise(lon, lat, 1_300, 30) + np.float32(0.5) * world.noise(lon, lat, 420, 31),
        world.noise(lon, lat, 2_300, 32) + np.float32(0.25) * world.noise(lon, lat, 260, 33),
        world.noise(lon, lat, 150, 34),
        clear if clouds.none else clouds.opacity(lon, lat),
        clear if clouds.none else clouds.shadow(lon, lat, sun),
    ]


def _padded(indices: Indices) -> Indices:
    return np.arange(indices[0] - 1, indices[-1] + 2)
