"""A point cloud drawn from above, as the process itself draws (`point_cloud.pictures`), block by block."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.disk import explained
from eo.grid import Window
from eo.pictures import png
from point_cloud.pictures import preview

PICTURE_EDGE = 1000
"""Pixels of the longer side of the picture."""
BLOCK_POINTS = 4_000_000
"""Points looked at at once, so that any file fits into memory."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some of the points; arrays of equal length."""

    x: NDArray[Any]
    y: NDArray[Any]
    z: NDArray[Any]
    colours: NDArray[Any]
    """(3, points): red, green, blue from 0 to 255."""


def draw(blocks: Iterable[Block], low: NDArray[Any], high: NDArray[Any], apart: float, picture: Path) -> Path:
    """Write the picture (PNG) of points within bounds, which lie `apart` metres from each other; gives its path."""
    elevation, rgb, spacing = _rastered(blocks, low, high, apart)
    drawn = png(preview(elevation, rgb, spacing))
    with explained(picture):
        picture.write_bytes(drawn)
    return picture


def _rastered(
    blocks: Iterable[Block], low: NDArray[Any], high: NDArray[Any], apart: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """(elevation, colours, metres between pixels): the last point that falls on a pixel wins."""
    # At 2.5 times the points' distance hardly a pixel of the picture goes without.
    extent = max(high[0] - low[0], high[1] - low[1], apart)
    spacing = max(extent / PICTURE_EDGE, 2.5 * apart)
    # One to spare: the last point of a file may round beyond the quotient.
    window = Window(0, 0, int((high[0] - low[0]) / spacing) + 2, int((high[1] - low[1]) / spacing) + 2)
    elevation = np.full(window.shape, np.nan, np.float32)
    rgb = np.zeros((3, *window.shape), np.float32)
    for block in blocks:
        # Points outside of the bounds that a file states are drawn at the edge.
        col = np.clip((block.x - low[0]) / spacing, 0, window.width - 1).astype(np.intp)
        row = np.clip((high[1] - block.y) / spacing, 0, window.height - 1).astype(np.intp)
        elevation[row, col] = block.z
        rgb[:, row, col] = block.colours
    return elevation, rgb, spacing
