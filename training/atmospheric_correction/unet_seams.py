"""How far tiles of `unet-efficientnet-b2` disagree, measured on simulated ground and written into its card.

    python -m training.atmospheric_correction.unet_seams --model layers/models/unet-efficientnet-b2

Shards agree by construction: they compute equal tiles. What remains is how tiles differ where they overlap (before they
are feathered), and what a job of another extent sees in the tiles at its rim.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from atmospheric_correction.tiles import CROPPED, Lattice, correct_tiles, predicted
from eo.card import Card, Score
from eo.errors import InvalidInput
from eo.grid import Window
from eo.model import Model, checked
from eo.radiometry import Radiometry
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.scenes import OPTICS
from training.atmospheric_correction.scenes import toa as seen_through
from training.atmospheric_correction.sixs import BANDS as ALL_BANDS
from training.atmospheric_correction.sixs import Atmosphere
from training.atmospheric_correction.testset import emulate, load_emulator
from training.atmospheric_correction.unet import BANDS
from training.atmospheric_correction.unet_patches import piece
from training.command import command
from training.publish.package import amend

SEED = 7_2026
SCENES = 6
RADIOMETRY = Radiometry(-1000, 10_000)
SET = "simulated scenes of three tiles, AOT 0.02 to 0.8, sun 15 to 70 degrees"
FAILURE = "what it makes of a pixel depends on the whole tile around it"
"""The card's sentence that the figures replace."""


def images(emulator: Emulator, edge: int, count: int) -> Iterator[NDArray[np.uint16]]:
    """TOA DNs (3, edge, edge) of simulated scenes, under one atmosphere each."""
    columns = [ALL_BANDS.index(band) for band in BANDS]
    for number in range(count):
        rng = np.random.default_rng((SEED, number))
        rho, around = piece(rng, edge)
        aot = float(np.exp(rng.uniform(np.log(0.02), np.log(0.8))))
        state = Atmosphere(
            sun_zenith=rng.uniform(15, 70),
            view_zenith=rng.uniform(0, 12),
            azimuth=rng.uniform(0, 180),
            aot=aot,
            altitude=rng.uniform(0, 1),
            water=2.0,
            ozone=0.32,
            mix={"continental": 1.0},
        )
        optics = emulate(emulator, state, np.array([aot]), np.array([state.altitude]))
        seen = seen_through(rho, 0.7 * rho + 0.3 * around, {name: optics[name][0, columns] for name in OPTICS})
        seen *= 1 + 0.002 * rng.standard_normal(seen.shape)
        dn = np.rint(seen * RADIOMETRY.quantification - RADIOMETRY.offset)
        yield np.clip(dn, 1, 65_534).astype(np.uint16).transpose(2, 0, 1)


def measure(model: Model, emulator: Emulator, count: int = SCENES) -> tuple[Score, ...]:
    """The scores: reflectance, over all bands and scenes."""
    lattice = Lattice.of(model.card.grid)
    edge = 3 * lattice.stride + lattice.tile
    overlaps, strips, rims, insides = [], [], [], []
    for dn in images(emulator, edge, count):
        across = _overlaps(dn, model, lattice)
        overlaps += [each.ravel() for each in across]
        strips += [abs(each.mean(axis=(1, 2))) for each in across]
        job, halo = Window(lattice.stride, lattice.stride, 2 * lattice.stride, 2 * lattice.stride), lattice.halo
        wide, alone = (correct_tiles(job, _reader(dn, extent), [RADIOMETRY] * 3, model) for extent in (None, job))
        difference = abs(wide.astype(np.int32) - alone) / RADIOMETRY.quantification
        inner = difference[:, halo:-halo, halo:-halo]
        insides.append(inner.ravel())
        rims.append(difference.ravel())
    apart, rim, inside = (np.concatenate(each) for each in (overlaps, rims, insides))
    figures = {
        "two tiles where they overlap, rms": np.sqrt(np.square(apart).mean()),
        "two tiles where they overlap, largest": abs(apart).max(),
        "means of two tiles where they overlap, largest": np.max(strips),
        "job of two by two tiles against a larger one, rms": np.sqrt(np.square(rim).mean()),
        "job of two by two tiles against a larger one, largest": rim.max(),
        f"as before, {lattice.halo} pixels and more from its rim, rms": np.sqrt(np.square(inside).mean()),
    }
    return tuple(
        Score(set=SET, row="seams", metric=f"difference, {name}", value=round(float(value), 5))
        for name, value in figures.items()
    )


def _reader(dn: NDArray[np.uint16], extent: Window | None) -> Callable[[Window], NDArray[np.uint16]]:
    """Read an image that lies at the origin; of an extent alone, where one is given."""
    whole = Window(0, 0, dn.shape[2], dn.shape[1])

    def read(window: Window) -> NDArray[np.uint16]:
        found = np.zeros((len(dn), *window.shape), np.uint16)
        common = window.intersection(extent or whole)
        if common is not None:
            found[(slice(None), *common.slices(window))] = dn[(slice(None), *common.slices(whole))]
        return found

    return read


def _overlaps(dn: NDArray[np.uint16], model: Model, lattice: Lattice) -> list[NDArray[np.float32]]:
    """Differences of neighbours in a row and in a column where both contribute, each (3, rows, columns)."""
    read, used = _reader(dn, None), slice(CROPPED, -CROPPED)

    def tile(row: int, col: int) -> NDArray[np.float32]:
        said = predicted(read(lattice.window(row, col)), [RADIOMETRY] * len(dn), model)
        if said is None:
            raise ValueError("a simulated scene has no gaps")
        return said[:, used, used]

    first, right, below = tile(1, 1), tile(1, 2), tile(2, 1)
    return [
        first[:, :, lattice.stride :] - right[:, :, : lattice.feather],
        first[:, lattice.stride :] - below[:, : lattice.feather],
    ]


def written(folder: Path, emulator: Emulator, count: int = SCENES) -> Card:
    """Measure a published model on so many scenes and say so in its card.

    Raises CorruptData where the folder is not whole, InvalidInput where the model has no tiles or there is no scene.
    """
    model = checked(folder)
    if model.card.grid.tile is None:
        raise InvalidInput(f"{model.card.name} has no tiles: give the folder of a model that looks at pixels, a U-Net")
    if count < 1:
        raise InvalidInput(f"{count} scenes tell nothing: give at least 1 (--scenes)")
    scores = measure(model, emulator, count)
    rms, largest, means, job, _, _ = (score.value for score in scores)
    said = (
        f"{FAILURE}: where two tiles overlap they differ by {rms:.4f} (rms; largest {largest:.3f}, of their means "
        f"{means:.4f}) and are feathered over {Lattice.of(model.card.grid).feather} pixels; jobs of other extents differ by "
        f"{job:.4f} (rms) within a tile of their rims"
    )
    card = model.card
    kept = tuple(score for score in card.results if score.row != "seams")
    failures = tuple(said if failure.startswith(FAILURE) else failure for failure in card.known_failures)
    return amend(folder, results=(*kept, *scores), known_failures=failures)


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write, print; the exit code is that of `eo-shards` for the same failure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="its folder")
    parser.add_argument("--scenes", type=int, default=SCENES, help=f"simulated ones ({SCENES})")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    card = written(given.model, load_emulator(), given.scenes)
    for score in card.results:
        if score.row == "seams":
            print(f"{score.value:.5f}  {score.metric}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
