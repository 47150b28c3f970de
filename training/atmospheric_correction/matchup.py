"""Comparison with the ground: corrected rasters, L2A or L1C products beside what stations have measured.

    python -m training.atmospheric_correction.matchup --table stations.csv --products FOLDER --size 900 --out table.csv

The table is a CSV of station, lon, lat, datetime and B02, ... (RadCalNet) or aot550 (AERONET). Each product is compared
with the measurement of each station that is nearest in time, as a mean over a square around it. An L2A counts where its
SCL is 4 to 7, a correction where its quality is good; an L1C, which says nothing of clouds, wherever it has data.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eo.errors import CorruptData, InvalidInput, NothingFound
from training.atmospheric_correction import rows, stations
from training.atmospheric_correction.metrics import Errors
from training.atmospheric_correction.regions import Mean, Product, Region, found
from training.atmospheric_correction.stations import Measurement
from training.command import command


@dataclass(frozen=True)
class Match:
    """A product and a station at one time."""

    measurement: Measurement
    product: Product
    quantity: str
    mean: Mean

    @property
    def hours(self) -> float:
        """From the measurement to the product."""
        return _hours(self.measurement, self.product)

    def row(self) -> rows.Row:
        """What the table of matches says."""
        truth = self.measurement.values[self.quantity]
        return {
            "station": self.measurement.station,
            "datetime": self.measurement.time.isoformat(),
            "product": self.product.name,
            "corrector": self.product.kind,
            "quantity": self.quantity,
            "measured": truth,
            "uncertainty": self.measurement.uncertainties.get(self.quantity, math.nan),
            "found": self.mean.value,
            "difference": self.mean.value - truth,
            "pixels": self.mean.n,
            "good": self.mean.share,
            "hours": self.hours,
        }


def match(
    measurements: Sequence[Measurement],
    products: Sequence[Product],
    *,
    size: float,
    hours: float,
    good: float,
) -> tuple[list[Match], list[str]]:
    """(matches, a line for each product that turned out to be damaged).

    `size` are metres, `hours` the largest time between both, `good` the smallest share of good pixels of a region. Each
    product meets a measurement of a station at most once for each quantity: the nearest in time that has it.
    """
    by_station: dict[tuple[str, float, float], list[Measurement]] = defaultdict(list)
    for each in measurements:
        by_station[each.station, each.lon, each.lat].append(each)
    matches, reports = [], []
    for product in products:
        try:
            for (_, lon, lat), own in by_station.items():
                near = [each for each in own if abs(_hours(each, product)) <= hours]
                for quantity in dict.fromkeys(name for each in near for name in each.values):
                    best = min(
                        (each for each in near if quantity in each.values), key=lambda each: abs(_hours(each, product))
                    )
                    mean = product.mean(quantity, Region(lon, lat, size))
                    if mean is not None and mean.share >= good:
                        matches.append(Match(best, product, quantity, mean))
        except (CorruptData, OSError) as error:
            reports.append(f"{product.name}: {error}")
    return matches, reports


def table(matches: Sequence[Match]) -> list[rows.Row]:
    """Errors by corrector and quantity; AOT has no share within, which is a limit for reflectances."""
    groups: dict[tuple[str, str], list[Match]] = defaultdict(list)
    for each in matches:
        groups[each.product.kind, each.quantity].append(each)
    made: list[rows.Row] = []
    for (kind, quantity), own in sorted(groups.items(), key=lambda item: item[0]):
        errors = Errors()
        truth = np.array([each.measurement.values[quantity] for each in own])
        errors.add(np.array([each.mean.value for each in own]), truth)
        row = errors.row()
        if quantity == stations.AOT:
            row["within"] = math.nan
        made.append({"corrector": kind, "quantity": quantity, **row})
    return made


def _hours(measurement: Measurement, product: Product) -> float:
    return (product.time - measurement.time).total_seconds() / 3600


@command
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is that of `eo-shards` for the same failure."""
    parser = argparse.ArgumentParser(
        prog="python -m training.atmospheric_correction.matchup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", type=Path, required=True, help="CSV of measurements")
    parser.add_argument("--products", type=Path, required=True, help="folder of .SAFE products and results")
    parser.add_argument("--size", type=float, default=900, help="metres along the square around a station (900)")
    parser.add_argument("--hours", type=float, default=1, help="largest time between both (1)")
    parser.add_argument("--good", type=float, default=0.5, help="smallest share of good pixels (0.5)")
    parser.add_argument("--out", type=Path, help="CSV of the table; <name>_matches.csv beside it lists the matches")
    told = parser.parse_args(arguments)
    if not (0 < told.size <= 20_000 and told.hours >= 0 and 0 <= told.good <= 1):
        raise InvalidInput(
            f"--size {told.size:g}, --hours {told.hours:g}, --good {told.good:g}: they must be within 0 to 20000 (not 0), "
            "from 0, and within 0 to 1; change them"
        )
    measurements = stations.read(told.table)
    quantities = list(dict.fromkeys(name for each in measurements for name in each.values))
    products, reports = found(told.products, quantities)
    matches, broken = match(measurements, products, size=told.size, hours=told.hours, good=told.good)
    for line in [*reports, *broken]:
        print(f"note: {line}", file=sys.stderr)
    if not matches:
        raise NothingFound(
            f"0 matches of {len(measurements)} measurements and {len(products)} products, at least 1 is needed: within "
            f"{told.hours:g} hours, with {told.good:.0%} good pixels of {told.size:g} m; give other products, or allow "
            "more by --hours and --good"
        )
    made = table(matches)
    rows.show(f"{len(matches)} matches, found minus measured", made)
    if told.out is not None:
        rows.save(told.out, made)
        rows.save(told.out.with_name(f"{told.out.stem}_matches.csv"), [each.row() for each in matches])
    return 0


if __name__ == "__main__":
    sys.exit(main())
