"""The U-Net's own stage, tiles, and what the correct stage makes of what it leaves.

Shards share tiles. So every tile of the lattice that reaches into the job is computed once, and lies in the cube in a chunk
of its own; shards blend those that reach into them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.tiles import Floats, Lattice, blended, contributions, sigma
from eo.correction import SURFACE, UNET, corrected
from eo.errors import CorruptData, LostWork
from eo.grid import Window
from eo.job import Part, Plan, Unit
from eo.model import Model, load, tables
from eo.tiling import TILES
from eo.unit_io import UnitIO

DNs = NDArray[np.uint16]


def tiles(unit: Unit, _state: Any, io: UnitIO) -> Part:  # noqa: ANN401 - the stage before has no reduce
    """Write what the tiles of a unit contribute: reflectance, float32; 0 where a tile has no data."""
    plan, bands = io.plan, corrected(io.plan)
    model = load(UNET, bands=bands)
    stored = _Stored(plan, model)
    whole = stored.tiling.read(unit.window)
    toa = _valid(bands, whole, io)

    def read(window: Window) -> DNs:
        return toa[(slice(None), *window.slices(whole))]

    numbers = unit.window.cells(1, 1)
    empty = 0
    said = contributions(unit.window, read, [plan.radiometry[band] for band in bands], model)
    for number, values in zip(numbers, said, strict=True):
        place = stored.window(number)
        empty += values is None
        for index, band in enumerate(bands):
            of_band = np.zeros(place.shape, np.float32) if values is None else values[index]
            io.cube.write(f"{TILES}/{band}", place, of_band)
    return Part(unit=unit.id, counts={"tiles": unit.window.pixels, "empty": empty})


@dataclass(frozen=True)
class Tiled:
    """What the net makes of a shard."""

    surface: DNs
    """(bands, rows, columns) DNs."""
    sigma: list[int]
    """1-sigma by band, in DN."""


def tiled(bands: tuple[str, ...], window: Window, io: UnitIO) -> Tiled:
    """A shard, blended from the tiles that reach into it. Raises LostWork where the cube lacks one of them."""
    model = tables(UNET)
    stored = _Stored(io.plan, model)

    def told(row: int, cols: range) -> Iterator[Floats]:
        for col in cols:
            place = stored.window(Window(col, row, 1, 1))
            yield np.stack([io.cube.read(f"{TILES}/{band}", place) for band in bands])

    own = np.stack([io.cube.read_target(band, window) for band in bands])
    found = blended(window, own, stored.lattice, told)
    return Tiled(found, [round(value * SURFACE.quantification) for value in sigma(model, bands)])


class _Stored:
    """Where tiles lie, on the ground and in the cube."""

    def __init__(self, plan: Plan, model: Model) -> None:
        """Raises CorruptData where the plan's tiles are not the model's."""
        self.lattice = Lattice.of(model.card.grid)
        planned = plan.tiling
        if planned is None or planned != self.lattice.cut(planned.block):
            told = "no tiles" if planned is None else f"tiles of {planned.edge} pixels, one every {planned.stride}"
            raise CorruptData(
                f"the plan has {told}, and model {model.card.name} tiles of {self.lattice.tile}, one every "
                f"{self.lattice.stride}: publish the model with the plan's, or drop a plan of other software with --new"
            )
        self.tiling = planned
        self._first = planned.touching(plan.grid.window)

    def window(self, tiles: Window) -> Window:
        """Where these tiles lie in the cube's arrays."""
        return self.tiling.stored(tiles, self._first)


def _valid(bands: tuple[str, ...], wide: Window, io: UnitIO) -> DNs:
    """TOA DNs (bands, rows, columns) of the job's valid pixels; 0 everywhere else.

    What else the cube happens to hold around them depends on how the job was cut, and must not be seen: a net sees its
    whole tile. Shards that the bbox misses have no validity; where it was lost it looks alike, but the correct stage
    reads it in each of its shards, and fails. Raises LostWork where a band is lost under valid pixels.
    """
    found = np.zeros((len(bands), *wide.shape), np.uint16)
    edge, (col, row) = io.plan.chunk, io.plan.lattice
    for cell in wide.cells(edge, edge, col=col, row=row):
        try:
            valid = io.cube.read_target("valid", cell) > 0
        except LostWork:
            continue
        if valid.any():
            for index, band in enumerate(bands):
                found[(index, *cell.slices(wide))] = io.cube.read_target(band, cell) * valid
    return found
