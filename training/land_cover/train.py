"""A land-cover training from patches to scores: fit, calibrate and choose thresholds on validation, judge on test.

All of it lies in one folder of work: the newest and the best checkpoint, logs, what it took, and, when it has ended, the
trained net with its scores. What was stopped goes on; what has ended is read.
"""

import training.cpu_torchvision  # noqa: F401 - before what imports torchvision

# isort: split
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightning
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, nn

from eo.card import Energy
from eo.errors import InvalidInput
from land_cover.labels import CLASSES
from training.fitting import LAST, fitted
from training.land_cover import calibration, metrics, thresholds
from training.land_cover.config import FREE, MONITORS, TrainConfig
from training.land_cover.data.module import LandCoverData
from training.land_cover.data.patches import SPLITS, PatchSet, Split
from training.land_cover.losses import positive_weights
from training.land_cover.net import LandCoverNet
from training.land_cover.predict import batches, device, predicted
from training.land_cover.task import Pace, Task
from training.publish.batch_norm import recalibrate
from training.publish.energy import KEPT, energy

STARTING = 4096
"""Training patches from which normalisation is taken, evenly over the split: more change a mean by less than 1 % of its
spread (1 / sqrt(4096) of the spread between patches)."""
RECALIBRATION = 2048
"""Training patches over which BatchNorm is recomputed for the final weights."""
SAID, DONE, SCORES = "config.json", "trained.pt", "evaluation.json"
"""Files in the folder of work."""


class Judged(NamedTuple):
    """What the held-out splits say of a net."""

    line: calibration.Line
    thresholds: tuple[float, ...]
    scores: dict[str, Any]
    """By split ("validation", "test"): `metrics.scores` under "chosen" and "usual" thresholds, "reliability", "confusion"."""


@dataclass(frozen=True)
class Trained:
    """A net that has learnt, and all that is to be said of it."""

    net: LandCoverNet
    judged: Judged
    how: dict[str, Any]
    """How it went: epochs, steps, kept_step, stopped, best_validation, train_per_second, patches (by split), synthetic."""
    energy: Energy


def train(config: TrainConfig, work: Path, *, country: str) -> Trained:
    """Train, or go on training, or read what has ended in `work`.

    `country`, ISO 3166-1 alpha-3, is where the electricity is made. Raises InvalidInput where a split is empty or `work`
    holds a training that was told otherwise.
    """
    work.mkdir(parents=True, exist_ok=True)
    if (work / SAID).exists():
        _keep(config, work)
    if (work / DONE).exists():
        return _read(config, work)
    with energy(country, work) as meter:
        data = LandCoverData(config)
        _sets(config, data)  # a folder that was misspelt is not what a training began with
        _keep(config, work)
        net, how = _fitted(config, data, work)
        if rank_zero_only.rank != 0:  # one process a GPU: the first goes on alone
            raise SystemExit(0)
        found = judged(net, config, data)
    (work / SCORES).write_text(json.dumps(found.scores, indent=1) + "\n")
    told = {"net": net.state_dict(), "judged": tuple(found), "how": how}
    part = work / f"{DONE}.part"
    torch.save(told, part)
    part.replace(work / DONE)
    return Trained(net, found, how, meter.reading)


def judged(net: nn.Module, config: TrainConfig, data: LandCoverData) -> Judged:
    """Calibration and thresholds, from validation alone, and scores of validation and test."""
    held = predicted(net, data.patches("validation"), batch=config.batch, workers=config.workers)
    line = calibration.fitted(held.predictions, config.calibration)
    calibrated = thresholds.Predictions("validation", line.of(held.predictions.logits), held.predictions.labels)
    chosen = thresholds.chosen(calibrated)
    unseen = predicted(net, data.patches("test"), batch=config.batch, workers=config.workers)
    scores = {
        answers.predictions.split: _told(answers.predictions, line, chosen) | {"patches_per_second": answers.per_second}
        for answers in (held, unseen)
    }
    return Judged(line, chosen, scores)


def _told(predictions: thresholds.Predictions, line: calibration.Line, chosen: tuple[float, ...]) -> dict[str, Any]:
    labels = predictions.labels
    probabilities = torch.sigmoid(line.of(predictions.logits))
    return {
        "chosen": metrics.scores(probabilities, labels, chosen),
        "usual": metrics.scores(probabilities, labels, (thresholds.USUAL,) * len(CLASSES)),
        "before_calibration": {"ece": metrics.scores(predictions.probabilities, labels, chosen)["ece"]},
        "reliability": metrics.reliability(probabilities, labels),
        "confusion": metrics.confusion(metrics.labelled(probabilities, chosen), labels).tolist(),
    }


def _fitted(config: TrainConfig, data: LandCoverData, work: Path) -> tuple[LandCoverNet, dict[str, Any]]:
    """(the net with its best weights and BatchNorm of these, how it went)."""
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")  # of matrix units, where there are any
    # An empty split is refused now, not when the training has ended.
    sets = _sets(config, data)
    seen = sets["train"]
    task = Task(config, _weights(config, seen))
    if not (work / LAST).exists():
        task.net.start(patches for patches, _ in batches(seen, batch=64, workers=config.workers, most=STARTING))
    pace = Pace()
    monitor, mode = MONITORS[config.monitor]
    how = fitted(
        task,
        config,
        work,
        data=data,
        limits=[pace],
        monitor=monitor,
        mode=mode,
        log_every=max(1, min(10, len(seen) // config.batch)),
        logger=_logger(config, work),
    )
    net: LandCoverNet = task.net.to(device()).to(memory_format=torch.contiguous_format)
    known = batches(seen, batch=config.batch, workers=config.workers, most=RECALIBRATION)
    recalibrate(net, ([patches.to(device())] for patches, _ in known))
    return net.cpu().eval(), how | {
        "train_per_second": pace.per_second,
        "patches": {split: len(patches) for split, patches in sets.items()},
        "synthetic": data.synthetic,
    }


def _sets(config: TrainConfig, data: LandCoverData) -> dict[Split, PatchSet]:
    """All splits. Raises InvalidInput where one is empty."""
    sets = {split: data.patches(split) for split in SPLITS}
    for split, patches in sets.items():
        if len(patches) == 0:
            raise InvalidInput(f"{config.folder} has 0 patches of the {split} split: name another folder")
    return sets


def _weights(config: TrainConfig, seen: PatchSet) -> Tensor | None:
    if not config.balance or config.loss == "asymmetric":
        return None
    return positive_weights(torch.from_numpy(seen.labels), most=config.most_weight)


def _logger(config: TrainConfig, work: Path) -> Logger:
    if config.log == "csv":
        return CSVLogger(work, name="log")
    try:
        return TensorBoardLogger(work, name="tensorboard")
    except ModuleNotFoundError:
        raise InvalidInput("log tensorboard needs the package tensorboard: pip install it, or take csv") from None


def _keep(config: TrainConfig, work: Path) -> None:
    """Write what a training was told, or compare with what it was told when it began."""
    said, path = config.model_dump(mode="json", exclude=FREE), work / SAID
    if not path.exists():
        path.write_text(json.dumps(said, indent=1) + "\n")
        return
    before = json.loads(path.read_text())
    for name in sorted(said.keys() | before.keys()):
        if said.get(name) != before.get(name):
            raise InvalidInput(
                f"{name} is {said.get(name)}, the training in {work} began with {before.get(name)}: go on as it began, "
                "or give another folder of work"
            )


def _read(config: TrainConfig, work: Path) -> Trained:
    told = torch.load(work / DONE, weights_only=False)
    net = Task(config, None).net.to(memory_format=torch.contiguous_format)
    net.load_state_dict(told["net"])
    line, *rest = told["judged"]
    spent = Energy.model_validate_json((work / KEPT).read_bytes())
    return Trained(net.eval(), Judged(calibration.Line(*line), *rest), told["how"], spent)
