"""What a cold start imports: each handler from the built bundle, by the runtime's own Python, with its byte code."""

from __future__ import annotations

import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from bench.data import ROOT
from bench.table import Row

if TYPE_CHECKING:
    from aws.infra.built import Function

RUNS = 5
PROGRAM = """
import sys, time
sys.path[:0] = sys.argv[2:]
started = time.perf_counter()
__import__(sys.argv[1])
print(1000 * (time.perf_counter() - started))
"""
NO_BYTE_CODE = "pycache_prefix=/nowhere"


def rows() -> list[Row]:
    """Milliseconds by handler, median of five, from files that the kernel has in memory; none without the SAM environment."""
    from aws.infra.built import Unavailable, built, python313  # noqa: PLC0415 - only where this group is asked for

    try:
        functions, python = built(), python313()
    except Unavailable as reason:
        print(f"cold imports are left out: {reason}", file=sys.stderr)
        return []
    made = [Row(f"cold import, {name}", _import(python, found), "ms") for name, found in sorted(functions.items())]
    slowest = max(
        functions.values(), key=lambda found: next(row.value for row in made if row.name.endswith(f" {found.name}"))
    )
    without = _import(python, slowest, "-X", NO_BYTE_CODE)
    return [*made, Row(f"cold import without byte code, {slowest.name}", without, "ms")]


def _import(python: str, function: Function, *options: str) -> float:
    module = function.handler.rpartition(".")[0]
    environment = {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "EO_SHARDS_BUCKET": "data-bucket",
    }
    command = [python, "-I", "-S", "-B", *options, "-c", PROGRAM, module, *function.paths]
    runs = [
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(RUNS + 1)
    ]
    return statistics.median(map(float, runs[1:]))  # the first reads the files


if __name__ == "__main__":
    from bench import table

    table.show(rows())
