"""A corrector small enough to read, with the inputs and outputs of `atmosphere-field`, and folders to find models in."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eo.card import CARD, DIGEST, ITEM, NETWORK, Card, File
from eo.model import PLACES

BANDS = ("B01", "B02", "B03", "B04", "B8A", "B12")
OPTICS = ("path", "t_down", "t_dir", "t_dif", "albedo", "gas")
INPUTS: Mapping[str, tuple[int | str, ...]] = {
    "pixels": ("cell", "pixel", len(BANDS)),
    "valid": ("cell", "pixel"),
    "heights": ("cell", "pixel"),
    "near": ("cell", "cell"),
    "scene": ("cell", "cell"),
    "sun_zenith": ("cell",),
    "view_zenith": ("cell",),
    "azimuth": ("cell",),
    "water": ("cell",),
    "ozone": ("cell",),
    "levels": ("level",),
}
OUTPUTS: Mapping[str, tuple[int | str, ...]] = {
    "aot": ("cell",),
    "mix": ("cell", 4),
    "sigma": ("cell", 4),
    **dict.fromkeys(OPTICS, ("cell", "level", 4)),
}

# What air does grows with the blue light of a cell and falls with pressure; `fits` is 1 where blue is below `limit`.
NETWORK_TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net ({inputs}) => ({outputs})
<float[4] colour = {{1.0, 0.6, 0.4, 0.2}}, float one = {{1.0}}, float tenth = {{0.1}}, float height = {{-8.2}},
 float limit = {{{limit}}}, float wrong = {{{wrong}}}, int64[1] blue_at = {{1}}, int64[1] first = {{1}}, int64[1] last = {{-1}},
 int64[3] levels_shape = {{1, -1, 1}}, int64[3] cells_shape = {{-1, 1, 1}}, int64[3] colour_shape = {{1, 1, 4}},
 int64[1] zero_axis = {{0}}, int64[1] flat = {{-1}}, float hundredth = {{0.01}}, float zero = {{0.0}}>
{{
  counted = Unsqueeze(valid, last)
  masked = Mul(pixels, counted)
  total = ReduceSum<keepdims = 0>(masked, first)
  count = ReduceSum<keepdims = 1>(valid, first)
  safe = Max(count, one)
  own = Div(total, safe)
  around = MatMul(near, own)
  some = ReduceSum<keepdims = 1>(near, first)
  mean = Div(around, some)
  mean_blue = Gather<axis = 1>(mean, blue_at)
  own_blue = Gather<axis = 1>(own, blue_at)
  scaled = Div(levels, height)
  pressure = Exp(scaled)
  by_level = Reshape(pressure, levels_shape)
  by_cell = Reshape(mean_blue, cells_shape)
  by_band = Reshape(colour, colour_shape)
  a = Mul(by_cell, by_level)
  b = Mul(a, by_band)
  thickness = Mul(b, one)
  blue_cells = Reshape(own_blue, cells_shape)
  fits = Less(blue_cells, limit)
  good = Mul(thickness, tenth)
  root = Sqrt(wrong)
  bad = Add(thickness, root)
  path = Where(fits, good, bad)
  t_down = Sub(one, thickness)
  t_dif = Mul(thickness, tenth)
  t_dir = Sub(t_down, t_dif)
  albedo = Mul(thickness, one)
  gas = Sub(one, good)
  aot = Reshape(mean_blue, flat)
  spectrum = Unsqueeze(colour, zero_axis)
  spread = Mul(mean_blue, hundredth)
  wide = Mul(spread, spectrum)
  sigma = Add(wide, hundredth)
  none = Mul(wide, zero)
  rest = Add(none, tenth)
  mix = Mul(rest, one)
}}
"""


def network(*, limit: float = 1e9, wrong: float = 25.0) -> bytes:
    """An ONNX network whose path reflectance is the root of `wrong` too large in cells whose mean in B02 is `limit` or more.

    Of a negative number that is none.
    """
    from onnx import checker, parser  # noqa: PLC0415 - whoever takes a constant needs no onnx

    def ends(tensors: Mapping[str, tuple[int | str, ...]]) -> str:
        return ", ".join(f"float[{','.join(map(str, shape))}] {name}" for name, shape in tensors.items())

    made = parser.parse_model(NETWORK_TEXT.format(inputs=ends(INPUTS), outputs=ends(OUTPUTS), limit=limit, wrong=wrong))
    checker.check_model(made)
    return bytes(made.SerializeToString())


def card(name: str, data: bytes, *, bands: tuple[str, ...] = BANDS, **changes: Any) -> Card:
    """Of a network."""

    def tensors(ends: Mapping[str, tuple[int | str, ...]]) -> list[dict[str, Any]]:
        words = ("batch", "channel", "level")
        return [
            {"name": tensor, "shape": shape, "dims": words[: len(shape)], "units": "1", "meaning": tensor}
            for tensor, shape in ends.items()
        ]

    inputs = tensors(INPUTS)
    inputs[0]["bands"] = bands
    made = {
        "name": name,
        "version": "1.0",
        "title": "Small",
        "summary": "For tests",
        "architecture": "means",
        "task": "regression",
        "inputs": inputs,
        "outputs": tensors(OUTPUTS),
        "bands": bands,
        "level": "L1C",
        "grid": {"metres": 120},
        "satellites": ["sentinel-2a"],
        "training": {
            "data": "synthetic",
            "seeds": [1],
            "code": "test",
            "command": "none",
            "epochs": 0,
            "stopped": "not trained",
        },
        "domain": [{"quantity": "AOT", "units": "1", "minimum": 0.02, "maximum": 0.8}],
        "intended_use": "tests",
        "out_of_scope": [],
        "known_failures": [],
        "files": [
            File(name=NETWORK, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), meaning="network").model_dump()
        ],
        "parity": {"max_abs_error": 0, "tolerance": 1e-6, "batches": 1},
        "framework": "onnx",
        "parameters": 1,
        "opset": 17,
        "onnxruntime": "1.12.0",
    }
    return Card.model_validate(made | changes)


def models(folder: Path, data: bytes | None = None, *, name: str = "atmosphere-field", **changes: Any) -> Path:
    """A folder of models for EO_SHARDS_MODELS: the repository's physics, and a small net."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "physics").symlink_to(PLACES[1] / "physics")
    data = network() if data is None else data
    (folder / name).mkdir()
    (folder / name / NETWORK).write_bytes(data)
    described = card(name, data, **changes)
    (folder / name / CARD).write_bytes(described.encoded())
    (folder / name / ITEM).write_text(json.dumps({"properties": {DIGEST: described.digest}}))
    return folder
