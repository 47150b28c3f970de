"""Where the nodes of an octree lie."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eo.grid import TargetGrid, Window
from eo.sampling import keep, rank
from point_cloud.octree import octree


def plan(window: Window, fraction: float = 1.0, resolution: int = 10, lattice: tuple[int, int] = (0, 0)) -> Any:
    grid = TargetGrid("EPSG:32632", resolution, 0, 0, window)
    return SimpleNamespace(grid=grid, inputs={"sampled_fraction": fraction}, lattice=lattice)


@given(
    window=st.builds(
        Window, st.integers(-9000, 9000), st.integers(-9000, 9000), st.integers(1, 20_000), st.integers(1, 20_000)
    ),
    fraction=st.floats(1e-9, 1),
    resolution=st.sampled_from([1, 10, 20, 60]),
    lattice=st.tuples(st.integers(-5000, 5000), st.integers(-5000, 5000)),
)
def test_the_cube_holds_the_job_and_nodes_nest_in_shards(
    window: Window, fraction: float, resolution: int, lattice: tuple[int, int]
) -> None:
    tree = octree(plan(window, fraction, resolution, lattice))
    cube = Window(tree.col, tree.row, tree.cell(0), tree.cell(0))
    assert window.intersection(cube) == window
    assert 128**2 <= fraction * tree.edge**2 < 4 * 128**2 or tree.edge == 128
    # Shards of 1024 x 2^n pixels from the lattice on are nodes, or whole nodes are shards.
    assert (tree.col - lattice[0]) % tree.cell(1) == 0
    assert (tree.row - lattice[1]) % tree.cell(1) == 0
    # Of the node at a corner of the job, its place is what the place of its ancestor says.
    places = [tree.place(level, Window(window.col, window.row, 1, 1)) for level in range(tree.depth + 1)]
    assert places[0] == (0, 0)
    for above, below in pairwise(places):
        assert (below[0] // 2, below[1] // 2) == above


@pytest.mark.parametrize("fraction", [1.0, 0.7, 0.05])
def test_the_first_levels_are_what_a_smaller_fraction_keeps(fraction: float) -> None:
    window = Window(5, -300, 700, 500)
    tree = octree(plan(window, fraction))
    levels = tree.levels(rank(window))
    kept = keep(window, fraction)
    assert levels.max() == tree.depth
    for level in range(tree.depth):
        np.testing.assert_array_equal(kept & (levels <= level), keep(window, fraction / 4 ** (tree.depth - level)))


def test_the_smallest_fraction_has_a_tree() -> None:
    tree = octree(plan(Window(0, 0, 500, 500), 5e-324))
    assert tree.levels(np.array([0, 1, 2**32 - 1], np.uint32)).tolist() == [0, 1, 1]


def test_a_shard_owns_what_no_other_has_points_of() -> None:
    tree = octree(plan(Window(100, 100, 3000, 1500)))
    shard = Window(100, 100, 924, 924)  # of 1024 x 1024, cut by the job
    owned = {
        level: [tree.complete(level, part) for part in tree.parts(level, shard)] for level in range(tree.depth + 1)
    }
    assert tree.depth == 5
    assert [all(owned[level]) for level in range(6)] == [False, False, True, True, True, True]
    alone = octree(plan(shard))
    assert [all(alone.complete(level, part) for part in alone.parts(level, shard)) for level in range(3)] == [
        False,
        True,
        True,
    ]
