"""What correcting costs, cube to cube, beside decoding: `python -m bench.correction_speed`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio

from atmospheric_correction.process import AtmosphericCorrection
from bench import table
from bench.slovenia import folder
from eo.correction import UNET
from eo.engine import LocalEngine
from eo.errors import InvalidInput
from eo.folder_store import FolderStore
from eo.grid import Window
from eo.model import find
from eo.runner import run_unit
from eo.settings import Settings
from plan.planner import make_plan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from l1c import Tile, dem, order

if TYPE_CHECKING:
    from eo.job import Plan, Unit

GRANULE = 10_980
"""Pixels along a granule."""
PIECE = 54_900
"""Metres along the piece whose pixels are timed: half a granule's edge, so that it is cut about as a granule is. In a piece of
20 km, strips at the rim are six of seven shards, and a pixel costs nearly twice as much."""
WHOLE = GRANULE**2 / 1e6
"""Megapixels of a granule."""


@dataclass(frozen=True)
class Timed:
    """A job whose stages were timed, cube to cube and warm."""

    plan: Plan
    units: dict[str, list[Unit]]
    seconds: dict[str, float]
    """CPU seconds of all units, by stage."""

    @property
    def pixels(self) -> float:
        """Megapixels of a CPU second of the correct stage."""
        return self.plan.predicted.pixels / 1e6 / self.seconds["correct"]

    @property
    def tile(self) -> float:
        """CPU seconds of a tile of the tiles stage."""
        return self.seconds["tiles"] / sum(unit.window.pixels for unit in self.units["tiles"])

    @property
    def tiles(self) -> float:
        """CPU seconds of the tiles of a whole granule: a piece has more of them at its rim; 0 where there are none."""
        tiling = self.plan.tiling
        if tiling is None:
            return 0.0
        window = self.plan.grid.window
        return self.tile * tiling.touching(Window(window.col, window.row, GRANULE, GRANULE)).pixels


def timed(tile: Tile, stages: tuple[str, ...], model: str) -> Timed:
    """Run a job on a tile up to the last of the stages; these twice."""
    home = Path(tempfile.mkdtemp())
    try:
        tile.write(home / "c")
        dem(home / "dem.tif", tile)
        settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_WORKER_MEMORY": "1700"})
        inputs: Any = order(home, tile.box(0.001, 0.001, 0.998), model=model)
        made = make_plan(AtmosphericCorrection(), inputs, job="job", settings=settings)
        store = FolderStore(home)
        LocalEngine(store, settings).start(made.plan, made.units)
        found: dict[str, float] = {}
        for each in made.plan.stages:
            units = made.units[each.name]
            # The first time loads the model, opens the cube.
            for _ in range(2 if each.name in stages else 1):
                started = time.process_time()
                for unit in units:
                    run_unit(store, "job", each.name, unit, 1, settings)
                found[each.name] = time.process_time() - started
            if each.name == stages[-1]:
                break
        return Timed(made.plan, made.units, found)
    finally:
        shutil.rmtree(home)


def decode() -> float:
    """Megapixels of a real 10 m band that GDAL decodes in a CPU second."""
    path = folder().parent / "jp2" / "ref_S2A_20160608T153121_T33UUU_sub.jp2"
    with rasterio.open(path) as file:
        started = time.process_time()
        file.read(1)
        return float(file.width * file.height / 1e6 / (time.process_time() - started))


def rows() -> list[table.Row]:
    """The rows of the table."""
    found = []
    rates = {}
    for model in ("atmosphere-field", "physics", UNET):
        try:
            find(model)
        except InvalidInput:
            continue
        # The U-Net's air is that of physics; pixels of 120 m, on which a granule is quickly made, it refuses.
        by = "physics" if model == UNET else model
        air = timed(Tile(size=120 * 915, finest=120), ("field",), by).seconds["field"]
        piece = timed(Tile(size=PIECE), ("tiles", "correct"), model)
        rates[model] = WHOLE / (air + piece.tiles + WHOLE / piece.pixels)
        found.append(table.Row(f"{model}: air over a granule (field)", air, "CPU s"))
        if piece.tiles:
            found += [
                table.Row(f"{model}: a tile, 3 bands, cube to cube (tiles)", piece.tile, "CPU s"),
                table.Row(f"{model}: the tiles of a granule, each once (from a tile)", piece.tiles, "CPU s"),
            ]
        found += [
            table.Row(f"{model}: its pixels (correct), 3 bands, cube to cube", piece.pixels, "Mpx/CPU s"),
            table.Row(
                f"{model}: {'all three' if piece.tiles else 'both'} stages, whole granule",
                rates[model],
                "Mpx/CPU s",
                {"atmosphere-field": 14.0, UNET: 0.9}.get(model),
                "higher",
            ),
        ]
    if UNET in rates:
        found.append(
            table.Row(
                "atmosphere-field over the U-Net",
                rates["atmosphere-field"] / rates[UNET],
                "x",
                10,
                "higher",
            )
        )
    bands = 3 * WHOLE / decode()
    found += [
        table.Row("decoding three bands of a granule", bands, "CPU s"),
        table.Row("correcting a granule over decoding it", WHOLE / rates["atmosphere-field"] / bands, "x", 0.25),
    ]
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table.show(rows())
