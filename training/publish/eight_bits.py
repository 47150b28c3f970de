"""Convolutions in integers of 8 bits: a third of the CPU, a quarter of the bytes, and answers that differ a little.

onnxruntime's own quantisation, static and with QDQ operators: activations have a range each, read off examples, weights
one for each output channel. Weights use 7 of their bits: AVX2 without VNNI adds pairs of products in 16 bits, which
saturate with 8, and a function that runs on another kind of machine would then give other answers
(https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html, "When and why do I need to try reduce_range").
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from torch import Tensor

from training.publish import network  # noqa: F401 - before onnxruntime: it keeps that from reporting to its makers

# isort: split
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

OPERATORS = ("Conv", "Add", "MaxPool")
"""What computes in 8 bits, if it takes no constant (an Add that does is no shortcut but calibration, whose logits would come in
steps). What comes before (normalisation) and after (means of features, the last layer, sigmoid) stays in float32: it is
little work."""


class _Examples(CalibrationDataReader):  # type: ignore[misc]
    """Inputs one by one, as onnxruntime asks for them."""

    def __init__(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        self._batches: Iterator[Mapping[str, Tensor]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {name: value.numpy() for name, value in batch.items()}


def quantised(model: onnx.ModelProto, examples: Iterable[Mapping[str, Tensor]]) -> onnx.ModelProto:
    """The same network with OPERATORS in 8 bits; the ranges of activations are those of `examples`."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "eight_bits.onnx"
        own = _with_own_weights(model)
        root = logging.getLogger()
        level = root.level
        root.setLevel(logging.ERROR)  # it advises to optimise the network first, which the exporter has done
        try:
            quantize_static(
                own,
                made,
                _Examples(examples),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(OPERATORS),
                nodes_to_exclude=_with_constants(own),
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            root.setLevel(level)
        small = onnx.load_model(made)
    onnx.checker.check_model(small, full_check=True)
    return small


def _with_constants(model: onnx.ModelProto) -> list[str]:
    """Names of the additions of a constant."""
    constants = {weight.name for weight in model.graph.initializer}
    constants |= {node.output[0] for node in model.graph.node if node.op_type == "Constant"}
    return [node.name for node in model.graph.node if node.op_type == "Add" and constants & set(node.input)]


def _with_own_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy, since onnxruntime moves the weights of what it is given elsewhere, in which each layer has its own weights.

    The exporter writes equal ones once (biases that are all 0, say), and an Identity for each other layer, whose weights
    onnxruntime would then not know for constants, and compute with in float32.
    """
    own = onnx.ModelProto()
    own.CopyFrom(model)
    weights = {weight.name: weight for weight in own.graph.initializer}
    nodes = []
    for node in own.graph.node:
        if node.op_type == "Identity" and node.input[0] in weights:
            copied = own.graph.initializer.add()
            copied.CopyFrom(weights[node.input[0]])
            copied.name = node.output[0]
        else:
            nodes.append(node)
    del own.graph.node[:]
    own.graph.node.extend(nodes)
    return own
