"""What the interpreters of a job cost before they do anything for it: `python -m bench.startup WORKERS`.

The same processes as a job of the local engine has (command, resource tracker, fork server, workers), importing the
same modules, ending without work.
"""

from __future__ import annotations

import importlib
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor

COMMAND = (
    *("cli.main", "point_cloud.process", "plan.planner", "rasterio", "rasterio.windows", "zarr", "pyproj", "shapely"),
    *("point_cloud.result", "point_cloud.drape", "PIL.Image", "PIL.PngImagePlugin"),
)
"""What the command has imported when a job ends: some of it late, for it is not always needed."""
WORKER = ("eo.runner", "fetch.blocks", "fetch.align", "point_cloud.drape", "rasterio.windows", "zarr.storage")


def work(seconds: float) -> None:
    for name in WORKER:
        importlib.import_module(name)
    time.sleep(seconds)


def main() -> None:
    for name in COMMAND:
        importlib.import_module(name)
    from eo.engine import PRELOADED  # noqa: PLC0415

    workers = int(sys.argv[1])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        # Long enough for every worker to be started for one of them.
        list(pool.map(work, [0.5] * workers))


if __name__ == "__main__":
    main()
