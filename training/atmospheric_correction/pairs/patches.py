"""Patches of real pairs for a U-Net: read by windows as they are needed."""

import logging
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from atmospheric_correction.granule import VIEW
from eo.errors import CorruptData, NothingFound
from eo.grid import Window
from training.atmospheric_correction.pairs import reading
from training.atmospheric_correction.pairs.config import PairConfig
from training.atmospheric_correction.pairs.find import Found, Pair, find
from training.atmospheric_correction.pairs.slope import Slopes
from training.atmospheric_correction.pairs.splits import Elsewhere, split_of

logger = logging.getLogger(__name__)


class Patch(NamedTuple):
    """One patch. PyTorch's own collation stacks them."""

    toa: Tensor
    """(bands, size, size) float32 reflectance at the top of the atmosphere; 0 where the mask is."""
    boa: Tensor
    """As toa, at the surface."""
    mask: Tensor
    """(size, size) bool: pixels that count."""
    angles: Tensor
    """(4,) degrees: sun zenith at the patch, sun azimuth, view zenith, view azimuth (mean of the bands)."""
    tile: str
    """MGRS tile."""


class Place(NamedTuple):
    """Where a patch lies."""

    pair: int
    window: Window


class PairPatches(Dataset[Patch]):
    """The patches of one split, in an order that the seed decides.

    They lie edge to edge, counted from the granule's corner. What was not usable is in `reports`; a file that turns out
    to be damaged while it is read is added there, its pair is given up, and other patches take its patches' places.
    """

    def __init__(self, config: PairConfig) -> None:
        """Raises InvalidInput for a folder or DEM that cannot be used, NothingFound where no patch is left."""
        self.config = config
        found = find(config.folders, config.bands, mixed_baselines=config.mixed_baselines)
        self.reports: list[str] = list(found.reports)
        self.pairs, self.slopes = of_split(found, config, self.reports)
        elsewhere = Elsewhere(found.pairs, config)
        self._bad: set[int] = set()
        self._left_out = {"overlap": 0, "invalid": 0}
        places = [place for number in range(len(self.pairs)) for place in self._places(number, elsewhere)]
        order = np.random.default_rng(config.seed).permutation(len(places))
        self.places = [places[index] for index in order]
        for line in self.reports:
            logger.warning("%s", line)
        if not self.places:
            raise self._nothing(found)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Patch:
        """A patch; the next usable one where its own turns out to be damaged or has too few pixels that count."""
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        for step in range(len(self)):
            place = self.places[(index + step) % len(self)]
            patch = None if place.pair in self._bad else self._read(place)
            if patch is not None:
                return patch
        raise NothingFound(
            f"none of the {len(self)} patches can be read, at least one is needed: {'; '.join(self.reports[-3:])}"
        )

    def _read(self, place: Place) -> Patch | None:
        pair = self.pairs[place.pair]
        try:
            piece = reading.read(pair, place.window, self.config.bands, self.slopes[place.pair])
        except (CorruptData, OSError) as error:
            self._give_up(place.pair, f"{pair.toa.name}: {error}; its patches are left out")
            return None
        if 1 - piece.mask.mean() > self.config.max_invalid:
            return None
        toa, boa = (torch.from_numpy(np.where(piece.mask, each, np.float32(0))) for each in (piece.toa, piece.boa))
        return Patch(toa, boa, torch.from_numpy(piece.mask), _angles(pair, place.window, self.config.bands), pair.tile)

    def _places(self, number: int, elsewhere: Elsewhere) -> list[Place]:
        """Windows of a pair outside of other splits' tiles with enough ground, by classes and slopes alone."""
        pair, size = self.pairs[number], self.config.size
        places = []
        for top in range(0, pair.grid.height - size + 1, size):
            try:
                # A whole row of patches at once: files are compressed in tiles, which are decoded once so.
                row = reading.ground(pair, Window(0, top, pair.grid.width, size))
                windows = [Window(left, top, size, size) for left in range(0, pair.grid.width - size + 1, size)]
                places += [Place(number, window) for window in windows if self._usable(number, window, row, elsewhere)]
            except (CorruptData, OSError) as error:
                self._give_up(number, f"{pair.boa.name}: {error}; its patches are left out")
                return []
        if self.config.per_pair is not None and len(places) > self.config.per_pair:
            seed = [self.config.seed, *pair.toa.name.encode()]
            kept = np.random.default_rng(seed).choice(len(places), self.config.per_pair, replace=False)
            places = [places[index] for index in sorted(kept)]
        return places

    def _usable(self, number: int, window: Window, row: reading.Mask, elsewhere: Elsewhere) -> bool:
        """Whether a window lies in no other split's tile and has enough ground; `row` is that of its row of patches."""
        if elsewhere.meets(self.pairs[number], window):
            self._left_out["overlap"] += 1
            return False
        mask, slopes = row[:, window.col : window.col_end], self.slopes[number]
        enough = 1 - mask.mean() <= self.config.max_invalid
        if enough and slopes is not None:
            enough = 1 - (mask & slopes.flat(window)).mean() <= self.config.max_invalid
        self._left_out["invalid"] += not enough
        return bool(enough)

    def _give_up(self, number: int, report: str) -> None:
        if number not in self._bad:
            self._bad.add(number)
            self.reports.append(report)
            logger.warning("%s", report)

    def _nothing(self, found: Found) -> NothingFound:
        config, left = self.config, self._left_out
        return NothingFound(
            f"{config.split} has 0 patches of {config.size} pixels, at least 1 is needed: {len(found.pairs)} pairs below "
            f"{[str(folder) for folder in config.folders]}, {len(self.pairs)} of them of this split; {left['overlap']} patches "
            f"lie in other splits' tiles, {left['invalid']} have more than {config.max_invalid:.0%} invalid pixels; give "
            f"more products or other splits, or allow more with max_invalid. {'; '.join(self.reports[:5])}"
        )


def of_split(found: Found, config: PairConfig, reports: list[str]) -> tuple[list[Pair], list[Slopes | None]]:
    """(pairs of the configured split, their slopes), with what is wrong added to the reports."""
    pairs: list[Pair] = []
    slopes: list[Slopes | None] = []
    if config.dem is None:
        reports.append(
            "no DEM is given, so slopes of 10 degrees and more are not left out, although the L2A corrects for terrain there; "
            "name one as dem"
        )
    for pair in found.pairs:
        split = split_of(pair.tile, config)
        if split is None:
            reports.append(f"{pair.toa.name}: tile {pair.tile} is in no split; name it in tiles, or remove the product")
        if split != config.split:
            continue
        try:
            slope = None if config.dem is None else Slopes(config.dem, pair.grid)
        except NothingFound as error:
            reports.append(f"{pair.toa.name}: {error}")
            continue
        pairs.append(pair)
        slopes.append(slope)
    return pairs, slopes


def _angles(pair: Pair, window: Window, bands: tuple[str, ...]) -> Tensor:
    """Sun zenith bilinear from the granule's corners; the view as a mean of vectors, since azimuths turn over at north."""
    grid, angles = pair.grid, pair.toa.tile.angles
    down = (window.row + window.height / 2) / grid.height
    across = (window.col + window.width / 2) / grid.width
    (ul, ur), (ll, lr) = angles.sun_zenith
    sun = (1 - down) * ((1 - across) * ul + across * ur) + down * ((1 - across) * ll + across * lr)
    views = np.array([angles.view[band] for band in bands if band in angles.view] or [VIEW])
    turn = np.deg2rad(views[:, 1])
    azimuth = np.rad2deg(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean())) % 360
    return torch.tensor([sun, angles.sun_azimuth, views[:, 0].mean(), azimuth], dtype=torch.float32)
