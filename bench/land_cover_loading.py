"""How fast single patches are read in random order: as distributed, a GeoTIFF for each band, and from Zarr.

python -m bench.land_cover_loading FOLDER STORE      a folder of BigEarthNet and the store converted from it
python -m bench.land_cover_loading                   generated patches, made for this
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench import table
from training.land_cover.bands import BANDS
from training.land_cover.data.convert import convert
from training.land_cover.data.patches import opened
from training.land_cover.synthetic.plan import Params
from training.land_cover.synthetic.write import write

if TYPE_CHECKING:
    from training.land_cover.data.patches import PatchSet, Resampling

READ, ROUNDS = 300, 3
BAR = 5.0
"""Times as many patches from Zarr, by CPU seconds."""


def rows() -> list[table.Row]:
    """Rows of generated patches, in a folder that is removed."""
    with tempfile.TemporaryDirectory() as place:
        folder, store = Path(place, "tiff"), Path(place, "zarr")
        write(folder, Params(patches=READ))
        convert(folder, store)
        return measured(folder, store)


def measured(folder: Path, store: Path, resampling: Resampling = "nearest") -> list[table.Row]:
    """Patches per CPU second of both, with 10 bands, and their ratio."""
    bands = BANDS[10]
    sets = [opened(place, "train", bands, resampling) for place in (folder, store)]
    order = np.random.default_rng(1).permutation(len(sets[0]))[:READ].tolist()
    spent = np.array([[_seconds(patches, order) for patches in sets] for _ in range(ROUNDS)]).min(0) / len(order)
    return [
        table.Row("patches read in random order, GeoTIFF, 10 bands", 1 / spent[0], "per CPU s", better="higher"),
        table.Row("patches read in random order, Zarr, 10 bands", 1 / spent[1], "per CPU s", better="higher"),
        table.Row("Zarr beside GeoTIFF", spent[0] / spent[1], "times", BAR, "higher"),
    ]


def _seconds(patches: PatchSet, order: list[int]) -> float:
    """CPU seconds of all threads; files are in the page cache after the first round."""
    started = time.process_time()
    for index in order:
        patches.read(index)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.land_cover_loading", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("store", nargs="?", type=Path)
    given = parser.parse_args()
    if (given.folder is None) != (given.store is None):
        parser.error("give both the folder and the store that was converted from it, or neither")
    table.show(rows() if given.folder is None else measured(given.folder, given.store))


if __name__ == "__main__":
    main()
