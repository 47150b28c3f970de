"""What is unavoidable: decoding every JPEG 2000 tile once, in a process that does nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.meter import python

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_IMPORTS = "import sys\nimport numpy, rasterio\nfrom rasterio.windows import Window\n"
# One thread and a cache of some tiles, as the job decodes too.
_DECODE = (
    _IMPORTS
    + """
with rasterio.Env(GDAL_NUM_THREADS="1", GDAL_CACHEMAX=64_000_000):
    for path in sys.argv[1:]:
        with rasterio.open(path) as file:
            for row in range(0, file.height, 1024):
                for col in range(0, file.width, 1024):
                    size = min(1024, file.width - col), min(1024, file.height - row)
                    file.read(1, window=Window(col, row, *size))
"""
)


def decode_cpu(paths: Sequence[Path], *, repeats: int = 3) -> tuple[float, float]:
    """(CPU seconds of decoding each tile of these files once, start-up left out; that start-up): medians."""
    import statistics  # noqa: PLC0415

    start = statistics.median(python(_IMPORTS).cpu for _ in range(3))
    runs = [python(_DECODE, *map(str, paths)).cpu - start for _ in range(repeats)]
    return statistics.median(runs), start
