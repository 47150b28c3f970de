"""COPC from arrays in memory against what others write of the same points: plain LAZ by laspy, 3D Tiles by py3dtiles."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.meter import measured, python
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from eo.folder_store import FolderStore
    from eo.grid import Window
    from eo.job import Part, Plan, Unit

MILLIONS = (1, 10, 50)
SHARD = 2048
"""As the plan chooses it at fraction 1, for bodies of 8 MiB and more."""
BAR = 1.3
SETTLED = 20
"""Millions of points, five whole shards, from which on a process has kept what its allocator keeps of freed memory: 20, 50 and
100 million take the same."""
WAYS = ("copc", "laz")
RUNS = 3
CLOUD = "cloud.copc.laz"


def rows() -> list[Row]:
    """CPU, memory and size of each way, for each size."""
    found: list[Row] = []
    peaks: dict[int, float] = {}
    for millions in MILLIONS:
        # One after the other, and the median pair: what else the machine does differs from minute to minute.
        pairs = sorted(([_run(way, millions) for way in WAYS] for _ in range(RUNS)), key=_ratio)
        ours, plain = pairs[RUNS // 2]
        points = ours["points"]
        name = f"{millions} M points"
        peaks[millions] = max(ours["shard_rss"], ours["merge_rss"])
        found += [
            Row(f"COPC of {name}: points per CPU second", points / ours["cpu"] / 1e6, "Mpoints/s", better="higher"),
            Row(f"COPC of {name}: CPU over laspy's plain LAZ", _ratio((ours, plain)), "x", BAR),
            Row(f"COPC of {name}: of that the fan-in", ours["merge_cpu"] / plain["cpu"], "x"),
            Row(f"COPC of {name}: bytes per point", ours["bytes"] / points, ""),
            Row(f"plain LAZ of {name}: bytes per point", plain["bytes"] / points, ""),
            Row(f"COPC of {name}: peak memory of a shard's process", ours["shard_rss"] / 1e6, "MB"),
            Row(f"COPC of {name}: peak memory of the fan-in", ours["merge_rss"] / 1e6, "MB"),
            Row(f"plain LAZ of {name}: peak memory, shard by shard", plain["rss"] / 1e6, "MB"),
        ]
        if shutil.which("py3dtiles"):
            found += _tiles(name, ours)
    settled = _run("copc", SETTLED)
    grown = peaks[MILLIONS[-1]] / max(settled["shard_rss"], settled["merge_rss"])
    found.append(Row(f"COPC: peak memory at {MILLIONS[-1]} M points over that at {SETTLED} M", grown, "x", 1.1))
    return found


def _ratio(pair: Sequence[dict[str, float]]) -> float:
    ours, plain = pair
    return ours["cpu"] / plain["cpu"]


def _run(way: str, millions: int) -> dict[str, float]:
    """Write a cloud in fresh processes, one for the shards and one for the fan-in; what they told."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        told: dict[str, float] = {}
        for step in ("shards", "merge") if way == "copc" else ("plain",):
            done = python(
                f"from bench.copc import {step}; {step}({millions}, {folder!r})",
                env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[1] / 'functions'}"},
            )
            told |= json.loads(done.output.splitlines()[-1])
        if way == "copc":
            told["cpu"] = told["shard_cpu"] + told["merge_cpu"]
        return told


def _tiles(name: str, ours: dict[str, float]) -> list[Row]:
    """3D Tiles of the same points as py3dtiles makes them of plain LAS, reading included.

    Of LAZ it makes none: its workers are forked after lazrs has started threads, and wait for these for ever.
    """
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        python(
            f"from bench.copc import plain, unpacked; plain({ours['points'] / 1e6}, {folder!r}); unpacked({folder!r})",
            env={"PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[1] / 'functions'}"},
        )
        out = Path(folder) / "tiles"
        spent = measured(["py3dtiles", "convert", f"{folder}/plain.las", "--out", str(out)])
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        return [
            Row(f"3D Tiles of {name}: CPU over that of COPC", spent.cpu / ours["cpu"], "x", better="higher"),
            Row(f"3D Tiles of {name}: bytes per point", size / ours["points"], ""),
            Row(f"3D Tiles of {name}: peak memory of any process", spent.largest / 1e6, "MB"),
        ]


def _memory() -> str | None:
    """A folder in memory with room for the largest cloud, where there is one."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > 2e9 else None


def shards(millions: float, folder: str) -> None:
    """The drape stage of every shard, its cube in memory; prints CPU without the making of arrays, and peak memory."""
    from eo.unit_io import UnitIO  # noqa: PLC0415 - in the measured process: no more than a worker has
    from eo.usage import peak_rss  # noqa: PLC0415
    from point_cloud.drape import drape  # noqa: PLC0415

    plan, store = _plan(millions), _store(folder)
    cpu, parts = 0.0, []
    for unit in _units(plan):
        cube = _Cube(plan, unit.window)
        io = UnitIO(
            plan=plan,
            stage="drape",
            unit=unit.id,
            cube=cube,  # type: ignore[arg-type]
            store=store,
            settings=None,  # type: ignore[arg-type]
            scratch=Path(folder),
        )
        started = time.process_time()
        part = drape(unit, None, io)
        cpu += time.process_time() - started
        parts.append(part.model_dump(mode="json"))
        del cube, io  # else the next one's arrays were made beside them
    (Path(folder) / "parts.json").write_text(json.dumps(parts))
    print(json.dumps({"shard_cpu": cpu, "shard_rss": peak_rss()}))


def merge(millions: float, folder: str) -> None:
    """The fan-in of these shards."""
    from eo.job import Part  # noqa: PLC0415
    from eo.records import write_units  # noqa: PLC0415
    from eo.unit_io import ResultIO  # noqa: PLC0415
    from eo.usage import peak_rss  # noqa: PLC0415
    from point_cloud import copc_merge  # noqa: PLC0415
    from point_cloud.result import joined_extremes  # noqa: PLC0415

    plan, store = _plan(millions), _store(folder)
    write_units(store, plan.job, "drape", _units(plan))
    parts: list[Part] = [Part.model_validate(part) for part in json.loads((Path(folder) / "parts.json").read_text())]
    io = ResultIO(plan=plan, store=store)
    extremes = joined_extremes(parts)
    started = time.process_time()
    copc_merge.write(CLOUD, parts, extremes, io, about="bench")
    cpu = time.process_time() - started
    points = sum(part.counts["points"] for part in parts)
    told = {"merge_cpu": cpu, "merge_rss": peak_rss(), "bytes": io.sizes[CLOUD], "points": points}
    print(json.dumps(told))


def plain(millions: float, folder: str) -> None:
    """The same points by laspy as plain LAZ, a shard at a time, which is less memory than all at once."""
    import laspy  # noqa: PLC0415

    from eo.radiometry import Radiometry, stretch_lut  # noqa: PLC0415
    from eo.usage import peak_rss  # noqa: PLC0415

    plan, path = _plan(millions), Path(folder) / "plain.laz"
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales, header.offsets = np.full(3, 0.01), np.zeros(3)
    lut = stretch_lut(Radiometry(-1000), 0.3)
    cpu = 0.0
    with laspy.open(path, "w", header=header, laz_backend=laspy.LazBackend.Lazrs) as writer:
        for unit in _units(plan):
            cube, window = _Cube(plan, unit.window), unit.window
            started = time.process_time()
            cols, rows = np.meshgrid(np.arange(window.col, window.col_end), np.arange(window.row, window.row_end))
            record = laspy.ScaleAwarePointRecord.zeros(window.pixels, header=header)
            record.X, record.Y = cols.ravel() * 1000 + 500, rows.ravel() * -1000 - 500
            record.Z = np.rint(cube.arrays["elevation"].ravel() * np.float64(100))
            record.return_number[:] = record.number_of_returns[:] = record.classification[:] = 1
            record.gps_time[:] = 467886249.0
            for name, band in (("red", "B04"), ("green", "B03"), ("blue", "B02")):
                record[name] = lut.take(cube.arrays[band].ravel()).astype(np.uint16) << 8
            writer.write_points(record)
            cpu += time.process_time() - started
        started = time.process_time()
    cpu += time.process_time() - started
    print(json.dumps({"cpu": cpu, "rss": peak_rss(), "bytes": path.stat().st_size}))


def unpacked(folder: str) -> None:
    """The plain LAZ as LAS."""
    import laspy  # noqa: PLC0415

    packed = Path(folder) / "plain.laz"
    with laspy.open(packed) as reader, laspy.open(packed.with_suffix(".las"), "w", header=reader.header) as writer:
        for points in reader.chunk_iterator(1_000_000):
            writer.write_points(points)
    packed.unlink()


def _plan(millions: float) -> Plan:
    """A square job of so many pixels, each of which is a point."""
    from eo.catalog import Scene  # noqa: PLC0415
    from eo.grid import TargetGrid, Window  # noqa: PLC0415
    from eo.job import Plan  # noqa: PLC0415
    from eo.radiometry import Radiometry  # noqa: PLC0415
    from eo.stage import Stage  # noqa: PLC0415

    edge = round((millions * 1e6) ** 0.5)
    scene: Any = Scene.__new__(Scene)
    object.__setattr__(scene, "datetime", "2026-07-12T10:10:31.000000Z")
    return Plan.model_construct(
        job="bench",
        generation=1,
        process="point-cloud",
        version="1.0.0",
        software="eo-shards bench",
        inputs={"sampled_fraction": 1, "coordinates": "local", "max_reflectance": 0.3, "format": ["copc"]},
        grid=TargetGrid("EPSG:32632", 10, 0, 0, Window(0, 0, edge, edge)),
        lattice=(0, 0),
        shard=SHARD,
        scenes=(scene,),
        radiometry=dict.fromkeys(("B04", "B03", "B02"), Radiometry(-1000)),
        vertical_crs="EPSG:3855",
        stages=(Stage(name="drape", map="point_cloud.drape:drape", over="shards"),),
    )


def _units(plan: Plan) -> list[Unit]:
    from eo.job import Unit  # noqa: PLC0415

    windows = plan.grid.window.cells(SHARD, SHARD)
    return [Unit(id=f"r{w.row // SHARD:05}c{w.col // SHARD:05}", window=w) for w in windows]


def _store(folder: str) -> FolderStore:
    from eo.folder_store import FolderStore  # noqa: PLC0415

    return FolderStore(Path(folder))


class _Cube:
    """A shard's arrays: ridges with texture, in colours that follow them, as noisy as real scenes."""

    def __init__(self, plan: Plan, window: Window) -> None:
        self._window = window
        draw = np.random.default_rng((window.col, window.row))
        cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
        waves: NDArray[np.float64] = np.zeros(window.shape)
        for length, height in ((1900, 600), (430, 160), (97, 30), (23, 5)):
            waves += height * np.sin(cols / length + 1)[None, :] * np.cos(rows / length + length)[:, None]
        self.arrays: dict[str, NDArray[Any]] = {
            "elevation": (1500 + waves + draw.normal(0, 0.5, window.shape)).astype(np.float32),
            "valid": np.ones(window.shape, np.uint8),
        }
        texture = 120 * np.sin(waves / 17) + draw.normal(0, 60, window.shape)
        for number, band in enumerate(plan.radiometry):
            self.arrays[band] = (2000 + 150 * number + texture + draw.normal(0, 15, window.shape)).astype(np.uint16)

    def has(self, variable: str) -> bool:
        return variable in self.arrays

    def read_target(self, variable: str, window: Window, _outside: float = 0) -> NDArray[Any]:
        assert window == self._window
        return self.arrays[variable].copy()
