"""What judging patches costs, cube to labels, with a ResNet-26 that nobody has trained: `python -m bench.land_cover_speed`.

In 8 bits, as the model of this repository is published, and in float32.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import psutil
import torch

from bench import table
from eo.engine import LocalEngine
from eo.folder_store import FolderStore
from eo.model import FOLDER, Model
from eo.runner import run_unit
from eo.settings import Settings
from land_cover import judge
from land_cover.labels import CLASSES
from land_cover.process import LandCover
from plan.planner import make_plan
from training.land_cover.bands import BANDS, EDGE
from training.land_cover.calibration import unchanged
from training.land_cover.net import LandCoverNet, Published
from training.publish.eight_bits import quantised
from training.publish.network import export

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from l2a import Tile, order
from small_land_cover import card, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from eo.card import Precision

ARCHITECTURE, NAME = "resnet26", "land-cover-resnet26"
PIECE = 28_800
"""Metres along the scene: 24 x 24 patches."""
BAR = 80.0
"""Patches of a CPU second of the whole function."""


class Clock(Counter[str]):
    """CPU seconds by what they went into."""

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose seconds are counted."""

        def counted(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            started = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                self[name] += time.process_time() - started  # type: ignore[assignment]

        return counted


def model(folder: Path, precision: Precision) -> None:
    """Write an untrained net of ten bands, whose card says nothing that was measured."""
    torch.manual_seed(0)
    bands = BANDS[10]
    net = LandCoverNet(ARCHITECTURE, bands)
    net.start([torch.rand(4, len(bands), EDGE, EDGE)])
    example = {"patches": torch.rand(2, len(bands), EDGE, EDGE)}
    drafted, _ = card(NAME, bands=bands, network=b"none yet")
    network = export(Published(net, unchanged(len(CLASSES))), example, drafted)
    if precision == "int8":
        network = quantised(network, [example])
    publish(folder, NAME, bands=bands, network=network.SerializeToString())


def measured(home: Path) -> tuple[Clock, int]:
    """(CPU seconds by stage and within the judge stage, patches), warm."""
    Tile(size=PIECE, bands=BANDS[10]).write(home / "c")
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(home)})
    inputs = order(home, Tile(size=PIECE).box(100, 100, PIECE - 200), model=NAME)
    made = make_plan(LandCover(), inputs, job="job", settings=settings)
    store = FolderStore(home)
    LocalEngine(store, settings).start(made.plan, made.units)
    clock, patches = Clock(), 0
    with (
        patch.object(judge.Ground, "__init__", clock.timed("read", judge.Ground.__init__)),
        patch.object(Model, "run", clock.timed("network", Model.run)),
    ):
        for stage in made.plan.stages:
            # The first time loads the model, opens the cube.
            for _ in range(2 if stage.name == "judge" else 1):
                for name in ("read", "network"):
                    del clock[name]
                started, patches = time.process_time(), 0
                for unit in made.units[stage.name]:
                    part, _usage = run_unit(store, "job", stage.name, unit, 1, settings)
                    patches += part.counts.get("ok", 0)
                clock[stage.name] = time.process_time() - started  # type: ignore[assignment]
    return clock, patches


def rows() -> list[table.Row]:
    """The rows of the table."""
    return [*_rows("int8"), *_rows("float32")]


def _rows(precision: Precision) -> list[table.Row]:
    bar = BAR if precision == "int8" else None
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        model(home / "models", precision)
        os.environ[FOLDER] = str(home / "models")
        clock, patches = measured(home)
    whole = clock["judge"] + clock["align"]
    rest = clock["judge"] - clock["read"] - clock["network"]
    found = [
        table.Row("network alone (onnxruntime)", patches / clock["network"], "patches/CPU s"),
        table.Row("cube read (judge)", 1000 * clock["read"] / patches, "CPU ms/patch"),
        table.Row("gather, reflectance, normalisation (judge)", 1000 * rest / patches, "CPU ms/patch"),
        table.Row("network with its normalisation (judge)", 1000 * clock["network"] / patches, "CPU ms/patch"),
        table.Row("resampling to 10 m and masks (align)", 1000 * clock["align"] / patches, "CPU ms/patch"),
        table.Row("the function: cube to labels (judge)", patches / clock["judge"], "patches/CPU s", bar, "higher"),
        table.Row("with resampling (align and judge)", patches / whole, "patches/CPU s", bar, "higher"),
        table.Row("all but the network over the network", whole / clock["network"] - 1, "x"),
        table.Row("largest resident size", psutil.Process().memory_info().rss / 1e6, "MB"),
    ]
    return [replace(row, name=f"{precision}: {row.name}") for row in found]


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    table.show(rows())
