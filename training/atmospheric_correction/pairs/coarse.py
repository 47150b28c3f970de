"""Real pairs as sets of coarse pixels, shaped like the simulated ones that `atmosphere-field` is trained with.

The truth of a coarse pixel is the L2A's reflectance of the same pixels as its L1C's: both are means over those that may be
compared. Light from the surroundings is taken from the L2A's own reflectance by the functions' environment function.
"""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from atmospheric_correction.adjacency import Surroundings
from atmospheric_correction.cells import CELL
from atmospheric_correction.granule import Granule, Told
from eo import auxiliary
from eo.catalog import Auxiliary
from eo.errors import CorruptData, NothingFound
from eo.grid import Window
from eo.safe_zip import AUXILIARY
from training.atmospheric_correction.pairs import reading
from training.atmospheric_correction.pairs.config import PairConfig
from training.atmospheric_correction.pairs.find import Pair, find
from training.atmospheric_correction.pairs.patches import of_split
from training.atmospheric_correction.pairs.slope import Slopes
from training.atmospheric_correction.pairs.splits import Elsewhere
from training.atmospheric_correction.pixelsets import Batch
from training.atmospheric_correction.sixs import BANDS

logger = logging.getLogger(__name__)

Floats = NDArray[np.float32]

COARSE = 120
"""Metres of a context pixel."""
ENOUGH = 0.5
"""Share of a coarse pixel that must be comparable."""
FEWEST = 8
"""Coarse pixels of a cell that is used, as of simulated ones."""


@dataclass(frozen=True)
class Sets:
    """A granule's coarse pixels by cell: up to some of each cell, drawn once. Cells without enough are not there."""

    toa: Floats
    """(cells, pixels, BANDS) reflectance."""
    rho: Floats
    env: Floats
    heights: Floats
    """(cells, pixels) km."""
    count: NDArray[np.int64]
    """(cells,): pixels that are there, at least FEWEST; 0 are behind them."""
    aot: Floats
    """(cells,), NaN where the L2A has none."""
    state: dict[str, Floats]
    """(cells,) each, as the corrector is told."""


class CoarseSets:
    """Batches by number; what is in one follows from the seed and the number."""

    def __init__(self, sets: list[Sets], *, seed: int, scenes: int, pixels: int, reports: list[str]) -> None:
        self.sets, self.reports = sets, reports
        self._seed, self._scenes, self._pixels = seed, scenes, pixels

    def batch(self, number: int) -> Batch:
        """The batch of this number: of each scene a cell, and pixels of the granule's other cells."""
        rng = np.random.default_rng((self._seed, number))
        rows = [row for _ in range(self._scenes) for row in self._scene(rng)]
        toa, rho, env, valid, heights = (_stacked([row[at] for row in rows]) for at in range(5))
        states = [row[5] for row in rows]
        state = {name: _stacked([each[name] for each in states]) for name in states[0]}
        return Batch(toa, rho, env, valid, valid.clone(), heights, state, _stacked([row[6] for row in rows]))

    def _scene(self, rng: np.random.Generator) -> list[tuple]:  # type: ignore[type-arg]
        one = self.sets[rng.integers(len(self.sets))]
        cell = int(rng.integers(len(one.count)))
        others = np.delete(np.arange(len(one.count)), cell)
        state = {name: values[cell] for name, values in one.state.items()}
        # The one cell of a small granule is all that there is of it, as at run time.
        every = [np.arange(one.count[each]) for each in others] or [np.arange(one.count[cell])]
        origin = np.repeat(others if len(others) else [cell], [len(each) for each in every])
        made = []
        for cells, places in (
            (np.full(one.count[cell], cell), np.arange(one.count[cell])),
            (origin, np.concatenate(every)),
        ):
            size = min(len(places), self._pixels)
            chosen = rng.choice(len(places), size, replace=False)
            at = cells[chosen], places[chosen]
            valid = (np.arange(self._pixels) < size).astype(np.float32)
            values = [self._filled(each[at]) for each in (one.toa, one.rho, one.env)]
            made.append((*values, valid, self._filled(one.heights[at]), state, one.aot[cell]))
        return made

    def _filled(self, values: Floats) -> Floats:
        """As many rows as a set has, repeating the first: what is not valid must still be a number that divides."""
        return np.concatenate([values, np.repeat(values[:1], self._pixels - len(values), 0)])


def coarse_sets(config: PairConfig, *, scenes: int = 48, pixels: int = 192) -> CoarseSets:
    """Read the coarse pixels of a split's pairs, window by window, and keep some of each cell (4 MB a pair).

    `config.bands` is not asked: the net reads BANDS. Raises NothingFound where no cell is usable. Without a DEM heights
    are 0, without the L2A's AOT file it is NaN.
    """
    found = find(config.folders, BANDS, mixed_baselines=config.mixed_baselines)
    reports = list(found.reports)
    pairs, slopes = of_split(found, config, reports)
    elsewhere = Elsewhere(found.pairs, config)
    sets = []
    for pair, slope in zip(pairs, slopes, strict=True):
        try:
            one = read_sets(pair, slope, elsewhere, seed=config.seed, pixels=pixels)
        except (CorruptData, OSError) as error:
            reports.append(f"{pair.toa.name}: {error}; it is left out")
            continue
        if len(one.count):
            sets.append(one)
        else:
            reports.append(
                f"{pair.toa.name}: none of its cells has {FEWEST} pixels of {COARSE} m that count; it is left out"
            )
    for line in reports:
        logger.warning("%s", line)
    if not sets:
        raise NothingFound(
            f"{config.split} has 0 pairs with coarse pixels, at least 1 is needed, {len(found.pairs)} were found below "
            f"{[str(folder) for folder in config.folders]}; give more products or other splits. {'; '.join(reports[:5])}"
        )
    return CoarseSets(sets, seed=config.seed, scenes=scenes, pixels=pixels, reports=reports)


def read_sets(pair: Pair, slopes: Slopes | None, elsewhere: Elsewhere, *, seed: int, pixels: int) -> Sets:
    """A pair's coarse pixels, cell by cell. Raises CorruptData where a file cannot be decoded."""
    toa, rho, aot = _means(pair, slopes, elsewhere)
    known = np.isfinite(toa[0])
    surroundings = Surroundings(known, COARSE)
    env = np.stack([surroundings.mean(np.where(known, band, 0).astype(np.float32)) for band in rho])
    heights = _heights(slopes, pair, known.shape)
    granule = Granule(
        toa={},
        elevation=heights,
        masks={},
        pixel=COARSE,
        angles=pair.toa.tile.angles,
        told=Told(),
        auxiliary=auxiliary.read(_weather(pair)).auxiliary or Auxiliary(),
    )
    state = granule.state(BANDS)
    told = ("sun_zenith", "view_zenith", "azimuth", "water", "ozone")
    layers = np.concatenate([toa, rho, env, granule.ground[None] / 1000])
    rng = np.random.default_rng([seed, *pair.toa.name.encode()])
    columns = granule.cells.grid[1]
    cells, kept, counts, thick = [], [], [], []
    for number in range(granule.cells.count):
        top, left = (CELL * at for at in divmod(number, columns))
        here = (slice(top, top + CELL), slice(left, left + CELL))
        rows, cols = np.nonzero(known[here])
        if len(rows) < FEWEST:
            continue
        drawn = rng.permutation(len(rows))[:pixels]
        found = np.zeros((pixels, len(layers)), np.float32)
        found[: len(drawn)] = layers[:, top + rows[drawn], left + cols[drawn]].T
        own = aot[here][known[here]]
        thick.append(np.nanmean(own) if np.isfinite(own).any() else np.nan)
        cells.append(number)
        kept.append(found)
        counts.append(len(drawn))
    every = np.stack(kept) if kept else np.zeros((0, pixels, len(layers)), np.float32)
    bands = len(BANDS)
    return Sets(
        toa=every[..., :bands],
        rho=every[..., bands : 2 * bands],
        env=every[..., 2 * bands : 3 * bands],
        heights=every[..., -1],
        count=np.array(counts, np.int64),
        aot=np.array(thick, np.float32),
        state={name: np.asarray(getattr(state, name))[cells] for name in told},
    )


def _means(pair: Pair, slopes: Slopes | None, elsewhere: Elsewhere) -> tuple[Floats, Floats, Floats]:
    """(TOA, surface reflectance: (BANDS, rows, columns), AOT (rows, columns)) at 120 m, NaN where too little counts."""
    grid = pair.grid
    times = round(COARSE / grid.dx)
    rows, cols = grid.height // times, grid.width // times
    toa, rho = (np.full((len(BANDS), rows, cols), np.nan, np.float32) for _ in range(2))
    thick = np.full((rows, cols), np.nan, np.float32)
    # By cells of the context, so that no tile is ever held as a whole.
    for cell in Window(0, 0, cols, rows).cells(CELL, CELL):
        window = Window(cell.col * times, cell.row * times, cell.width * times, cell.height * times)
        if elsewhere.meets(pair, window):
            continue
        piece = reading.read(pair, window, BANDS, slopes)
        counts = _blocks(piece.mask.astype(np.float32), times)
        enough = counts >= ENOUGH
        weight = np.where(enough, counts, 1)
        at = cell.slices(Window(0, 0, cols, rows))
        for number in range(len(BANDS)):
            for found, values in ((toa, piece.toa[number]), (rho, piece.boa[number])):
                mean = _blocks(np.where(piece.mask, values, 0), times) / weight
                found[number][at] = np.where(enough, mean, np.nan)
        aot = reading.aot(pair, window)
        if aot is not None:
            some = np.isfinite(aot) & piece.mask
            counts = _blocks(some.astype(np.float32), times)
            mean = _blocks(np.where(some, aot, 0), times) / np.where(counts > 0, counts, 1)
            thick[at] = np.where(counts > 0, mean, np.nan)
    return toa, rho, thick


def _blocks(values: NDArray[np.floating], times: int) -> Floats:
    """Means of blocks of `times` x `times` pixels."""
    rows, cols = (edge // times for edge in values.shape)
    means: Floats = values.reshape(rows, times, cols, times).mean((1, 3), dtype=np.float64).astype(np.float32)
    return means


def _heights(slopes: Slopes | None, pair: Pair, shape: tuple[int, ...]) -> Floats:
    """Metres at the centres of coarse pixels; NaN where nothing tells, which is the sea's level for all."""
    if slopes is None:
        return np.full(shape, np.nan, np.float32)
    x = pair.grid.x + (np.arange(shape[1]) + 0.5) * COARSE
    y = pair.grid.y - (np.arange(shape[0]) + 0.5) * COARSE
    return slopes.heights(*np.meshgrid(x, y)).astype(np.float32)


def _weather(pair: Pair) -> dict[str, bytes]:
    """The weather models' files of the L1C."""
    paths = [pair.toa.granule / name for name in AUXILIARY]
    return {path.name: path.read_bytes()[: auxiliary.MAX_FILE + 1] for path in paths if path.is_file()}


def _stacked(values: list[Floats]) -> Tensor:
    return torch.from_numpy(np.stack(values).astype(np.float32))
