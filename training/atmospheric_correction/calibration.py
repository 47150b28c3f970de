"""How far a net's sigma goes: scaled on whole simulated scenes, looked at as the functions look at granules.

Sigma is learnt on pairs of cells. A granule has hundreds, so errors on one are smaller than the net then thinks: by a
quarter, measured.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from atmospheric_correction.air import uniform_inverse
from atmospheric_correction.correctors import Looked, by_net
from training.atmospheric_correction.batches import batches
from training.atmospheric_correction.config import TrainConfig
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.net import CORRECTED, READ, AtmosphereField
from training.atmospheric_correction.pixelsets import Batch
from training.atmospheric_correction.scenes import OPTICS
from training.atmospheric_correction.simulated import Simulated, held_out
from training.atmospheric_correction.train import errors

Floats = NDArray[np.floating[Any]]

SEED = 77_2026
SCENES, BATCHES = 240, 48
"""Simulated scenes, or batches of pairs of cells: on two thirds of them sigma is scaled, on the others that is checked."""
NORMAL = 0.6827
"""Share of a normal distribution within one sigma."""
FEW = 1_000
"""Pixels that a scene has to have for its errors to count."""
QUANTILES = np.linspace(0.0125, 0.9875, 40)
"""Each scene and band has as much to say: so many of its ratios."""


@dataclass(frozen=True)
class Asked:
    """A module of PyTorch, asked as a published model is."""

    module: torch.nn.Module
    outputs: tuple[str, ...]
    bands: tuple[str, ...] = ()

    @property
    def card(self) -> Any:  # noqa: ANN401 - stands in for eo.card.Card
        """What the functions ask of a card."""
        return SimpleNamespace(bands=self.bands)

    def run(self, **arrays: Floats) -> dict[str, Floats]:
        """Outputs by name."""
        given = {name: torch.from_numpy(np.ascontiguousarray(array)).float() for name, array in arrays.items()}
        with torch.no_grad():
            made = self.module(**given)
        return {name: value.numpy() for name, value in zip(self.outputs, made, strict=True)}


def calibrated(net: AtmosphereField, config: TrainConfig, emulator: Emulator) -> float:
    """Scale sigma so that 68 % of held-out errors lie within it; the share that then does, on other held-out scenes.

    Real products are held out as their coarse pixels alone, so with these it is pairs of cells that are looked at.
    """
    if config.data == "simulated":
        asked: Any = Asked(net, ("aot", "mix", "sigma", *OPTICS), READ[net.variant])
        table: Any = Asked(emulator, OPTICS)
        found = list(ratios(asked, table, emulator, count=SCENES))
    else:
        held = batches(config, emulator, "test")
        found = [_of_batch(net, held.batch(number)) for number in range(BATCHES)]
    rest = len(found) // 3
    scale = float(np.quantile(np.concatenate(found[rest:]), NORMAL))
    with torch.no_grad():
        net.doubt[-1].bias += float(np.log(scale))
    return float((np.concatenate(found[:rest]) <= scale).mean())


def ratios(net: Any, table: Any, emulator: Emulator, *, count: int) -> Iterator[Floats]:  # noqa: ANN401 - Model or Asked
    """Quantiles of the errors of surface reflectance over their sigma, of all corrected bands of each scene."""
    for case in held_out(copy.deepcopy(emulator).double(), seed=SEED, count=count):
        simulated = Simulated.of(case)
        found = by_net(Looked.at(simulated.granule, table), CORRECTED, table=table, net=net, adjacency=False)
        if case.compared.sum() < FEW:
            continue
        cells = simulated.granule.cells
        said = []
        for number, band in enumerate(CORRECTED):
            optics = found.air.on_context(number, simulated.granule.ground)
            here = {name: simulated.at_piece(optics[name]) for name in OPTICS}
            error = uniform_inverse(simulated.piece[band], here) - case.scene.truth[band]
            sigma = simulated.at_piece(cells.spread(np.ascontiguousarray(found.sigma[:, number])))
            said.append(np.quantile(np.abs(error / sigma)[case.compared], QUANTILES))
        yield np.concatenate(said)


def _of_batch(net: AtmosphereField, batch: Batch) -> Floats:
    """Errors of clean pixels over their sigma, a few hundred of each band of a batch."""
    with torch.no_grad():
        error, log_sigma, known, _ = errors(net, batch)
    ratio = error.abs() / torch.exp(log_sigma)[:, None]
    few: Floats = ratio[known.expand_as(ratio) > 0][::37].numpy()
    return few
