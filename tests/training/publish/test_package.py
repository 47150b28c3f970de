"""Publishing: the folder runs as torch did, or the old one stays."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eo.card import CARD, ITEM, NETWORK, Draft, ModelGrid, Normalisation, Range, Score, Tensor, Training
from eo.errors import CorruptData, InvalidInput
from eo.model import checked
from training.publish.package import publish

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
nn = torch.nn


class Net(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
    """What the correctors are made of: convolutions, BatchNorm, resizing, a global mean and a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Conv2d(8 + 1, 2, 1)

    def forward(self, x: Any, sun: Any) -> Any:
        y = self.drop(torch.relu(self.norm(self.conv(x))))
        y = nn.functional.interpolate(nn.functional.avg_pool2d(y, 2), scale_factor=2, mode="bilinear")
        y = torch.cat([y, sun[:, :, None, None].expand(-1, -1, y.shape[2], y.shape[3])], 1)
        field = self.head(y)
        return field, field.mean((2, 3))


IMAGE = ("batch", "channel", "height", "width")
DRAFT = Draft(
    name="tiny",
    version="1.0",
    title="Tiny",
    summary="For tests",
    architecture="CNN",
    task="regression",
    inputs=(
        Tensor(
            name="x", shape=("batch", 2, "height", "width"), dims=IMAGE, units="1", meaning="image", bands=("B02", "B8A")
        ),
        Tensor(name="sun", shape=("batch", 1), dims=("batch", "angle"), units="cosine", meaning="sun"),
    ),
    outputs=(
        Tensor(name="field", shape=("batch", 2, "height", "width"), dims=IMAGE, units="1", meaning="field"),
        Tensor(name="mean", shape=("batch", 2), dims=("batch", "channel"), units="1", meaning="its mean"),
    ),
    bands=("B02", "B8A"),
    level="L1C",
    normalisation=Normalisation(mean=(0.1, 0.2), std=(0.05, 0.1)),
    grid=ModelGrid(metres=120),
    satellites=("sentinel-2a", "sentinel-2b"),
    training=Training(
        data="synthetic", seeds=(7,), code="test", command="pytest", epochs=1, stopped="cut short",
        hyperparameters={"learning_rate": 1e-3},
    ),
    domain=(Range(quantity="sun zenith", units="degrees", minimum=15, maximum=75),),
    intended_use="tests",
    out_of_scope=("anything else",),
    known_failures=(),
)  # fmt: skip


def net(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return Net()


def example(batch: int = 2, edge: int = 8, seed: int = 0) -> dict[str, Any]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "x": torch.rand(batch, 2, edge, edge, generator=draw),
        "sun": torch.rand(batch, 1, generator=draw),
    }


def arrays(of: dict[str, Any]) -> dict[str, Any]:
    return {name: value.numpy() for name, value in of.items()}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_runtime_answers_as_torch_did_for_other_extents_too(tmp_path: Path) -> None:
    module = net()
    card = publish(module, example(), card=DRAFT, out=tmp_path / "tiny", tolerance=1e-5)
    model = checked(tmp_path / "tiny")
    assert model.card == card
    for batch, edge in ((1, 8), (3, 22)):
        given = example(batch, edge, seed=9)
        with torch.no_grad():
            field, mean = module(given["x"], given["sun"])
        answer = model.run(**arrays(given))
        np.testing.assert_allclose(answer["field"], field, atol=1e-5)
        np.testing.assert_allclose(answer["mean"], mean, atol=1e-5)
    assert card.parity is not None
    assert 0 < card.parity.max_abs_error <= 1e-5
    assert card.parity.batches == 4
    assert card.parameters == sum(parameter.numel() for parameter in module.parameters())
    assert card.framework.startswith("PyTorch 2")


def test_equal_models_give_equal_bytes_without_this_machine_in_them(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        publish(net(), example(), card=DRAFT, out=tmp_path / folder / "tiny", tolerance=1e-5)
    made = content(tmp_path / "a" / "tiny")
    assert set(made) == {CARD, ITEM, NETWORK}
    assert made == content(tmp_path / "b" / "tiny")
    assert all(word not in data for data in made.values() for word in (b"/usr", b"/home", b".py", b"site-packages"))
    publish(net(seed=1), example(), card=DRAFT, out=tmp_path / "b" / "tiny", tolerance=1e-5)
    assert made[NETWORK] != content(tmp_path / "b" / "tiny")[NETWORK]


def test_the_item_names_the_published_bytes(tmp_path: Path) -> None:
    publish(
        net(), example(), card=DRAFT, out=tmp_path / "tiny", tolerance=1e-5, tables={"lut.bin": (b"123", "a table")}
    )
    item = json.loads((tmp_path / "tiny" / ITEM).read_text())
    assert set(item["assets"]) == {"model", "card", "lut.bin"}
    for asset in item["assets"].values():
        data = (tmp_path / "tiny" / asset["href"]).read_bytes()
        assert asset["file:size"] == len(data)
        assert asset["file:checksum"] == "1220" + hashlib.sha256(data).hexdigest()
    assert checked(tmp_path / "tiny").files == {"lut.bin": b"123"}


def test_half_weights_take_half_the_bytes_and_a_wider_tolerance(tmp_path: Path) -> None:
    class Wide(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 2))

        def forward(self, x: Any) -> Any:
            return self.layers(x)

    plain = {"shape": ("batch", 2), "dims": ("batch", "channel"), "units": "1", "meaning": "values"}
    draft = DRAFT.model_copy(
        update={
            "inputs": (Tensor(name="x", bands=("B02", "B8A"), **plain),),
            "outputs": (Tensor(name="y", **plain),),
        }
    )
    torch.manual_seed(0)
    module, given = Wide(), {"x": torch.randn(64, 2)}
    whole = publish(module, given, card=draft, out=tmp_path / "f32" / "tiny", tolerance=1e-5)
    half = publish(module, given, card=draft, out=tmp_path / "f16" / "tiny", tolerance=1e-2, precision="float16")
    assert half.precision == "float16"
    assert half.files[0].bytes < 0.53 * whole.files[0].bytes
    assert half.parity is not None
    assert 1e-6 < half.parity.max_abs_error < 1e-2
    answer = checked(tmp_path / "f16" / "tiny").run(x=given["x"].numpy())["y"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, module(given["x"]).detach(), atol=1e-2)
    with pytest.raises(CorruptData, match=r"differ by .* 1e-06 is allowed"):
        publish(module, given, card=draft, out=tmp_path / "f16" / "tiny", tolerance=1e-6, precision="float16")
    # Rounded weights are told from a network that computes something else: it has to agree before.
    both = publish(
        module, given, card=draft, out=tmp_path / "f16" / "tiny", tolerance=1e-2, precision="float16", exact=1e-5
    )
    assert both.parity == half.parity
    assert both.parity_float32 is not None
    assert both.parity_float32.max_abs_error <= both.parity_float32.tolerance == 1e-5
    assert (whole.parity_float32, half.parity_float32) == (None, None)
    with pytest.raises(CorruptData, match=r"differ by .* 1e-12 is allowed"):
        publish(
            module, given, card=draft, out=tmp_path / "f16" / "tiny", tolerance=1e-2, precision="float16", exact=1e-12
        )
    with torch.no_grad():
        module.layers[0].weight[0, 0] = 1e5
    with pytest.raises(InvalidInput, match=r"reaches 100000, float16 ends at 65504: publish as float32"):
        publish(module, given, card=draft, out=tmp_path / "f16" / "tiny", tolerance=10, precision="float16")


def test_recalibration_makes_statistics_of_the_data_and_mends_the_output(tmp_path: Path) -> None:
    batches = [example(8, 8, seed) for seed in range(4)]
    module = net()
    module.norm.running_mean += 3.0
    module.norm.running_var *= 50.0
    module.norm.momentum = 0.3

    def off() -> float:
        """How far the layer's answers are from zero mean and unit spread, on other data of the kind."""
        with torch.no_grad():
            seen = module.eval().conv(torch.cat([example(32, 8, seed)["x"] for seed in range(50, 53)]))
            known = module.norm(seen)
        return float((known.mean((0, 2, 3)).abs() + (known.std((0, 2, 3)) - 1).abs()).max())

    before = off()
    publish(module, example(), card=DRAFT, out=tmp_path / "a" / "tiny", tolerance=1e-4)
    publish(module, example(), card=DRAFT, out=tmp_path / "b" / "tiny", tolerance=1e-4, recalibration=iter(batches))
    assert before > 0.5
    assert off() < 0.1
    with torch.no_grad():
        every = module.conv(torch.cat([batch["x"] for batch in batches]))
    np.testing.assert_allclose(module.norm.running_mean, every.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
    assert (module.norm.momentum, module.training, module.drop.training) == (0.3, False, False)
    given = arrays(example(2, 8, 99))
    old, new = (checked(tmp_path / folder / "tiny").run(**given)["field"] for folder in "ab")
    assert np.abs(old - new).max() > 1e-2
    kept = module.norm.running_mean.clone()
    with pytest.raises(InvalidInput, match="1 BatchNorm layers but 0 batches"):
        publish(module, example(), card=DRAFT, out=tmp_path / "b" / "tiny", tolerance=1e-4, recalibration=[])
    assert torch.equal(kept, module.norm.running_mean)


class Treacherous(Net):
    """Answers otherwise while it is exported."""

    def forward(self, x: Any, sun: Any) -> Any:
        field, mean = super().forward(x, sun)
        return (field + 0.01, mean) if torch.onnx.is_in_onnx_export() else (field, mean)


class Frozen(Net):
    """Its export holds the example's width for ever."""

    def forward(self, x: Any, sun: Any) -> Any:
        field, mean = super().forward(x, sun)
        return field + torch.zeros(int(field.shape[3])), mean


class Odd(Net):
    """Not finite where torch is finite."""

    def forward(self, x: Any, sun: Any) -> Any:
        field, mean = super().forward(x, sun)
        return (field, mean / 0) if torch.onnx.is_in_onnx_export() else (field, mean)


@pytest.mark.parametrize("bad", [Treacherous, Frozen, Odd])
def test_a_failed_parity_leaves_the_old_folder(tmp_path: Path, bad: Any) -> None:
    out = tmp_path / "tiny"
    publish(net(), example(), card=DRAFT, out=out, tolerance=1e-5)
    old = content(out)
    torch.manual_seed(0)
    with pytest.raises(CorruptData, match=r"differ by .*1e-05 is allowed|onnxruntime fails on \{'x': \(1, 2, 16, 16\)"):
        publish(bad(), example(), card=DRAFT, out=out, tolerance=1e-5)
    assert content(out) == old
    assert names(tmp_path) == ["tiny"]


def test_a_failure_while_writing_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "tiny"
    publish(net(), example(), card=DRAFT, out=out, tolerance=1e-5)
    old = content(out)
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if target == out and self.parent.name == "new":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="disk full"):
        publish(net(1), example(), card=DRAFT, out=out, tolerance=1e-5)
    assert content(out) == old
    assert names(tmp_path) == ["tiny"]


def test_what_was_published_is_told_with_its_scores_on_test(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    told = {
        ("test split", "macro, thresholds chosen on validation", "F1"): 0.9254,
        ("test split", "micro, thresholds chosen on validation", "F1"): 0.9196,
        ("test split", "Pastures, thresholds chosen on validation", "F1"): 0.1111,
        ("validation split", "macro, thresholds chosen on validation", "F1"): 0.2222,
        ("test split", "macro, thresholds chosen on validation", "recall"): 0.3333,
    }
    results = tuple(Score(set=of, row=row, metric=metric, value=value) for (of, row, metric), value in told.items())
    publish(net(), example(), card=DRAFT.model_copy(update={"results": results}), out=tmp_path / "tiny", tolerance=1e-5)
    lines = [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("F1")] == [
        "F1, test split 0.925 macro, thresholds chosen on validation",
        "F1, test split 0.920 micro, thresholds chosen on validation",
    ]
    assert "training 1 epoch, cut short" in lines


@pytest.mark.parametrize(
    "wrong",
    [
        {"x": torch.rand(2, 2, 8, 8)},
        {"x": torch.rand(2, 3, 8, 8), "sun": torch.rand(2, 1)},
        {"x": torch.rand(2, 2, 8, 8).double(), "sun": torch.rand(2, 1)},
        {"x": torch.rand(2, 2, 8), "sun": torch.rand(2, 1)},
    ],
)
def test_an_example_that_is_not_as_the_card_says_is_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=r"the example has the inputs .* the card says"):
        publish(net(), wrong, card=DRAFT, out=tmp_path / "tiny", tolerance=1e-5)
    with pytest.raises(InvalidInput, match=r"model tiny cannot be published as .*other"):
        publish(net(), example(), card=DRAFT, out=tmp_path / "other", tolerance=1e-5)
    assert not names(tmp_path)


@pytest.mark.parametrize(
    "outputs",
    [DRAFT.outputs[:1], DRAFT.outputs[::-1], (*DRAFT.outputs, DRAFT.outputs[0].model_copy(update={"name": "z"}))],
)
def test_outputs_that_are_not_as_the_card_says_are_refused(tmp_path: Path, outputs: tuple[Tensor, ...]) -> None:
    with pytest.raises(InvalidInput, match=r"the module gives the outputs .* the card says"):
        publish(
            net(), example(), card=DRAFT.model_copy(update={"outputs": outputs}), out=tmp_path / "tiny", tolerance=1e-5
        )
    assert not names(tmp_path)


def test_attention_is_exported(tmp_path: Path) -> None:
    plain = {"shape": ("batch", 16, 2), "dims": ("batch", "token", "channel"), "units": "1", "meaning": "values"}
    ends = {"inputs": (Tensor(name="x", **plain),), "outputs": (Tensor(name="y", **plain),)}
    torch.manual_seed(0)
    module = nn.TransformerEncoder(nn.TransformerEncoderLayer(2, 1, 8, batch_first=True), 1, enable_nested_tensor=False)
    given = {"x": torch.randn(2, 16, 2)}
    publish(module, given, card=DRAFT.model_copy(update=ends), out=tmp_path / "tiny", tolerance=1e-5)
    answer = checked(tmp_path / "tiny").run(x=given["x"].numpy())["y"]
    np.testing.assert_allclose(answer, module(given["x"]).detach(), atol=1e-5)
    assert torch.backends.mha.get_fastpath_enabled()
