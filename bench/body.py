"""PLY bodies from arrays in memory: how many points a second one core makes."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data import scene
from bench.table import Row
from eo.grid import Window
from eo.job import Unit
from eo.ply import encode
from eo.settings import Settings
from eo.unit_io import Left
from plan.planner import make_plan
from point_cloud.drape import drape
from registry import process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from eo.job import Plan

EDGE = 2048
REPEATS = 7


def rows() -> list[Row]:
    """One row for each way to make a body."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        target = Path(folder) / "body"
        io = _Memory(_plan(), target)
        unit = Unit(id="r00000c00000", window=io.window)
        stage = _seconds(lambda: drape(unit, None, io))  # type: ignore[arg-type]
        vertices = np.frombuffer(target.read_bytes(), np.uint8)
        plain = _seconds(lambda: vertices.tofile(target))
        points = EDGE * EDGE
        assert vertices.size == 15 * points
        x, y, z = (np.full(points, value, np.float32) for value in (1, 2, 3))
        colour = np.full(points, 9, np.uint8)
        alone = _seconds(lambda: encode(x, y, z, (colour, colour, colour), "local"))
    return [
        Row(
            "PLY body from arrays, fraction 1 (the whole drape stage)", points / stage / 1e6, "Mpoints/s", 20, "higher"
        ),
        Row("PLY body from arrays: CPU as a multiple of NumPy tofile of its bytes", stage / plain, "x"),
        Row("eo.ply.encode alone", points / alone / 1e6, "Mpoints/s", better="higher"),
    ]


def _seconds(work: Callable[[], object]) -> float:
    """Median CPU seconds."""
    taken = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def _plan() -> Plan:
    """The plan of a whole shard at fraction 1."""
    known = scene(EDGE)
    point_cloud = process("point-cloud")
    inputs = point_cloud.Inputs.model_validate(
        {
            "bbox": ",".join(map(str, known.bbox)),
            "source": "local",
            "catalog": str(known.catalog),
            "dem": "local",
            "dem_path": str(known.dem),
            "sampled_fraction": 1,
        }
    )
    with tempfile.TemporaryDirectory() as home:
        settings = Settings.from_environment({"EO_SHARDS_HOME": home})
        return make_plan(point_cloud, inputs, job="bench", settings=settings).plan


class _Memory:
    """A unit's io and cube, over arrays in memory; bodies go to one file."""

    def __init__(self, plan: Plan, target: Path) -> None:
        self.plan = plan
        self.cube = self
        self.left = Left()
        self.window = Window(plan.lattice[0], plan.lattice[1], EDGE, EDGE)
        self._target = target
        draw = np.random.default_rng(1)
        self._arrays: dict[str, NDArray[Any]] = {
            band: draw.integers(1, 5000, self.window.shape, np.uint16) for band in plan.radiometry
        }
        self._arrays["valid"] = np.ones(self.window.shape, np.uint8)
        self._arrays["elevation"] = draw.uniform(0, 3000, self.window.shape).astype(np.float32)

    def has(self, variable: str) -> bool:
        return variable in self._arrays

    def read_target(self, variable: str, _window: Window, _outside: float = 0) -> NDArray[Any]:
        return self._arrays[variable]

    def put(self, role: str, pieces: Iterable[memoryview]) -> None:
        path = self._target if role == "body" else Path(os.devnull)
        with path.open("wb", buffering=0) as file:
            for piece in pieces:
                file.write(piece)
