"""The data report: its numbers are those of the folder, and its pictures show them."""

import io
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.land_cover import report, report_pictures
from training.land_cover.synthetic.plan import Params, Row
from training.land_cover.synthetic.write import write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Row]]:
    folder = tmp_path_factory.mktemp("report") / "generated"
    return folder, write(folder, Params(patches=20))


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def test_one_command_writes_all(
    made: tuple[Path, list[Row]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, rows = made
    assert report.main(["--data", str(folder), "--out", str(tmp_path / "out")]) == 0
    path = Path(capsys.readouterr().out.strip())
    text = path.read_text()
    assert "12 patches for train, 3 patches for validation, 5 patches for test, from Synthetic." in text
    assert "are **generated**" in text
    assert "show the same ground: 0." in text
    for name in CLASSES:
        cells = []
        for split, total in (("train", 12), ("validation", 3), ("test", 5)):
            count = sum(name in row.labels for row in rows if row.split == split)
            cells.append(f"{count} ({count / total:.1%})")
        assert f"| {name} | " + " | ".join(cells) + " |" in text
    for name in report.FILES:
        assert f"]({name})" in text
        drawn = picture(path.parent / name)
        assert drawn.std() > 5
        foot = report_pictures.marked(np.full((1, drawn.shape[1], 3), 255, np.uint8))[1:]
        np.testing.assert_array_equal(drawn[-len(foot) :], foot)
    assert sorted(each.name for each in path.parent.iterdir()) == sorted([*report.FILES, "report.md"])


def test_a_folder_of_one_split_has_a_report_of_it(made: tuple[Path, list[Row]], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made[0], tmp_path / "part"))
    table = pq.read_table(folder / "metadata.parquet")
    pq.write_table(table.filter(np.array(table["split"].to_pylist()) == "test"), folder / "metadata.parquet")
    text = report.report(folder, tmp_path / "out", ("B02", "B8A")).read_text()
    assert "| class | test |" in text
    assert "\n| B8A | " in text
    assert "| B03 |" not in text


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == InvalidInput.exit_code
    assert "has neither" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def runs(drawn: np.ndarray, colour: tuple[int, int, int], left: int) -> list[int]:
    """Length of what has a colour from a column on, in each row where any has."""
    own = (drawn[:, left:] == colour).all(-1)
    return [int(row.sum()) for row in own if row.any()]


def test_bars_are_as_long_as_shares() -> None:
    counts = np.zeros(19, np.int64)
    counts[[1, 4]] = 80, 20
    drawn = report_pictures.class_counts({"train": counts}, {"train": 100})
    lengths = sorted(set(runs(drawn, report_pictures.SPLIT_COLOURS["train"], report_pictures.NAME_WIDTH + 2)))
    assert lengths[-1] == pytest.approx(420, abs=3)
    assert any(length == pytest.approx(105, abs=3) for length in lengths)


def test_names_of_classes_are_written_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    draw = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda self, at, words, *more: written.append(words) or draw(self, at, words, *more),
    )
    counts = np.ones(19, np.int64)
    for drawing in (
        lambda: report_pictures.class_counts({"train": counts}, {"train": 20}),
        lambda: report_pictures.cooccurrence(np.diag(counts)),
        lambda: report_pictures.examples([(name, None) for name in CLASSES]),
    ):
        written.clear()
        drawing()
        said = " ".join(written)
        assert all(name in said for name in CLASSES), said


def test_places_are_on_the_map_where_they_lie() -> None:
    places = {"train": np.array([[0.0, 0.0]]), "test": np.array([[50_000.0, 0.0], [50_000.0, 25_000.0]])}
    drawn = report_pictures.patch_map(places)[40:-40]  # without legend and scale
    at = {split: np.argwhere((drawn == report_pictures.SPLIT_COLOURS[split]).all(-1)) for split in places}
    train, test = at["train"].mean(0), at["test"]
    assert train[1] < test[:, 1].min()
    assert test[:, 0].max() == pytest.approx(train[0], abs=25)
    across, down = np.ptp(test[:, 1]), np.ptp(test[:, 0])
    assert down > 10 * across


def test_histograms_are_as_high_as_counts() -> None:
    counts = np.zeros((2, 100), np.int64)
    counts[0, 10], counts[0, 50], counts[1, 99] = 200, 100, 7
    drawn = report_pictures.histograms(("B02", "B03"), counts, 0.6, ("mean 1", "mean 2"))[40:]  # without its title
    own = (drawn == (90, 140, 90)).all(-1)
    heights = own.sum(0)
    first = heights[: drawn.shape[1] // 4]
    assert first.max() == pytest.approx(2 * first[first > 0].min(), abs=2)
    assert np.ptp(np.flatnonzero(first)) == pytest.approx(40 * 3, abs=4)


def test_examples_are_stretched_to_their_own_brightest() -> None:
    dark = np.random.default_rng(1).uniform(0, 0.02, (3, 120, 120)).astype(np.float32)
    drawn = report.true_colour(dark)
    assert drawn.shape == (120, 120, 3)
    assert drawn.max() == 255
    np.testing.assert_array_equal(drawn, report.true_colour(10 * dark))
    buffer = io.BytesIO(report.png(drawn))
    np.testing.assert_array_equal(np.asarray(Image.open(buffer)), drawn)


def test_cooccurrence_is_shaded_by_share() -> None:
    pairs = np.diag(np.full(19, 10))
    pairs[0, 1] = pairs[1, 0] = 10
    both, none = report_pictures.cooccurrence(pairs), report_pictures.cooccurrence(np.diag(np.full(19, 10)))
    changed = np.argwhere((both != none).any(-1))
    blue = (both == report_pictures.SPLIT_COLOURS["train"]).all(-1)
    assert blue.sum() > 1000
    assert changed[:, 0].max() < both.shape[0] / 4
