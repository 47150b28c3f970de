"""The picture of a correction: before on the left, after on the right, both in the same fixed stretch."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.raster import BRIGHTEST
from eo.pictures import Picture

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

LONGEST, SHORTEST = 900, 240
"""Pixels along the longer side of each half: more are averaged, fewer are repeated."""
GAP = 8
"""Pixels between and around the halves."""
TEXT = 12
"""Height of the letters in pixels."""
INK, PAPER = (60, 60, 60), 255


def before_after(points: NDArray[np.void]) -> Picture:
    """Both halves on white, with a line of text below each: (rows, columns, 3). `points`: `raster.PIXEL`."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only the merge draws

    both = (points["seen"] > 0) & (points["made"] > 0)  # bands reach beyond the bbox, and clouds are left out after
    halves = [_half(points[colour], both) for colour in ("before", "after")]
    rows, cols = halves[0].shape[:2]
    paper = np.full((rows + 2 * GAP + 2 * TEXT, 2 * cols + 3 * GAP, 3), PAPER, np.uint8)
    for place, half in enumerate(halves):
        left = GAP + place * (cols + GAP)
        paper[GAP : GAP + rows, left : left + cols] = half
    image = Image.fromarray(paper)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    for place, text in enumerate(("top of atmosphere", "surface")):
        where = (GAP + place * (cols + GAP), rows + GAP + TEXT // 2)
        draw.text(where, _fitting(draw, font, (f"{text}, reflectance 0 to {BRIGHTEST:g}", text), cols), INK, font)
    return np.asarray(image)


def _half(colours: NDArray[np.uint8], known: NDArray[np.bool_]) -> Picture:
    """Colours (rows, columns, 3) at the size of the picture; paper where nothing is known."""
    weight = known.astype(np.float32)[..., None]
    values = colours.astype(np.float32) * weight
    while max(weight.shape) > LONGEST:
        values, weight = _quartered(values), _quartered(weight)
    mean = values / np.maximum(weight, np.float32(1e-9))
    share = np.minimum(weight, 1)
    shown = (mean * share + PAPER * (1 - share) + np.float32(0.5)).astype(np.uint8)
    times = max(1, -(-SHORTEST // max(shown.shape)))
    return np.repeat(np.repeat(shown, times, axis=0), times, axis=1)


def _quartered(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over 2 x 2 values; what lies beyond an odd edge counts as nothing."""
    rows, cols, layers = values.shape
    even = np.pad(values, [(0, rows % 2), (0, cols % 2), (0, 0)])
    mean: NDArray[np.float32] = even.reshape(-(-rows // 2), 2, -(-cols // 2), 2, layers).mean(axis=(1, 3))
    return mean


def _fitting(
    draw: "ImageDraw.ImageDraw",
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    texts: tuple[str, ...],
    width: int,
) -> str:
    """The first text that is not wider than this, else none."""
    return next((text for text in texts if draw.textlength(text, font) <= width), "")
