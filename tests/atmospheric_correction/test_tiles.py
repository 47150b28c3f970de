"""Tiles of a net with context: whatever the shards, equal DNs; gaps and saturated pixels stay what they are."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from atmospheric_correction.tiles import CROPPED, Lattice, correct_tiles, predicted, sigma
from eo.card import ModelGrid
from eo.errors import CorruptData
from eo.grid import Window
from eo.radiometry import Radiometry
from eo.tiling import Tiling

TILE, HALO = 320, 128
RADIOMETRY = [Radiometry(-1000), Radiometry(-900), Radiometry(0, 5000)]
DNs = NDArray[np.uint16]


@dataclasses.dataclass
class Net:
    """What a squeeze-and-excitation net does to tiles: each pixel depends on the mean of all, and on its neighbours."""

    tile: int = TILE
    halo: int = HALO
    files: dict[str, bytes] = dataclasses.field(default_factory=dict)
    seen: list[NDArray[np.float32]] = dataclasses.field(default_factory=list)

    @property
    def card(self) -> Any:
        grid = ModelGrid(metres=10, tile=self.tile, halo=self.halo, multiple=32)
        return SimpleNamespace(name="net", grid=grid, inputs=[SimpleNamespace(name="toa")])

    def run(self, *, toa: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        assert toa.shape == (1, 3, self.tile, self.tile)
        assert toa.dtype == np.float32
        assert toa.flags.c_contiguous
        self.seen.append(toa[0].copy())
        mean = toa.mean(axis=(2, 3), keepdims=True)
        near = 0.5 * toa + 0.25 * (np.roll(toa, 1, 2) + np.roll(toa, 1, 3))
        # It says of each tile something of its own, as untrained nets do.
        return {"surface": np.maximum(near * (1 + 0.1 * mean) + 0.3 * mean - 0.05, 0).astype(np.float32)}


def image(edge: int = 900, seed: int = 1) -> DNs:
    """(3, edge, edge) DNs with structure at all scales, gaps along an edge and within, and saturated pixels."""
    rng = np.random.default_rng(seed)
    wide = np.kron(rng.uniform(0, 3000, (3, edge // 100 + 1, edge // 100 + 1)), np.ones((100, 100)))[:, :edge, :edge]
    dn = (1200 + wide + rng.uniform(0, 800, (3, edge, edge))).astype(np.uint16)
    dn[:, :, :70] = 0
    dn[:, 300:330, 400:500] = 0
    dn[1, 600:604, 600:603] = 65_535
    return dn


ORIGIN = (-200, 1000)
"""(column, row) of the image's first pixel."""


def reader(dn: DNs) -> Any:
    whole = Window(*ORIGIN, dn.shape[2], dn.shape[1])

    def read(window: Window) -> DNs:
        found = np.zeros((3, *window.shape), np.uint16)
        common = window.intersection(whole)
        if common is not None:
            found[(slice(None), *common.slices(window))] = dn[(slice(None), *common.slices(whole))]
        return found

    return read


def corrected(dn: DNs, window: Window, net: Any = None) -> DNs:
    return correct_tiles(window, reader(dn), RADIOMETRY, net or Net())


def part(whole: DNs, window: Window) -> DNs:
    return whole[(slice(None), *window.slices(Window(*ORIGIN, whole.shape[2], whole.shape[1])))]


@pytest.fixture(scope="module")
def dn() -> DNs:
    return image()


@pytest.fixture(scope="module")
def whole(dn: DNs) -> DNs:
    return corrected(dn, Window(*ORIGIN, 900, 900))


@pytest.mark.parametrize("edge", [64, 255, 450])
def test_any_sharding_gives_equal_dns(dn: DNs, whole: DNs, edge: int) -> None:
    pieces = Window(*ORIGIN, 900, 900).cells(edge, edge, col=ORIGIN[0], row=ORIGIN[1])
    for window in [*pieces][:: 1 if edge > 100 else 7]:
        np.testing.assert_array_equal(corrected(dn, window), part(whole, window))


@pytest.mark.parametrize("window", [Window(-61, 1333, 1, 1), Window(99, 1100, 400, 3), Window(128, 1120, 96, 96)])
def test_overlapping_windows_agree(dn: DNs, whole: DNs, window: Window) -> None:
    np.testing.assert_array_equal(corrected(dn, window), part(whole, window))


def test_seams_between_tiles_are_feathered(dn: DNs) -> None:
    """A net whose tiles differ by a constant each leaves a ramp, nowhere a step."""

    class Steps(Net):
        def run(self, *, toa: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
            level = len(self.seen) % 2
            self.seen.append(toa)
            return {"surface": np.full_like(toa, 0.1 + 0.3 * level)}

    net = Steps()
    lattice = Lattice(TILE, HALO)
    flat = np.full_like(dn, 2000)
    window = Window(0, 8 * lattice.stride + lattice.feather, 600, 1)  # one row of tiles
    found = corrected(flat, window, net)[0, 0].astype(int)
    assert {found.min(), found.max()} == {2000, 5000}
    # 3000 DN over the feather, rounded twice.
    assert abs(np.diff(found)).max() <= 3000 / lattice.feather + 1


def test_gaps_stay_gaps_and_saturated_pixels_saturated(dn: DNs, whole: DNs) -> None:
    gap = (dn == 0).any(axis=0)
    assert (whole[:, gap] == 0).all()
    assert (whole[:, ~gap] > 0).all()
    np.testing.assert_array_equal(whole == 65_535, (dn == 65_535) & ~gap)


def test_saturated_pixels_do_not_shine_into_their_neighbours(dn: DNs) -> None:
    """They are no reflectance of 6.5: the net sees the mean of what its tile has of the band."""
    sound = dn.copy()
    sound[1, 600:604, 600:603] = 2500
    bright = dn == 65_535
    assert np.count_nonzero(bright) == 12
    window = Window(ORIGIN[0] + 500, ORIGIN[1] + 500, 200, 200)
    here = part(bright, window)
    net = Net()
    found, without = corrected(dn, window, net).astype(int), corrected(sound, window).astype(int)
    assert (found[here] == 65_535).all()
    assert np.abs(found - without)[~here].max() < 1000
    # Its other bands keep what they were seen with.
    assert np.abs(found - without)[[0, 2]].max() <= 1
    assert max(seen.max() for seen in net.seen) < 1


@pytest.mark.parametrize("others", [2000, 65_535])
def test_a_tile_that_is_saturated_everywhere_is_white_to_the_net(others: int) -> None:
    net, tile = Net(), np.full((3, TILE, TILE), others, np.uint16)
    tile[1] = 65_535
    said = predicted(tile, RADIOMETRY, net)  # type: ignore[arg-type]
    assert said is not None
    assert np.isfinite(said).all()
    assert (net.seen[0][1] == 1).all()


def test_a_pixel_without_one_band_has_none(dn: DNs) -> None:
    holed = dn.copy()
    holed[2, 500, 500] = 0
    window = Window(ORIGIN[0] + 499, ORIGIN[1] + 499, 3, 3)
    found = corrected(holed, window)
    assert (found[:, 1, 1] == 0).all()
    assert (np.delete(found.reshape(3, 9), 4, axis=1) > 0).all()


def test_dns_of_any_radiometry_become_reflectance(dn: DNs) -> None:
    net = Net()
    tile = dn[:, 100 : 100 + TILE, 100 : 100 + TILE].copy()
    tile[tile == 0] = 1500
    predicted(tile, RADIOMETRY, net)  # type: ignore[arg-type]
    want = [(tile[0] - 1000.0) / 10_000, (tile[1] - 900.0) / 10_000, tile[2] / 5000.0]
    np.testing.assert_allclose(net.seen[0], want, rtol=1e-6, atol=1e-7)


def test_gaps_are_filled_by_the_mirror_image_of_what_is_known() -> None:
    """The net's means over a tile are those of its known part: a small image in a large tile looks like itself."""
    net = Net()
    rng = np.random.default_rng(3)
    own = rng.integers(1100, 4000, (3, 41, 61), dtype=np.uint16)
    tile = np.zeros((3, TILE, TILE), np.uint16)
    tile[:, 100:141, 70:131] = own
    predicted(tile, RADIOMETRY, net)  # type: ignore[arg-type]
    want = np.pad(own.astype(float), [(0, 0), (100, TILE - 141), (70, TILE - 131)], mode="reflect")
    for band, meant in enumerate(RADIOMETRY):
        reflectance = (want[band] + meant.offset) / meant.quantification
        np.testing.assert_allclose(net.seen[0][band], reflectance, rtol=1e-6, atol=1e-7)


def test_holes_within_get_the_mean_of_the_known() -> None:
    net = Net()
    tile = np.full((3, TILE, TILE), 2000, np.uint16)
    tile[:, ::2] = 3000
    tile[:, 50:52, 60:64] = 0
    predicted(tile, RADIOMETRY, net)  # type: ignore[arg-type]
    assert net.seen[0][0, 50, 60] == pytest.approx(0.15)
    assert net.seen[0][0, 49, 60] == pytest.approx(0.1)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 320), (2, 5)])
def test_a_pixel_or_a_line_alone_is_corrected(rows: int, cols: int) -> None:
    tile = np.zeros((3, TILE, TILE), np.uint16)
    tile[:, 7 : 7 + rows, :cols] = 2500
    found = predicted(tile, RADIOMETRY, Net())  # type: ignore[arg-type]
    assert found is not None
    assert np.isfinite(found).all()


def test_an_empty_tile_is_not_run() -> None:
    net = Net()
    assert (corrected(np.zeros((3, 900, 900), np.uint16), Window(0, 1100, 50, 50), net) == 0).all()
    assert not net.seen


def test_tiles_begin_at_multiples_of_32_and_halos_hold_what_they_say() -> None:
    lattice = Lattice(768, 128)
    window = lattice.window(3, -2)
    assert (window.col % 32, window.row % 32, window.width) == (0, 0, 768)
    assert (lattice.stride, lattice.feather, lattice.used) == (608, 96, 704)
    assert lattice.cut(3) == Tiling(stride=608, used=704, margin=CROPPED, block=3)
    # A pixel that counts fully has 128 pixels of context.
    assert int(np.argmax(lattice.ramp() == 1)) + CROPPED == 128
    across = lattice.ramp()
    np.testing.assert_allclose(across[lattice.stride :] + across[: lattice.feather], 1, atol=1e-7)


@pytest.mark.parametrize(("tile", "halo"), [(768, 96), (768, 130), (770, 128), (288, 160), (224, 128)])
def test_lattices_that_do_not_work_are_refused(tile: int, halo: int) -> None:
    with pytest.raises(CorruptData, match="multiples of 32"):
        Lattice(tile, halo)


@pytest.mark.parametrize("changes", [{"tile": None}, {"multiple": 1}])
def test_cards_without_a_lattice_are_refused(changes: dict[str, Any]) -> None:
    grid = ModelGrid(metres=10, tile=768, halo=128, multiple=32).model_copy(update=changes)
    with pytest.raises(CorruptData, match="the card says tiles"):
        Lattice.of(grid)


def test_sigma_is_read_by_band() -> None:
    net: Any = Net(files={"sigma.json": json.dumps({"B02": 0.011, "B03": 0.012, "B04": 0.013}).encode()})
    assert sigma(net, ("B04", "B02")) == [0.013, 0.011]
    with pytest.raises(CorruptData, match="B08"):
        sigma(net, ("B08",))
    net.files = {"sigma.json": b"{"}
    with pytest.raises(CorruptData, match="publish the model anew"):
        sigma(net, ("B02",))
