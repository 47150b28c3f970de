"""torchvision on machines whose PyTorch is a CPU build. Import this before lightning, timm or segmentation-models-pytorch.

They import torchvision, where it is installed, for operators of object detection that no model here uses. That of the
package index is built for CUDA: beside a CPU build of PyTorch it does not find its operators, and fails on import because
it describes two of them to the compiler. Their signatures, without anything behind them, are enough for it.
"""

import importlib.util
import os

import torch
from torch import library as operators

_SIGNATURES = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
"""As torchvision 0.28 describes them (torchvision/_meta_registrations.py)."""


def _declared() -> operators.Library:
    fragment = operators.Library("torchvision", "FRAGMENT")
    for name, signature in _SIGNATURES.items():
        if not hasattr(torch.ops.torchvision, name):
            fragment.define(signature)
    return fragment


# Signatures last as long as what declared them.
_KEPT = _declared() if torch.version.cuda is None and importlib.util.find_spec("torchvision") else None

# Nothing here starts from weights of others, so nothing is to be fetched either.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
