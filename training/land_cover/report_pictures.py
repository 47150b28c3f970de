"""The pictures of a data report, drawn with Pillow; (rows, columns, 3) each."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eo.pictures import Picture
from land_cover.labels import CLASSES, COLOURS

Colour = tuple[int, int, int]
INK, FAINT, PAPER, GRID = (40, 40, 40), (120, 120, 120), (255, 255, 255), (224, 224, 224)
SPLIT_COLOURS: dict[str, Colour] = {"train": (50, 110, 190), "validation": (240, 160, 30), "test": (200, 40, 60)}
TEXT, LINE, GAP = 13, 20, 12
"""Letters, lines of text and margins in pixels."""
NAME_WIDTH = 330
"""Pixels for the name of a class, which may be 86 letters long: those take two lines of smaller letters."""
SMALL, SMALL_LINE = 11, 13
"""Letters and lines of such names in pixels."""
GENERATED = "generated patches: they show patterns made for each class, and nothing of real ground"


def class_counts(counts: Mapping[str, NDArray[np.int64]], totals: Mapping[str, int]) -> Picture:
    """For each class its share of the patches of each split, with the number of patches beside the bar."""
    bar, width = 11, 420
    tall = max(bar * len(counts) + 8, 2 * SMALL_LINE + 4)
    paper = _Paper(NAME_WIDTH + width + 100, GAP + LINE + tall * len(CLASSES) + GAP)
    shares = {split: found / max(totals[split], 1) for split, found in counts.items()}
    longest = max(0.01, *(float(share.max()) for share in shares.values()))
    left = GAP
    for split, total in totals.items():
        left = paper.legend((left, GAP), SPLIT_COLOURS[split], f"{split}, {total:,} patches")
    for row, name in enumerate(CLASSES):
        top = GAP + LINE + row * tall
        paper.right(NAME_WIDTH - 8, top + bar * len(counts) // 2, name, NAME_WIDTH - 2 * GAP)
        for place, split in enumerate(counts):
            at, long = top + bar * place, round(width * float(shares[split][row]) / longest)
            paper.draw.rectangle((NAME_WIDTH, at, NAME_WIDTH + long, at + bar - 2), SPLIT_COLOURS[split])
            said = f"{counts[split][row]:,}  {100 * shares[split][row]:.1f} %"
            paper.text((NAME_WIDTH + long + 6, at - 2), said, FAINT, 10)
    return paper.picture()


def cooccurrence(pairs: NDArray[np.int64]) -> Picture:
    """For each class (row) the share of its patches that also have another (column), in per cent."""
    cell = 34
    paper = _Paper(NAME_WIDTH + cell * len(CLASSES) + GAP, GAP + LINE * 2 + cell * len(CLASSES) + GAP)
    paper.text((GAP, GAP), "of the patches with the class of a row, how many per cent also have that of a column")
    own = np.maximum(np.diag(pairs), 1)
    for row, name in enumerate(CLASSES):
        top = GAP + 2 * LINE + row * cell
        paper.right(NAME_WIDTH - 8, top + cell // 2 - 1, f"{row + 1}  {name}", NAME_WIDTH - 2 * GAP)
        paper.middle(NAME_WIDTH + cell * row + cell // 2, GAP + LINE + 2, str(row + 1))
        for column in range(len(CLASSES)):
            share = float(pairs[row, column] / own[row])
            left = NAME_WIDTH + cell * column
            shade: Colour = GRID if row == column else _mixed(PAPER, SPLIT_COLOURS["train"], share)
            paper.draw.rectangle((left, top, left + cell - 2, top + cell - 2), shade)
            if row != column and pairs[row, column]:
                ink = PAPER if share > 0.55 else INK
                paper.middle(left + cell // 2 - 1, top + (cell - TEXT) // 2, f"{100 * share:.0f}", ink, 11)
    return paper.picture()


def patch_map(places: Mapping[str, NDArray[np.float64]], metres: float = 1200.0) -> Picture:
    """Where patches lie, by split, from above; `places` are (patches, 2) metres east and north of their middles.

    Each is as large as its ground, and 3 pixels where that would be less.
    """
    everything = np.concatenate(list(places.values()))
    low, high = everything.min(0) - metres, everything.max(0) + metres
    scale = float((high - low).max()) / 1000
    width, height = (int(np.ceil(extent / scale)) for extent in high - low)
    paper = _Paper(max(width, 620) + 2 * GAP, height + 4 * GAP + 2 * LINE)
    left, top = GAP, GAP
    for split, points in places.items():
        left = paper.legend((left, top), SPLIT_COLOURS[split], f"{split}, {len(points):,} patches")
    half = max(metres / scale, 3.0) / 2
    for split, points in places.items():
        for east, north in points:
            x, y = GAP + (east - low[0]) / scale, GAP + LINE + GAP + (high[1] - north) / scale
            paper.draw.rectangle((x - half, y - half, x + half - 1, y + half - 1), SPLIT_COLOURS[split])
    length = 10.0 ** np.floor(np.log10(250 * scale))
    bottom = paper.height - GAP - LINE
    paper.draw.line((GAP, bottom, GAP + length / scale, bottom), INK, 3)
    paper.text((GAP, bottom + 3), f"{length / 1000:g} km, north is up (EPSG:3035)")
    return paper.picture()


def examples(patches: Sequence[tuple[str, Picture | None]]) -> Picture:
    """A patch of each class in its own colours, None where there is none; five in a row."""
    edge, columns, letters = 240, 5, 12
    tall = edge + 3 * LINE
    rows = -(-len(patches) // columns)
    paper = _Paper(GAP + columns * (edge + GAP), GAP + rows * tall)
    for place, (name, picture) in enumerate(patches):
        left, top = GAP + place % columns * (edge + GAP), GAP + place // columns * tall
        if picture is None:
            paper.draw.rectangle((left, top, left + edge, top + edge), GRID)
            paper.middle(left + edge // 2, top + edge // 2 - 8, "no patch has it")
        else:
            paper.image.paste(Image.fromarray(picture).resize((edge, edge), Image.Resampling.NEAREST), (left, top))
        paper.draw.rectangle((left, top + edge + 6, left + 11, top + edge + 17), COLOURS[name], GRID)
        for line, words in enumerate(paper.wrapped(name, edge - 17, letters)):
            paper.text((left + 17, top + edge + 3 + 15 * line), words, INK, letters)
    return paper.picture()


def histograms(bands: Sequence[str], counts: NDArray[np.int64], largest: float, facts: Sequence[str]) -> Picture:
    """A histogram for each band, (bands, bins) over reflectance 0 to `largest`, with a line of text below its name."""
    wide, tall, columns = 300, 130, 4
    rows = -(-len(bands) // columns)
    paper = _Paper(GAP + columns * (wide + GAP), 2 * GAP + LINE + rows * (tall + 3 * LINE + GAP))
    paper.text((GAP, GAP), f"pixels by surface reflectance; the last bar of a band holds all above {largest:g} too")
    for place, band in enumerate(bands):
        left, top = GAP + place % columns * (wide + GAP), 2 * GAP + LINE + place // columns * (tall + 3 * LINE + GAP)
        paper.text((left, top), f"{band}   {facts[place]}")
        base = top + LINE + tall
        heights = tall * counts[place] / max(int(counts[place].max()), 1)
        step = wide / len(heights)
        for at, high in enumerate(heights):
            if high:
                paper.draw.rectangle((left + at * step, base - high, left + (at + 1) * step - 1, base), (90, 140, 90))
        paper.draw.line((left, base, left + wide, base), INK)
        for tick in range(3):
            paper.middle(
                left + wide * tick // 2, base + 3, f"{largest * tick / 2:g}", FAINT, 11, within=(left, left + wide)
            )
    return paper.picture()


def marked(picture: Picture) -> Picture:
    """A picture of generated patches, which says so at its foot: it may be shown without the report."""
    foot = _Paper(picture.shape[1], LINE + GAP)
    foot.text((GAP, 0), GENERATED, SPLIT_COLOURS["test"])
    return np.concatenate([picture, foot.picture()])


class _Paper:
    """A white picture that is written on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self.draw = ImageDraw.Draw(self.image)
        self.height = height

    def text(self, at: tuple[float, float], words: str, ink: Colour = INK, size: int = TEXT) -> float:
        """Write; gives the column at which it ends."""
        font = ImageFont.load_default(size)
        self.draw.text(at, words, ink, font)
        return at[0] + self.draw.textlength(words, font)

    def right(self, end: float, middle: float, words: str, room: float) -> None:
        """Write so that it ends at a column, around a row; in small letters and lines where the room is too little for one."""
        lines, size, tall = [words], TEXT, LINE
        if self.draw.textlength(words, ImageFont.load_default(TEXT)) > room:
            lines, size, tall = self.wrapped(words, room, SMALL), SMALL, SMALL_LINE
        font = ImageFont.load_default(size)
        # Letters hang in the upper part of their line.
        top = middle - tall * (len(lines) - 1) / 2 - 0.6 * size
        for place, line in enumerate(lines):
            self.draw.text((end - self.draw.textlength(line, font), top + tall * place), line, INK, font)

    def wrapped(self, words: str, room: float, size: int) -> list[str]:
        """Lines that fit into so many pixels."""
        font, lines = ImageFont.load_default(size), [""]
        for word in words.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            if lines[-1] and self.draw.textlength(longer, font) > room:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def middle(
        self,
        middle: float,
        top: float,
        words: str,
        ink: Colour = INK,
        size: int = TEXT,
        within: tuple[float, float] | None = None,
    ) -> None:
        """Write around a column, moved to stay within others."""
        font = ImageFont.load_default(size)
        length = self.draw.textlength(words, font)
        left = middle - length / 2
        if within is not None:
            left = min(max(left, within[0]), within[1] - length)
        self.draw.text((left, top), words, ink, font)

    def legend(self, at: tuple[float, float], colour: Colour, words: str) -> float:
        """A square of a colour and what it stands for; gives the column at which the next may begin."""
        self.draw.rectangle((at[0], at[1] + 2, at[0] + 11, at[1] + 13), colour)
        return self.text((at[0] + 17, at[1]), words) + 2 * GAP

    def picture(self) -> Picture:
        """What was drawn."""
        return np.asarray(self.image)


def _mixed(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
