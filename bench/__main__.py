"""Run the benchmarks: `python -m bench [GROUP ...]`, all groups by default."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import body, bundle, cold_import, copc, fan_in, invoke, job, page, peer, table, users

if TYPE_CHECKING:
    from collections.abc import Callable

GROUPS: dict[str, Callable[[], list[table.Row]]] = {
    "body": body.rows,
    "copc": copc.rows,
    "page": page.rows,
    "job": job.decode_rows,
    "memory": job.memory_rows,
    "peer": peer.rows,
    "growth": job.growth_rows,
    "plan": users.rows,
    "bundle": bundle.rows,
    "fan-in": fan_in.rows,
    "cold": cold_import.rows,
    "invoke": invoke.rows,
}
RESULTS = Path(__file__).with_name("results.json")


def main() -> None:
    """Measure, print, write. A missed bar is printed; only a benchmark that crashes makes this fail."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"of {', '.join(GROUPS)}; default all, which writes {RESULTS.name}")
    chosen = parser.parse_args().groups
    unknown = set(chosen) - set(GROUPS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(GROUPS)}")
    rows: list[table.Row] = []
    for name, measure in GROUPS.items():
        if not chosen or name in chosen:
            started = time.perf_counter()
            rows += measure()
            print(f"{name}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    table.show(rows)
    if not chosen:
        table.write(rows, RESULTS)


if __name__ == "__main__":
    main()
