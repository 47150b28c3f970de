"""BatchNorm statistics that belong to the final weights.

The running statistics of training are averages over weights that no longer are; short trainings and small batches leave
them far off. They are made anew here as plain averages over batches (as in torch.optim.swa_utils.update_bn), with all
other layers, dropout for one, as they are when the model is used.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eo.errors import InvalidInput


def recalibrate(module: nn.Module, batches: Iterable[Sequence[Tensor]]) -> int:
    """Recompute running means and variances over batches, each the module's positional inputs; leave it in eval mode.

    Returns the number of layers that were changed. Raises InvalidInput where there are such layers but no batch, in which
    case nothing is changed.
    """
    module.eval()
    layers = [layer for layer in module.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    if not layers:
        return 0
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        raise InvalidInput(f"{len(layers)} BatchNorm layers but 0 batches to recompute them from: give at least 1")
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.reset_running_stats()
            layer.momentum = None  # a cumulative average
            layer.train()
        with torch.no_grad():
            module(*first)
            for batch in remaining:
                module(*batch)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        module.eval()
    return len(layers)
