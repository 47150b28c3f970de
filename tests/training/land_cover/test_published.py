"""Published reBEN weights: the same probabilities from a checkpoint with their keys, in either order of bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import training.cpu_torchvision  # noqa: E402, F401 - before what imports torchvision

timm = pytest.importorskip("timm")
from safetensors.torch import save_file  # noqa: E402

import tiny_patches  # noqa: E402
from eo.errors import CorruptData, InvalidInput  # noqa: E402
from eo.model import checked  # noqa: E402
from land_cover.labels import CLASSES  # noqa: E402
from training.land_cover.__main__ import main  # noqa: E402
from training.land_cover.bands import BANDS  # noqa: E402
from training.land_cover.published import Release, converted  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = "test_resnet"
# As the model cards of huggingface.co/BIFOLD-BigEarthNetv2-0 list them.
CARDS: dict[Release, list[str]] = {
    "0.1.1": ["B02", "B03", "B04", "B08", "B05", "B06", "B07", "B11", "B12", "B8A"],
    "0.2.0": ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"],
}
# Rounded as papers print them (FACTS): mean and spread in DN.
ROUNDED = {
    "B02": (438, 607), "B03": (614, 603), "B04": (588, 685), "B05": (943, 738), "B06": (1770, 1100), "B07": (2050, 1276),
    "B08": (2193, 1369), "B8A": (2236, 1357), "B11": (1568, 1070), "B12": (998, 814),
}  # fmt: skip


class ConfigILM(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """What holds the timm model in theirs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.vision_encoder = timm.create_model(ARCHITECTURE, in_chans=channels, num_classes=19)


class Classifier(torch.nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """The LightningModule that is saved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = ConfigILM(channels)


class Case(NamedTuple):
    file: Path
    classifier: Any


def saved(folder: Path, channels: int = 10) -> Case:
    torch.manual_seed(5)
    classifier = Classifier(channels).eval()
    for name, value in classifier.state_dict().items():
        assert name.startswith("model.vision_encoder.")
        if name.endswith(("running_mean", "running_var")):  # BatchNorm that has seen something
            value.add_(0.1 * torch.rand(value.shape))
        if name.endswith("fc.weight"):  # answers that differ
            value.mul_(40)
    save_file(classifier.state_dict(), folder / "model.safetensors")
    return Case(folder / "model.safetensors", classifier)


def theirs(classifier: Any, dn: dict[str, Any], order: list[str]) -> Any:
    """Probabilities as their scripts compute them, from DNs by band."""
    stacked = torch.stack([(dn[band] - ROUNDED[band][0]) / ROUNDED[band][1] for band in order], 1)
    with torch.no_grad():
        return torch.sigmoid(classifier.model.vision_encoder(stacked))


@pytest.mark.parametrize("release", ["0.1.1", "0.2.0"])
def test_a_published_file_gives_the_same_probabilities_from_reflectance(tmp_path: Path, release: Release) -> None:
    case = saved(tmp_path)
    draw = torch.Generator().manual_seed(2)
    dn = {
        band: (mean + spread * torch.rand(3, 120, 120, generator=draw)).round()
        for band, (mean, spread) in ROUNDED.items()
    }
    expected = theirs(case.classifier, dn, CARDS[release])
    assert expected.std() > 0.1, "answers that are all alike would show nothing"
    net = converted(case.file, ARCHITECTURE, release)
    assert net.bands == BANDS[10]
    with torch.no_grad():
        found = torch.sigmoid(net(torch.stack([dn[band] / 10_000 for band in net.bands], 1)))
    # Their statistics have more digits than are printed: a DN of 607.03 is 607 here.
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)
    other = converted(case.file, ARCHITECTURE, "0.2.0" if release == "0.1.1" else "0.1.1")
    with torch.no_grad():
        wrong = torch.sigmoid(other(torch.stack([dn[band] / 10_000 for band in net.bands], 1)))
    assert float((wrong - expected).abs().max()) > 2e-2


def test_classes_are_in_the_order_of_the_published_head() -> None:
    assert list(CLASSES) == sorted(CLASSES)


@pytest.mark.parametrize("channels", [2, 12])
def test_nets_that_read_sentinel_1_are_refused(tmp_path: Path, channels: int) -> None:
    with pytest.raises(InvalidInput, match=rf"reads {channels} channels, 10 bands .* -s2-"):
        converted(saved(tmp_path, channels=channels).file, ARCHITECTURE, "0.2.0")


def test_files_that_are_none_are_refused_with_the_reason(tmp_path: Path) -> None:
    file = saved(tmp_path).file
    with pytest.raises(InvalidInput, match=r"does not hold the weights of test_resnet\.|has no weights"):
        converted(file, "resnet26", "0.2.0")
    (tmp_path / "cut.safetensors").write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CorruptData, match=r"cut\.safetensors cannot be read as safetensors"):
        converted(tmp_path / "cut.safetensors", ARCHITECTURE, "0.2.0")
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "timm.safetensors")
    with pytest.raises(InvalidInput, match=r"1 keys that do not begin with model\.vision_encoder\."):
        converted(tmp_path / "timm.safetensors", ARCHITECTURE, "0.2.0")
    with pytest.raises(CorruptData, match="cannot be read"):
        converted(tmp_path / "none.safetensors", ARCHITECTURE, "0.2.0")


def test_the_command_publishes_such_weights_without_thresholds(tmp_path: Path) -> None:
    case, out = saved(tmp_path), tmp_path / "land-cover-test"
    arguments = ["--from-checkpoint", str(case.file), "--release", "0.1.1", "--architecture", ARCHITECTURE]
    assert main([*arguments, "--out", str(out), "--threads", "1"]) == 0
    model = checked(out)
    assert (model.card.bands, model.card.thresholds, model.card.resampling) == (BANDS[10], (), "nearest")
    assert (model.card.licence, model.card.synthetic, model.card.training.stopped) == ("MIT", False, "not trained")
    given = np.random.default_rng(0).random((2, 10, 120, 120)).astype(np.float32) * 0.3
    with torch.no_grad():
        expected = torch.sigmoid(converted(case.file, ARCHITECTURE, "0.1.1")(torch.from_numpy(given)))
    np.testing.assert_allclose(model.run(patches=given)["probabilities"], expected, atol=1e-2)


def test_with_data_thresholds_are_chosen_and_scores_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_patches.put(monkeypatch, synthetic=False)
    case, out = saved(tmp_path), tmp_path / "land-cover-test"
    arguments = ["--from-checkpoint", str(case.file), "--release", "0.2.0", "--architecture", ARCHITECTURE]
    assert main([*arguments, "--data", str(tmp_path), "--weights", "float32", "--out", str(out), "--threads", "1"]) == 0
    card = checked(out).card
    assert len(card.thresholds) == 19
    assert {score.set for score in card.results} == {"validation split", "test split"}
    assert (card.precision, card.known_failures) == ("float32", ())


def test_eight_bits_need_patches(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--from-checkpoint", str(saved(tmp_path).file), "--release", "0.2.0", "--architecture", ARCHITECTURE]
    with pytest.raises(SystemExit):
        main([*arguments, "--weights", "int8", "--out", str(tmp_path / "land-cover-test")])
    assert "add --data" in capsys.readouterr().err


def test_thresholds_of_generated_patches_are_not_published_with_real_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_patches.put(monkeypatch, synthetic=True)
    case, out = saved(tmp_path), tmp_path / "land-cover-test"
    arguments = ["--from-checkpoint", str(case.file), "--release", "0.2.0", "--architecture", ARCHITECTURE]
    assert main([*arguments, "--data", str(tmp_path), "--out", str(out), "--threads", "1"]) == InvalidInput.exit_code
    assert "holds generated patches" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("option", "value"), [("--bands", "12"), ("--epochs", "3"), ("--resampling", "bicubic")])
def test_what_the_weights_decide_is_not_to_be_chosen(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--from-checkpoint", str(tmp_path / "f"), "--release", "0.2.0", "--architecture", ARCHITECTURE]
    with pytest.raises(SystemExit):
        main([*arguments, "--out", str(tmp_path / "land-cover-x"), option, value])
    assert f"{option} {value}: published weights have that settled" in capsys.readouterr().err
