"""The map of a result: the most probable label of each patch, with a legend of those that there are."""

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eo.cog_tiles import halved
from eo.pictures import Picture
from land_cover.rasters import LABEL_RASTER, NAMES, PALETTE, UNSEEN

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LONGEST, LARGEST = 900, 40
"""Pixels along the map's longer side, at most, and of a patch: of more patches, groups show their commonest label."""
GAP, TEXT, LINE, SWATCH = 12, 13, 18, 14
"""Pixels: around everything, of letters, from line to line, of a colour in the legend."""
LEGEND, LETTERS = 330, 42
"""Width of the legend in pixels, and of its lines in letters."""
INK, ALARM, PAPER = (40, 40, 40), (200, 0, 0), (255, 255, 255)


def picture(codes: NDArray[np.uint8], *, title: str, notices: list[str], warning: str) -> Picture:
    """`codes`: (rows, columns) of `rasters.NAMES`. `notices` stand below the map, the `warning` in red above it."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only the merge draws

    while max(codes.shape) > LONGEST:
        even = np.pad(codes, [(0, edge % 2) for edge in codes.shape], constant_values=UNSEEN)
        codes = halved(even, LABEL_RASTER)
    times = max(1, min(LARGEST, LONGEST // max(codes.shape)))
    colours = np.array([*PALETTE[:UNSEEN], PAPER, *PALETTE[UNSEEN + 1 :]], np.uint8)
    drawn = colours[codes.repeat(times, axis=0).repeat(times, axis=1)]
    there = [code for code in np.unique(codes) if code != UNSEEN]
    entries = [(code, wrap(NAMES[code], LETTERS)) for code in there]
    width = max(drawn.shape[1], 30 * TEXT) + LEGEND + 3 * GAP
    across = width * 2 // TEXT - 4
    above = [(text, INK) for text in wrap(title, across)] + [(text, ALARM) for text in wrap(warning, across)]
    below = [text for notice in notices for text in wrap(notice, across)]
    top = 2 * GAP + LINE * len(above)
    legend = LINE * sum(len(lines) for _, lines in entries)
    height = top + max(drawn.shape[0], legend) + 2 * GAP + LINE * len(below)
    image = Image.new("RGB", (width, height), PAPER)
    image.paste(Image.fromarray(drawn), (GAP, top))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(TEXT)
    for number, (text, ink) in enumerate(above):
        draw.text((GAP, GAP + number * LINE), text, ink, font)
    for number, text in enumerate(below):
        draw.text((GAP, height - GAP - LINE * (len(below) - number)), text, INK, font)
    y = top
    for code, lines in entries:
        _swatch(draw, width - LEGEND - GAP, y, PALETTE[code])
        for line in lines:
            draw.text((width - LEGEND - GAP + SWATCH + 6, y), line, INK, font)
            y += LINE
    return np.asarray(image)


def _swatch(draw: "ImageDraw", x: int, y: int, colour: tuple[int, int, int]) -> None:
    draw.rectangle((x, y, x + SWATCH, y + SWATCH), fill=colour, outline=INK)
