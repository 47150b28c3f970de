"""The correctors side by side on the test sets: `python -m bench.correction [--count N] [--workers N]`.

Tables by set: bias, std, rms, p95, SSIM and the share within 0.005 + 0.05 rho, over B02 to B04, by band and by AOT; the
bars of the correction; `bench/correction.json`. Needs the training environment.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench import correction_cards, table
from bench.correctors import BANDS, results, told_the_truth
from training.atmospheric_correction import testset
from training.atmospheric_correction.metrics import Errors, ssim

if TYPE_CHECKING:
    from collections.abc import Iterator

VISIBLE = ("B02", "B03", "B04")
THIN = 0.3
"""AOT below which a scene counts as clear."""
WHOLE, NEAR = 500, 200
"""Scenes of each large set, and with adjacency, of a run that is written."""
SSIM_RANGE = 0.5
"""Range of reflectance that SSIM's constants stand for."""
PARTS = ("all", "AOT < 0.3", "AOT >= 0.3")


@dataclass
class Tally:
    """What a row has gathered."""

    errors: dict[tuple[str, str], Errors] = field(default_factory=lambda: defaultdict(Errors))
    """By (part, band); band "" is all visible ones."""
    similar: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """SSIM of each scene, by part."""
    inside: int = 0
    """Errors within one sigma."""
    counted: int = 0

    def merge(self, other: Tally) -> None:
        for key, errors in other.errors.items():
            self.errors[key].merge(errors)
        for part, values in other.similar.items():
            self.similar[part] += values
        self.inside += other.inside
        self.counted += other.counted


def measured(name: str, adjacency: bool, count: int) -> dict[str, Tally]:
    """Tallies of a set's first scenes, by row."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    for case in testset.cases(name, adjacency=adjacency, count=count):
        done: dict[str, dict[str, np.ndarray]] = {}
        for row, made in results(case, adjacency=adjacency):
            if row.startswith("sigma of "):
                of = row.removeprefix("sigma of ")
                _cover(tallies[of], done.get(of) or done[f"{of}, adjacency corrected"], made, case)
            else:
                done[row] = made
                _compare(tallies[row], made, case)
        for band, errors in told_the_truth(case).items() if not adjacency else ():
            for key in ("", band) if band in VISIBLE else (band,):
                tallies["table told the truth"].errors["all", key].add(errors, np.zeros_like(errors))
    return dict(tallies)


def _compare(tally: Tally, made: dict[str, np.ndarray], case: testset.Case) -> None:
    """Add a scene to a row."""
    parts = (PARTS[0], PARTS[1] if case.atmosphere.aot < THIN else PARTS[2])
    compared, truth = case.compared, case.scene.truth
    for part in parts:
        for band, found in made.items():
            for key in ("", band) if band in VISIBLE else (band,):
                tally.errors[part, key].add(found, truth[band], compared)
    alike = [ssim(made[band], truth[band], compared, data_range=SSIM_RANGE) for band in VISIBLE]
    if not any(map(math.isnan, alike)):
        for part in parts:
            tally.similar[part].append(float(np.mean(alike)))


def _cover(tally: Tally, made: dict[str, np.ndarray], sigma: dict[str, np.ndarray], case: testset.Case) -> None:
    """Count the errors that lie within one sigma."""
    for band in VISIBLE:
        error = abs(made[band] - case.scene.truth[band])[case.compared]
        tally.inside += int((error <= sigma[band][case.compared]).sum())
        tally.counted += error.size


def show(title: str, total: dict[str, Tally]) -> None:
    """Print a set's table."""
    heads = f"{'bias':>8} {'std':>7} {'rms':>7} {'p95':>7} {'SSIM':>6} {'within':>7} {'rms<.3':>7} {'rms>.3':>7}"
    print(f"\n{title}\n{'':46} {heads}   rms B02     B03     B04     B08")
    for row, tally in total.items():
        if not tally.errors:  # with adjacency a corrector has two rows, and its sigma one of its own
            print(f"{row:46} {tally.inside / tally.counted:.3f} of the errors within one sigma")
            continue
        found = tally.errors["all", ""].row()
        parts = [tally.errors[part, ""].row()["rms"] for part in PARTS[1:]]
        bands = [tally.errors["all", band].row()["rms"] for band in BANDS]
        alike = np.mean(tally.similar["all"]) if tally.similar["all"] else math.nan
        errors = " ".join(f"{found[name]:7.4f}" for name in ("bias", "std", "rms", "p95"))
        numbers = f" {errors} {alike:6.3f} {found['within']:7.3f}"
        print(f"{row:46} {numbers} {parts[0]:7.4f} {parts[1]:7.4f}   " + " ".join(f"{each:7.4f}" for each in bands))
        if tally.counted:
            print(f"{'':46} {tally.inside / tally.counted:.3f} of the errors within one sigma")


BARS = {
    ("seen, no adjacency", "field", "all"): 0.008,
    ("seen, no adjacency", "field", "AOT < 0.3"): 0.006,
    ("unseen, no adjacency", "field", "all"): 0.010,
    **{(f"{name}, no adjacency", "table told the truth", "all"): 0.003 for name in testset.SETS},
}
"""Of the root-mean-square error over the visible bands."""


def _of(name: str, row: str, tally: Tally) -> Iterator[table.Row]:
    """A row of a set, number by number."""
    for (part, band), errors in sorted(tally.errors.items()):
        found = errors.row()
        bar = None if band else BARS.get((name, row, part))
        for metric in ("bias", "std", "rms", "p95", "within") if found["n"] else ():
            unit = "share" if metric == "within" else "reflectance"
            said = f"{name}: {row}, {part}, {band or 'B02 to B04'}: {metric}"
            yield table.Row(said, found[metric], unit, bar if metric == "rms" else None)
    for part, values in tally.similar.items():
        yield table.Row(f"{name}: {row}, {part}: SSIM", float(np.mean(values)), "1")
    if tally.counted:
        yield table.Row(f"{name}: {row}: errors within one sigma", tally.inside / tally.counted, "share")


def rows(totals: dict[str, dict[str, Tally]]) -> Iterator[table.Row]:
    """Every number as a row of results, with the bars."""
    for name, total in totals.items():
        for row, tally in total.items():
            yield from _of(name, row, tally)
    unseen = totals.get("unseen, no adjacency", {})
    if {"field", "physics, dark pixels"} <= unseen.keys():
        thin = "AOT < 0.3"
        ratio = (
            unseen["field"].errors[thin, ""].row()["rms"] / unseen["physics, dark pixels"].errors[thin, ""].row()["rms"]
        )
        yield table.Row("unseen, AOT < 0.3: rms of field over that of physics with dark pixels", ratio, "x", 1.0)
    near = totals.get("seen, with adjacency", {})
    if "field, adjacency corrected" in near:
        ratio = (
            near["field, adjacency corrected"].errors["all", ""].row()["rms"]
            / near["field, adjacency left in"].errors["all", ""].row()["rms"]
        )
        yield table.Row("adjacency simulated: rms of field with its correction over that without", ratio, "x", 1.0)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        prog="bench.correction", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=int, default=WHOLE, help=f"scenes of each large set, at most ({WHOLE}); fewer are not written"
    )
    parser.add_argument(
        "--adjacency", type=int, default=NEAR, help=f"scenes with adjacency ({NEAR}), 0 for none; fewer are not written"
    )
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    for name, least in (("count", 1), ("adjacency", 0), ("workers", 1)):
        if vars(given)[name] < least:
            parser.error(f"--{name}: {vars(given)[name]} is too little, give at least {least}")
    tasks = {f"{name}, no adjacency": (name, False, given.count) for name in testset.SETS}
    if given.adjacency:
        tasks["seen, with adjacency"] = ("seen", True, given.adjacency)
    totals = {}
    with ProcessPoolExecutor(given.workers) as pool:
        running = {title: pool.submit(measured, *task) for title, task in tasks.items()}
        for title, future in running.items():
            totals[title] = future.result()
            show(title, totals[title])
    found = list(rows(totals))
    table.show([row for row in found if row.bar is not None])
    if given.count >= WHOLE and given.adjacency >= NEAR:
        table.write(found, correction_cards.RESULTS)
        correction_cards.tell()


if __name__ == "__main__":
    main()
