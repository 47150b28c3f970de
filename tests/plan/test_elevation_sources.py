"""Blocks of elevation: what is needed of each cell, and no more."""

import numpy as np
import pytest
from pyproj import Transformer

from eo.bbox import BBox
from eo.errors import NothingFound
from eo.grid import RasterGrid, TargetGrid, Window
from eo.sources.lattice import Lattice
from plan.elevation_sources import around, divisor, sheets

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


@pytest.mark.parametrize(
    ("bbox", "contexts"),
    [
        ((11.24, 46.63, 11.26, 46.64), [("EPSG:32632", 600_000, 5_200_020)]),
        ((11.24, 46.63, 11.26, 46.64), [("EPSG:32632", 600_000, 5_200_020), ("EPSG:32633", 199_980, 5_200_020)]),
        ((179.9, -17.0, -179.9, -16.9), [("EPSG:32701", 99_960, 8_200_000), ("EPSG:32760", 799_980, 8_200_000)]),
        ((-180.0, -17.0, -179.9, -16.9), [("EPSG:32701", 99_960, 8_200_000)]),
        ((179.9, -17.0, 180.0, -16.9), [("EPSG:32701", 99_960, 8_200_000)]),
        ((-179.9, 83.2, -179.6, 83.3), [("EPSG:32601", 399_960, 9_300_000)]),
    ],
)
def test_the_box_around_granules_holds_them_and_keeps_the_meridian(
    bbox: tuple[float, float, float, float], contexts: list[tuple[str, float, float]]
) -> None:
    job = BBox(*bbox)
    found = around(job, [RasterGrid(crs, x, y, 120, 120, 915, 915) for crs, x, y in contexts])
    # Not modulo 360: the lattice of a DEM is laid around the one, its posts are looked up around the other.
    assert abs(found.centre_lon - job.centre_lon) < 1e-9
    assert found.contains(*(np.array(edges) for edges in ([bbox[0], bbox[2] - 1e-9], [bbox[1], bbox[3] - 1e-9]))).all()
    for crs, x, y in contexts:
        along = np.linspace(0, 109_800, 200)
        edge = [(along, 0 * along), (along, 0 * along + 109_800), (0 * along, along), (0 * along + 109_800, along)]
        for right, down in edge:
            lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x + right, y - down)
            assert found.contains(lon, lat).all()
    assert around(job, []) is job


def test_contexts_are_covered_beside_the_shards() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(68_500, -515_000, 300, 300))
    context = RasterGrid("EPSG:32632", 600_000, 5_200_020, 120, 120, 915, 915)
    store = [lattice(STORE, (3600, 1800))]
    alone = sheets(store, grid=grid, shards=[], centre_lon=11.2, contexts=[context])
    both = sheets(store, grid=grid, shards=[grid.window], centre_lon=11.2, contexts=[context])
    assert alone.units == both.units
    sheet = alone.sources["dem/0"].grid
    # But for a corner or two: a granule is askew in degrees.
    assert 0.9 * sheet.window.pixels < sum(unit.window.pixels for unit in alone.units) <= sheet.window.pixels
    left, bottom, right, top = sheet.bounds
    lon, lat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True).transform(
        [600_000, 709_800, 600_000, 709_800], [5_200_020, 5_200_020, 5_090_220, 5_090_220]
    )
    assert left < min(lon)
    assert max(lon) < right
    assert bottom < min(lat)
    assert max(lat) < top


def test_a_dem_of_fine_posts_counts_with_what_a_strip_of_a_context_reads_of_it() -> None:
    grid = TargetGrid("EPSG:32632", 10, 0, 0, Window(68_500, -515_000, 300, 300))
    context = RasterGrid("EPSG:32632", 600_000, 5_200_020, 120, 120, 915, 915)
    fine = RasterGrid("EPSG:32632", 600_000, 5_200_020, 2, 2, 55_000, 55_000)
    found = sheets([lattice(fine, (512, 512), "")], grid=grid, shards=[], centre_lon=11.2, contexts=[context])
    # 128 rows of 120 m, as wide as the granule, and not the 512 x 512 posts of a block.
    assert 55_000 * 7_680 < found.memory / 12 < 1.1 * 55_000 * 7_680
