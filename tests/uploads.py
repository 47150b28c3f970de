"""Zipped products, and jobs made from them on a folder."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eo.archive import Archive
from eo.folder_store import FolderStore
from eo.job import Plan
from eo.records import read_units
from eo.runner import run_unit, start
from eo.settings import Settings
from merge.fan_in import fan_in
from plan.planner import make_plan
from plan.upload_catalog import UploadedProduct
from registry import process
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World
from support import JOB, Done, read_cloud

WORLD = World(seed=5)
KEY = "incoming/point-cloud/some where/product.zip"
Change = Callable[[str], str | None]


def safe_scene(folder: Path, **options: Any) -> Scene:
    """A small product in SAFE format alone, without an item."""
    given: dict[str, Any] = {"tile": "32TPS", "ulx": 671_240, "uly": 5_168_180, "size": 128, "block": 32} | options
    return write_scene(folder, world=WORLD, epsg=32632, item_style=None, **given)


def zipped(folder: Path, path: Path, *, method: int = zipfile.ZIP_STORED, rename: Change = lambda name: name) -> Path:
    """Zip all that lies below a folder; `rename` gives other names, or None for what is left out."""
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.rglob("*")):
            name = rename(file.relative_to(folder).as_posix())
            if file.is_file() and name is not None:
                archive.write(file, name)
    return path


def digest(path: Path) -> str:
    with path.open("rb") as file, Archive(file, path.name) as archive:
        return archive.digest


class UploadJob:
    """A job of an uploaded product in a folder, run without worker processes."""

    def __init__(self, home: Path, archive: Path, *, product: str = "", **inputs: Any) -> None:
        self.store = FolderStore(home)
        self.settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_CHUNK": "64"})
        self.store.write(KEY, [archive.read_bytes()])
        self.origin = {"kind": "s3", "bucket": "data", "key": KEY, "product": product or digest(archive)}
        self._inputs = inputs
        self.plan: Plan | None = None

    def planned(self) -> Plan:
        service = process("point-cloud")
        planned = make_plan(
            service,
            service.Inputs.model_validate(self._inputs),
            job=JOB,
            settings=self.settings,
            product=UploadedProduct.of(self.store, self.origin),
        )
        start(self.store, planned.plan, planned.units)
        return planned.plan

    def run(self) -> Done:
        plan = self.planned()
        parts = []
        for stage in plan.stages:
            units = read_units(self.store, JOB, stage.name)
            parts = [run_unit(self.store, JOB, stage.name, unit, 1, self.settings)[0] for unit in units]
        result = fan_in(plan, parts, store=self.store)
        out = self.store.root / "jobs" / JOB / "result"
        return Done(plan, result, read_cloud(out / "point_cloud.ply"), out)
