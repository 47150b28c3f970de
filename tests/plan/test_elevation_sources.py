"""Blocks of elevation: what is needed of each cell, and no more."""

import pytest

from eo.errors import NothingFound
from eo.grid import RasterGrid, TargetGrid, Window
from eo.sources.lattice import Lattice
from plan.elevation_sources import divisor, sheets

STORE = RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, 1_296_000, 648_000)


def lattice(grid: RasterGrid, cell: tuple[int, int], variable: str = "dsm") -> Lattice:
    return Lattice("earth-data-hub", grid, cell, "https://example.org/a.zarr", "EPSG:3855", variable)


def test_a_small_job_holds_a_part_of_a_large_cell() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(68_500, -515_000, 300, 300))
    found = sheets([lattice(STORE, (3600, 1800))], grid=grid, shards=[grid.window], centre_lon=11.2)
    assert len(found.units) == 1
    assert found.units[0].window.pixels == 900 * 900
    assert found.arrays[0].chunks == (900, 900)
    assert found.memory == 3600 * 1800 * 8 + 900 * 900 * 12


def test_units_never_cross_a_cell_and_own_their_chunks() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(60_000, -520_000, 9_000, 9_000))
    found = sheets(
        [lattice(STORE, (3600, 1800))], grid=grid, shards=list(grid.window.cells(2048, 2048)), centre_lon=11.2
    )
    source = found.sources["dem/0"]
    seen = set()
    for unit in found.units:
        whole = unit.window.shifted(*source.origin)
        assert whole.col // 1800 == (whole.col_end - 1) // 1800
        assert whole.row // 3600 == (whole.row_end - 1) // 3600
        chunks = {(c.col, c.row) for c in whole.cells(900, 900)}
        assert all(c.pixels == 900 * 900 for c in whole.cells(900, 900))
        assert not chunks & seen
        seen |= chunks
    assert len({unit.id for unit in found.units}) == len(found.units) > 2


def test_a_dem_elsewhere_is_nothing_found() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(67_000, -517_000, 300, 300))
    far = RasterGrid("EPSG:4326", 30, 10, 0.01, 0.01, 300, 300)
    with pytest.raises(NothingFound, match=r"does not reach the job: it covers \(30.*choose another dem or bbox"):
        sheets([lattice(far, (100, 100))], grid=grid, shards=[grid.window], centre_lon=11.2)


@pytest.mark.parametrize(
    ("edge", "chunk"), [(3600, 900), (2400, 800), (1800, 900), (720, 720), (512, 512), (10007, 10007)]
)
def test_chunks_divide_cells(edge: int, chunk: int) -> None:
    assert divisor(edge) == chunk
