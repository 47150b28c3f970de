"""Overlapping tiles of the target grid: what a stage computes that needs a pixel's wider surroundings.

As shards, they lie on absolute columns and rows; unlike shards, they lie where they do however a job is cut. Windows of
tiles count tiles, not pixels: their columns and rows are the tiles' numbers.
"""

from dataclasses import dataclass

from eo.grid import Window

TILES = "tiles"
"""Group of the cube's arrays of what tiles contribute."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Where tiles lie, and how many of them a unit computes. Tile 0 of an axis contributes from pixel 0 on."""

    stride: int
    """Pixels from tile to tile."""
    used: int
    """Edge in pixels of what a tile contributes; what it overlaps with the next is this less the stride."""
    margin: int
    """Pixels that a tile reads around these on every side."""
    block: int
    """Tiles that a unit computes along an axis, at most."""

    @property
    def edge(self) -> int:
        """Edge in pixels of what a tile reads."""
        return self.used + 2 * self.margin

    def along(self, first: int, end: int) -> range:
        """Numbers of the tiles that contribute to the pixels from `first` to `end`, along an axis."""
        return range(-((self.used - 1 - first) // self.stride), -(-end // self.stride))

    def touching(self, pixels: Window) -> Window:
        """The tiles that contribute to a window of the target grid."""
        cols, rows = self.along(pixels.col, pixels.col_end), self.along(pixels.row, pixels.row_end)
        return Window(cols.start, rows.start, len(cols), len(rows))

    def pixels(self, tiles: Window) -> Window:
        """The pixels of the target grid to which some of these tiles contribute."""
        overlap = self.used - self.stride
        width, height = tiles.width * self.stride + overlap, tiles.height * self.stride + overlap
        return Window(tiles.col * self.stride, tiles.row * self.stride, width, height)

    def read(self, tiles: Window) -> Window:
        """The pixels of the target grid that these tiles read."""
        return self.pixels(tiles).grown(self.margin)

    def stored(self, tiles: Window, first: Window) -> Window:
        """Where their contributions lie in an array that has a chunk of `used` x `used` for each of the tiles `first`."""
        col, row = tiles.col - first.col, tiles.row - first.row
        return Window(col * self.used, row * self.used, tiles.width * self.used, tiles.height * self.used)
