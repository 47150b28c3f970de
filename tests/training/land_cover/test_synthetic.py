"""The generated data set is the frozen one, is shaped as BigEarthNet v2, and tells its classes by pattern alone."""

from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import torch

from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.command import INTERRUPTED
from training.land_cover.bands import PIXELS
from training.land_cover.baseline import f1, fitted
from training.land_cover.data.patches import opened
from training.land_cover.labels import multi_hot
from training.land_cover.synthetic import __main__ as command
from training.land_cover.synthetic import frozen, write
from training.land_cover.synthetic.patch import SMALLEST, layout, pixels
from training.land_cover.synthetic.plan import LANDSCAPES, TILES, Params, Row, digest, plan
from training.land_cover.synthetic.textures import TEXTURES

FROZEN = Params()


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return plan(FROZEN)


def hot(rows: list[Row], *, truth: bool) -> np.ndarray:
    return np.stack([multi_hot(row.truth if truth else row.labels, row.patch_id) for row in rows])


def test_it_is_the_data_set_that_was_frozen(rows: list[Row]) -> None:
    assert digest(FROZEN) == frozen.PLAN
    some = frozen.one_of_each(rows)
    assert {name for row in some for name in row.truth} == set(CLASSES)
    assert frozen.pixel_digest(some, FROZEN.seed) == frozen.PIXELS


def test_another_seed_or_size_is_another_data_set(rows: list[Row]) -> None:
    assert digest(replace(FROZEN, seed=1)) != frozen.PLAN
    assert digest(replace(FROZEN, patches=11_999)) != frozen.PLAN
    assert frozen.pixel_digest(rows[:1], FROZEN.seed) != frozen.pixel_digest(rows[:1], 1)


@pytest.mark.parametrize(("split", "patches"), [("train", 7200), ("validation", 1800), ("test", 3000)])
def test_prevalence_is_2_to_40_per_cent_in_every_split(rows: list[Row], split: str, patches: int) -> None:
    own = [row for row in rows if row.split == split]
    there = hot(own, truth=True)
    assert len(own) == patches
    assert 0.02 <= there.mean(0).min() < 0.04
    assert 0.3 < there.mean(0).max() <= 0.40
    assert 1 <= there.sum(1).min() <= there.sum(1).max() <= FROZEN.most
    assert split != "test" or there.sum(0).min() >= 50


def test_three_per_cent_of_the_training_labels_are_wrong_and_no_others(rows: list[Row]) -> None:
    for split in ("train", "validation", "test"):
        own = [row for row in rows if row.split == split]
        wrong = hot(own, truth=True) != hot(own, truth=False)
        if split == "train":
            assert wrong.mean() == pytest.approx(0.03, abs=0.001)
            assert (np.abs(wrong.mean(0) - 0.03) < 0.01).all()
        else:
            assert not wrong.any()
    assert all(row.labels for row in rows)


def test_classes_occur_together_as_their_landscapes_have_them(rows: list[Row]) -> None:
    there = hot(rows, truth=True).astype(bool)

    def lift(one: str, other: str) -> float:
        a, b = (there[:, CLASSES.index(name)] for name in (one, other))
        return float((a & b).mean() / (a.mean() * b.mean()))

    assert lift("Marine waters", "Coastal wetlands") > 3
    assert lift("Coniferous forest", "Mixed forest") > 1.5
    assert lift("Marine waters", "Coniferous forest") == 0
    assert sum(share for share, _ in LANDSCAPES.values()) == pytest.approx(1)


def test_each_split_has_tiles_of_its_own(rows: list[Row]) -> None:
    met = {(row.tile, row.split) for row in rows}
    assert met == {(tile, split) for tile, (_, _, split) in TILES.items()}
    assert len(met) == len(TILES)


def test_every_class_has_a_tenth_of_the_patch_and_they_cover_it() -> None:
    for count in (1, 2, 5):
        for seed in range(12):
            where = layout(count, np.random.default_rng(seed))
            assert where.shape == (120, 120)
            assert np.bincount(where.ravel(), minlength=count).min() / where.size > SMALLEST - 0.021


def test_pairs_that_share_a_pattern_differ_in_the_red_edge_alone() -> None:
    for one, other in (("Broad-leaved forest", "Mixed forest"),
                       ("Pastures", "Natural grassland and sparsely vegetated areas")):  # fmt: skip
        left, right = (pixels((name,), np.random.default_rng(3)) for name in (one, other))
        differ = {band for band in PIXELS if not np.array_equal(left[band], right[band])}
        assert differ == {"B05", "B06", "B07"}
    assert len({texture.pattern for texture in TEXTURES.values()}) >= 17


def _spectrum(dn: np.ndarray) -> np.ndarray:
    """Log power by wavelength and skewness of a band that was brought to mean 0 and deviation 1."""
    unit = (dn - dn.mean()) / dn.std()
    power = np.abs(np.fft.fft2(unit)) ** 2
    far = np.hypot(np.fft.fftfreq(120)[:, None], np.fft.fftfreq(120)[None])
    edges = np.geomspace(1 / 60, 0.5, 13)
    bins = [power[(far >= low) & (far < high)] for low, high in pairwise(edges)]
    return np.array([*(np.log(each.mean()) for each in bins), *(np.log(each.max() / each.mean()) for each in bins),
                     (unit**3).mean(), (unit**4).mean()])  # fmt: skip


def test_means_and_deviations_tell_nothing_and_the_pattern_does(rows: list[Row]) -> None:
    """By the same logistic regression: what it gains from the pattern it does not get from means and deviations."""
    train, test = ([row for row in rows if row.split == split][:most] for split, most in (("train", 160), ("test", 80)))
    scores = {}
    levels, patterns = [], []
    for row in [*train, *test]:
        bands = frozen.patch(row, FROZEN.seed)
        levels.append(np.log([found for dn in bands.values() for found in (dn.mean(), dn.std())]))
        patterns.append(_spectrum(bands["B04"].astype(float)))
    for name, found in (("levels", levels), ("patterns", patterns)):
        values = np.array(found)
        values = torch.from_numpy((values - values.mean(0)) / values.std(0))
        net = fitted(values[:160], torch.from_numpy(hot(train, truth=True).astype(float)))
        said = torch.sigmoid(net(values[160:])).detach().numpy()
        truth = hot(test, truth=True)
        # The best threshold of the very patches that are scored: more than anybody could choose.
        scores[name] = np.max([f1(said >= at, truth) for at in np.linspace(0.02, 0.9, 45)], 0).mean()
    assert scores["levels"] < 0.4
    assert scores["patterns"] > scores["levels"] + 0.1


def test_levels_are_those_of_bigearthnet(rows: list[Row]) -> None:
    found = [frozen.patch(row, FROZEN.seed) for row in rows[:40]]
    for band, published in (("B02", 438), ("B08", 2193), ("B12", 998)):
        assert np.mean([dn[band].mean() for dn in found]) == pytest.approx(published, rel=0.3)
    for dn in found:
        assert [len(values) for values in dn.values()] == list(PIXELS.values())
        assert min(values.min() for values in dn.values()) >= 1
        assert all(values.dtype == np.uint16 for values in dn.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write.write(folder, Params(patches=20))
    return folder


def test_files_and_columns_are_those_of_bigearthnet_v2(folder: Path) -> None:
    schema = pq.read_schema(folder / "metadata.parquet")
    assert {field.name: str(field.type) for field in schema} == {
        "patch_id": "string",
        "labels": "list<element: string>",
        "split": "string",
        "country": "string",
        "s1_name": "string",
        "s2v1_name": "string",
        "contains_seasonal_snow": "bool",
        "contains_cloud_or_shadow": "bool",
    }
    rows = plan(Params(patches=20))
    for row in rows:
        place = folder / "BigEarthNet-S2" / row.patch_id.rsplit("_", 2)[0] / row.patch_id
        assert {path.name for path in place.iterdir()} == {f"{row.patch_id}_{band}.tif" for band in PIXELS}
        left, top, _ = TILES[row.tile]
        for band, edge in PIXELS.items():
            with rasterio.open(place / f"{row.patch_id}_{band}.tif") as file:
                assert (file.width, file.height, file.dtypes, file.crs.to_epsg()) == (edge, edge, ("uint16",), 32633)
                corner = left + 1200 * row.column, top - 1200 * row.row
                assert file.bounds == (corner[0], corner[1] - 1200, corner[0] + 1200, corner[1])
                np.testing.assert_array_equal(file.read(1), frozen.patch(row, 2026)[band])


def _digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


def test_equal_parameters_give_equal_files_however_many_processes_write(folder: Path, tmp_path: Path) -> None:
    write.write(tmp_path / "again", Params(patches=20), workers=2)
    assert _digest(tmp_path / "again") == _digest(folder)


def test_what_was_interrupted_is_no_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, calls = write._write_patch, []

    def stopping(*given: object) -> None:
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        whole(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(write, "_write_patch", stopping)
    with pytest.raises(KeyboardInterrupt):
        write.write(tmp_path, Params(patches=20))
    assert len(list((tmp_path / "BigEarthNet-S2").glob("*/*"))) == 4
    with pytest.raises(InvalidInput, match=r"has neither metadata\.parquet"):
        opened(tmp_path, "train", ("B02",), "nearest")


def test_what_was_interrupted_is_made_by_the_same_command_and_no_other(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    given = ["--out", str(tmp_path), "--workers", "1", "--patches"]
    with monkeypatch.context() as patched:
        patched.setattr(write, "_write_patch", stopped)
        assert command.main([*given, "20"]) == INTERRUPTED
    assert "stopped: run the same command again" in capsys.readouterr().err
    assert command.main([*given, "21"]) == InvalidInput.exit_code
    assert command.main([*given, "20"]) == 0
    assert _digest(tmp_path) == _digest(folder)


def test_the_command_makes_it_and_refuses_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a"
    assert command.main(["--out", str(out), "--patches", "20", "--workers", "1"]) == 0
    assert "20 patches, not the frozen data set" in capsys.readouterr().out
    assert command.main(["--out", str(out), "--patches", "20"]) == InvalidInput.exit_code
    assert "is not empty: remove" in capsys.readouterr().err
    assert command.main(["--out", str(tmp_path / "b"), "--patches", "99999999"]) == InvalidInput.exit_code
    assert "has room for 20 to" in capsys.readouterr().err
