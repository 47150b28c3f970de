"""Catalogues, stores and elevation over loopback, and the command that reads them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from eo.engine import LocalEngine
from eo.folder_store import FolderStore
from eo.ply import read_header
from eo.records import read_units
from eo.runner import run_unit
from eo.settings import Settings
from eo.usage import Usage
from merge.fan_in import fan_in
from peers.files import FileServer
from peers.fixtures import EDH_TOKEN, EDH_USER
from peers.s3 import KEY, SECRET, S3Peer
from peers.stac import StacApi
from plan.planner import make_plan
from registry import process
from scenes.sentinel2 import Scene, cdse_href
from support import Cloud, read_cloud

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from eo.job import Plan, Result
    from peers.web import Call, Peer

COMMAND = Path(sys.executable).with_name("eo-shards")
BUCKET = "eodata"
STORE = "GLO-30-v1.zarr"
QUICK = {
    "EO_SHARDS_RETRY_DELAY": "0.01",
    "EO_SHARDS_RETRY_MAX_DELAY": "0.3",
    "EO_SHARDS_RETRY_ATTEMPTS": "3",
    "EO_SHARDS_TIMEOUT": "1",
    "EO_SHARDS_CHUNK": "64",
    "EO_SHARDS_WORKERS": "2",
}
SECRETS = (KEY, SECRET, EDH_TOKEN)


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    def failed(self, code: int) -> str:
        """What it said; asserts that it ended with this code and said one line of error, without a traceback."""
        assert self.code == code, self.err
        assert "Traceback" not in self.err
        said = [line for line in self.err.splitlines() if line.startswith("eo-shards: ")]
        assert len(said) == 1, self.err
        return said[0]

    def fine(self) -> str:
        assert self.code == 0, self.err
        return self.out


def options(**inputs: Any) -> list[str]:
    """Inputs as the command line has them."""
    words = []
    for name, value in inputs.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words.append(f"--{flag}={','.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    return words


@dataclass
class Machine:
    """A user's machine: a home, an environment, the command."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {**QUICK, "EO_SHARDS_HOME": str(self.folder / "home"), **self.env}

    def start(self, *words: str, **env: str | None) -> subprocess.Popen[str]:
        """Start the command with nothing in its environment but what this machine has."""
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "COVERAGE_PROCESS_START") if name in os.environ}
        given = {**keep, "HOME": str(self.folder), **self.env, **env}
        environment = {name: value for name, value in given.items() if value is not None}
        return subprocess.Popen(
            [COMMAND, *words],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def command(self, *words: str, **env: str | None) -> Ran:
        """Run the command."""
        return ended(self.start(*words, **env))

    def order(self, verb: str, inputs: Mapping[str, Any], *words: str, out: str = "out", **env: str | None) -> Ran:
        """Run or plan a point cloud."""
        return self.command(verb, "point-cloud", *options(**inputs), f"--out={self.folder / out}", *words, **env)

    def cloud(self, out: str = "out") -> Cloud:
        return read_cloud(self.folder / out / "point_cloud.ply")

    def usages(self) -> list[Usage]:
        """What units took, of jobs whose cube was kept."""
        found = (self.folder / "home" / "scratch").glob("*/usage/*/*.json")
        return [Usage.model_validate_json(path.read_bytes()) for path in found]

    def settings(self, **env: str) -> Settings:
        return Settings.from_environment({**self.env, **env})

    def work(self, inputs: Mapping[str, Any], *, shard: int | None = None, **env: str) -> Worked:
        """Do a job in this process, stage by stage."""
        home = tempfile.mkdtemp(prefix="home-", dir=self.folder)
        settings = self.settings(EO_SHARDS_HOME=home, **env)
        service = process("point-cloud")
        planned = make_plan(
            service, service.Inputs.model_validate(dict(inputs)), job="job", settings=settings, shard=shard
        )
        store = FolderStore(settings.home)
        LocalEngine(store, settings).start(planned.plan, planned.units)
        parts, usages = [], []
        for stage in planned.plan.stages:
            done = [
                run_unit(store, "job", stage.name, unit, 1, settings) for unit in read_units(store, "job", stage.name)
            ]
            parts = [part for part, _ in done]
            usages += [usage for _, usage in done]
        result = fan_in(planned.plan, parts, store=store)
        requests = planned.traffic.requests + sum(usage.source_requests for usage in usages)
        ply = settings.home / "jobs" / "job" / "result" / "point_cloud.ply"
        return Worked(planned.plan, result, ply, requests)

    def files(self) -> Iterator[Path]:
        """All files that anything has left here."""
        yield from (path for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True)
class Worked:
    plan: Plan
    result: Result
    ply: Path
    requests: int
    """Of sources, those of the plan included, those of the catalogue left out."""

    @property
    def cloud(self) -> Cloud:
        return read_cloud(self.ply)

    @property
    def notes(self) -> str:
        return "\n".join(self.result.summary["notes"])


def ended(running: subprocess.Popen[str]) -> Ran:
    try:
        out, err = running.communicate(timeout=120)
    finally:
        running.kill()
    return Ran(running.returncode, out, err)


_SITE = """
import atexit, collections, shutil
Usage = collections.namedtuple("Usage", "total used free")
shutil.disk_usage = lambda path: Usage(10**13, 10**13 - {free}, {free})

@atexit.register
def note_peak():
    lines = open("/proc/self/status").read().splitlines()
    open({note!r}, "w").write(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))
"""


def disk_with(folder: Path, free: int) -> dict[str, str]:
    """What to add to an environment so that its disks seem to have so many bytes free; notes the peak of memory too."""
    place = folder / "site"
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(_SITE.format(free=free, note=str(place / "peak")))
    return {"PYTHONPATH": str(place)}


def peak_of(folder: Path) -> int:
    """Largest resident set in bytes of the command that ended last (VmHWM: getrusage would count this process too)."""
    return int((folder / "site" / "peak").read_text()) * 1024


def points(path: Path) -> bytes:
    """The points of a file as a set, byte for byte, with the origin they count from."""
    header = read_header(path)
    vertices = np.sort(header.vertices(path).view(f"V{header.dtype.itemsize}").view(f"S{header.dtype.itemsize}"))
    origin = [header.comments[f"offset_{axis}"] for axis in "xyz"]
    return json.dumps([header.comments["crs"], origin]).encode() + vertices.tobytes()


def remote_item(scene: Scene) -> dict[str, Any]:
    """The item of a local scene as the Copernicus Data Space would have it."""
    assert scene.item is not None
    assets = {
        key: {**asset, "href": cdse_href(PurePosixPath(asset["href"].removeprefix("./")))}
        for key, asset in scene.item["assets"].items()
    }
    return {**scene.item, "assets": assets}


def key_of(scene: Scene, band: str) -> str:
    """Key of a band's object at the Copernicus Data Space."""
    href = remote_item(scene)["assets"][scene.keys[band]]["href"]
    return str(href).removeprefix(f"s3://{BUCKET}/")


@dataclass(frozen=True)
class Cdse:
    """The Copernicus Data Space and the Earth Data Hub, and a machine with accounts there."""

    machine: Machine
    stac: StacApi
    s3: S3Peer
    dem: FileServer

    @property
    def peers(self) -> tuple[Peer, ...]:
        return self.stac, self.s3, self.dem

    def forget(self) -> None:
        for peer in self.peers:
            peer.forget()
            peer.script.clear()


@contextlib.contextmanager
def cdse(
    folder: Path, scenes: Sequence[Scene], dem: Path, items: Iterable[dict[str, Any]] | None = None
) -> Iterator[Cdse]:
    """Serve scenes and the Zarr store of an elevation model, each behind its login."""
    items = [remote_item(scene) for scene in scenes] if items is None else items
    with S3Peer() as s3, FileServer(dem.parent, user=EDH_USER, password=EDH_TOKEN) as store, StacApi(items) as stac:
        for scene in scenes:
            for band, path in scene.assets.items():
                s3.put(BUCKET, key_of(scene, band), path)
        env = {
            "CDSE_STAC_URL": stac.url,
            "CDSE_S3_ENDPOINT": s3.url,
            "CDSE_KEY": KEY,
            "CDSE_SECRET": SECRET,
            "EARTH_DATA_HUB_URL": f"{store.url}/{dem.name}",
            "EARTH_DATA_HUB_KEY": EDH_TOKEN,
        }
        yield Cdse(Machine(folder, env), stac, s3, store)


def whole(calls: Sequence[Call]) -> list[str]:
    """Paths that were asked for without a range."""
    return [call.path for call in calls if call.method == "GET" and call.range is None]


def leaks(machine: Machine, *texts: str, peers: Iterable[Peer] = ()) -> list[str]:
    """Where a secret is to be seen that should not."""
    found = [text for text in texts if any(secret in text for secret in SECRETS)]
    found += [str(path) for path in machine.files() if any(s.encode() in path.read_bytes() for s in SECRETS)]
    found += [
        call.path for peer in peers for call in peer.calls if any(s in call.path + "?" + call.query for s in SECRETS)
    ]
    return found


def fresh(folder: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
