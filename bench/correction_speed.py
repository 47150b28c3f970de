"""What correcting costs, cube to cube, beside decoding: `python -m bench.correction_speed`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rasterio

from atmospheric_correction.process import AtmosphericCorrection
from bench import table
from bench.slovenia import folder
from eo.engine import LocalEngine
from eo.errors import InvalidInput
from eo.folder_store import FolderStore
from eo.model import find
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from plan.planner import make_plan

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from l1c import Tile, dem, order

if TYPE_CHECKING:
    from eo.job import Plan

GRANULE = 10_980
"""Pixels along a granule."""
PIECE = 20_640
"""Metres along the piece whose pixels are timed."""
STAGES = ("field", "correct")


def seconds(home: Path, tile: Tile, box: tuple[float, ...], stage: str, model: str) -> tuple[float, Plan]:
    """(CPU seconds of the units of a stage, cube to cube and warm, the plan)."""
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_WORKER_MEMORY": "1700"})
    inputs: Any = order(home, box, model=model)
    made = make_plan(AtmosphericCorrection(), inputs, job="job", settings=settings)
    store = FolderStore(home)
    LocalEngine(store, settings).start(made.plan, made.units)
    for each in made.plan.stages:
        units = read_units(store, "job", each.name)
        for again in (False, True) if each.name == stage else (False,):
            started = time.process_time()
            for unit in units:
                run_unit(store, "job", each.name, unit, 1, settings)
            spent = time.process_time() - started
            if again:  # the first time loads the model, opens the cube
                return spent, made.plan
    raise InvalidInput(f"{tile.id} has no stage {stage}")


def measure(stage: str, model: str) -> float:
    """Granules: CPU seconds of the field stage. Pieces: megapixels per CPU second of the correct stage."""
    tile = Tile(size=120 * 915, finest=120) if stage == "field" else Tile(size=PIECE)
    home = Path(tempfile.mkdtemp())
    try:
        tile.write(home / "c")
        dem(home / "dem.tif", tile)
        spent, plan = seconds(home, tile, tile.box(0.001, 0.001, 0.998), stage, model)
        return spent if stage == "field" else plan.predicted.pixels / 1e6 / spent
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
    whole = GRANULE**2 / 1e6
    found = []
    rates = {}
    for model in ("atmosphere-field", "physics", "unet-efficientnet-b2"):
        try:
            find(model)
        except InvalidInput:
            continue
        air, rate = measure("field", model), measure("correct", model)
        rates[model] = whole / (air + whole / rate)
        found += [
            table.Row(f"{model}: air over a granule (field)", air, "CPU s"),
            table.Row(f"{model}: its pixels (correct), 3 bands, cube to cube", rate, "Mpx/CPU s"),
            table.Row(
                f"{model}: both stages, whole granule",
                rates[model],
                "Mpx/CPU s",
                {"atmosphere-field": 14.0, "unet-efficientnet-b2": 0.9}.get(model),
                "higher",
            ),
        ]
    if "unet-efficientnet-b2" in rates:
        found.append(
            table.Row(
                "atmosphere-field over the U-Net",
                rates["atmosphere-field"] / rates["unet-efficientnet-b2"],
                "x",
                10,
                "higher",
            )
        )
    bands = 3 * whole / decode()
    found += [
        table.Row("decoding three bands of a granule", bands, "CPU s"),
        table.Row("correcting a granule over decoding it", whole / rates["atmosphere-field"] / bands, "x", 0.25),
    ]
    return found


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    table.show(rows())
