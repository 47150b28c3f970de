"""A Sentinel-2 tile through the whole bundle and by the command, from the same usage records: what it costs, and what S3 and
the workflow add to each unit.

The functions run in processes of this machine over a loopback S3, so requests are answered sooner than in a data centre,
by a server that shares the processors with them: the seconds are not those of AWS, CPU, requests and transitions are.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data import folder, scene
from bench.meter import COMMAND
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.data import BenchScene

SIDE = 10_980
"""Pixels of a tile's edge at 10 m."""
FRACTION = 0.2
MEMORY = 1769
"""Of a function, in MB: one vCPU."""
AS_DEPLOYED = {
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY),
    "EO_SHARDS_FUNCTION_MEMORY": str(MEMORY),
    "EO_SHARDS_WORKER_MEMORY": "1400",
    "EO_SHARDS_CHUNK": "1024",
    "EO_SHARDS_TIMEOUT": "120",
}
"""What the template sets, and patience with a server that shares the processors."""


@dataclass(frozen=True)
class Offered:
    """What the loopback sources need to know of a scene (`scenes.sentinel2.Scene` without its truth)."""

    item: dict[str, Any]
    keys: dict[str, str]
    assets: dict[str, Path]


@dataclass(frozen=True)
class Job:
    """A finished job."""

    used: dict[str, Any]
    """`UsageTotal` of its result."""
    predicted: dict[str, Any]
    """`UsageTotal` of its plan."""
    files: dict[str, str]
    """Digests."""


def rows() -> list[Row]:
    """Cost of the tile, and overhead of a unit."""
    known = scene(SIDE)
    with tempfile.TemporaryDirectory(dir=folder()) as place, _sources(known, Path(place)) as env:
        by_command = _by_command(known, env, Path(place))
        by_bundle = _by_bundle(known, env)
    assert by_bundle.files == by_command.files, "the bundle made other bytes than the command"
    used, local = by_bundle.used, by_command.used
    factors = used["factors"]
    units = used["calls"] - 2
    around = used["calls"] * factors["usd_per_call"] + used["transitions"] * factors["usd_per_transition"]
    name = f"one {SIDE}^2 tile at fraction {FRACTION:g} on the bundle"
    unit = f"{name}: a unit"
    return [
        Row(f"{name}: cost at list prices", used["cost_usd"], "USD"),
        Row(f"{name}: predicted / used cost", by_bundle.predicted["cost_usd"] / used["cost_usd"], "x"),
        Row(f"{name}: energy", 1000 * used["energy_kwh"], "Wh"),
        Row(f"{name}: CO2e", used["co2e_g"], "g"),
        Row(f"{name}: CPU of all calls", used["cpu_seconds"], "CPU s"),
        Row(f"{name}: of {MEMORY / 1024:.2f} GB, all calls", used["gb_seconds"], "GB-s"),
        Row(f"{name}: largest process", used["peak_rss_bytes"] / 1e6, "MB", 1400),
        Row(f"{name}: requests to its store", used["store_reads"] + used["store_writes"], ""),
        Row(f"{name}: CPU / the same calls by the command", used["cpu_seconds"] / local["cpu_seconds"], "x"),
        Row(f"{unit}: CPU more than by the command", 1000 * (used["cpu_seconds"] - local["cpu_seconds"]) / units, "ms"),
        Row(f"{unit}: state transitions", used["transitions"] / units, ""),
        Row(f"{unit}: calls and transitions, of all cost", 100 * around / used["cost_usd"], "%"),
    ]


@contextmanager
def _sources(known: BenchScene, place: Path) -> Iterator[dict[str, str]]:
    """The scene at a Copernicus Data Space of loopback peers; the environment that names them."""
    from routes.loopback import cdse  # noqa: PLC0415 - bench.data has put the tests' folder on the path

    with cdse(place / "machine", [_offered(known)], known.dem) as sources:  # type: ignore[list-item]
        yield sources.machine.env


def _offered(known: BenchScene) -> Offered:
    (path,) = known.catalog.glob("*.json")
    item = json.loads(path.read_text())
    paths = {key: known.catalog / asset["href"] for key, asset in item["assets"].items()}
    wanted = {"B04": known.bands[0], "B03": known.bands[1], "B02": known.bands[2], "SCL": known.scl}
    keys = {
        band: next(key for key, path in paths.items() if path.resolve() == file.resolve())
        for band, file in wanted.items()
    }
    return Offered(item, keys, wanted)


def _inputs(known: BenchScene) -> dict[str, Any]:
    return {
        "bbox": list(known.bbox),
        "datetime": "2020-01-01/2035-01-01",
        "max_cloud_cover": 100,
        "sampled_fraction": FRACTION,
    }


def _by_command(known: BenchScene, env: dict[str, str], place: Path) -> Job:
    options = [f"--{name.replace('_', '-')}={_text(value)}" for name, value in _inputs(known).items()]
    home = place / "home"
    command = [COMMAND, "run", "point-cloud", *options, "--out", str(place / "out")]
    subprocess.run(
        command,
        env=os.environ | env | AS_DEPLOYED | {"EO_SHARDS_HOME": str(home)},
        check=True,
        capture_output=True,
        text=True,
    )
    (job,) = (home / "jobs").iterdir()
    return _job((job / "result.json").read_bytes(), (job / "plan.json").read_bytes())


def _text(value: Any) -> str:  # noqa: ANN401 - an input
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _by_bundle(known: BenchScene, env: dict[str, str]) -> Job:
    from aws.cloud import cloud  # noqa: PLC0415 - bench.data has put the tests' folder on the path

    with cloud(env | AS_DEPLOYED, processes=os.cpu_count() or 1) as bundle:
        bundle.lambdas.timeout = 900
        status = bundle.wait(bundle.order(_inputs(known)).job, seconds=3600)
        assert status.state == "successful", status.message
        return _job(*(bundle.store.read(f"jobs/{status.job}/{name}.json") for name in ("result", "plan")))


def _job(result: bytes, plan: bytes) -> Job:
    made = json.loads(result)
    return Job(made["usage"], json.loads(plan)["predicted"]["usage"], made["files"])
