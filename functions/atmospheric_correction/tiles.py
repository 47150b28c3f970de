"""Correction by a net that looks at a pixel's surroundings: tiles of one size, anchored to absolute pixels, feathered.

What such a net makes of a pixel depends on its whole tile (squeeze-and-excitation takes means over it), so no halo makes
two tilings equal. Therefore the tiles are those of one lattice, and shards blend those that reach into them: they agree DN
for DN however a job is cut. Jobs of other extents see other pixels in the tiles at their rims, and differ there by what
the model's card says.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eo.correction import SURFACE
from eo.errors import CorruptData
from eo.grid import Window
from eo.radiometry import NODATA, SATURATION, Radiometry
from eo.tiling import Tiling

if TYPE_CHECKING:
    from eo.card import ModelGrid
    from eo.model import Model

Floats = NDArray[np.float32]
DNs = NDArray[np.uint16]
Read = Callable[[Window], DNs]
"""DNs (bands, rows, columns) of any window of the target grid; 0 where there is nothing."""

SIGMA = "sigma.json"
"""The model's file that holds 1-sigma of surface reflectance by band."""
MULTIPLE = 32
"""Encoders halve five times: tiles that begin at multiples of it put pixels at one place of the coarsest grid."""
WHITE = 1.0
"""Reflectance that a tile is given for a band that is saturated wherever it has data."""
LEAST_HALO = 128
"""Pixels of context that a pixel has at least before it counts fully."""
CROPPED = 32
"""Pixels at a tile's edge that are not used: what is padded there is nobody's ground."""


@dataclass(frozen=True, slots=True)
class Lattice:
    """Where tiles lie, and how they blend into each other."""

    tile: int
    """Edge in pixels, as the network gets them."""
    halo: int
    """Pixels at each edge that are cropped or feathered."""

    def __post_init__(self) -> None:
        if self.tile % MULTIPLE or self.halo % MULTIPLE or self.halo < LEAST_HALO or self.stride < self.feather:
            raise CorruptData(
                f"tiles of {self.tile} pixels with a halo of {self.halo}: both have to be multiples of {MULTIPLE}, the "
                f"halo {LEAST_HALO} or more, the tile {2 * self.halo} or more; publish the model with such a grid"
            )

    @classmethod
    def of(cls, grid: "ModelGrid") -> "Lattice":
        """The lattice of a model's card. Raises CorruptData where it has none, or none that works."""
        if grid.tile is None or grid.multiple != MULTIPLE:
            raise CorruptData(
                f"the card says tiles of {grid.tile} pixels at multiples of {grid.multiple}, and has to name a size and "
                f"the multiple {MULTIPLE}: publish the model with such a grid"
            )
        return cls(grid.tile, grid.halo)

    @property
    def feather(self) -> int:
        """Pixels over which a tile gives way to the next."""
        return self.halo - CROPPED

    @property
    def used(self) -> int:
        """Edge of what a tile contributes."""
        return self.tile - 2 * CROPPED

    @property
    def stride(self) -> int:
        """Pixels from tile to tile: the contributions overlap by the feather."""
        return self.used - self.feather

    def cut(self, block: int = 1) -> Tiling:
        """The same as a plan has it, with units of block x block tiles."""
        return Tiling(stride=self.stride, used=self.used, margin=CROPPED, block=block)

    def window(self, row: int, col: int) -> Window:
        """The pixels of a tile, halo included. Its first ones are multiples of 32."""
        return self.cut().read(Window(col, row, 1, 1))

    def ramp(self) -> Floats:
        """(used,) weights of a tile's pixels along an axis; those of two neighbours add up to 1."""
        rising = (np.arange(self.feather, dtype=np.float32) + np.float32(0.5)) / np.float32(self.feather)
        return np.concatenate([rising, np.ones(self.stride - self.feather, np.float32), 1 - rising])


def correct_tiles(window: Window, read: Read, radiometry: Sequence[Radiometry], model: "Model") -> DNs:
    """Surface DNs (bands, rows, columns) of a window of the target grid: reflectance = (DN - 1000) / 10000.

    `radiometry` is that of the bands that `read` gives, which are the model's. Equal pixels come out equal whatever the
    window, as long as `read` gives the same. A pixel without data in a band gets none in any; saturated pixels stay so.
    Every tile that reaches into the window is computed for it alone; a job computes them once (`unet`).
    Raises CorruptData where the model's card has no lattice that works.
    """
    lattice = Lattice.of(model.card.grid)

    def told(row: int, cols: range) -> Iterator[Floats | None]:
        return contributions(Window(cols.start, row, len(cols), 1), read, radiometry, model)

    return blended(window, read(window), lattice, told)


def contributions(
    tiles: Window, read: Read, radiometry: Sequence[Radiometry], model: "Model"
) -> Iterator[Floats | None]:
    """What tiles contribute, row by row: reflectance (bands, used, used) of each; None where all of it is empty.

    `tiles` are numbers of tiles. Holds what `read` gives of one, and what the net says of it.
    """
    lattice = Lattice.of(model.card.grid)
    for tile in tiles.cells(1, 1):
        said = predicted(read(lattice.window(tile.row, tile.col)), radiometry, model)
        yield None if said is None else said[:, CROPPED:-CROPPED, CROPPED:-CROPPED]


Told = Callable[[int, range], Iterable[Floats | None]]
"""Row of tiles and numbers of some of its tiles to what these contribute."""


def blended(window: Window, own: DNs, lattice: Lattice, told: Told) -> DNs:
    """Surface DNs of a window whose TOA DNs are `own`, from what tiles contribute: see correct_tiles."""
    found = np.zeros(own.shape, np.uint16)
    ramp, stride = lattice.ramp()[:, None], lattice.stride
    before: Floats | None = None
    for row in lattice.cut().along(window.row, window.row_end):
        line = _line(row, window, len(own), lattice, told)
        line *= ramp
        done = line[:, :stride]
        if before is not None:
            done[:, : lattice.feather] += before
        before = line[:, stride:].copy()
        # Rows from this tile's first to the next one's are done.
        first = row * stride
        start, end = max(first, window.row), min(first + stride, window.row_end)
        if start < end:
            rows = slice(start - window.row, end - window.row)
            found[:, rows] = _surface(done[:, start - first : end - first], own[:, rows])
    return found


def _line(row: int, window: Window, bands: int, lattice: Lattice, told: Told) -> Floats:
    """What a row of tiles says of a window's columns: reflectance (bands, used, columns), feathered along the columns."""
    line = np.zeros((bands, lattice.used, window.width), np.float32)
    ramp = lattice.ramp()
    cols = lattice.cut().along(window.col, window.col_end)
    for col, said in zip(cols, told(row, cols), strict=True):
        if said is not None:
            first = col * lattice.stride
            start, end = max(first, window.col), min(first + lattice.used, window.col_end)
            part = slice(start - first, end - first)
            line[..., start - window.col : end - window.col] += said[..., part] * ramp[part]
    return line


def predicted(dn: DNs, radiometry: Sequence[Radiometry], model: "Model") -> Floats | None:
    """Surface reflectance (bands, tile, tile) of a tile's DNs; None where no pixel has data in all bands.

    The network's mean over a tile needs pixels everywhere: around those with data they are mirrored, and what is then
    still empty gets their mean. So does a band where it is saturated: a DN that says "too bright" is no reflectance, and
    would shine into its neighbours as one of 6.5.
    """
    known = (dn != NODATA).all(axis=0)
    if not known.any():
        return None
    told = known & (dn != SATURATION)
    toa = np.empty(dn.shape, np.float32)
    for band, meant in enumerate(radiometry):
        np.add(dn[band], np.float32(meant.offset), out=toa[band])
        toa[band] /= np.float32(meant.quantification)
    if not told.all():
        toa = _filled(toa, known, told)
    (name,) = (tensor.name for tensor in model.card.inputs)
    (said,) = model.run(**{name: toa[None]}).values()
    surface: Floats = said[0]
    return surface


def _filled(toa: Floats, known: NDArray[np.bool_], told: NDArray[np.bool_]) -> Floats:
    """The tile without gaps, decided by its known pixels (rows, columns) alone, and by what is `told` (bands, rows, columns)."""
    mean = [band[there].mean(dtype=np.float64) if there.any() else WHITE for band, there in zip(toa, told, strict=True)]
    whole = np.where(told, toa, np.array(mean, np.float32)[:, None, None])
    rows, cols = (_mirrored(np.flatnonzero(known.any(axis=axis)), toa.shape[-1]) for axis in (1, 0))
    return np.ascontiguousarray(whole[:, rows[:, None], cols])


def _mirrored(present: NDArray[np.intp], edge: int) -> NDArray[np.intp]:
    """For each place along an edge, the one whose value it takes: itself from the first to the last of those present.

    Beyond them its mirror image.
    """
    first, last = int(present[0]), int(present[-1])
    period = max(2 * (last - first), 1)
    at = np.mod(np.arange(edge, dtype=np.intp) - first, period)
    mirrored: NDArray[np.intp] = first + np.minimum(at, period - at)
    return mirrored


def _surface(reflectance: Floats, dn: DNs) -> DNs:
    """DNs of surface reflectance, rounded half up; saturated pixels stay so, and without all bands there is no data."""
    values = reflectance * np.float32(SURFACE.quantification) + np.float32(0.5 - SURFACE.offset)
    made: DNs = np.clip(values, 1, SATURATION - 1).astype(np.uint16)
    made[dn == SATURATION] = SATURATION
    made[:, (dn == NODATA).any(axis=0)] = NODATA
    return made


def sigma(model: "Model", bands: Sequence[str]) -> list[float]:
    """1-sigma of surface reflectance by band, the same everywhere: from errors on held-out patches.

    Raises CorruptData where the model has none.
    """
    try:
        known: dict[str, Any] = json.loads(model.files[SIGMA])
        return [float(known[band]) for band in bands]
    except (KeyError, ValueError) as error:
        raise CorruptData(
            f"{SIGMA} of model {model.card.name} does not tell 1-sigma of {', '.join(bands)} ({error}): publish the model anew"
        ) from None
