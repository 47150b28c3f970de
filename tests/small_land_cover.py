"""A judge of land cover small enough to read, with the inputs, outputs and card of a published one."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from eo.card import CARD, DIGEST, ITEM, NETWORK, Card
from land_cover.labels import CLASSES
from small_net import card as small_card

NAME = "land-cover-small"
BANDS = ("B02", "B03", "B04", "B8A", "B12")
SYNTHETIC, REAL = "synthetic", "BigEarthNet v2 (reBEN)"


def weights(bands: int, seed: int = 3) -> np.ndarray[Any, Any]:
    """(features, classes) of the last layer."""
    made = np.random.default_rng(seed).normal(0, 12, (5 * bands, len(CLASSES))).astype(np.float32)
    return made - made.mean(axis=0)


def network(bands: int, *, scale: float = 1.0) -> bytes:
    """As ONNX: the means of a patch's quarters and what its pixels differ from their neighbours, weighted; sigmoid.

    With another `scale` than 1, what comes out are no probabilities.
    """
    from onnx import TensorProto, checker, helper, numpy_helper  # noqa: PLC0415 - whoever takes a constant needs no onnx

    def node(kind: str, inputs: list[str], output: str, **more: Any) -> Any:
        return helper.make_node(kind, inputs, [output], **more)

    nodes = [
        node("AveragePool", ["patches"], "quarters", kernel_shape=[60, 60], strides=[60, 60]),
        node("Flatten", ["quarters"], "means"),
        node("AveragePool", ["patches"], "smooth", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Sub", ["patches", "smooth"], "rough"),
        node("Abs", ["rough"], "roughness"),
        node("GlobalAveragePool", ["roughness"], "texture"),
        node("Flatten", ["texture"], "textures"),
        node("Concat", ["means", "textures"], "features", axis=1),
        node("MatMul", ["features", "weights"], "logits"),
        node("Sigmoid", ["logits"], "shares"),
        node("Mul", ["shares", "scale"], "probabilities"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("patches", TensorProto.FLOAT, ["batch", bands, 120, 120])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(CLASSES)])],
        [
            numpy_helper.from_array(weights(bands), "weights"),
            numpy_helper.from_array(np.array([scale], np.float32), "scale"),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(made)
    return bytes(made.SerializeToString())


def judged(patch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the network says of a patch (bands, 120, 120), in NumPy and double precision."""
    bands = len(patch)
    patch = patch.astype(np.float64)
    quarters = patch.reshape(bands, 2, 60, 2, 60).mean(axis=(2, 4)).reshape(-1)
    padded = np.pad(patch, [(0, 0), (1, 1), (1, 1)])
    known = np.pad(np.ones(patch.shape[1:]), 1)
    around = [(slice(row, row + 120), slice(col, col + 120)) for row in range(3) for col in range(3)]
    smooth = sum(padded[:, *place] for place in around) / sum(known[place] for place in around)
    texture = np.abs(patch - smooth).mean(axis=(1, 2))
    return 1 / (1 + np.exp(-np.concatenate([quarters, texture]) @ weights(bands).astype(np.float64)))


def card(name: str = NAME, *, bands: tuple[str, ...] = BANDS, **changes: Any) -> tuple[Card, bytes]:
    """(card, network) of a model trained on real patches, as it says."""
    data = changes.pop("network", None) or network(len(bands))
    training = {"data": REAL, "seeds": [1], "code": "t", "command": "none", "epochs": 1, "stopped": "cut short"}
    said: dict[str, Any] = {
        "task": "scene-classification",
        "level": "L2A",
        "inputs": [
            {
                "name": "patches",
                "shape": ("batch", len(bands), 120, 120),
                "dims": ("batch", "channel", "height", "width"),
                "units": "1",
                "meaning": "reflectance",
                "bands": bands,
            }
        ],
        "outputs": [
            {
                "name": "probabilities",
                "shape": ("batch", len(CLASSES)),
                "dims": ("batch", "class"),
                "units": "1",
                "meaning": "probability of each class",
            }
        ],
        "grid": {"metres": 10, "tile": 120},
        "classes": CLASSES,
        "training": training | {"data": changes.pop("data", REAL)},
    }
    return small_card(name, data, bands=bands, **(said | changes)), data


def publish(folder: Path, name: str = NAME, **changes: Any) -> Path:
    """Add the model to a folder of models for EO_SHARDS_MODELS; gives that folder."""
    made, data = card(name, **changes)
    (folder / name).mkdir(parents=True)
    (folder / name / NETWORK).write_bytes(data)
    (folder / name / CARD).write_bytes(made.encoded())
    (folder / name / ITEM).write_text(json.dumps({"type": "Feature", "properties": {DIGEST: made.digest}}))
    return folder
