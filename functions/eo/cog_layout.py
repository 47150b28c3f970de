"""Where the tiles of a sharded GeoTIFF lie, so that workers write them without knowing of each other.

Tiles of every overview level lie on the job's lattice (`Plan.lattice`), on which chunks and shards lie too: each tile of
the levels up to `Layout.own` belongs to one shard, whatever the shard's edge. Pixels of overviews cover squares of that
lattice, so two jobs that overlap have the same ones. The price is a raster that begins up to a quarter of its longer side
west and north of the job, without data there; such tiles take no bytes.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.grid import TargetGrid, Window
from eo.job import Plan

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
"""Media type of a cloud-optimised GeoTIFF."""
SMALLEST, LARGEST = 16, 256
"""Tile edges in pixels: TIFF wants multiples of 16 (TIFF 6.0, section 15); one of 256 is a request of 0.1-0.3 MB."""
JOINED_PIXELS = 1 << 22
"""Pixels of the level from which the fan-in makes the coarser ones, at most, where chunks allow it."""


@dataclass(frozen=True, slots=True)
class Band:
    """What one band is: value = stored * scale + offset."""

    description: str
    scale: float = 1.0
    offset: float = 0.0
    unit: str = ""
    colour: Literal["", "Red", "Green", "Blue"] = ""
    """Which of a picture's colours it is, in GDAL's words; empty for none of them."""


@dataclass(frozen=True, slots=True)
class Raster:
    """What the pixels of a file are."""

    role: str
    """Name of the raster among the objects that a unit leaves."""
    dtype: Literal["uint8", "uint16", "float32"]
    bands: tuple[Band, ...]
    nodata: float
    """The stored value that says "no data": the smallest or largest integer, or any float, NaN among them."""
    classes: bool = False
    """Whether values are codes: overviews then take the commonest, not the mean."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """Red, green and blue (0-255) of the codes from 0 on, for one band of uint8; others are black. None where empty."""

    def __post_init__(self) -> None:
        """Refuse a nodata value that a mean of others could be."""
        if self.dtype == "float32":
            return
        limits = np.iinfo(self.dtype)
        if self.nodata not in {limits.min, limits.max}:
            raise InvalidInput(
                f"nodata of {self.role} is {self.nodata}, which a mean of {self.dtype} may be: take {limits.min} or {limits.max}"
            )

    def missing(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Where values say "no data"."""
        return np.asarray(np.isnan(values) if math.isnan(self.nodata) else values == values.dtype.type(self.nodata))


@dataclass(frozen=True, slots=True)
class Layout:
    """Pixels and tiles of every level. Level k has pixels 2^k times as wide; 0 is full resolution."""

    window: Window
    """All pixels of the file, in absolute columns and rows of the grid: the job's, and some west and north of it."""
    tile: int
    """Edge in pixels, at every level."""
    own: int
    """The coarsest level that shards make."""
    levels: int
    """The coarsest level."""

    def shape(self, level: int) -> tuple[int, int]:
        """(rows, columns) of a level's pixels."""
        return -(-self.window.height >> level), -(-self.window.width >> level)

    def tiles(self, level: int) -> tuple[int, int]:
        """(rows, columns) of a level's tiles; those at the right and lower end may reach beyond its pixels."""
        rows, cols = self.shape(level)
        return -(-rows // self.tile), -(-cols // self.tile)

    def within(self, window: Window, level: int) -> Window:
        """The tiles of a level that a window meets, as columns and rows of that level's tiles."""
        edge = self.tile << level
        inner = window.shifted(-self.window.col, -self.window.row).snapped(edge, edge)
        return Window(inner.col // edge, inner.row // edge, inner.width // edge, inner.height // edge)


def layout(
    window: Window, *, lattice: tuple[int, int], chunk: int, tile: int | None = None, joined: int = JOINED_PIXELS
) -> Layout:
    """Lay out a file for a job's window. It depends on the job and its chunks, not on the edge of its shards.

    Raises InvalidInput where no tile divides the chunk.
    """
    longest = max(window.width, window.height)
    # Shards are multiples of chunks, so what divides a chunk never straddles two shards.
    divides = chunk & -chunk
    if divides < SMALLEST:
        raise InvalidInput(
            f"chunks of {chunk} pixels cannot be cut into tiles of a GeoTIFF, whose edge is a power of two from {SMALLEST} on: "
            f"set EO_SHARDS_CHUNK to a multiple of {SMALLEST}"
        )
    if tile is None:
        # Smaller tiles for small jobs: the raster begins at a whole one.
        tile = min(LARGEST, divides, max(SMALLEST, _power_of_two(longest // 4)))
    needed = next(level for level in range(64) if window.pixels >> 2 * level <= joined)
    own = min(needed, _log2(divides // tile), _coarsest(longest, tile))
    snap = max(tile << own, 2 << _coarsest(longest, tile))
    col = (window.col - lattice[0]) // snap * snap + lattice[0]
    row = (window.row - lattice[1]) // snap * snap + lattice[1]
    whole = Window(col, row, window.col_end - col, window.row_end - row)
    return Layout(whole, tile, own, max(own, _coarsest(max(whole.width, whole.height), tile)))


def whole(plan: Plan) -> Layout:
    """Lay out the files of a job's full resolution. Raises as `layout`."""
    return layout(plan.grid.window, lattice=plan.lattice, chunk=plan.chunk)


def undivided(window: Window) -> Layout:
    """Lay out a file that one process makes as a whole: it begins where its pixels do."""
    tile = min(LARGEST, max(SMALLEST, _power_of_two(max(window.width, window.height))))
    levels = _coarsest(max(window.width, window.height), tile)
    return Layout(window, tile, levels, levels)


def _coarsest(edge: int, tile: int) -> int:
    """The first level at which this many pixels fit into one tile."""
    return next(level for level in range(64) if -(-edge >> level) <= tile)


def _power_of_two(number: int) -> int:
    """The largest that is not above the number (> 0), else 1."""
    return 1 << _log2(max(number, 1))


def _log2(number: int) -> int:
    return number.bit_length() - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's first pixel lies."""

    epsg: int
    """Code of a projected CRS in metres."""
    left: float
    top: float
    """Outer edges of the first pixel, in metres of the CRS."""
    pixel: float
    """Edge of a pixel in metres."""

    @classmethod
    def of(cls, grid: TargetGrid, laid: Layout) -> "Place":
        """The place of a layout's pixels on the target grid. Raises as `epsg`."""
        return cls(epsg(grid.crs), grid.x(laid.window.col), grid.y(laid.window.row), grid.resolution)


def epsg(crs: str) -> int:
    """The number of an EPSG code. Raises InvalidInput for CRSs of other authorities, which GeoTIFF has no key for."""
    authority, _, code = crs.partition(":")
    if authority.upper() != "EPSG" or not code.isdigit() or not 1024 <= int(code) <= 32766:
        raise InvalidInput(
            f"the CRS {crs} has no EPSG code from 1024 to 32766, by which a GeoTIFF names it: give --crs, such as EPSG:32632"
        )
    return int(code)
