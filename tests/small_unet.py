"""A net on pixels small enough to read, with the inputs, outputs and card of `unet-efficientnet-b2`."""

import hashlib
import json
from pathlib import Path
from typing import Any

from eo.card import CARD, DIGEST, ITEM, NETWORK, Card, File
from eo.correction import UNET
from eo.model import PLACES
from small_net import card

BANDS = ("B02", "B03", "B04")
SIGMA = {"B02": 0.011, "B03": 0.012, "B04": 0.013}

# Each pixel depends on the mean of its tile, as squeeze-and-excitation makes it, and on its neighbours.
NETWORK_TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[batch,3,height,width] toa) => (float[batch,3,height,width] surface)
<float[1] tenth = {0.1}, float[1] third = {0.3}, float[1] one = {1.0}, float[1] dark = {-0.05}>
{
  mean = GlobalAveragePool(toa)
  near = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(toa)
  part = Mul(mean, tenth)
  gain = Add(part, one)
  scaled = Mul(near, gain)
  own = Mul(mean, third)
  lifted = Add(scaled, own)
  lowered = Add(lifted, dark)
  surface = Relu(lowered)
}
"""


def network() -> bytes:
    """As ONNX."""
    from onnx import checker, parser  # noqa: PLC0415 - whoever takes a constant needs no onnx

    made = parser.parse_model(NETWORK_TEXT)
    checker.check_model(made)
    return bytes(made.SerializeToString())


def unet(folder: Path, *, tile: int | None = 320, halo: int = 128) -> Path:
    """A folder of models for EO_SHARDS_MODELS: the repository's physics, and a small net on tiles of this size, or of any."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "physics").symlink_to(PLACES[1] / "physics")
    files = {NETWORK: network(), "sigma.json": json.dumps(SIGMA).encode()}
    ends = {"shape": ("batch", 3, "height", "width"), "dims": ("batch", "channel", "height", "width"), "units": "1"}
    said: dict[str, Any] = {
        "inputs": [{"name": "toa", "meaning": "TOA", "bands": BANDS, **ends}],
        "outputs": [{"name": "surface", "meaning": "surface", "bands": BANDS, **ends}],
        "grid": {"metres": 10, "tile": tile, "halo": halo, "multiple": 32},
        "files": [
            File(name=name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), meaning="file").model_dump()
            for name, data in files.items()
        ],
    }
    (folder / UNET).mkdir()
    for name, data in files.items():
        (folder / UNET / name).write_bytes(data)
    made: Card = card(UNET, files[NETWORK], bands=BANDS, **said)
    (folder / UNET / CARD).write_bytes(made.encoded())
    (folder / UNET / ITEM).write_text(json.dumps({"properties": {DIGEST: made.digest}}))
    return folder
