"""The scenes on which correctors are compared. Made before any of them was trained, and not tuned since.

Every scene's atmosphere is a 6S run of its own (real 6S, not the emulator that models are trained with): AOT log-uniform
0.02 to 0.8, sun 15 to 70 degrees, the four aerosol types equally often and a fifth of the scenes with two-type mixtures
(6S's own components, mixed by volume), which training never sees. What the emulator adds is how that atmosphere varies
within the scene. Two sets of ground stand under the same atmospheres: of kinds that training sees, and of kinds that it
never sees. Two smaller sets have uniform AOT, and sun 70 to 75.

    python -m training.atmospheric_correction.testset            # the 6S runs, once
    python -m training.atmospheric_correction.testset --digest   # what the sets are made of, as one number

That number is kept in data/testset.sha256, committed with this before the first training; a test compares.
"""

import argparse
import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from training.atmospheric_correction import scenes, sixs
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.scenes import NODES, OPTICS, SimulatedScene
from training.atmospheric_correction.sixs import BANDS, COMPONENTS, TYPES, Atmosphere
from training.atmospheric_correction.surfaces import BANDS as LIBRARY_BANDS
from training.atmospheric_correction.surfaces import SCENE_TYPES, library

HERE = Path(__file__).parent
DATA = HERE / "data"
RUNS = DATA / "sixs_test.npz"
EMULATOR = DATA / "emulator.pt"
SEED = 4_2026
SIZES = {"main": 500, "uniform-aot": 100, "low-sun": 100}
"""Atmospheres of each group."""
SETS = {
    "seen": ("main", False),
    "unseen": ("main", True),
    "uniform-aot": ("uniform-aot", False),
    "low-sun": ("low-sun", False),
}
"""Name of a set: (its atmospheres, whether its ground is of kinds that training never sees)."""
JITTER = 0.10
"""By how much the bands of a material vary independently of each other."""


def atmospheres() -> list[Atmosphere]:
    """All groups' atmospheres, in the order of SIZES."""
    found = []
    for number, (group, count) in enumerate(SIZES.items()):
        rng = np.random.default_rng((SEED, number))
        for index in range(count):
            sun = rng.uniform(70, 75) if group == "low-sun" else rng.uniform(15, 70)
            aot = (
                rng.uniform(0.02, 0.8)
                if group == "uniform-aot"
                else math.exp(rng.uniform(math.log(0.02), math.log(0.8)))
            )
            found.append(
                Atmosphere(
                    sun_zenith=sun,
                    view_zenith=rng.uniform(0, 12),
                    azimuth=rng.uniform(0, 180),
                    aot=aot,
                    altitude=3 * rng.uniform() ** 2,
                    water=rng.uniform(0.3, 5),
                    ozone=rng.uniform(0.22, 0.45),
                    mix=_mix(rng, index),
                )
            )
    return found


def _mix(rng: np.random.Generator, index: int) -> dict[str, float]:
    """Four of five scenes have one type, in turn."""
    if index % 5 < 4:
        return {list(TYPES)[index % 5]: 1.0}
    first, second = rng.choice(list(COMPONENTS), 2, replace=False).tolist()
    share = rng.uniform(0.25, 0.75)
    return {first: share, second: 1 - share}


@dataclass(frozen=True)
class Case:
    """One scene of a set, with what is known about it."""

    index: int
    atmosphere: Atmosphere
    scene: SimulatedScene
    optics: dict[str, np.ndarray]
    """The true ones in the middle of the scene, each (bands,)."""
    compared: np.ndarray
    """bool: the piece's pixels on which results are compared. Not snow, as in comparisons with Sen2Cor (SCL 4 to 7)."""


def cases(name: str, *, adjacency: bool, count: int | None = None) -> Iterator[Case]:
    """The scenes of a set, or its first `count`, one by one."""
    group, unseen = SETS[name]
    first = sum(size for each, size in list(SIZES.items())[: list(SIZES).index(group)])
    runs, states = sixs.load(RUNS), atmospheres()
    emulator = load_emulator(EMULATOR)
    columns = [LIBRARY_BANDS.index(band) for band in BANDS]
    spectra = {kind: values[:, columns] for kind, values in library().items()}
    types = SCENE_TYPES["unseen" if unseen else "train"]
    for index in range(min(count or SIZES[group], SIZES[group])):
        state = states[first + index]
        rng = np.random.default_rng((SEED, list(SETS).index(name), index))
        weights = types[list(types)[rng.integers(len(types))]]
        materials = scenes.chosen_spectra(rng, spectra, weights, rng.integers(3, 9))
        materials = scenes.jittered(rng, materials, JITTER)
        edge = round(math.exp(rng.uniform(math.log(171), math.log(915))))
        varied = scenes.variation(rng, altitude=state.altitude)
        centre = {key: values[first + index] for key, values in true_optics(runs).items()}
        optics = _varied(emulator, state, varied, centre)
        relief = 1000 * (state.altitude + varied.altitude)
        scene = scenes.simulate(rng, materials, optics, relief, edge=edge, adjacency=adjacency)
        yield Case(index, state, scene, centre, ~_snow(scene.truth))


def _snow(truth: dict[str, np.ndarray]) -> np.ndarray:
    """Where the ground is bright in green and dark in the short-wave infrared (Hall et al. 1995: NDSI above 0.4)."""
    green, infrared = truth["B03"], truth["B12"]
    return (green > 0.2) & (green - infrared > 0.4 * (green + infrared))


def true_optics(runs: sixs.Runs) -> dict[str, np.ndarray]:
    """The fields of `scenes.OPTICS` as 6S gives them, each (runs, bands), float64."""
    mu_v = np.cos(np.deg2rad(runs.state("view_zenith")))[:, None]
    direct = np.exp(-(runs.of("tau_rayleigh") + runs.of("tau_aerosol")) / mu_v)
    found = {
        "path": runs.of("path"),
        "t_down": runs.of("t_down"),
        "t_dir": direct,
        "t_dif": runs.of("t_up") - direct,
        "albedo": runs.of("albedo"),
        "gas": runs.of("gas"),
    }
    return {name: values.astype(np.float64) for name, values in found.items()}


def _varied(
    emulator: Emulator, state: Atmosphere, varied: scenes.Variation, centre: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """6S's optics at the NODES: its own in the middle, elsewhere moved by what the emulator says of the difference."""
    aot, altitude = state.aot * varied.aot.ravel(), state.altitude + varied.altitude.ravel()
    said = emulate(emulator, state, np.append(aot, state.aot), np.append(altitude, state.altitude))
    return {name: (centre[name] + said[name][:-1] - said[name][-1]).reshape(NODES, NODES, -1) for name in OPTICS}


def emulate(emulator: Emulator, state: Atmosphere, aot: np.ndarray, altitude: np.ndarray) -> dict[str, np.ndarray]:
    """The emulator's optics of a state with other AOTs and altitudes, each (n, bands)."""
    count = len(aot)

    def same(value: float) -> torch.Tensor:
        return torch.full((count,), value, dtype=torch.float64)

    with torch.no_grad():
        said = emulator(
            same(state.sun_zenith),
            same(state.view_zenith),
            same(state.azimuth),
            torch.tensor(aot, dtype=torch.float64),
            torch.tensor(altitude, dtype=torch.float64),
            same(state.water),
            same(state.ozone),
            torch.tensor(scenes.shares(state.mix)).expand(count, -1),
        )
    return {name: values.numpy() for name, values in zip(OPTICS, said, strict=True)}


def load_emulator(path: Path = EMULATOR) -> Emulator:
    """The fitted emulator, in float64."""
    model = Emulator().double()
    model.load_state_dict(torch.load(path, weights_only=True)["state"])
    return model.eval()


def digest() -> str:
    """SHA-256 of all that decides on the sets: code with its seeds, emulator, spectra. 6S's answers follow from them."""
    found = hashlib.sha256()
    for path in [HERE / "testset.py", HERE / "scenes.py", EMULATOR, DATA / "spectra.json"]:
        found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def main() -> None:
    """Run 6S for the sets, or say what they are made of."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--digest", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--log", type=Path, default=RUNS.with_suffix(".jsonl"))
    given = parser.parse_args()
    if given.digest:
        print(digest())
        return
    states = atmospheres()
    sixs.save(RUNS, states, sixs.run_all(states, log=given.log, workers=given.workers))


if __name__ == "__main__":
    main()
