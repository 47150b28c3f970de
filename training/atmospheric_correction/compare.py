"""A user's real L1C/L2A pairs: how far the corrector, and no correction, are from Sen2Cor.

    python -m training.atmospheric_correction.compare --pairs FOLDER --corrected FOLDER

`--corrected` holds what `eo-shards run atmospheric-correction` has made of the L1C products, at 10 m and in their CRS.
Compared are the pixels that training would use: SCL 4 to 7, under 10 degrees of slope where a DEM is given, and of a
correction those whose quality is good; without a correction the L1C itself is compared.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from eo.errors import CorruptData, NothingFound
from eo.grid import Window
from training.atmospheric_correction import rows
from training.atmospheric_correction.corrected import Result, results
from training.atmospheric_correction.metrics import Errors, Mask, Values, ssim
from training.atmospheric_correction.pairs import reading
from training.atmospheric_correction.pairs.find import Pair, find
from training.atmospheric_correction.pairs.slope import Slopes
from training.command import command

PIECE = 1020
"""10 m pixels along what is read at once: whole pixels of 20, 60 and 120 m."""
AOT_BINS = (0.1, 0.2, 0.3, 0.5)
"""Limits between bins of AOT, which is the mean of a piece of 10 km."""
SHOWN = 5
"""Reports that an error repeats, at most."""
NONE = "none"
"""The row of the L1C as it is."""


class Comparison:
    """Errors and similarity by corrector, band and AOT."""

    def __init__(self) -> None:
        self._errors: dict[tuple[str, str, str], Errors] = defaultdict(Errors)
        self._similar: dict[tuple[str, str, str], list[tuple[float, int]]] = defaultdict(list)

    def add(self, corrector: str, band: str, aot: float, found: Values, truth: Values, mask: Mask) -> None:
        """Add a piece: (rows, columns) reflectance, and which pixels count; `aot` is NaN where unknown."""
        similar = ssim(found, truth, mask)
        for name in ("all", *([] if math.isnan(aot) else [aot_bin(aot)])):
            self._errors[corrector, band, name].add(found, truth, mask)
            if not math.isnan(similar):
                self._similar[corrector, band, name].append((similar, int(mask.sum())))

    def rows(self) -> list[dict[str, str | float]]:
        """One row for each corrector, band and bin; SSIM is the mean over pieces, by pixels."""
        made: list[dict[str, str | float]] = []
        for key in sorted(self._errors):
            row = self._errors[key].row()
            if not row["n"]:
                continue
            similar = self._similar[key]
            weight = sum(count for _, count in similar)
            mean = sum(value * count for value, count in similar) / weight if weight else math.nan
            corrector, band, aot = key
            made.append({"corrector": corrector, "band": band, "aot": aot, **row, "ssim": mean})
        return made


def aot_bin(aot: float) -> str:
    """The bin's name, such as 0.1-0.2; its lower limit is inside."""
    above = [limit for limit in AOT_BINS if limit <= aot]
    below = [limit for limit in AOT_BINS if limit > aot]
    if not below:
        return f">={above[-1]}"
    return f"{above[-1] if above else 0}-{below[0]}"


def compare(
    pairs: Sequence[Pair], made: Sequence[Result], bands: tuple[str, ...], *, dem: Path | None = None
) -> tuple[Comparison, list[str]]:
    """(errors over all pairs, a line for each pair or result that could not be compared).

    Raises NothingFound where not a single pixel could.
    """
    total = Comparison()
    reports: list[str] = []
    for pair in pairs:
        try:
            slopes = None if dem is None else Slopes(dem, pair.grid)
            own = list(_of(pair, made, reports))
            for window in pair.grid.window.cells(PIECE, PIECE):
                _add(total, pair, window, bands, own, slopes)
        except (CorruptData, NothingFound, OSError) as error:
            reports.append(f"{pair.toa.name}: {error}; what was read of it before counts")
    if not total.rows():
        raise NothingFound(
            f"0 pixels of {len(pairs)} pairs could be compared, at least 1 is needed: only SCL 4 to 7 counts; give clearer "
            f"products. {'; '.join(reports[:5])}"
        )
    return total, reports


def _add(
    total: Comparison,
    pair: Pair,
    window: Window,
    bands: tuple[str, ...],
    made: Sequence[tuple[Result, tuple[int, int]]],
    slopes: Slopes | None,
) -> None:
    piece = reading.read(pair, window, bands, slopes)
    if not piece.mask.any():
        return
    aot = reading.aot(pair, window)
    known = np.zeros(window.shape, bool) if aot is None else np.isfinite(aot) & piece.mask
    thick = float(aot[known].mean()) if aot is not None and known.any() else math.nan
    for number, band in enumerate(bands):
        total.add(NONE, band, thick, piece.toa[number], piece.boa[number], piece.mask)
    for result, (col, row) in made:
        inside = window.shifted(-col, -row).intersection(result.grid.window)
        if inside is None:
            continue
        part = inside.shifted(col, row).slices(window)
        good = result.good(inside) & piece.mask[part]
        for number, band in enumerate(bands):
            if band in result.bands:
                found = result.read(band, inside)
                total.add(result.model, band, thick, found, piece.boa[number][part], good & np.isfinite(found))


def _of(pair: Pair, made: Sequence[Result], reports: list[str]) -> Iterator[tuple[Result, tuple[int, int]]]:
    """(a result of the pair's L1C, (column, row) of its first pixel on the pair's grid)."""
    for result in made:
        names = [name for name, _ in result.scenes]
        if pair.toa.name not in names:
            continue
        if len(names) > 1:
            reports.append(
                f"{result.path}: made of {len(names)} scenes, 1 can be compared; correct {pair.toa.name} alone"
            )
            continue
        own, base = result.grid.to_sibling(pair.grid.crs), pair.grid
        col, row = (own.x - base.x) / base.dx, (base.y - own.y) / base.dy
        if (own.crs, own.dx, own.dy) != (base.crs, base.dx, base.dy) or not (col.is_integer() and row.is_integer()):
            reports.append(
                f"{result.path}: pixels of {own.dx:g} m in {own.crs}, the product has {base.dx:g} m in {base.crs}; correct it "
                f"with --resolution {base.dx:g} and in that CRS"
            )
            continue
        yield result, (int(col), int(row))


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is that of `eo-shards` for the same failure."""
    parser = argparse.ArgumentParser(
        prog="python -m training.atmospheric_correction.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, help="folders of L1C and L2A .SAFE products")
    parser.add_argument("--corrected", type=Path, help="folder of results of eo-shards run atmospheric-correction")
    parser.add_argument("--bands", nargs="+", default=["B02", "B03", "B04", "B08"])
    parser.add_argument("--dem", type=Path, help="elevation: ground of 10 degrees and more is left out")
    parser.add_argument("--out", type=Path, help="CSV file of the table")
    told = parser.parse_args(arguments)
    found = find(told.pairs, told.bands)
    if not found.pairs:
        why = "".join(f"; {line}" for line in found.reports[:SHOWN])
        raise NothingFound(
            f"0 pairs were found below {', '.join(map(str, told.pairs))}, at least 1 is needed: name folders with an L1C "
            f"and an L2A .SAFE product of one datatake and tile{why}"
        )
    made, broken = ([], []) if told.corrected is None else results(told.corrected)
    total, reports = compare(found.pairs, made, tuple(told.bands), dem=told.dem)
    for line in [*found.reports, *broken, *reports]:
        print(f"note: {line}", file=sys.stderr)
    table = total.rows()
    if told.corrected is not None and all(row["corrector"] == NONE for row in table):
        print(f"error: none of the {len(made)} results below {told.corrected} is of a pair's L1C", file=sys.stderr)
        return NothingFound.exit_code
    rows.show(f"{len(found.pairs)} pairs, found minus L2A", table)
    if told.out is not None:
        rows.save(told.out, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
