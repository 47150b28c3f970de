"""Cutting files into blocks: every tile decoded once, every chunk written once."""

from hypothesis import given
from hypothesis import strategies as st

from eo.grid import Window
from plan.cells import BLOCK_PIXELS, blocks, cutting, extent, touched

EDGE = st.integers(1, 700)


@given(
    tile=st.tuples(EDGE, EDGE), size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)), chunk=st.integers(16, 512)
)
def test_cells_hold_whole_tiles_and_whole_chunks(tile: tuple[int, int], size: tuple[int, int], chunk: int) -> None:
    cut = cutting(tile, size, chunk)
    for own_tile, whole, own_chunk, cell in zip(tile, size, cut.chunks, cut.cell, strict=True):
        assert cell % own_chunk == 0 or cell == whole
        assert cell % own_tile == 0 or cell == whole
        assert own_chunk <= cell <= max(whole, own_tile)


def test_real_files_keep_their_tiles() -> None:
    assert cutting((1024, 1024), (10980, 10980), 1024).cell == (1024, 1024)
    assert cutting((1024, 1024), (10980, 10980), 1024).chunks == (1024, 1024)
    # A COG's smaller tiles are joined, a strip's rows are not cut.
    assert cutting((512, 512), (10980, 10980), 1024).cell == (1024, 1024)
    assert cutting((1, 10980), (10980, 10980), 1024).cell == (1024, 10980)
    # A file in one tile is one cell, in many chunks.
    assert cutting((3000, 3000), (3000, 3000), 1024) == cutting((9999, 9999), (3000, 3000), 1024)
    assert cutting((3000, 3000), (3000, 3000), 1024).cell == (3000, 3000)


WINDOWS = st.lists(
    st.builds(Window, st.integers(0, 900), st.integers(0, 900), st.integers(1, 99), st.integers(1, 99)), min_size=1
)


@given(windows=WINDOWS, cell=st.tuples(st.integers(10, 300), st.integers(10, 300)), whole=st.booleans())
def test_blocks_cover_what_is_touched_and_own_their_cells(
    windows: list[Window], cell: tuple[int, int], whole: bool
) -> None:
    size = (999, 999)
    cells = touched(windows, cell)
    made = blocks(cells, cell, size, whole=whole)
    covered = [found for block in made for found in touched([block], cell)]
    assert len(covered) == len(set(covered))
    assert cells <= set(covered)
    for window in windows:
        inside = [part for block in made if (part := window.intersection(block))]
        assert sum(part.pixels for part in inside) == window.pixels
    assert all(block.intersection(extent(cells, cell, size)) == block for block in made)
    assert all(block.col % cell[1] == 0 and block.row % cell[0] == 0 for block in made)


def test_blocks_of_small_tiles_are_worth_a_call() -> None:
    cells = {(row, col) for row in range(11) for col in range(11)}
    made = blocks(cells, (1024, 1024), (10980, 10980), whole=False)
    assert len(made) == 36
    assert max(block.pixels for block in made) == BLOCK_PIXELS
    assert len(blocks(cells, (1024, 1024), (10980, 10980), whole=True)) == 1
