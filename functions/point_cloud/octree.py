"""The octree of a COPC file: which level and node each pixel of a job belongs to, by its place and its rank alone.

Levels of detail come from the sampling (`eo.sampling`): with D the deepest level and f the fraction that is sampled, level
k holds the pixels with f / 4^(D - k + 1) <= t < f / 4^(D - k), and level 0 those with t < f / 4^D. Each of them is even at
every scale, they are disjoint, and the first k of them together are what a smaller fraction would keep. (A sub-lattice of
every other pixel would clump at fractions below 1.)

Nodes are columns of pixels that are cut by elevation. They lie on multiples of their edge from the job's lattice, as
shards do, whatever the shards' edge is: so does everything here depend on the job alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eo.grid import TargetGrid, Window
from eo.job import Plan
from eo.sampling import limit

NODE_EDGE = 128
"""Edge in pixels of the nodes at the deepest level where every pixel is a point. Nodes of all levels then hold 3/4 of
128^2 points, and of 128^2 to 256^2 at smaller fractions: enough for the codec to learn, few enough to come at once."""
SMALLEST = 2.0**-32
"""Ranks have 32 bits: smaller fractions keep no fewer pixels."""
CENTIMETRES = 100
"""Of a metre. Elevations are whole ones before anything else is made of them."""


@dataclass(frozen=True, slots=True)
class Octree:
    """The nodes of a job's point cloud."""

    grid: TargetGrid
    fraction: float
    """Share of the pixels that are points."""
    col: int
    """First column of the cube."""
    row: int
    """First row of the cube, its northern edge."""
    edge: int
    """Columns and rows of a node at the deepest level; a power of two."""
    depth: int
    """Number of the deepest level; at least 1."""

    def cell(self, level: int) -> int:
        """Edge in pixels of the nodes of a level."""
        return self.edge << (self.depth - level)

    def height(self, level: int) -> int:
        """Edge of the nodes of a level in centimetres."""
        return self.cell(level) * self.grid.resolution * CENTIMETRES

    def place(self, level: int, part: Window) -> tuple[int, int]:
        """(x, y) of the node of a level in whose columns a window begins; y counts northwards."""
        cell = self.cell(level)
        return (part.col - self.col) // cell, (1 << level) - 1 - (part.row - self.row) // cell

    def parts(self, level: int, window: Window) -> Iterator[Window]:
        """What each node of a level has of a window, row by row from the north."""
        cell = self.cell(level)
        return window.cells(cell, cell, col=self.col, row=self.row)

    def complete(self, level: int, part: Window) -> bool:
        """Whether a node's part of a window is all that it has of the job.

        Level 0 never is: how high its node reaches is known only when all elevations are.
        """
        cell = self.cell(level)
        whole = part.shifted(-self.col, -self.row).snapped(cell, cell).shifted(self.col, self.row)
        return level > 0 and whole.intersection(self.grid.window) == part

    def levels(self, ranks: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """The level of each pixel by its rank; pixels that are no points come out at the deepest, too."""
        levels = np.zeros(ranks.shape, np.uint8)
        for level in range(self.depth):
            levels += ranks >= np.uint32(limit(self.fraction, quarters=self.depth - level))
        return levels


def octree(plan: Plan) -> Octree:
    """The octree of a job: the same whatever its shards are, but for their lattice."""
    grid, fraction = plan.grid, max(plan.inputs["sampled_fraction"], SMALLEST)
    edge = NODE_EDGE
    while edge * edge * fraction < NODE_EDGE * NODE_EDGE:
        edge *= 2
    window, depth = grid.window.shifted(-plan.lattice[0], -plan.lattice[1]), 1
    while True:
        # Two nodes of level 1 along each axis are the cube, which has to hold the job. Where the land is higher than
        # that, the fan-in, which is the first to know, puts levels above.
        cell = edge << (depth - 1)
        held = window.snapped(cell, cell)
        if max(held.width, held.height) <= 2 * cell:
            return Octree(grid, fraction, held.col + plan.lattice[0], held.row + plan.lattice[1], edge, depth)
        depth += 1


def centimetres(height: NDArray[np.float32]) -> NDArray[np.int32]:
    """Elevations in metres as whole centimetres."""
    scaled = np.multiply(height, CENTIMETRES, dtype=np.float64)
    return np.rint(scaled, out=scaled).astype(np.int32)
