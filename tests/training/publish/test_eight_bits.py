"""Networks in 8 bits: nearly the same answers from a quarter of the bytes, equal on every machine and in every batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from eo.card import NETWORK, Tensor  # noqa: E402
from eo.model import checked  # noqa: E402
from training.publish.network import export  # noqa: E402
from training.publish.package import publish  # noqa: E402

from .test_package import DRAFT  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def net() -> Any:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 64, 3),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 3),
    ).eval()


DRAFTED = DRAFT.model_copy(
    update={
        "inputs": (
            Tensor(
                name="x", shape=("batch", 2, 12, 12), dims=("batch", "channel", "height", "width"), units="1",
                meaning="values", bands=("B02", "B8A"),
            ),
        ),
        "outputs": (Tensor(name="y", shape=("batch", 3), dims=("batch", "class"), units="1", meaning="values"),),
    }
)  # fmt: skip


def drawn(count: int, seed: int) -> Any:
    return torch.rand(count, 2, 12, 12, generator=torch.Generator().manual_seed(seed))


def test_answers_are_near_and_files_small(tmp_path: Path, net: Any) -> None:
    given = {"x": drawn(8, 0)}
    whole = publish(net, given, card=DRAFTED, out=tmp_path / "whole" / "tiny", tolerance=1e-5)
    ranges = [{"x": drawn(8, seed)} for seed in range(1, 5)]
    told: Any = {"card": DRAFTED, "precision": "int8", "exact": 1e-5, "tolerance": 0.1}
    small = publish(net, given, out=tmp_path / "small" / "tiny", ranges=iter(ranges), **told)
    assert (small.precision, small.files[0].meaning) == ("int8", "the network, ONNX opset 17, convolutions in 8 bits")
    assert small.files[0].bytes < 0.4 * whole.files[0].bytes
    assert small.parity is not None
    assert small.parity_float32 == whole.parity.model_copy(update={"tolerance": 1e-5}) if whole.parity else False
    model, test = checked(tmp_path / "small" / "tiny"), drawn(16, 9)
    with torch.no_grad():
        expected = net(test).numpy()
    found = model.run(x=test.numpy())["y"]
    assert 0 < abs(found - expected).max() < 0.05 * expected.std() + 0.01
    # Sums of integers are the same in any order.
    alone = np.concatenate([model.run(x=one[None])["y"] for one in test.numpy()])
    np.testing.assert_allclose(alone, found, atol=1e-6)
    publish(net, given, out=tmp_path / "again" / "tiny", ranges=iter(ranges), **told)
    assert (tmp_path / "again/tiny" / NETWORK).read_bytes() == (tmp_path / "small/tiny" / NETWORK).read_bytes()


def test_what_follows_the_convolutions_does_not_come_in_steps(tmp_path: Path, net: Any) -> None:
    class Calibrated(nn.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.register_buffer("shift", torch.tensor([0.1, 0.2, 0.3]))

        def forward(self, x: Any) -> Any:
            return self.net(x) * 3 + self.shift

    told: Any = {"card": DRAFTED, "precision": "int8", "tolerance": 0.3, "ranges": [{"x": drawn(64, 1)}]}
    publish(Calibrated(), {"x": drawn(8, 0)}, out=tmp_path / "tiny", **told)
    found = checked(tmp_path / "tiny").run(x=drawn(600, 2).numpy())["y"]
    assert len(np.unique(found[:, 0])) > 400


def test_weights_keep_to_seven_bits(net: Any) -> None:
    """With 8, machines without VNNI add pairs of products in 16 bits, which saturate: other answers than elsewhere."""
    from onnx import TensorProto, numpy_helper  # noqa: PLC0415

    from training.publish.eight_bits import quantised  # noqa: PLC0415

    for layer in (net[0], net[2]):
        nn.init.zeros_(layer.bias)  # equal ones: the exporter writes them once
    model = export(net, {"x": drawn(2, 0)}, DRAFTED)
    assert "Identity" in {node.op_type for node in model.graph.node}
    before = model.SerializeToString(deterministic=True)
    small = quantised(model, [{"x": drawn(8, 1)}])
    assert model.SerializeToString(deterministic=True) == before
    kept = [numpy_helper.to_array(each) for each in small.graph.initializer if each.data_type == TensorProto.INT8]
    weights = [each for each in kept if each.ndim == 4]
    assert len(weights) == 2
    biases = [each for each in small.graph.initializer if each.data_type == TensorProto.INT32]
    assert len([each for each in biases if each.name.endswith("_quantized")]) == 2
    assert max(abs(each.astype(int)).max() for each in weights) == 64
