"""What a data set is like, in tables and pictures: class counts, co-occurrence, places, examples, bands.

python -m training.land_cover.report --data FOLDER --out FOLDER
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eo.errors import InvalidInput
from eo.pictures import Picture, png
from land_cover.labels import CLASSES
from training.command import command
from training.land_cover import report_pictures as pictures
from training.land_cover.bands import ALL, chosen
from training.land_cover.data.geography import Footprints, shared_places
from training.land_cover.data.patches import SPLITS, PlacedPatches, Resampling, Split, opened
from training.land_cover.data.statistics import BRIGHTEST, BandStatistics, band_statistics, cooccurrence, frequencies

SAMPLE = 256
"""Training patches whose pixels are counted, evenly over the split."""
COLOURS = ("B04", "B03", "B02")
WHITE = 98.0
"""Percentile of a patch's visible bands that is drawn white, since ground of 0.02 and of 0.3 is to be seen."""
FILES = ("class_counts.png", "cooccurrence.png", "patch_map.png", "examples.png", "histograms.png")


def report(folder: Path, out: Path, bands: tuple[str, ...] = ALL, resampling: Resampling = "nearest") -> Path:
    """Write `report.md` and its pictures; gives the former's path.

    Splits that the data set does not have are left out. Raises InvalidInput where it has none, CorruptData, naming the
    file, where a patch cannot be read.
    """
    sets = _sets(folder, bands, resampling)
    first = next(iter(sets.values()))
    places = {split: patches.footprints() for split, patches in sets.items()}
    corners = np.concatenate([place.corners for place in places.values()])
    of = [split for split, patches in sets.items() for _ in range(len(patches))]
    shared = len(shared_places(Footprints(corners), of))
    seen = band_statistics(first, SAMPLE)
    counts = {split: patches.labels.sum(0, dtype=np.int64) for split, patches in sets.items()}
    totals: dict[str, int] = {split: len(patches) for split, patches in sets.items()}
    pairs = cooccurrence(first.labels)
    facts = [f"mean {mean:.4f}, deviation {std:.4f}" for mean, std in zip(seen.mean, seen.std, strict=True)]
    drawn = (
        pictures.class_counts(counts, totals),
        pictures.cooccurrence(pairs),
        pictures.patch_map({split: place.in_europe().mean(1) for split, place in places.items()}),
        pictures.examples(_examples(folder, sets, resampling)),
        pictures.histograms(bands, seen.histogram, BRIGHTEST, facts),
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, picture in zip(FILES, drawn, strict=True):
        (out / name).write_bytes(png(pictures.marked(picture) if first.synthetic else picture))
    path = out / "report.md"
    path.write_text(_text(folder, sets, shared, seen, bands), "utf-8")
    return path


def _sets(folder: Path, bands: tuple[str, ...], resampling: Resampling) -> dict[Split, PlacedPatches]:
    sets: dict[Split, PlacedPatches] = {}
    missing: list[InvalidInput] = []
    for split in SPLITS:
        try:
            sets[split] = opened(folder, split, bands, resampling)
        except InvalidInput as error:
            missing.append(error)
    if not sets:
        raise missing[0]
    return sets


def _examples(
    folder: Path, sets: dict[Split, PlacedPatches], resampling: Resampling
) -> list[tuple[str, Picture | None]]:
    """For each class the first patch among those that have the fewest others.

    Of training only where no other split has it: there the generated data set has wrong labels.
    """
    order: tuple[Split, ...] = ("validation", "test", "train")
    shown = [opened(folder, split, tuple(sorted(COLOURS)), resampling) for split in order if split in sets]
    found: list[tuple[str, Picture | None]] = []
    for number, name in enumerate(CLASSES):
        patches = next((each for each in shown if each.labels[:, number].any()), None)
        if patches is None:
            found.append((name, None))
        else:
            have = np.flatnonzero(patches.labels[:, number])
            best = int(have[patches.labels[have].sum(1).argmin()])
            found.append((name, true_colour(patches.read(best)[::-1])))
    return found


def true_colour(reflectance: NDArray[np.float32]) -> Picture:
    """(rows, columns, 3) of (B04, B03, B02), stretched from 0 to the patch's own brightest."""
    white = max(float(np.percentile(reflectance, WHITE)), 1e-3)
    return (np.clip(reflectance / white, 0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def _text(
    folder: Path, sets: dict[Split, PlacedPatches], shared: int, seen: BandStatistics, bands: tuple[str, ...]
) -> str:
    first = next(iter(sets.values()))
    countries = sorted({country for patches in sets.values() for country in patches.countries if country})
    told = [
        f"# {folder.name}",
        "",
        *(
            ["The patches are **generated**: what is trained on them knows nothing of real ground.", ""]
            * first.synthetic
        ),
        ", ".join(f"{len(patches):,} patches for {split}" for split, patches in sets.items())
        + (f", from {', '.join(countries)}." if countries else "."),
        f"Pairs of patches of different splits that show the same ground: {shared}.",
        f"Labels of a patch: {first.labels.sum(1).mean():.2f} on average ({first.split}).",
        "",
        "| class | " + " | ".join(sets) + " |",
        "|---|" + "---:|" * len(sets),
    ]
    shares = {split: frequencies(patches.labels) for split, patches in sets.items()}
    for number, name in enumerate(CLASSES):
        cells = (
            f"{patches.labels[:, number].sum(dtype=int):,} ({shares[split][number]:.1%})"
            for split, patches in sets.items()
        )
        told.append(f"| {name} | " + " | ".join(cells) + " |")
    told += [
        "",
        f"Reflectance of {seen.patches} patches of {first.split}:",
        "",
        "| band | mean | deviation |",
        "|---|---:|---:|",
        *(f"| {band} | {m:.4f} | {s:.4f} |" for band, m, s in zip(bands, seen.mean, seen.std, strict=True)),
        "",
        *(f"![{name.removesuffix('.png').replace('_', ' ')}]({name})\n" for name in FILES),
    ]
    return "\n".join(told)


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="BigEarthNet v2 or v1, or converted to Zarr")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--bands", default="12", help="7, 10, 11, 12 or names with commas between them; default 12")
    parser.add_argument("--resampling", choices=["nearest", "bilinear", "bicubic"], default="nearest")
    given = parser.parse_args(arguments)
    path = report(given.data, given.out, chosen(given.bands), given.resampling)
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
