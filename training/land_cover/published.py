"""The weights that the makers of BigEarthNet v2.0 publish (BIFOLD-BigEarthNetv2-0), as nets of this project.

Their files are state dicts of a classifier that holds a ConfigILM model, which holds a timm model: every key begins with
PREFIX. They take DNs of ten bands at 120 x 120 pixels, less their mean over their spread; answers are logits of the classes
sorted by name, as CLASSES are here (huggingface.co/BIFOLD-BigEarthNetv2-0; ConfigILM, configilm/extra/BENv2_utils.py).
"""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from eo.errors import CorruptData, InvalidInput
from training.land_cover.bands import BANDS, EDGE
from training.land_cover.data.patches import QUANTIFICATION
from training.land_cover.net import LandCoverNet

Release = Literal["0.1.1", "0.2.0"]
ORDERS: dict[Release, tuple[str, ...]] = {
    "0.1.1": ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B11", "B12", "B8A"),
    "0.2.0": BANDS[10],
}
"""Bands in the order in which the weights of a release read them (notes of the model cards). Files do not say which."""
PREFIX = "model.vision_encoder."
STATISTICS: dict[str, tuple[float, float]] = {
    "B02": (438.3720703125, 607.02685546875),
    "B03": (614.0556640625, 603.2968139648438),
    "B04": (588.4096069335938, 684.56884765625),
    "B05": (942.8433227539062, 738.4326782226562),
    "B06": (1769.931640625, 1100.4560546875),
    "B07": (2049.551513671875, 1275.805419921875),
    "B08": (2193.2919921875, 1369.3717041015625),
    "B8A": (2235.556640625, 1356.5440673828125),
    "B11": (1568.226806640625, 1070.1612548828125),
    "B12": (997.7324829101562, 813.5276489257812),
}
"""Mean and spread in DN over the official training split, nearest neighbours at 120 pixels ("120_nearest" of ConfigILM)."""


def converted(path: Path, architecture: str, release: Release) -> LandCoverNet:
    """The net of a published file, which reads reflectance of BANDS[10] in their order and gives the same logits.

    `architecture` is timm's name, part of the name under which the file is published. Raises CorruptData where the file
    cannot be read, InvalidInput where its weights are not those of that architecture or read Sentinel-1 too.
    """
    state = _state(path)
    order, wanted = ORDERS[release], BANDS[10]
    # All were trained at 120 pixels: the published MLP-Mixer, of patches of 16, does not read the last 8.
    net = LandCoverNet(architecture, wanted, size=EDGE, whole=False)
    stem = f"{_first(net)}.weight"
    if stem not in state:
        raise InvalidInput(f"{path} has no weights {PREFIX}{stem}, which {architecture} has: name its architecture")
    channels = state[stem].shape[1]
    if channels != len(order):
        raise InvalidInput(
            f"{path} reads {channels} channels, {len(order)} bands of Sentinel-2 are what is read here: take one of the "
            "files whose names have -s2- (-s1- and -all- need Sentinel-1)"
        )
    state[stem] = state[stem][:, [order.index(band) for band in wanted]]
    try:
        net.backbone.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[1].strip()
        raise InvalidInput(
            f"{path} does not hold the weights of {architecture} ({first}): name its architecture"
        ) from None
    mean, std = (torch.tensor([STATISTICS[band][place] for band in wanted]) / QUANTIFICATION for place in (0, 1))
    net.mean.copy_(mean)
    net.std.copy_(std)
    return net.eval()


def _state(path: Path) -> dict[str, Tensor]:
    """Weights by timm's key."""
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CorruptData(f"{path} cannot be read as safetensors ({error}): fetch it again") from None
    foreign = sorted(key for key in found if not key.startswith(PREFIX))
    if foreign or not found:
        raise InvalidInput(
            f"{path} has {len(foreign)} keys that do not begin with {PREFIX} ({', '.join(foreign[:2])}): published "
            "weights of BigEarthNet v2.0 all do"
        )
    return {key.removeprefix(PREFIX): value for key, value in found.items()}


def _first(net: LandCoverNet) -> str:
    """What timm calls the layer that reads the bands."""
    name = net.backbone.pretrained_cfg["first_conv"]
    return str(name if isinstance(name, str) else name[0])
