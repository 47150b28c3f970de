"""However a job is cut, whatever else it covers and whatever offset its products have, a patch has the same bits."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.grid import Window
from l2a import Judged, Tile, judge, probabilities
from land_cover import process
from land_cover.patches import TILING
from small_land_cover import publish


def holes(band: str, values: NDArray[Any]) -> None:
    """A cloud over parts of patches, no data in a corner, and single saturated pixels."""
    if band == "SCL":
        values[70:110, 60:110] = 9
        values[200:203, 200:203] = 3
    elif band == "B04":
        values[:150, :90] = 0
        values[400, 400] = 65_535


TILE = Tile(change=holes, size=4_900)
BOX = TILE.box(700, 900, 3_400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiling")
    publish(folder / "models")
    TILE.write(folder / "c")
    return folder


@pytest.fixture(autouse=True)
def _models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(folder / "models"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> Judged:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EO_SHARDS_MODELS", str(folder / "models"))
        return judge(folder, BOX, chunk=1024)


def test_what_the_tests_below_compare_is_all_there(whole: Judged) -> None:
    rows = whole.rows()
    assert len(rows) == 16
    assert {row["status"] for row in rows.values()} == {"ok", "masked", "incomplete"}
    judged = [probabilities(row) for row in rows.values() if row["status"] == "ok"]
    assert len(np.unique(np.array(judged), axis=0)) == len(judged) > 9
    assert any(0 < row["masked"] < 0.05 for row in rows.values() if row["status"] == "ok")


@pytest.mark.parametrize(
    ("cut", "block"),
    [
        ({"chunk": 128, "shard": 128}, 1),
        ({"chunk": 64, "shard": 192, "lattice": (13, 7)}, 3),
        ({"chunk": 128, "shard": 256, "lattice": (67_080, -516_840)}, 2),
    ],
)
def test_any_tiling_gives_the_same_files(
    folder: Path, whole: Judged, monkeypatch: pytest.MonkeyPatch, cut: dict[str, Any], block: int
) -> None:
    monkeypatch.setattr(process, "TILING", replace(TILING, block=block))
    other = judge(folder, BOX, **cut)
    assert len(other.parts["align"]) >= 4
    assert len(other.parts["judge"]) > 2
    assert other.result.files == whole.result.files


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_nor_does_it_matter_how_bands_are_brought_to_ten_metres(folder: Path, method: str) -> None:
    name = f"land-cover-{method}"
    if not (folder / "models" / name).exists():
        publish(folder / "models", name, bands=("B01", "B03", "B12"), resampling=method)
    tile = Tile(bands=("B01", "B03", "B12"), size=3_600)
    tile.write(folder / f"{method}" / "c")
    box = tile.box(1_300, 100, 1_000, 2_000)
    one, other = (
        judge(folder / method, box, model=name, **cut) for cut in ({"chunk": 1024}, {"shard": 128, "chunk": 128})
    )  # type: ignore[arg-type]
    assert one.plan.sources_wanted.resampling == method
    assert one.plan.sources_wanted.bands == ("B03", "B01", "B12")
    assert one.result.files == other.result.files


def test_two_jobs_agree_where_they_overlap(folder: Path, whole: Judged) -> None:
    ours, theirs = whole.rows(), judge(folder, TILE.box(2_500, 100, 2_300, 3_000), chunk=128).rows()
    common = ours.keys() & theirs.keys()
    assert 4 <= len(common) < len(theirs)
    for name in common:
        assert ours[name] == theirs[name]


def test_a_job_of_a_few_metres_has_the_patches_that_it_touches(folder: Path, whole: Judged) -> None:
    tiny = judge(folder, TILE.box(3_590, 3_590, 25), chunk=128)
    rows = tiny.rows()
    assert set(rows) == {f"32632_{x}_{y}" for x in (673_200, 674_400) for y in (5_166_000, 5_164_800)}
    assert all(whole.rows()[name] == row for name, row in rows.items())
    assert tiny.plan.grid.window == Window(67_320, -516_600, 240, 240)


@pytest.mark.parametrize(("offset", "baseline"), [(0, "02.14"), (-2000, "05.11")])
def test_offsets_of_other_baselines_give_the_same_labels(
    tmp_path: Path, whole: Judged, offset: int, baseline: str
) -> None:
    replace(TILE, offset=offset, baseline=baseline).write(tmp_path / "c")
    other = judge(tmp_path, BOX, chunk=1024).rows()
    for name, row in whole.rows().items():
        assert {key: value for key, value in other[name].items() if key != "scene"} == {
            key: value for key, value in row.items() if key != "scene"
        }


def test_scenes_of_two_baselines_that_meet_in_a_patch_are_one_ground(folder: Path, tmp_path: Path) -> None:
    """The clearer scene ends within patches; the older one, without an offset, fills them.

    Bands of 10 m alone: those of 20 m are not interpolated across the end of a scene.
    """
    publish(folder / "models", "land-cover-visible", bands=("B02", "B03", "B04"))
    Tile(size=3_000).write(tmp_path / "two" / "c")
    older = {"offset": 0, "baseline": "02.14", "cloud_cover": 5, "sensed": "2025-07-12T10:10:31Z"}
    Tile(size=4_800, **older).write(tmp_path / "two" / "c")  # type: ignore[arg-type]
    Tile(size=4_800).write(tmp_path / "one" / "c")
    box = Tile().box(1_300, 1_300, 2_600)
    two, one = (judge(tmp_path / name, box, chunk=128, model="land-cover-visible").rows() for name in ("two", "one"))
    assert sorted(row["scenes"] for row in two.values()) == [1] * 6 + [2] * 3
    assert {row["datetime"].year for row in two.values()} == {2025, 2026}
    for name, row in one.items():
        assert probabilities(two[name]) == probabilities(row)
        assert two[name]["datetime"].strftime("%Y%m%d") == two[name]["scene"][11:19]
