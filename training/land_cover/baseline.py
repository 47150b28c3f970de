"""Logistic regression on the mean and deviation of each band: what is known of a patch without its pattern.

    python -m training.land_cover.baseline --data FOLDER [--bands 10]

A data set on which this does well does not need a network. Thresholds are chosen on validation, scores are of test.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor, nn

from land_cover.labels import CLASSES
from training.command import command
from training.land_cover.bands import DEFAULT, chosen
from training.land_cover.data.patches import PatchSet, Split, opened

PENALTY = 1e-3
"""Of the squared weights; features have deviation 1."""
STEPS = 200
THRESHOLDS = np.linspace(0.02, 0.98, 49)


class Result(NamedTuple):
    """How well it does on test."""

    f1: NDArray[np.float64]
    """(19,) by class, at thresholds chosen on validation; NaN of a class that neither occurs nor is said."""
    thresholds: NDArray[np.float64]

    @property
    def macro_f1(self) -> float:
        """Mean over the classes that occur or are said, as in `metrics.scores`."""
        return float(np.nanmean(self.f1))


def features(patches: PatchSet, *, quiet: bool = True) -> Tensor:
    """(patches, 2 x bands) float64: mean and deviation of each band."""
    made = np.empty((len(patches), 2 * len(patches.bands)))
    for index in track(range(len(patches)), patches.split, disable=quiet):
        values = patches.read(index).astype(np.float64)
        made[index] = np.concatenate([values.mean((1, 2)), values.std((1, 2))])
    return torch.from_numpy(made)


def baseline(folder: Path, bands: tuple[str, ...] = DEFAULT, *, quiet: bool = True) -> Result:
    """Fit on train, choose thresholds on validation, score on test. Raises what `patches.opened` and reading raise."""
    splits: tuple[Split, ...] = ("train", "validation", "test")
    sets = {split: opened(folder, split, bands, "nearest") for split in splits}
    # With logarithms: brightness is a factor, and the ratio of deviation to mean a difference of them.
    found = {split: features(patches, quiet=quiet) for split, patches in sets.items()}
    found = {split: torch.cat([values, torch.log(values + 1e-4)], 1) for split, values in found.items()}
    mean, deviation = found["train"].mean(0), found["train"].std(0).clamp_min(1e-9)
    scaled = {split: (values - mean) / deviation for split, values in found.items()}
    labels = {split: patches.labels for split, patches in sets.items()}
    net = fitted(scaled["train"], torch.from_numpy(labels["train"].astype(np.float64)))
    with torch.no_grad():
        said = {split: torch.sigmoid(net(values)).numpy() for split, values in scaled.items()}
    tried = np.array([f1(said["validation"] >= at, labels["validation"]) for at in THRESHOLDS])
    thresholds = THRESHOLDS[tried.argmax(0)]
    answers = said["test"] >= thresholds
    known = answers.any(0) | labels["test"].any(0)
    return Result(np.where(known, f1(answers, labels["test"]), np.nan), thresholds)


def fitted(values: Tensor, labels: Tensor) -> nn.Linear:
    """The weights that minimise cross-entropy and penalty: one convex problem, solved by L-BFGS from 0."""
    net = nn.Linear(values.shape[1], labels.shape[1], dtype=torch.float64)
    nn.init.zeros_(net.weight)
    nn.init.zeros_(net.bias)
    solver = torch.optim.LBFGS(net.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        entropy = nn.functional.binary_cross_entropy_with_logits(net(values), labels)
        total: Tensor = entropy + PENALTY * net.weight.square().sum() / labels.shape[1]
        total.backward()
        return total

    solver.step(loss)
    return net


def f1(said: NDArray[np.bool_], labels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(classes,): 2 TP / (2 TP + FP + FN); 0 where there is nothing to find and nothing was found."""
    both = (said & (labels > 0)).sum(0)
    scores: NDArray[np.float64] = 2 * both / np.maximum(said.sum(0) + labels.sum(0, dtype=np.int64), 1)
    return scores


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover.baseline",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="BigEarthNet v2 or v1, or converted to Zarr by nearest"
    )
    parser.add_argument("--bands", default="10", help="7, 10, 11, 12 or names with commas between them; default 10")
    given = parser.parse_args(arguments)
    found = baseline(given.data, chosen(given.bands), quiet=False)
    for name, score in zip(CLASSES, found.f1, strict=True):
        print(f"{score:6.3f}  {name}")
    print(f"{found.macro_f1:6.3f}  macro-F1 on test, thresholds chosen on validation")
    return 0


if __name__ == "__main__":
    sys.exit(main())
