"""A scene's coarse grid around a shard: layers at the shard's pixels.

Interpolated from coordinates on the whole coarse grid, so that the result does not depend on how a job was cut.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.correction import SIGMA, SIGMA_STEP, SURFACE
from eo.errors import LostWork
from eo.geolocate import Geolocation, source_window
from eo.grid import Window
from eo.job import Plan
from eo.thumbnail import lattice
from eo.unit_io import UnitIO

Floats = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

STRIP_PIXELS = 1 << 16
"""Pixels interpolated at once: all that is made of them on the way stays in the core's cache."""
LARGEST = 65_535


class Nearby:
    """The part of a scene's coarse grid that a shard needs."""

    def __init__(self, plan: Plan, scene: int, window: Window, io: UnitIO) -> None:
        self.scene = scene
        self._window, self._io, self._group = window, io, plan.context(scene)
        self._grid = plan.grid
        self._coarse = plan.contexts[scene].to_sibling(plan.grid.crs)
        self._place = Geolocation(plan.grid, self._coarse.crs, plan.bbox.centre_lon)
        self._separable = self._coarse.crs == plan.grid.crs
        part = source_window(plan.grid, window, self._coarse, plan.bbox.centre_lon)
        if part is None:
            raise LostWork(f"scene {plan.scenes[scene].id} does not reach the shard {window.to_list()}: plan again")
        self._part = part
        self._read: dict[str, NDArray[Any]] = {}

    def strips(self, names: Sequence[str]) -> Iterator[tuple[slice, list[Floats]]]:
        """(rows, the layers there, bilinear, each (rows, width) float32), strip by strip."""
        layers = [self._layer(name) for name in names]
        if self._separable:
            yield from self._separable_strips(layers)
            return
        for rows, x, y in self._place.strips(self._window):
            u, v = self._coarse.indices(x, y)
            left, right, across = self._between(u, 1)
            top, bottom, down = self._between(v, 0)
            made: list[Floats] = []
            for layer in layers:
                upper = layer[top, left] + (layer[top, right] - layer[top, left]) * across
                lower = layer[bottom, left] + (layer[bottom, right] - layer[bottom, left]) * across
                made.append(upper + (lower - upper) * down)
            yield rows, made

    def nearest(self, name: str) -> NDArray[Any]:
        """A layer of codes at the shard's pixels: the code of the coarse pixel in which a centre lies."""
        layer = self._layer(name)
        if self._separable:
            u, v = self._axes()
            return layer[self._held(v, 0)].take(self._held(u, 1), axis=1)
        result = np.zeros(self._window.shape, layer.dtype)
        for rows, x, y in self._place.strips(self._window):
            u, v = self._coarse.indices(x, y)
            result[rows] = layer[self._held(v, 0), self._held(u, 1)]
        return result

    def sigma(self, band: str) -> NDArray[np.uint16]:
        """1-sigma in surface DN at the shard's lattice points (`eo.thumbnail.lattice`)."""
        points = lattice(self._window, SIGMA_STEP)
        cols = np.arange(points.col, points.col_end) * SIGMA_STEP
        rows = np.arange(points.row, points.row_end) * SIGMA_STEP
        x, y = self._place.exact(*np.meshgrid(cols, rows))
        u, v = self._coarse.indices(x, y)
        values = self._layer(f"{SIGMA}{band}")[self._held(v, 0), self._held(u, 1)]
        scaled: NDArray[np.uint16] = np.clip(values * SURFACE.quantification + 0.5, 1, LARGEST).astype(np.uint16)
        return scaled

    def _layer(self, name: str) -> NDArray[Any]:
        if name not in self._read:
            self._read[name] = self._io.cube.read(f"{self._group}/{name}", self._part)
        return self._read[name]

    def _separable_strips(self, layers: list[Floats]) -> Iterator[tuple[slice, list[Floats]]]:
        """In one CRS a column decides on the column: columns are interpolated first, on the few coarse rows."""
        u, v = self._axes()
        left, right, across = self._between(u, 1)
        top, _, down = self._between(v, 0)
        wide = []
        for layer in layers:
            upper = layer.take(left, axis=1)
            upper += (layer.take(right, axis=1) - upper) * across
            # Behind the last coarse row is none, and nothing goes there: `down` is 0 at it.
            wide.append((upper, np.diff(upper, axis=0, append=upper[-1:])))
        lines = max(1, STRIP_PIXELS // self._window.width)
        for start in range(0, self._window.height, lines):
            rows = slice(start, min(start + lines, self._window.height))
            made = []
            for upper, step in wide:
                values = step[top[rows]]
                values *= down[rows, None]
                values += upper[top[rows]]
                made.append(values)
            yield rows, made

    def _axes(self) -> tuple[Doubles, Doubles]:
        """(column of each column, row of each row) of the shard's pixel centres, on the whole coarse grid."""
        window = self._window
        cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
        x, _ = self._grid.centres(cols, rows[:1])
        _, y = self._grid.centres(cols[:1], rows)
        u, _ = self._coarse.indices(x, np.full(x.shape, y[0]))
        _, v = self._coarse.indices(np.full(y.shape, x[0]), y)
        return u, v

    def _between(self, at: Doubles, axis: int) -> tuple[Indices, Indices, Floats]:
        """(pixel before, pixel behind, weight of the latter), pixels counted in the part; the rim's value holds beyond it."""
        size, first = self._extent(axis)
        held = np.clip(at, 0, size - 1)
        before = np.floor(held).astype(np.intp)
        behind = np.minimum(before + 1, size - 1)
        return before - first, behind - first, (held - before).astype(np.float32)

    def _held(self, at: Doubles, axis: int) -> Indices:
        size, first = self._extent(axis)
        return np.clip(np.floor(at + 0.5), 0, size - 1).astype(np.intp) - first

    def _extent(self, axis: int) -> tuple[int, int]:
        """(pixels of the whole coarse grid, first of the part) along an axis: 0 for rows, 1 for columns."""
        return (self._coarse.height, self._part.row) if axis == 0 else (self._coarse.width, self._part.col)
