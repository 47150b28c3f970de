"""Training patches for `unet-efficientnet-b2`: pieces of ground, made once, each seen through new air when it is drawn.

A piece is a patchwork as in `scenes.ground`, without its wide context: 2.56 km of it, with what surrounds it as a mean.
Air is drawn as for `atmosphere-field` (pixelsets), one atmosphere for a patch.
"""

import math
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from eo.errors import InvalidInput
from training.atmospheric_correction.emulator import Emulator
from training.atmospheric_correction.pixelsets import DESERT, WIDEST
from training.atmospheric_correction.scenes import bilinear, chosen_spectra, environment, jittered, smooth_field
from training.atmospheric_correction.sixs import BANDS as ALL_BANDS
from training.atmospheric_correction.sixs import TYPES
from training.atmospheric_correction.surfaces import BANDS as LIBRARY_BANDS
from training.atmospheric_correction.surfaces import SCENE_TYPES, library
from training.atmospheric_correction.unet import BANDS
from training.parallel import mapped

EDGE = 256
"""Pixels of 10 m along a piece."""
COARSE = 8
"""Pixels along those of the grid on which the surroundings vary."""
MATERIALS = 8
"""Of a piece, at most."""
SCALE = 10_000
"""Pieces are kept as uint16: reflectance times this."""
A_FILE = 64
"""Pieces in a file: what one task makes."""
NOISE = 0.002
"""Of the instrument, as a share of the signal."""


class Batch(NamedTuple):
    """Patches, simulated or real."""

    toa: Tensor
    """(patches, 3, height, width) reflectance."""
    rho: Tensor
    """As toa: the ground's."""
    known: Tensor
    """(patches, 1, height, width): 1 where the truth is known, else 0."""


class Source(Protocol):
    """Where batches come from."""

    def batch(self, number: int) -> Batch:
        """The batch of this number; equal numbers give equal batches."""


def piece(rng: np.random.Generator, edge: int = EDGE) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(reflectance (edge, edge, 3) of a piece of ground, mean of its wide surroundings (3,))."""
    spectra = _materials(rng)
    kinds = len(spectra)
    share = rng.uniform(0.3, 1.5) * rng.standard_normal(kinds)
    # Much of what varies over kilometres is one and the same in a piece.
    inside = rng.uniform(0, 0.9)
    place = math.sqrt(inside) * rng.standard_normal(kinds)
    nodes = edge // COARSE
    at = (np.arange(edge) + 0.5) / COARSE - 0.5
    wide = [smooth_field(rng, (nodes, nodes), rng.uniform(4, 120)) for _ in range(kinds)]
    logits = bilinear(np.stack(wide, -1), at, at) * math.sqrt(1 - inside) + place + share
    logits += 1.2 * np.stack([smooth_field(rng, (edge, edge), rng.uniform(3, 30)) for _ in range(kinds)], -1)
    rho = _mixed(logits, rng.uniform(2, 8)) @ spectra
    rho *= np.exp(rng.uniform(0, 0.15) * smooth_field(rng, (edge, edge), 1.5))[..., None]
    rho *= np.exp(0.02 * rng.standard_normal(rho.shape))
    around = _mixed(6 * share + 3 * rng.standard_normal(kinds), 1.0) @ spectra
    return np.clip(rho, 0, 1.2), np.clip(around, 0, 1.2)


def _materials(rng: np.random.Generator) -> NDArray[np.float64]:
    """(materials, 3) spectra of a type of scene; any kind may lie anywhere, if seldom, and bands vary by themselves."""
    columns = [LIBRARY_BANDS.index(band) for band in BANDS]
    known = {name: values[:, columns] for name, values in library().items()}
    types = SCENE_TYPES["train"]
    weights = types[list(types)[rng.integers(len(types))]]
    anything = dict.fromkeys(sorted({kind for each in types.values() for kind in each}), 1.0)
    count = int(rng.integers(1, MATERIALS + 1))
    strange = int(rng.binomial(count, 0.25))
    drawn = [chosen_spectra(rng, known, anything, strange)] if strange else []
    if count > strange:
        drawn.append(chosen_spectra(rng, known, weights, count - strange))
    return jittered(rng, np.concatenate(drawn), rng.uniform(0.05, WIDEST))


def _mixed(logits: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    weights = np.exp(sharpness * (logits - logits.max(-1, keepdims=True)))
    mixed: NDArray[np.float64] = weights / weights.sum(-1, keepdims=True)
    return mixed


KIND = np.dtype(
    [
        ("rho", "<u2", (len(BANDS), EDGE, EDGE)),
        ("near", "<u2", (EDGE // COARSE, EDGE // COARSE, len(BANDS))),
        ("around", "<u2", (len(BANDS),)),
    ]
)
"""A piece in a file; `near` is what the surroundings of each coarse pixel reflect, within the piece."""


def make_grounds(folder: Path, *, seed: int, count: int, workers: int) -> list[Path]:
    """The files of so many pieces (whole files of A_FILE); those that are there already are taken as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"grounds-{seed}-{number:05d}.npy" for number in range(-(-count // A_FILE))]
    missing = [(number, path) for number, path in enumerate(paths) if not path.exists()]
    make = partial(_make_file, seed)
    mapped(make, missing, workers=min(workers, max(len(missing), 1)), what="grounds", quiet=True)
    return paths


def _make_file(seed: int, task: tuple[int, Path]) -> None:
    number, path = task
    made = np.zeros(A_FILE, KIND)
    for index in range(A_FILE):
        rho, around = piece(np.random.default_rng((seed, number, index)))
        blocks = rho.reshape(EDGE // COARSE, COARSE, EDGE // COARSE, COARSE, -1).mean((1, 3))
        made[index]["rho"] = np.rint(rho.transpose(2, 0, 1) * SCALE)
        made[index]["near"] = np.rint(environment(blocks, 10.0 * COARSE) * SCALE)
        made[index]["around"] = np.rint(around * SCALE)
    part = path.with_suffix(f".{os.getpid()}.npy")
    np.save(part, made)
    part.rename(path)


class Simulated:
    """Pieces of ground through drawn air."""

    def __init__(self, files: Sequence[Path], emulator: Emulator, *, seed: int, patches: int, crop: int) -> None:
        self._files = [np.load(path, mmap_mode="r") for path in files]
        self._emulator = emulator.float().eval()
        self._seed, self._patches, self._crop = seed, patches, crop
        self._columns = [ALL_BANDS.index(band) for band in BANDS]

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        rng = np.random.default_rng((self._seed, number))
        drawn = [self._drawn(rng) for _ in range(self._patches)]
        rho, near, around = (torch.stack(each) for each in zip(*drawn, strict=True))
        with torch.no_grad():
            path, down, direct, diffuse, albedo, gas = self._air(rng)
            reach = torch.tensor(rng.uniform(0.4, 0.9, (self._patches, 1, 1, 1)), dtype=torch.float32)
            env = reach * near + (1 - reach) * around[:, :, None, None]
            toa = gas * (path + down * (direct * rho + diffuse * env) / (1 - albedo * env))
        noise = torch.from_numpy(rng.standard_normal(toa.shape, np.float32))
        return Batch(toa * (1 + NOISE * noise), rho, torch.ones_like(rho[:, :1]))

    def _drawn(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(reflectance (3, crop, crop), the near surroundings' likewise, the wide ones' (3,)) of a piece, turned."""
        file = self._files[rng.integers(len(self._files))]
        found = file[rng.integers(len(file))]
        # Cut along the coarse grid, so that both stay in step.
        row, col = rng.integers(0, (EDGE - self._crop) // COARSE + 1, 2) * COARSE
        turn, mirror = int(rng.integers(4)), bool(rng.integers(2))

        def cut(values: NDArray[np.uint16], scale: int) -> Tensor:
            edge = self._crop // scale
            part = values[:, row // scale : row // scale + edge, col // scale : col // scale + edge]
            part = np.rot90(part, turn, (1, 2))
            part = part[:, ::-1] if mirror else part
            return torch.from_numpy(part.astype(np.float32) / SCALE)

        near = cut(found["near"].transpose(2, 0, 1), COARSE)
        whole = torch.nn.functional.interpolate(near[None], scale_factor=COARSE, mode="bilinear")[0]
        around = torch.from_numpy(found["around"].astype(np.float32) / SCALE)
        return cut(found["rho"], 1), whole, around

    def _air(self, rng: np.random.Generator) -> list[Tensor]:
        """The quantities of `scenes.OPTICS` of the patches' atmospheres, each (patches, 3, 1, 1)."""
        patches = self._patches

        def uniform(low: float, high: float) -> NDArray[np.float64]:
            return rng.uniform(low, high, patches)

        state = [uniform(10, 76), uniform(0, 12.5), uniform(0, 180)]
        aot = np.exp(uniform(math.log(0.01), math.log(1.2)))
        mix = np.eye(len(TYPES))[rng.integers(len(TYPES), size=patches)]
        blend = np.where(uniform(0, 1) < 0.25, uniform(0, 1), 0)[:, None]
        mix = (1 - blend) * mix + blend * np.eye(len(TYPES))[DESERT]
        state += [aot, 3.6 * uniform(0, 1) ** 2, uniform(0.2, 5.5), uniform(0.22, 0.46), mix]
        said = self._emulator(*(torch.tensor(each, dtype=torch.float32) for each in state))
        return [each[:, self._columns, None, None] for each in said]


class Patch(Protocol):
    """A patch of a pair of real products, as `pairs.patches` gives it for BANDS."""

    @property
    def toa(self) -> Tensor:
        """(3, size, size) reflectance."""

    @property
    def boa(self) -> Tensor:
        """As toa, at the surface."""

    @property
    def mask(self) -> Tensor:
        """(size, size) bool: pixels that count."""


class Patches(Protocol):
    """A map-style dataset of them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Patch: ...


class Real:
    """Pairs of real products, drawn by number."""

    def __init__(self, pairs: Patches, *, seed: int, patches: int, crop: int) -> None:
        """Raises InvalidInput where patches are smaller than the crop."""
        self._pairs, self._seed, self._patches, self._crop = pairs, seed, patches, crop
        if (size := min(pairs[0].toa.shape[-2:])) < crop:
            raise InvalidInput(
                f"patches of pairs have {size} x {size} pixels, the crop {crop} x {crop}: lower the crop (--crop) to {size} or "
                "less, or read larger patches (size of PairConfig)"
            )

    def batch(self, number: int) -> Batch:
        """The batch of this number."""
        rng = np.random.default_rng((self._seed, number))
        drawn = [self._cut(self._pairs[int(rng.integers(len(self._pairs)))], rng) for _ in range(self._patches)]
        return Batch(*(torch.stack(each) for each in zip(*drawn, strict=True)))

    def _cut(self, patch: Patch, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        row, col = (int(rng.integers(0, size - self._crop + 1)) for size in patch.toa.shape[-2:])
        rows, cols = slice(row, row + self._crop), slice(col, col + self._crop)
        toa, known = patch.toa[:, rows, cols], patch.mask[None, rows, cols].float()
        # As functions fill what is missing: gaps must not look like dark ground.
        mean = (toa * known).sum((1, 2), keepdim=True) / torch.clamp(known.sum(), min=1.0)
        return known * toa + (1 - known) * mean, patch.boa[:, rows, cols], known


class Batches(IterableDataset[Batch]):
    """Batches of sources in turn, from one number on; read again, it goes on where it ended.

    A training that is resumed at an epoch's end thus sees what it would have seen. The length keeps Lightning from
    drawing one more.
    """

    def __init__(self, sources: Sequence[Source], *, count: int, start: int = 0) -> None:
        self._sources, self._count, self._next = sources, count, start

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        first = self._next
        self._next += self._count
        for number in range(first, first + self._count):
            yield self._sources[number % len(self._sources)].batch(number)
