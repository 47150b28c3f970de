"""Convert a folder of BigEarthNet to Zarr, for fast reading of single patches in any order.

    python -m training.land_cover.data.convert --from BIGEARTHNET --to STORE

The folder is that of v2 (metadata.parquet beside BigEarthNet-S2) or of v1. All bands are brought to 10 m once, by
--resampling. The store appears under its name when it is whole; what an interrupted conversion leaves is `.STORE.part`,
which the next one removes. A place that is in two splits is told of.
"""

import argparse
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import zarr
from numpy.typing import NDArray

from eo.errors import InvalidInput
from training.command import command
from training.land_cover.bands import ALL
from training.land_cover.data import archive
from training.land_cover.data.geography import Footprints, warning
from training.land_cover.data.geotiff import footprint, read_dn
from training.land_cover.data.index import Index, indexed
from training.land_cover.data.patches import SPLITS, Resampling
from training.parallel import mapped


class Converted(NamedTuple):
    """What a conversion made."""

    counts: dict[str, int]
    """Patches by split."""
    warning: str | None
    """What is wrong with the splits, which are the data set's own."""


class _Piece(NamedTuple):
    """The patches of one file of the store, which one worker writes."""

    split: str
    start: int
    folders: list[Path]


def convert(
    folder: Path, store: Path, resampling: Resampling = "nearest", *, workers: int = 1, quiet: bool = True
) -> Converted:
    """Convert a folder.

    Raises InvalidInput where the store exists or the folder is none of BigEarthNet; CorruptData, naming the file, where
    one is missing or cannot be read.
    """
    if store.exists():
        raise InvalidInput(f"{store} exists: remove it or give another name")
    index = indexed(folder)
    part = store.with_name(f".{store.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    root = zarr.create_group(part)
    own = {split: index.only(split) for split in SPLITS if (index.splits == split).any()}
    for split, patches in own.items():
        _prepare(root.create_group(split), patches)
    corners = _all_written(part, own, resampling, workers, quiet=quiet)
    for split, found in corners.items():
        root[split].create_array("footprints", data=found)
    root.attrs.update(archive.attributes(resampling, synthetic=index.synthetic))
    part.rename(store)
    told = warning(
        Footprints(np.concatenate(list(corners.values()))),
        [split for split, patches in own.items() for _ in patches.names],
        [name for patches in own.values() for name in patches.names],
    )
    return Converted({split: len(patches.names) for split, patches in own.items()}, told)


def _prepare(group: zarr.Group, patches: Index) -> None:
    archive.create(group, len(patches.names))
    group.create_array("labels", data=patches.labels)
    group.create_array("names", data=archive.as_bytes(patches.names))
    group.create_array("countries", data=archive.as_bytes(patches.countries))


def _all_written(
    part: Path, own: dict[str, Index], resampling: Resampling, workers: int, *, quiet: bool
) -> dict[str, NDArray[np.int64]]:
    """Write the pixels of all patches; gives their footprints by split, (patches, 5)."""
    pieces = [
        _Piece(split, start, patches.folders[start : start + archive.SHARD])
        for split, patches in own.items()
        for start in range(0, len(patches.names), archive.SHARD)
    ]
    write = partial(_write, part, resampling)
    found = mapped(write, pieces, workers=workers, what="files", quiet=quiet)
    return {
        split: np.concatenate([each for piece, each in zip(pieces, found, strict=True) if piece.split == split])
        for split in own
    }


def _write(part: Path, resampling: Resampling, piece: _Piece) -> NDArray[np.int64]:
    """Write the pixels of a file of the store; gives the patches' footprints."""
    # A patch without data has a chunk like any other: one that is missing is taken for a damaged store.
    with zarr.config.set({"array.write_empty_chunks": True}):
        pixels = zarr.open_group(part, mode="r+")[piece.split]["dn"]
        pixels[piece.start : piece.start + len(piece.folders)] = np.stack(
            [read_dn(folder, ALL, resampling) for folder in piece.folders]
        )
    return np.array([footprint(folder) for folder in piece.folders], np.int64)


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover.data.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--from", dest="folder", type=Path, required=True, help="folder of BigEarthNet v2 or v1")
    parser.add_argument("--to", dest="store", type=Path, required=True, help="the store, which must not exist")
    parser.add_argument("--resampling", choices=get_args(Resampling), default="nearest", help="default nearest")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default one for each core")
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error(f"--workers: {given.workers} are too few, at least 1 is needed")
    made = convert(given.folder, given.store, given.resampling, workers=given.workers, quiet=False)
    print(f"{given.store}: " + ", ".join(f"{count} patches for {split}" for split, count in made.counts.items()))
    if made.warning:
        print(f"warning: {made.warning}", file=sys.stderr)
    print("How much faster it is read than the folder: python -m bench.land_cover_loading FOLDER STORE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
