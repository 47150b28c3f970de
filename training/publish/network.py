"""From a torch module to ONNX, and how near onnxruntime's answers are to torch's.

The TorchScript exporter is used: it folds BatchNorm into convolutions, needs no package beside torch and onnx, and writes
equal bytes for equal modules. (torch.export's writes source paths of the machine into every node, and needs onnxscript.)
"""

import io
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from eo.card import Draft, Parity
from eo.card import Tensor as Listed
from eo.errors import CorruptData, InvalidInput
from eo.model import SILENT

os.environ.setdefault(SILENT, "1")  # read when it is imported
import onnxruntime as ort

OPSET = 17
"""The newest that the exporter covers without gaps; LayerNormalization is an operator since it."""
ONNXRUNTIME = "1.12.0"
"""The first release with it (onnxruntime.ai/docs/reference/compatibility)."""

Example = Mapping[str, Tensor]


def export(module: nn.Module, example: Example, card: Draft) -> onnx.ModelProto:
    """The module in evaluation, checked by onnx. Dimensions that the card names by a word are open."""
    inputs = [tensor.name for tensor in card.inputs]
    buffer = io.BytesIO()
    # Attention in evaluation is one fused operator, which ONNX does not know; without it, it is the sum of its parts.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # that the exporter is the older one
            torch.onnx.export(
                module.eval(),
                tuple(example[name] for name in inputs),
                buffer,
                input_names=inputs,
                output_names=[tensor.name for tensor in card.outputs],
                opset_version=OPSET,
                dynamo=False,
                dynamic_axes={tensor.name: _open(tensor) for tensor in (*card.inputs, *card.outputs)},
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    model = onnx.load_model_from_string(buffer.getvalue())
    for node in model.graph.node:
        node.ClearField("doc_string")  # may hold paths of this machine
    # The exporter calls open dimensions of outputs as it likes; the card's names say which are equal.
    for ends, listed in ((model.graph.input, card.inputs), (model.graph.output, card.outputs)):
        for end, tensor in zip(ends, listed, strict=True):
            for dim, extent in zip(end.type.tensor_type.shape.dim, tensor.shape, strict=True):
                if isinstance(extent, str):
                    dim.dim_param = extent
    onnx.checker.check_model(model, full_check=True)
    return model


def outputs(module: nn.Module, batch: Example, card: Draft) -> list[Tensor]:
    """What the module makes of a batch in evaluation."""
    with torch.no_grad():
        made = module.eval()(*(batch[tensor.name] for tensor in card.inputs))
    return [made] if isinstance(made, Tensor) else list(made)


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with weights of two and more dimensions stored as float16, cast to float32 when it is loaded.

    onnxruntime folds the casts away, so the arithmetic stays in float32. Raises InvalidInput where a weight is too large.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for weight in halved.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or len(weight.dims) < 2:  # biases and scales are small
            continue
        values = numpy_helper.to_array(weight)
        largest, limit = float(np.abs(values).max(initial=0)), float(np.finfo(np.float16).max)
        if not largest <= limit:
            raise InvalidInput(
                f"weight {weight.name} reaches {largest:g}, float16 ends at {limit:g}: publish as float32"
            )
        name = weight.name
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    onnx.checker.check_model(halved, full_check=True)
    return halved


def parity(module: nn.Module, network: bytes, card: Draft, batches: Sequence[Example], *, tolerance: float) -> Parity:
    """The largest difference between torch and onnxruntime over these batches, in the units of the outputs.

    Raises CorruptData where it exceeds the tolerance or an answer is not finite in one of them alone.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what matters is raised
    session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in card.outputs]
    worst, where = 0.0, ""
    for place, batch in enumerate(batches):
        expected = outputs(module, batch, card)
        found = _answers(session, names, batch)
        for name, torch_says, onnx_says in zip(names, expected, found, strict=True):
            difference = _difference(torch_says.numpy(), onnx_says)
            if difference >= worst:
                worst, where = difference, f"output {name}, batch {place} of {len(batches)}"
    if not worst <= tolerance:
        raise CorruptData(
            f"onnxruntime and torch differ by {worst:.3g} ({where}), {tolerance:g} is allowed: look for layers that export "
            "otherwise (resizing, padding, data-dependent shapes), or allow more"
        )
    return Parity(max_abs_error=worst, tolerance=tolerance, batches=len(batches))


def _answers(session: ort.InferenceSession, names: list[str], batch: Example) -> list[NDArray[Any]]:
    try:
        answers: list[NDArray[Any]] = session.run(names, {name: value.numpy() for name, value in batch.items()})
    except Exception as error:
        shapes = {name: tuple(value.shape) for name, value in batch.items()}
        raise CorruptData(
            f"onnxruntime fails on {shapes}, which the card allows: {str(error).strip().partition(chr(10))[0]}; the export "
            "holds extents of the example, give them as numbers in the card or compute them from tensors"
        ) from error
    return answers


def random_batches(example: Example, card: Draft, *, seed: int = 0, count: int = 3) -> Iterator[Example]:
    """The example, and others like it: of its mean, spread and range, with other extents where the card leaves them open.

    `batch` becomes 1 and one more than the example's; in every second one other open extents are doubled, so that they
    stay multiples of what they were multiples of.
    """
    yield example
    draw = torch.Generator().manual_seed(seed)
    for turn in range(count):
        extents: dict[str, int] = {}
        for tensor in card.inputs:
            for open_to, extent in zip(tensor.shape, example[tensor.name].shape, strict=True):
                if open_to == "batch":
                    extents[open_to] = 1 if turn % 2 else extent + 1
                elif isinstance(open_to, str):
                    extents[open_to] = extent * (2 if turn % 2 else 1)
        yield {
            tensor.name: _like(
                example[tensor.name], [extents[e] if isinstance(e, str) else e for e in tensor.shape], draw
            )
            for tensor in card.inputs
        }


def _like(sample: Tensor, shape: list[int], draw: torch.Generator) -> Tensor:
    """Values drawn from a normal distribution of the sample's mean and spread, within its range."""
    known = sample.double()
    values = known.mean() + known.std(correction=0) * torch.randn(shape, generator=draw, dtype=torch.float64)
    values = values.clamp(known.min(), known.max())
    return (values if sample.is_floating_point() else values.round()).to(sample.dtype)


def _difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """The largest absolute difference; infinite where shapes differ or only one is finite."""
    if expected.shape != found.shape or not np.array_equal(np.isfinite(expected), np.isfinite(found)):
        return float("inf")
    finite = np.isfinite(expected)
    # float64 for uint8 and bool too
    return float(np.abs(expected[finite].astype(np.float64) - found[finite].astype(np.float64)).max(initial=0))


def _open(tensor: Listed) -> dict[int, str]:
    return {axis: extent for axis, extent in enumerate(tensor.shape) if isinstance(extent, str)}
