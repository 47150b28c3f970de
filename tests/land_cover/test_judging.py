"""What is said of a patch: by an independent computation of the same, from the products' own files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.errors import CorruptData, LostWork, NothingFound
from eo.folder_store import FolderStore
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from l2a import METRES, Judged, Tile, judge, probabilities
from land_cover.judge import BATCH
from land_cover.labels import CLASSES
from merge.fan_in import fan_in
from small_land_cover import BANDS, judged, network, publish

SIZE = 3_600
TILE = Tile(size=SIZE)
BOX = TILE.box(300, 300, 3_000)
"""Touches all nine patches."""


@pytest.fixture(autouse=True)
def _models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(publish(tmp_path / "models")))


def run(folder: Path, change: Callable[[str, NDArray[Any]], None] | None = None, **more: Any) -> Judged:
    replace(TILE, change=change).write(folder / "c")
    return judge(folder, BOX, chunk=128, **more)


def patch_of(col: int, row: int) -> str:
    """The id of a patch of the product, counted from its upper left corner."""
    return f"32632_{TILE.left + 1_200 * col:.0f}_{TILE.top - 1_200 * row:.0f}"


def reflectance(band: str) -> NDArray[np.float64]:
    """The whole product at 10 m, from its DNs: bilinear at pixel centres, rounded half up as DN, the outermost held."""
    dn = TILE.dn(band).astype(np.float64)
    step = METRES[band]
    if step != 10:
        places, at = (np.arange(len(dn)) + 0.5) * step, (np.arange(SIZE // 10) + 0.5) * 10
        wide = np.stack([np.interp(at, places, line) for line in dn])
        dn = np.floor(np.stack([np.interp(at, places, line) for line in wide.T]).T + 0.5)
    return (dn - 1000) / 10_000


def test_each_patch_is_what_the_network_says_of_its_pixels(tmp_path: Path) -> None:
    rows = run(tmp_path).rows()
    assert len(rows) == 9 > BATCH
    ground = np.stack([reflectance(band) for band in BANDS])
    for row in range(3):
        for col in range(3):
            found = rows[patch_of(col, row)]
            truth = judged(ground[:, 120 * row : 120 * row + 120, 120 * col : 120 * col + 120])
            np.testing.assert_allclose(probabilities(found), truth, atol=2e-5)
            assert found["most_probable"] == CLASSES[int(truth.argmax())]
            assert found["probability"] == max(p for p in probabilities(found) if p is not None)
            assert found["labels"] == [
                name for name, p in zip(CLASSES, probabilities(found), strict=True) if (p or 0) >= 0.5
            ]
    assert len({tuple(row["labels"]) for row in rows.values()}) > 2


def test_labels_are_those_above_the_thresholds_of_the_card(tmp_path: Path) -> None:
    thresholds = tuple(0.05 + 0.05 * index for index in range(19))
    publish(tmp_path / "models", "land-cover-chosen", thresholds=thresholds)
    usual, chosen = run(tmp_path).rows(), judge(tmp_path, BOX, model="land-cover-chosen").rows()
    assert any(usual[name]["labels"] != row["labels"] for name, row in chosen.items())
    for name, row in chosen.items():
        assert probabilities(row) == probabilities(usual[name])
        above = [p >= limit for p, limit in zip(probabilities(row), thresholds, strict=True) if p is not None]
        assert row["labels"] == [CLASSES[index] for index in np.flatnonzero(above)]


def spoilt(band: str, values: NDArray[Any]) -> None:
    """Patches by row and column: 0 0 a small cloud, 0 1 a large one, 1 0 no data, 1 1 saturated, 2 2 some of everything."""
    if band == "SCL":
        values[10:20, 10:25] = 9
        values[10:40, 70:100] = 8
        values[125:135, 125:155] = 3
    if band == "B03":
        values[150:190, 20:60] = 0
        values[270:285, 300:320] = 0
    if band == "B02":
        values[130:170, 130:170] = 65_535
        values[300:310, 300:320] = 65_535


def test_patches_that_lack_too_much_are_marked_and_not_guessed(tmp_path: Path) -> None:
    done = run(tmp_path, spoilt)
    rows = done.rows()
    status = {(row, col): rows[patch_of(col, row)]["status"] for row in range(3) for col in range(3)}
    assert status == dict.fromkeys(status, "ok") | {
        (0, 1): "masked",
        (1, 0): "incomplete",
        (1, 1): "saturated",
        (2, 2): "masked",
    }
    for (row, col), what in status.items():
        found = rows[patch_of(col, row)]
        known = what == "ok"
        assert all((p is not None) == known for p in (*probabilities(found), found["labels"], found["most_probable"]))
    shares = [rows[patch_of(2, 2)][name] for name in ("masked", "missing", "saturated")]
    assert shares == pytest.approx([1200 / 14_400, 300 / 14_400, 200 / 14_400])
    assert rows[patch_of(0, 0)]["masked"] == pytest.approx(600 / 14_400)
    assert done.result.summary["patches_by_status"] == {"ok": 5, "masked": 2, "incomplete": 1, "saturated": 1}
    assert done.result.message == "5 patches judged"
    assert "masked: cloud, shadow or snow; not judged: 2 patches (22.22 %)" in done.notes


@pytest.mark.parametrize(
    ("limit", "too_much"),
    [(0.0, {"0 0", "0 1", "1 0", "1 1", "2 2"}), (0.115, {"0 1", "2 2"}), (1700 / 14_400, {"0 1"}), (0.5, set())],
)
def test_how_much_may_lack_is_the_user_s_choice(tmp_path: Path, limit: float, too_much: set[str]) -> None:
    rows = run(tmp_path, spoilt, max_unusable=limit).rows()
    marked = {f"{row} {col}" for row in range(3) for col in range(3) if rows[patch_of(col, row)]["status"] != "ok"}
    assert marked == too_much


@pytest.mark.parametrize("crs", [None, "EPSG:3035"])
def test_snow_is_no_ground_that_a_model_knows(tmp_path: Path, crs: str | None) -> None:
    """BigEarthNet's authors leave their snowy patches out. The shared mask lets snow pass, for the other processes."""

    def snow(band: str, values: NDArray[Any]) -> None:
        if band == "SCL":
            values[...] = 11

    done = run(tmp_path, snow, crs=crs)
    assert {row["status"] for row in done.rows().values()} <= {"masked", "incomplete"}
    assert "masked" in {row["status"] for row in done.rows().values()}
    assert "where there are clouds, snow, shadows or defects" in done.notes


def test_without_a_mask_clouds_are_ground(tmp_path: Path) -> None:
    rows = run(tmp_path, spoilt, mask_clouds=False).rows()
    assert rows[patch_of(1, 0)]["status"] == "ok"
    assert {row["masked"] for row in rows.values()} == {0.0}
    plain = run(tmp_path / "plain").rows()
    assert probabilities(rows[patch_of(1, 0)]) == probabilities(plain[patch_of(1, 0)])


def test_what_lacks_in_a_judged_patch_has_the_mean_of_the_rest(tmp_path: Path) -> None:
    hidden = (slice(20, 40), slice(20, 50))

    def cloud(band: str, values: NDArray[Any]) -> None:
        if band == "SCL":
            values[10:20, 10:25] = 9
        elif METRES[band] == 10:
            values[hidden] = 9_000  # what clouds hide is not looked at

    found = run(tmp_path, cloud).rows()[patch_of(0, 0)]
    assert found["masked"] == pytest.approx(600 / 14_400)
    ground = np.stack([reflectance(band) for band in BANDS])[:, :120, :120]
    seen = np.ones((120, 120), bool)
    seen[hidden] = False
    for band in ground:
        band[hidden] = np.floor((band[seen].mean() * 10_000 + 1000) + 0.5) / 10_000 - 0.1
    np.testing.assert_allclose(probabilities(found), judged(ground), atol=2e-5)


def test_a_network_that_gives_no_probabilities_is_refused(tmp_path: Path) -> None:
    publish(tmp_path / "models", "land-cover-wrong", network=network(len(BANDS), scale=2.0))
    with pytest.raises(CorruptData, match=r"land-cover-wrong gives values from .* for probabilities: fetch"):
        run(tmp_path, model="land-cover-wrong")


def test_patches_beside_others_in_a_batch_are_what_they_are_alone(tmp_path: Path) -> None:
    rows = run(tmp_path).rows()
    for col, row in ((0, 0), (1, 1), (2, 1)):
        alone = judge(tmp_path, TILE.box(1_200 * col + 500, 1_200 * row + 500, 60), chunk=128).rows()
        assert set(alone) == {patch_of(col, row)}
        assert alone[patch_of(col, row)] == rows[patch_of(col, row)]


def test_ground_that_no_scene_has_is_incomplete_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    TILE.write(tmp_path / "c")
    rows = judge(tmp_path, TILE.box(3_000, 3_000, 1_200), chunk=128).rows()
    assert {row["status"] for row in rows.values()} == {"ok", "incomplete"}
    assert [row["missing"] for row in rows.values() if row["status"] == "incomplete"] == [1.0] * 3
    with pytest.raises(NothingFound, match="no footprint covers any of"):
        judge(tmp_path, TILE.box(5_000, 5_000, 1_200))


@pytest.mark.parametrize("damage", ["gone", "cut short", "another's"])
def test_what_a_unit_left_and_is_damaged_never_becomes_a_result(tmp_path: Path, damage: str) -> None:
    TILE.write(tmp_path / "c")
    done = judge(tmp_path, BOX, chunk=128, stop=True)
    (part,) = done.parts["judge"]
    path = done.home / part.keys["patches"]
    data = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(data[:-1])
    elif damage == "another's":
        path.write_bytes(data[::-1])
    with pytest.raises(LostWork, match=r"patches is gone or not what was written"):
        fan_in(done.plan, done.parts["judge"], store=FolderStore(done.home))
    assert not (done.home / "jobs" / "job" / "result.json").exists()


def test_a_model_that_was_published_anew_with_other_bands_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TILE.write(tmp_path / "c")
    done = judge(tmp_path, BOX, chunk=128, stop=True)
    monkeypatch.setenv("EO_SHARDS_MODELS", str(publish(tmp_path / "anew", bands=("B02", "B03"))))
    (unit,) = read_units(FolderStore(done.home), "job", "judge")
    with pytest.raises(CorruptData, match=r"reads the bands B02, B03, the plan has B02, B03, B04, .* with --new"):
        run_unit(FolderStore(done.home), "job", "judge", unit, 1, Settings.from_environment({}))
