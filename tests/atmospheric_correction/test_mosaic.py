"""Jobs of several scenes: each pixel is corrected by the air, the sun and the numbers of the scene it came from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from l1c import Corrected, Tile, correct, dem, fields

BANDS = ("B02", "B03", "B04")
LEFT = Tile(size=4_920, sun=30.0, aot=0.1)
RIGHT = replace(LEFT, tile="32TQS", left=LEFT.left + 2_460, sun=62.0, aot=0.35, cloud_cover=5)
RIGHTS = {
    "one zone": RIGHT,
    "two zones": replace(RIGHT, tile="33TTM", crs="EPSG:32633", left=214_000, top=5_172_000),
    "two baselines": replace(RIGHT, offset=0, baseline="02.09"),
}
BOX = LEFT.box(0.4, 0.35, 0.85, 0.4)


def job(folder: Path, *tiles: Tile, **more: object) -> Corrected:
    folder.mkdir(exist_ok=True)
    if not (folder / "c").exists():
        for tile in tiles:
            tile.write(folder / "c")
        dem(folder / "dem.tif", LEFT, *RIGHTS.values())
    return correct(folder, BOX, crs="EPSG:32632", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "adjacency"),
    [("one zone", True), ("two zones", True), ("two baselines", True), ("two baselines", False)],
)
def test_each_pixel_is_corrected_by_its_own_scene(tmp_path: Path, name: str, adjacency: bool) -> None:
    right = RIGHTS[name]
    both = job(tmp_path / "both", LEFT, right, shard=256, adjacency=adjacency)
    assert [scene.id for scene in both.plan.scenes] == [LEFT.id, right.id]
    scene, valid = both.target("scene"), both.target("valid")
    alone = [job(tmp_path / tile.tile, tile, adjacency=adjacency) for tile in (LEFT, right)]
    for index, single in enumerate(alone):
        own = (scene == index + 1) & (valid > 0)
        assert own.sum() > 10_000
        common = both.window.intersection(single.window)
        assert common is not None
        here, there = common.slices(both.window), common.slices(single.window)
        assert own[here].sum() == own.sum()
        for variable in (*(f"surface_{band}" for band in BANDS), "quality"):
            np.testing.assert_array_equal(
                both.target(variable)[here][own[here]], single.target(variable)[there][own[here]], err_msg=variable
            )
    # And where both could fill, they would not have said the same.
    shared = (scene == 1)[here] & (alone[1].target("valid")[there] > 0)
    if name == "one zone":
        other = alone[1].target("surface_B02")[there][shared].astype(int)
        assert (other != both.target("surface_B02")[here][shared]).mean() > 0.5


def test_equal_reflectance_gives_equal_surface_dns_whatever_the_offset(tmp_path: Path) -> None:
    """The same light, written with the offset of baseline 04.00 on and without one before."""
    new = Tile(size=4_920, baseline="05.11", offset=-1000)
    old = replace(new, baseline="02.09", offset=0)
    one, other = (job(tmp_path / str(tile.offset), tile) for tile in (new, old))
    for band in BANDS:
        seen = one.target(band).astype(int) - other.target(band)
        assert np.unique(seen[other.target(band) > 0]).tolist() == [1000]
        np.testing.assert_array_equal(one.target(f"surface_{band}"), other.target(f"surface_{band}"))
    np.testing.assert_array_equal(one.target("quality"), other.target("quality"))
    assert one.plan.radiometry != other.plan.radiometry


def test_a_mosaic_under_two_suns_shows_one_ground(tmp_path: Path) -> None:
    """Fields whose light was simulated under both suns come out alike, though they did not go in so."""
    right = RIGHTS["one zone"]
    both = job(tmp_path, LEFT, right)
    window, scene = both.window, both.target("scene")
    x = (np.arange(window.col, window.col_end) + 0.5) * 10
    y = -(np.arange(window.row, window.row_end) + 0.5) * 10
    for band, most in zip(BANDS, (0.015, 0.01, 0.01), strict=True):
        truth = fields(band, *np.meshgrid(x, y))
        made = both.target(f"surface_{band}")
        for index in (1, 2):
            own = (scene == index) & (made > 0)
            assert abs(float((made[own] / 10_000 - 0.1 - truth[own]).mean())) < most, (band, index)
    before = [both.target("B02")[(scene == index) & (both.target("valid") > 0)].mean() for index in (1, 2)]
    assert before[1] - before[0] > 300
