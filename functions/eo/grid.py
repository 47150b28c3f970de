"""Pixel windows and the grids they lie on.

Columns and rows of the target grid are absolute: column 0 starts at the grid's phase, not at the job's edge.
Whatever is anchored to them (shards, sampling, geolocation) is the same however a job is cut.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

NORTHING_SHIFT = 10_000_000
"""False northing of the southern UTM zones in metres (EPSG method 9807 parameters of EPSG:327xx)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open rectangle of pixels."""

    col: int
    """First column."""
    row: int
    """First row."""
    width: int
    """Number of columns, > 0."""
    height: int
    """Number of rows, > 0."""

    @property
    def col_end(self) -> int:
        """First column behind the window."""
        return self.col + self.width

    @property
    def row_end(self) -> int:
        """First row behind the window."""
        return self.row + self.height

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns), as NumPy has it."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def intersection(self, other: "Window") -> "Window | None":
        """The pixels that both have, or None."""
        col, row = max(self.col, other.col), max(self.row, other.row)
        col_end, row_end = min(self.col_end, other.col_end), min(self.row_end, other.row_end)
        if col >= col_end or row >= row_end:
            return None
        return Window(col, row, col_end - col, row_end - row)

    def shifted(self, cols: int, rows: int) -> "Window":
        """The same rectangle elsewhere."""
        return Window(self.col + cols, self.row + rows, self.width, self.height)

    def grown(self, pixels: int) -> "Window":
        """The rectangle with a margin of this many pixels on every side."""
        return Window(self.col - pixels, self.row - pixels, self.width + 2 * pixels, self.height + 2 * pixels)

    def snapped(self, width: int, height: int) -> "Window":
        """The smallest rectangle around this one whose edges are multiples of the cell size."""
        col, row = self.col // width * width, self.row // height * height
        return Window(col, row, -(-self.col_end // width) * width - col, -(-self.row_end // height) * height - row)

    def cells(self, width: int, height: int, *, col: int = 0, row: int = 0) -> Iterator["Window"]:
        """Cut along a lattice of cells that has a corner at (col, row), row by row."""
        for top in range((self.row - row) // height * height + row, self.row_end, height):
            for left in range((self.col - col) // width * width + col, self.col_end, width):
                part = self.intersection(Window(left, top, width, height))
                if part is not None:
                    yield part

    def slices(self, origin: "Window") -> tuple[slice, slice]:
        """(rows, columns) of this window in an array whose first pixel is the origin's."""
        top, left = self.row - origin.row, self.col - origin.col
        return slice(top, top + self.height), slice(left, left + self.width)

    def to_list(self) -> list[int]:
        """[col, row, width, height], the form in which plans hold it."""
        return [self.col, self.row, self.width, self.height]


@dataclass(frozen=True, slots=True)
class RasterGrid:
    """Where the pixels of a north-up raster lie."""

    crs: str
    """An authority code such as EPSG:32632, or WKT where there is none."""
    x: float
    """Left edge of column 0, in CRS units."""
    y: float
    """Upper edge of row 0, in CRS units."""
    dx: float
    """Pixel width, > 0, in CRS units."""
    dy: float
    """Pixel height in CRS units; positive where rows go down (north up), negative where they go up."""
    width: int
    """Number of columns."""
    height: int
    """Number of rows."""
    origin: tuple[float, float, int, int] | None = None
    """Where this is a part of a larger raster: its (x, y), and (column, row) of this one's first pixel in it."""
    turn: int = 0
    """Columns of a whole turn of 360 degrees, where x is a longitude that may be counted in any turn; otherwise 0."""

    @property
    def window(self) -> Window:
        """All pixels."""
        return Window(0, 0, self.width, self.height)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the outer edges, in CRS units."""
        right, end = self.x + self.width * self.dx, self.y - self.height * self.dy
        return self.x, min(self.y, end), right, max(self.y, end)

    def cropped(self, window: Window) -> "RasterGrid":
        """The grid of a window of this one."""
        x, y, col, row = self.origin or (self.x, self.y, 0, 0)
        col, row = col + window.col, row + window.row
        left, top = x + col * self.dx, y - row * self.dy
        origin = (x, y, col, row)
        return RasterGrid(self.crs, left, top, self.dx, self.dy, window.width, window.height, origin, self.turn)

    def indices(self, x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
        """(u, v): columns and rows of places in CRS units, as real numbers; the first pixel's centre is (0, 0).

        Counted in the larger raster first: its whole columns are then taken off exactly, so weights between two pixels
        have the same bits whatever part of the raster is asked. x + 100 dx is rounded, and 1 % of heights would differ.
        Likewise for longitudes from another turn (|x| < 540): 180.01 and -179.99 give the same weights.
        """
        left, top, col, row = self.origin or (self.x, self.y, 0, 0)
        # Two turns more, so that no number is so small that it has bits which whole columns would round off.
        more = 2 * self.turn
        first: Doubles | int = col + more
        if self.turn:
            # Exact near 180, where turns are taken: both numbers have the same exponent.
            turns = np.greater_equal(x, 180.0).astype(np.float64) - np.less(x, -180.0)
            x, first = x - 360.0 * turns, first - turns * self.turn
        u, v = x - left, top - y
        u /= self.dx
        u += more - 0.5
        u -= first
        v /= self.dy
        v -= 0.5
        v -= row
        return u, v

    def column_centres(self) -> Doubles:
        """The x of the centres of all columns."""
        left, _, col, _ = self.origin or (self.x, self.y, 0, 0)
        return left + (col + np.arange(self.width, dtype=np.float64) + 0.5) * self.dx

    def centres(self, cols: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """(x, y) of the centres of these pixels, in CRS units."""
        left, top, col, row = self.origin or (self.x, self.y, 0, 0)
        x = left + (col + np.asarray(cols, np.float64) + 0.5) * self.dx
        y = top - (row + np.asarray(rows, np.float64) + 0.5) * self.dy
        return x, y

    def to_sibling(self, crs: str) -> "RasterGrid":
        """The same pixels counted in the northern or southern sibling of this UTM zone: a shift, no resampling."""
        if crs == self.crs or not is_sibling(self.crs, crs):
            return self
        shift = NORTHING_SHIFT if utm_zone(crs)[1] else -NORTHING_SHIFT  # type: ignore[index]
        origin = None if self.origin is None else (self.origin[0], self.origin[1] + shift, *self.origin[2:])
        return RasterGrid(crs, self.x, self.y + shift, self.dx, self.dy, self.width, self.height, origin)


@dataclass(frozen=True, slots=True)
class TargetGrid:
    """The grid on which a job works: whole-metre square pixels on absolute columns and rows."""

    crs: str
    """A projected CRS in metres, as an authority code."""
    resolution: int
    """Pixel size in metres."""
    phase_x: int
    """Easting of the left edge of column 0; 0 for native Sentinel-2."""
    phase_y: int
    """Northing of the upper edge of row 0; 0 for native Sentinel-2. Rows go down, so northern rows are negative."""
    window: Window
    """The pixels of the job: the smallest window that holds the bbox."""

    def x(self, col: float) -> float:
        """Easting of the left edge of a column."""
        return self.phase_x + col * self.resolution

    def y(self, row: float) -> float:
        """Northing of the upper edge of a row."""
        return self.phase_y - row * self.resolution

    def centres(self, cols: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Doubles, Doubles]:
        """(x, y) of the centres of these pixels, in metres."""
        x = self.phase_x + (np.asarray(cols, np.float64) + 0.5) * self.resolution
        y = self.phase_y - (np.asarray(rows, np.float64) + 0.5) * self.resolution
        return x, y

    def window_of(self, left: float, bottom: float, right: float, top: float) -> Window:
        """The smallest window that holds these bounds, in CRS units."""
        col, row = (
            math.floor((left - self.phase_x) / self.resolution),
            math.floor((self.phase_y - top) / self.resolution),
        )
        col_end = math.ceil((right - self.phase_x) / self.resolution)
        row_end = math.ceil((self.phase_y - bottom) / self.resolution)
        return Window(col, row, max(1, col_end - col), max(1, row_end - row))

    def offset_of(self, grid: RasterGrid) -> tuple[int, int] | None:
        """(column, row) of a raster's first pixel where its pixels are pixels of this grid, else None."""
        if grid.crs != self.crs or grid.dx != self.resolution or grid.dy != self.resolution:
            return None
        col, row = (grid.x - self.phase_x) / self.resolution, (self.phase_y - grid.y) / self.resolution
        return (int(col), int(row)) if col.is_integer() and row.is_integer() else None


def utm_zone(crs: str) -> tuple[int, bool] | None:
    """(zone 1-60, whether southern) of EPSG:326xx and EPSG:327xx, None for any other CRS."""
    code = crs.removeprefix("EPSG:")
    if len(code) == 5 and code.isdigit() and code[:3] in {"326", "327"} and 1 <= int(code[3:]) <= 60:
        return int(code[3:]), code[:3] == "327"
    return None


def is_sibling(one: str, other: str) -> bool:
    """Whether two CRSs are the northern and the southern half of one UTM zone."""
    a, b = utm_zone(one), utm_zone(other)
    return a is not None and b is not None and a[0] == b[0] and a[1] != b[1]
