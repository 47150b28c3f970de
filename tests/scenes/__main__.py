"""Write the demo scene: `python -m scenes --out DIR [--size N]` prints one line of JSON saying what is where."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from scenes.demo import write_demo


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="scenes", description="Write the demo scene.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--size", type=int, default=2048, help="pixels per side of each tile (default 2048)")
    arguments = parser.parse_args()
    demo = write_demo(arguments.out, size=arguments.size)
    sys.stdout.write(json.dumps(demo.summary()) + "\n")


if __name__ == "__main__":
    main()
