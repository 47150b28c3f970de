"""No place is in two splits, whatever the tiles and zones in which patches lie."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pyproj import Transformer
from shapely import Polygon

from training.land_cover.data import convert
from training.land_cover.data.geography import Footprints, block_splits, shared_places, warning
from training.land_cover.synthetic import write as writing
from training.land_cover.synthetic.plan import Params, plan


def patches(*corners: tuple[int, int, int]) -> Footprints:
    """From (EPSG code, left, top)."""
    rows = [(code, left, top - 1200, left + 1200, top) for code, left, top in corners]
    return Footprints(np.array(rows, np.int64))


def test_overlapping_and_identical_patches_of_two_splits_are_found() -> None:
    ground = patches((32633, 404400, 5342400), (32633, 405000, 5342400), (32633, 404400, 5342400), (32633, 9e5, 4e6))
    assert shared_places(ground, ["train", "test", "train", "test"]) == [(0, 1), (1, 2)]
    assert shared_places(ground, ["train", "train", "test", "test"]) == [(0, 2), (1, 2)]
    assert shared_places(ground, ["test"] * 4) == []
    told = warning(ground, ["train", "test", "train", "test"], ["a", "b", "c", "d"])
    assert told is not None
    assert told.startswith("a (train) and b (test) show the same ground, and 1 more pairs do: ")


def test_neighbours_of_two_splits_are_no_fault() -> None:
    cells = [(32633, 404400 + 1200 * column, 5342400 - 1200 * row) for row in range(12) for column in range(12)]
    splits = np.array(["train", "test"] * 72)
    assert shared_places(patches(*cells), splits) == []
    assert warning(patches(*cells), splits, [""] * 144) is None


def test_one_place_in_two_utm_zones_is_found() -> None:
    to_next = Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True)
    west = (32632, 720000, 5500000)
    for away, shared in ((0, True), (700, True), (1900, False)):
        left, top = to_next.transform(west[1] + away, west[2])
        ground = patches(west, (32633, round(left), round(top)))
        assert bool(shared_places(ground, ["train", "test"])) == shared


def test_the_split_by_geography_shares_no_place() -> None:
    """Dense patches on both sides of a zone border, each ground twice, as overlapping tiles have it."""
    border = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(12.0, 50.0)
    to_next = Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True)
    rng = np.random.default_rng(5)
    corners = []
    for left, top in rng.uniform(-60_000, 60_000, (1500, 2)):
        x, y = border[0] + left, border[1] + top
        corners.append((32632, int(x), int(y)))
        corners.append((32633, *(int(at) for at in to_next.transform(x + 400, y - 300))))
    ground = patches(*corners)
    splits = block_splits(ground)
    kept = splits != ""
    assert shared_places(Footprints(ground.corners[kept]), splits[kept]) == []
    assert kept.mean() > 0.85
    assert set(splits[kept]) == {"train", "validation", "test"}
    assert shared_places(ground, np.where(np.arange(3000) % 2, "train", "test"))
    alone = block_splits(Footprints(ground.corners[7:8]))
    assert alone[0] == splits[7]


def test_the_generated_ground_is_one_splits_each() -> None:
    rows = plan(Params())
    corners = [(32633, *row.corner) for row in rows]
    splits = [row.split for row in rows]
    assert shared_places(patches(*corners), splits) == []
    assert len(set(corners)) == len(rows)
    left, top = rows[0].corner
    square = Polygon([(left, top), (left + 1200, top), (left + 1200, top - 1200), (left, top - 1200)])
    seen = Polygon(patches(corners[0]).in_europe()[0])
    assert seen.area == pytest.approx(square.area, rel=0.02)


def test_a_conversion_tells_of_a_place_in_two_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = plan(Params(patches=20))
    moved = replace(rows[-1], tile=rows[0].tile, column=rows[0].column, row=rows[0].row)
    for name, last in (("fine", rows[-1]), ("shared", moved)):
        monkeypatch.setattr(writing, "plan", lambda _, last=last: [*rows[:2], last])
        writing.write(tmp_path / name, Params(patches=20))
        asked = ["--from", str(tmp_path / name), "--to", str(tmp_path / f"{name}.zarr"), "--workers", "1"]
        assert convert.main(asked) == 0
        told = capsys.readouterr().err
        said = f"warning: {rows[0].patch_id} (train) and {moved.patch_id} (test) show the same ground, and 0 more"
        assert (said in told) == (name == "shared")
