"""Nets that cannot be right: physics takes over on the coarse grid, and says so. Models that are not theirs: refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from eo.card import CARD, NETWORK
from eo.errors import CorruptData, EoShardsError, InvalidInput
from eo.model import PLACES, load
from l1c import SOIL, Floats, Tile, correct, fields, stock
from small_net import INPUTS, models, network

BANDS = ("B02", "B03", "B04")
EDGE = 61 * 120


def half_bright(band: str, x: Floats, y: Floats) -> Floats:
    """Fields, and bright ground in the right third: the last column of cells."""
    return np.where(x - 671_240 > 2 * EDGE, 1.5 * SOIL.get(band, 0.1), fields(band, x, y))


TILE = Tile(ground=half_bright, size=3 * EDGE, finest=60)
BOX = TILE.box(0.05, 0.4, 0.9, 0.1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stock(tmp_path_factory.mktemp("fallback"), TILE)


@pytest.mark.parametrize("wrong", [25, -1, 0.09])
def test_physics_takes_over_where_a_net_is_impossible(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    """Air that cannot be, no number at all, or air that makes all ground blacker than black."""
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m", network(limit=0.15, wrong=wrong))))
    net = correct(folder, BOX, model="atmosphere-field", shard=256)
    told = correct(folder, BOX, model="physics")
    (part,) = net.parts["field"]
    # Three of the nine cells are wrong, and too many pixels of what they touch. The others touch that.
    assert part.counts["fallback_milli"] == 7500
    last = slice(int(2.6 * 61), None)
    for band in BANDS:
        ours, theirs = (job.array(f"{job.plan.context(0)}/bias_{band}") for job in (net, told))
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours[:, last], theirs[:, last], rtol=1e-4, atol=0.5, err_msg=band)
        # Blended: what comes in of physics grows from cell to cell and nowhere in a step.
        share = np.abs(ours - theirs).mean(0)
        assert share[0] > 20
        assert np.abs(np.diff(share)).max() < 0.05 * share[0]
    codes, surface = net.target("quality"), net.target("surface_B02")
    there = (np.arange(net.window.col, net.window.col_end) + 0.5) * 60 + net.plan.grid.phase_x - TILE.left
    assert (codes[:, there > 2 * EDGE][surface[:, there > 2 * EDGE] > 0] == 2).all()
    assert net.result.summary["pixels_by_quality"]["physics"] == (codes == 2).sum() > 0
    assert "corrected by physics, since the model left its physical bounds" in net.notes


def test_where_a_band_is_dead_the_quality_says_that_physics_stood_in(tmp_path: Path) -> None:
    """A coarse pixel without all bands tells the net nothing."""

    def dead(band: str, dn: np.ndarray) -> None:
        if band == "B01":
            dn[...] = 0

    tile = Tile(size=4_920, change=dead)
    done = correct(stock(tmp_path, tile), tile.box(0.3, 0.3, 0.3), model="atmosphere-field")
    codes = done.target("quality")
    assert done.parts["field"][0].counts["fallback_milli"] == 1000 * done.parts["field"][0].counts["cells"]
    assert set(np.unique(codes)) <= {0, 2}
    assert (codes == 2).any()


def test_what_physics_takes_over_does_not_depend_on_shards_or_bands(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m", network(limit=0.15, wrong=0.09))))
    one = correct(folder, BOX, model="atmosphere-field", chunk=1024, bands=["B03"], water_vapour=2)
    other = correct(folder, BOX, model="atmosphere-field", shard=192, bands=["B08", "B03", "B02"], water_vapour=2)
    np.testing.assert_array_equal(one.target("surface_B03"), other.target("surface_B03"))
    np.testing.assert_array_equal(one.target("quality"), other.target("quality"))


def test_a_net_that_is_impossible_everywhere_is_physics_everywhere(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m", network(limit=-1))))
    net, told = (correct(folder, BOX, model=model) for model in ("atmosphere-field", "physics"))
    for band in BANDS:
        np.testing.assert_array_equal(net.target(f"surface_{band}"), told.target(f"surface_{band}"))
    assert (net.target("quality") > 0).sum() == (net.target("quality") == 2).sum()
    assert net.parts["field"][0].counts["fallback_milli"] == 9_000


def test_a_net_that_is_possible_is_left_alone(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m")))
    done = correct(folder, BOX, model="atmosphere-field")
    assert done.parts["field"][0].counts["fallback_milli"] == 0
    assert done.parts["field"][0].counts["aot_by net"] == 1
    assert "physics" not in done.notes
    item = json.loads((done.out / "surface_reflectance.json").read_text())
    digest = load("atmosphere-field").digest
    assert item["properties"]["eo_shards:models"] == [
        {"name": "atmosphere-field", "digest": digest, "href": "./model.json"}
    ]
    with rasterio.open(done.out / "surface_reflectance.tif") as file:
        assert digest in file.tags()["MODEL"]


def refused(folder: Path, kind: type[EoShardsError], match: str) -> None:
    before = {path for path in folder.rglob("*") if "result" in path.parts}
    with pytest.raises(kind, match=match):
        correct(folder, BOX, model="atmosphere-field")
    assert {path for path in folder.rglob("*") if "result" in path.parts} == before


def test_a_corrupt_model_is_refused_and_nothing_is_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = models(tmp_path / "m")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(place))
    path = place / "atmosphere-field" / NETWORK
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    refused(folder, CorruptData, r"has the SHA-256 [0-9a-f]{64}, its card says .*: fetch the model's folder again")


def test_swapped_models_are_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = models(tmp_path / "m")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(place))
    (place / "atmosphere-field" / CARD).write_bytes((PLACES[1] / "physics" / CARD).read_bytes())
    refused(folder, CorruptData, "holds the model physics, not atmosphere-field")


def test_a_model_of_other_bands_is_refused(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bands = ("B01", "B05", "B03", "B04", "B8A", "B12")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(models(tmp_path / "m", bands=bands)))
    refused(folder, InvalidInput, "atmosphere-field reads B01, B05, .* choose model physics")


def test_a_model_that_says_other_things_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that takes what correctors take and gives a map of something else."""
    text = network()
    outputs = [{"name": "mix", "shape": ["cell", 4], "dims": ["batch", "class"], "units": "1", "meaning": "shares"}]
    onnx = pytest.importorskip("onnx")
    made = onnx.load_from_string(text)
    del made.graph.output[:]
    made.graph.output.append(onnx.helper.make_tensor_value_info("mix", onnx.TensorProto.FLOAT, ["cell", 4]))
    assert {tensor.name for tensor in made.graph.input} == set(INPUTS)
    place = models(tmp_path / "m", made.SerializeToString(), outputs=outputs)
    monkeypatch.setenv("EO_SHARDS_MODELS", str(place))
    refused(folder, InvalidInput, "says no aot, sigma, path")


def test_a_model_that_is_not_there_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "physics").symlink_to(PLACES[1] / "physics")
    monkeypatch.setenv("EO_SHARDS_MODELS", str(tmp_path / "m"))
    refused(folder, InvalidInput, "no model 'atmosphere-field' in .*: choose one of physics")
