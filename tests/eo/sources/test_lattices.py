"""Global lattices of posts, unwrapped around a job; and the tiles of GLO-30."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eo.bbox import BBox
from eo.errors import CorruptData
from eo.grid import RasterGrid, Window
from eo.settings import Settings
from eo.sources import elevation, glo30
from eo.sources.lattice import unwrapped
from eo.traffic import Traffic
from peers.files import FileServer
from scenes.glo30 import columns_of, tile_name

GLOBE = RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, 1_296_000, 648_000)


@pytest.mark.parametrize("centre", [-180.0, -179.9, -90.0, 0.0, 11.4, 179.99, 180.0])
@pytest.mark.parametrize("cell", [1800, 3600, 256])
def test_a_globe_is_turned_so_that_the_job_is_far_from_its_ends(centre: float, cell: int) -> None:
    grid, first = unwrapped(GLOBE, centre, cell)
    assert first % cell == 0
    assert grid.x + 170 < centre < grid.x + 190
    assert grid.x == pytest.approx(GLOBE.x + first / 3600, abs=1e-9)
    place = np.array([centre + 0.123456789])
    u, _ = grid.indices(place, np.array([46.0]))
    whole, _ = GLOBE.indices(place, np.array([46.0]))
    # Weights between posts have the same bits wherever the job's middle is, and in whatever turn it counts.
    assert u[0] + first == replace(GLOBE, turn=1_296_000).indices(place, np.array([46.0]))[0][0]
    assert (u[0] + first - whole[0] + 1) % 1_296_000 == pytest.approx(1, abs=1e-6)


def test_a_regional_lattice_is_moved_by_whole_turns() -> None:
    region = RasterGrid("EPSG:4326", 179.0, 10.0, 0.01, 0.01, 300, 300)
    assert unwrapped(region, -179.5, 50)[0].x == pytest.approx(-181.0)
    assert unwrapped(region, 179.5, 50) == (region, 0)


def test_tiles_are_named_and_spaced_as_in_the_handbook() -> None:
    for south in range(-90, 90):
        assert glo30.columns(south) == columns_of(south)
        for west in (-180, -1, 0, 179):
            assert glo30.tile_name(west, south) == tile_name(west, south)


def listed(folder: Path, tiles: list[str], known: list[str]) -> Path:
    for name, names in (("30", tiles), ("90", known)):
        (folder / name).mkdir(parents=True)
        (folder / name / "tileList.txt").write_text("".join(f"{tile}\n" for tile in names))
    return folder


def describe(folder: Path, bbox: BBox) -> list[glo30.Lattice]:
    with FileServer(folder) as server:
        settings = Settings(cop_dem_30_url=f"{server.url}/30", cop_dem_90_url=f"{server.url}/90")
        found = elevation.describe("cop-dem-glo-30", path=None, bbox=bbox, settings=settings, traffic=Traffic())
        assert server.requests == 2
    return list(found)


def test_each_latitude_band_is_a_lattice_from_north_to_south(tmp_path: Path) -> None:
    folder = listed(tmp_path, [tile_name(9, 50), tile_name(9, 49)], [tile_name(9, 48).replace("COG_10", "COG_30")])
    north, south = describe(folder, BBox(9.2, 48.5, 9.3, 50.5))
    assert (north.cell, south.cell) == ((3600, 2400), (3600, 3600))
    assert north.grid.y - north.grid.height * north.grid.dy == pytest.approx(south.grid.y, abs=1e-9)
    col = round((9.25 - south.grid.x) / south.grid.dx)
    places = [glo30.tile(south.flags, Window(col, row, 10, 10)) for row in (0, 3599, 3600)]
    assert places == [tile_name(9, 49), tile_name(9, 49), tile_name(9, 48)]
    assert [glo30.kind(south.flags, Window(col, row, 10, 10)) for row in (0, 3600)] == ["there", "void"]
    assert glo30.kind(south.flags, Window(col - 3600, 0, 10, 10)) == "sea"


def test_the_two_hemispheres_share_a_band_at_the_equator_only(tmp_path: Path) -> None:
    folder = listed(tmp_path, [tile_name(9, 0)], [tile_name(9, 0)])
    assert [lattice.cell for lattice in describe(folder, BBox(9.2, -0.5, 9.3, 0.5))] == [(3600, 3600)]
    assert [lattice.cell[1] for lattice in describe(folder, BBox(9.2, -50.5, 9.3, 0.5))] == [3600, 2400]
    assert [lattice.cell[1] for lattice in describe(folder, BBox(9.2, 49.5, 9.3, 85.5))] == [
        360,
        720,
        1200,
        1800,
        2400,
        3600,
    ]


def test_a_list_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptData, match="names no tile"):
        describe(listed(tmp_path, [], []), BBox(9.2, 48.5, 9.3, 50.5))


@pytest.mark.parametrize("south", [47, 0, -1, -33])
def test_rows_have_the_same_bits_whatever_the_northern_tile_of_the_job_is(tmp_path: Path, south: int) -> None:
    folder = listed(tmp_path, [tile_name(9, south)], [tile_name(9, south)])
    lat = south + np.random.default_rng(1).uniform(0.3, 0.7, 5000)
    found = []
    for north in (south + 0.8, south + 1.5, south + 2.5):
        whole = describe(folder, BBox(9.2, south + 0.2, 9.3, north))[-1].grid
        row = round((whole.y - south - 1) * 3600 - 0.5)
        found.append(whole.cropped(Window(0, row, 10, 3600)).indices(np.full(lat.size, 9.25), lat)[1])
    assert np.abs(found[0] - (south + 1 - lat) * 3600).max() < 1e-6
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
