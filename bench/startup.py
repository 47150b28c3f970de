"""What the interpreters of a job cost before they do anything for it: `python -m bench.startup WORKERS`.

The same processes as a job of the local engine has (command, resource tracker, fork server, workers), importing the
same modules, ending without work.
"""

from __future__ import annotations

import importlib
import sys
import time

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
    from eo.workers import Workers  # noqa: PLC0415

    count = int(sys.argv[1])
    with Workers(count, memory=1 << 40) as workers:
        workers.warm([*PRELOADED, "fetch.blocks", "fetch.align", "point_cloud.drape"])
        # Long enough for every worker to be started for one of them.
        list(workers.run(work, {str(number): (0.5,) for number in range(count)}))


if __name__ == "__main__":
    main()
