"""What is published of a land-cover net: it runs as torch did, says where it comes from, and refuses other bands."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

pytest.importorskip("lightning")
onnx = pytest.importorskip("onnx")

import tiny_patches  # noqa: E402
from eo.card import NETWORK  # noqa: E402
from eo.errors import InvalidInput  # noqa: E402
from eo.model import FOLDER, checked, load  # noqa: E402
from land_cover.labels import CLASSES  # noqa: E402
from real_data import test_data  # noqa: E402
from training.land_cover import as_published, metrics, release, thresholds  # noqa: E402
from training.land_cover.__main__ import main  # noqa: E402
from training.land_cover.bands import BANDS  # noqa: E402
from training.land_cover.config import TrainConfig  # noqa: E402
from training.land_cover.data import module as data_module  # noqa: E402
from training.land_cover.data.patches import SPLITS, opened  # noqa: E402
from training.land_cover.net import LandCoverNet, Published  # noqa: E402
from training.land_cover.train import train  # noqa: E402
from training.publish import energy as metering  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    tiny_patches.put(monkeypatch)
    monkeypatch.setattr(metering, "_tracker", lambda _country: None)


def command(folder: Path, *more: str) -> list[str]:
    short = ["--batch", "16", "--epochs", "1", "--progress", "false", "--threads", "1", "--architecture", "test_resnet"]
    return ["--data", str(folder), "--work", str(folder / "work"), *short, *more]


def test_the_command_publishes_a_model_that_answers_as_torch_does(tmp_path: Path) -> None:
    out = tmp_path / "land-cover-test"
    indices = ["--indices", "NDVI", "--resampling", "bilinear"]
    assert main([*command(tmp_path, *indices), "--out", str(out)]) == 0
    model = checked(out)
    card = model.card
    assert (card.classes, card.bands, card.task, card.level) == (CLASSES, BANDS[10], "scene-classification", "L2A")
    assert (card.resampling, card.synthetic, card.precision) == ("bilinear", True, "float16")
    assert len(card.thresholds) == 19
    assert card.inputs[0].shape == ("batch", 10, 120, 120)
    assert card.normalisation is not None
    assert card.parity is not None
    assert card.parity_float32 is not None
    assert card.parity_float32.tolerance == 1e-4
    assert card.parity_float32.max_abs_error <= 1e-4
    assert card.parity_float32.max_abs_error < card.parity.max_abs_error <= card.parity.tolerance
    assert card.energy is not None
    assert card.training.hyperparameters["indices"] == "NDVI"
    assert {score.set for score in card.results} == {"validation split", "test split"}
    assert "patches to train on, 16 for validation, 16 to test, split by geography" in card.training.data
    assert any("generated" in each for each in card.known_failures)
    assert card.training.command.startswith("python -m training.land_cover --data")
    given = np.stack([tiny_patches.TinySet("test", BANDS[10]).read(place) for place in range(5)])
    told = TrainConfig.model_validate(
        {"folder": tmp_path, "architecture": "test_resnet", "batch": 16, "epochs": 1, "indices": "NDVI",
         "resampling": "bilinear"}
    )  # fmt: skip
    trained = train(told, tmp_path / "work", country="NOR")
    with torch.no_grad():
        expected = Published(trained.net, trained.judged.line)(torch.from_numpy(given)).numpy()
    found = model.run(patches=given)["probabilities"]
    assert (found.dtype, found.shape) == (np.float32, (5, 19))
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert (out / "item.json").read_text().count("eo_shards:thresholds") == 1
    # One sigmoid, at the end, and no softmax that would let labels compete.
    graph = onnx.load(str(out / NETWORK)).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Sigmoid") == 1
    assert "Softmax" not in kinds
    assert [node.op_type for node in graph.node if "probabilities" in node.output] == ["Sigmoid"]


def test_the_exported_model_refuses_other_bands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main([*command(tmp_path, "--bands", "7"), "--out", str(tmp_path / "land-cover-seven")]) == 0
    monkeypatch.setenv(FOLDER, str(tmp_path))
    model = load("land-cover-seven", bands=BANDS[7])
    for other in (BANDS[10], tuple(reversed(BANDS[7])), BANDS[7][:-1]):
        with pytest.raises(InvalidInput, match="reads the bands B02, B03, B04, B08, B8A, B11, B12, not"):
            load("land-cover-seven", bands=other)
    with pytest.raises(InvalidInput, match="give it float32"):
        model.run(patches=np.zeros((1, 10, 120, 120), np.float32))


@pytest.mark.parametrize("upscaling", ["nearest", "bilinear", "bicubic"])
def test_every_upscaling_is_the_same_in_the_runtime_and_reads_the_last_column(upscaling: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = LandCoverNet("test_vit", BANDS[10], size=144, upscaling=upscaling, indices=("NDVI",)).eval()
    net.mean += 0.2
    net.std *= 0.1
    for weight in net.parameters():  # far from its start, where answers hardly differ
        weight.data += 0.02 * torch.randn_like(weight)
    out = tmp_path / "land-cover-vit"
    plain = TrainConfig(folder=tmp_path, weights="float32")
    release.publish_converted(net, "test_vit", "0.2.0", command="none", out=out, config=plain)
    draw = torch.Generator().manual_seed(9)
    given = 0.2 + 0.1 * torch.randn(3, 10, 120, 120, generator=draw)
    with torch.no_grad():
        expected = torch.sigmoid(net(given))
    assert expected.std() > 0.03
    found = checked(out).run(patches=given.numpy())["probabilities"]
    np.testing.assert_allclose(found, expected, atol=release.TOLERANCE)
    assert f"144 x 144 ({upscaling})" in checked(out).card.architecture
    given[..., -1] += 0.5
    assert not np.array_equal(checked(out).run(patches=given.numpy())["probabilities"], found)


def test_what_is_trained_on_real_patches_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_patches.put(monkeypatch, synthetic=False)
    out = tmp_path / "land-cover-test"
    assert main([*command(tmp_path, "--weights", "float32"), "--out", str(out)]) == 0
    card = checked(out).card
    assert not card.synthetic
    assert card.parity_float32 is None
    assert card.training.data.startswith("BigEarthNet: ")
    assert (card.training.start, len(card.domain)) == ("2017-06-01T00:00:00Z", 2)
    assert not any("generated" in each for each in card.known_failures)


def test_a_model_that_no_layer_would_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "LAYER", 1_000_000)
    net, plain = LandCoverNet("test_resnet", BANDS[10]), TrainConfig(folder=tmp_path, weights="float32")
    with pytest.raises(
        InvalidInput, match=r"takes 1,\d\d\d,\d\d\d bytes, a layer may have 1,000,000.*--weights float16"
    ):
        release.publish_converted(
            net,
            "test_resnet",
            "0.2.0",
            command="none",
            out=tmp_path / "land-cover-x",
            config=plain,
        )


def test_in_eight_bits_thresholds_and_scores_are_those_of_the_published_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(as_published, "MOST_LOST", 1)  # of 16 patches one answer is more than that
    out = tmp_path / "land-cover-test"
    assert main([*command(tmp_path, "--weights", "int8"), "--out", str(out)]) == 0
    model = checked(out)
    assert model.card.precision == "int8"
    assert model.card.parity_float32 is not None
    assert model.card.parity_float32.max_abs_error <= 1e-4
    kinds = Counter(node.op_type for node in onnx.load(str(out / NETWORK)).graph.node)
    assert kinds["QuantizeLinear"] >= kinds["Conv"] > 10
    told = {(score.set, score.row, score.metric): score.value for score in model.card.results}
    for split in ("validation", "test"):
        patches = tiny_patches.TinySet(split, BANDS[10])
        given = np.stack([patches.read(place) for place in range(len(patches))])
        labels = torch.from_numpy(np.asarray(patches.labels)).long()
        found = torch.from_numpy(model.run(patches=given)["probabilities"])
        scored = metrics.scores(found, labels, model.card.thresholds)
        key = (f"{split} split", "macro, thresholds chosen on validation", "F1")
        assert told[key] == pytest.approx(scored["macro"]["f1"], abs=1e-5)
        if split == "validation":
            chosen = thresholds.chosen(thresholds.Predictions(split, torch.logit(found, eps=1e-7), labels))
            np.testing.assert_allclose(model.card.thresholds, chosen, atol=1e-6)


def test_eight_bits_that_lose_too_much_are_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(as_published, "MOST_LOST", -2)
    out = tmp_path / "land-cover-test"
    assert main([*command(tmp_path, "--weights", "int8"), "--out", str(out)]) == InvalidInput.exit_code
    assert "--weights float16" in capsys.readouterr().err
    assert not list(tmp_path.glob("*land-cover-test*"))


def test_errors_of_the_data_are_those_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(tmp_path / "missing"), "--out", str(tmp_path / "land-cover-x")]) == InvalidInput.exit_code
    assert "missing is no folder" in capsys.readouterr().err


def test_the_real_patches_run_through_a_model_that_was_trained_on_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = test_data("bigearthnet")
    monkeypatch.setattr(data_module, "opened", opened)
    out = tmp_path / "land-cover-real"
    arguments = [
        "--data",
        str(folder),
        "--batch",
        "2",
        "--resampling",
        "bicubic",
        "--weights",
        "float32",
        "--bands",
        "12",
    ]
    short = ["--architecture", "test_resnet", "--epochs", "1", "--progress", "false", "--work", str(tmp_path / "work")]
    assert main([*arguments, *short, "--out", str(out)]) == 0
    model = checked(out)
    assert not model.card.synthetic
    count = 0
    for split in SPLITS:
        patches = opened(folder, split, BANDS[12], "bicubic")
        for place in range(len(patches)):
            found = model.run(patches=patches.read(place)[None])["probabilities"]
            assert found.shape == (1, 19)
            assert np.isfinite(found).all()
            assert 0 < found.min() < found.max() < 1
            count += 1
    assert count == 6


def test_a_model_is_of_the_architecture_that_it_is_named_after(tmp_path: Path) -> None:
    arguments = [word for word in command(tmp_path) if word not in {"--architecture", "test_resnet"}]
    assert main([*arguments, "--out", str(tmp_path / "land-cover-test-resnet")]) == 0
    assert "timm test_resnet on" in checked(tmp_path / "land-cover-test-resnet").card.architecture
