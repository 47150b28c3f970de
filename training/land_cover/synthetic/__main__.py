"""Make the generated data set; see the package.

python -m training.land_cover.synthetic --out FOLDER [--patches N]
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from training.command import command
from training.land_cover.synthetic.frozen import PLAN
from training.land_cover.synthetic.plan import Params, digest
from training.land_cover.synthetic.write import write


@command
def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    frozen = Params()
    parser = argparse.ArgumentParser(
        prog="python -m training.land_cover.synthetic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder, empty or not there yet")
    parser.add_argument("--patches", type=int, default=frozen.patches, help=f"default {frozen.patches}, the frozen set")
    parser.add_argument("--seed", type=int, default=frozen.seed, help=f"default {frozen.seed}, the frozen set")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes; default one for each core")
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error(f"--workers: {given.workers} are too few, at least 1 is needed")
    params = replace(frozen, patches=given.patches, seed=given.seed)
    rows = write(given.out, params, workers=given.workers, quiet=False)
    found = digest(params)
    kind = "the frozen data set" if found == PLAN else "not the frozen data set"
    print(f"{given.out}: {len(rows)} patches, {kind} (sha256 of the plan {found})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
