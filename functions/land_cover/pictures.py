"""The map of a result: the most probable label of each patch, with a legend of those that there are."""

from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eo.cog_tiles import halved
from eo.pictures import Picture
from land_cover.patches import EDGE
from land_cover.rasters import LABEL_RASTER, NAMES, PALETTE, UNSEEN

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LONGEST, LARGEST = 900, 40
"""Pixels along the map's longer side, at most, and of a patch: of more patches, groups show their commonest label."""
GAP, TEXT, LINE, SWATCH = 12, 13, 18, 14
"""Pixels: around everything, of letters, from line to line, of a colour in the legend."""
LEGEND, LETTERS = 330, 42
"""Width of the legend in pixels, and of its lines in letters."""
BAR, BAR_LINES = 200, 3
"""Pixels of the scale bar, at most, and lines that it takes below the legend."""
HATCH = 7
"""Pixels from line to line where there is no patch of the job: paper alone would pass for a class."""
INK, ALARM, PAPER, PALE = (40, 40, 40), (200, 0, 0), (255, 255, 255), (205, 205, 205)


def picture(codes: NDArray[np.uint8], *, title: str, notices: list[str], warning: str) -> Picture:
    """`codes`: (rows, columns) of `rasters.NAMES`. `notices` stand below the map, the `warning` in red above it."""
    from PIL import Image, ImageDraw, ImageFont  # noqa: PLC0415 - only the merge draws

    metres = float(EDGE)
    while max(codes.shape) > LONGEST:
        metres *= 2
        even = np.pad(codes, [(0, edge % 2) for edge in codes.shape], constant_values=UNSEEN)
        codes = halved(even, LABEL_RASTER)
    times = max(1, min(LARGEST, LONGEST // max(codes.shape)))
    colours = np.array([*PALETTE[:UNSEEN], PAPER, *PALETTE[UNSEEN + 1 :]], np.uint8)
    drawn = _hatched(colours, codes.repeat(times, axis=0).repeat(times, axis=1))
    there = sorted(np.unique(codes), key=lambda code: (code == UNSEEN, code))
    entries = [(code, wrap(NAMES[code], LETTERS)) for code in there]
    width = max(drawn.shape[1], 30 * TEXT) + LEGEND + 3 * GAP
    across = width * 2 // TEXT - 4
    above = [(text, INK) for text in wrap(title, across)] + [(text, ALARM) for text in wrap(warning, across)]
    below = [text for notice in notices for text in wrap(notice, across)]
    top = 2 * GAP + LINE * len(above)
    legend = LINE * (sum(len(lines) for _, lines in entries) + BAR_LINES)
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
        swatch = _hatched(colours, np.full((SWATCH + 1, SWATCH + 1), code))
        image.paste(Image.fromarray(swatch), (width - LEGEND - GAP, y))
        draw.rectangle((width - LEGEND - GAP, y, width - LEGEND - GAP + SWATCH, y + SWATCH), outline=INK)
        for line in lines:
            draw.text((width - LEGEND - GAP + SWATCH + 6, y), line, INK, font)
            y += LINE
    _bar(draw, width - LEGEND - GAP, y + LINE, metres / times)
    return np.asarray(image)


def _bar(draw: "ImageDraw", x: int, y: int, metres: float) -> None:
    """A scale bar of round kilometres, and where north is. `metres` of a pixel."""
    from PIL import ImageFont  # noqa: PLC0415

    lengths = [digit * 10**power for power in range(5) for digit in (1, 2, 5)]
    kilometres = max(length for length in lengths if length * 1000 / metres <= BAR or length == 1)
    end = x + round(kilometres * 1000 / metres)
    draw.line([(x, y), (x, y + 6), (end, y + 6), (end, y)], INK, 2)
    draw.text((x, y + 10), f"{kilometres:,} km; north of the grid is up", INK, ImageFont.load_default(TEXT))


def _hatched(colours: Picture, codes: NDArray[Any]) -> Picture:
    """Codes in their colours, and lines where there is none."""
    rows, cols = np.indices(codes.shape)
    lines = (codes == UNSEEN) & ((rows + cols) % HATCH == 0)
    return np.where(lines[..., None], np.array(PALE, np.uint8), colours[codes])
