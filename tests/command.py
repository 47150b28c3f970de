"""The real command `eo-shards` in a process of its own, on small generated scenes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from scenes.dem import write_geotiff
from scenes.sentinel2 import Scene, write_scene
from scenes.world import World

COMMAND = str(Path(sys.executable).with_name("eo-shards"))
EPSG, ULX, ULY = 32632, 671_240, 5_168_180
BBOX = "11.24,46.625,11.27,46.64"
"""About 230 x 170 pixels inside of the scene."""
DEM_BOUNDS = (11.22, 46.61, 11.29, 46.655)
PRIVATE = ("CDSE_", "EARTH_", "EO_SHARDS_", "COP_DEM_", "XDG_STATE_HOME")


@dataclass
class Place:
    """A scene with its DEM."""

    folder: Path
    scene: Scene

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog"

    @property
    def dem(self) -> Path:
        return self.folder / "dem.tif"

    def copied(self, folder: Path) -> "Place":
        """The same files elsewhere, to be spoilt."""
        shutil.copytree(self.folder, folder)
        return Place(folder, self.scene)

    def file(self, band: str) -> Path:
        return self.folder / self.scene.assets[band].relative_to(self.scene.folder.parent)


def make_place(folder: Path, *, size: int = 256, block: int = 64) -> Place:
    world = World(seed=3)
    scene = write_scene(
        folder / "catalog", world=world, epsg=EPSG, ulx=ULX, uly=ULY, tile="32TPS", size=size, block=block
    )
    write_geotiff(
        folder / "dem.tif", world=world, crs="EPSG:4326", bounds=DEM_BOUNDS, resolution=1 / 3600, vertical="EPSG:3855"
    )
    return Place(folder, scene)


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that a failure prints, after the lines of progress."""
        lines = [line for line in self.err.splitlines() if line.startswith("eo-shards: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.out + self.err, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        return lines[0].removeprefix("eo-shards: ")


@dataclass
class Machine:
    """An environment with a state folder of its own, in which commands run."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(PRIVATE)}
        # Small chunks and little memory, so that a small scene has many units.
        own = {
            "EO_SHARDS_HOME": str(self.home),
            "EO_SHARDS_CHUNK": "64",
            "EO_SHARDS_WORKERS": "2",
            "EO_SHARDS_WORKER_MEMORY": "232",
            "EO_SHARDS_RETRY_ATTEMPTS": "1",
            "NETRC": str(self.folder / "netrc"),
        }
        return inherited | own | self.environment

    def order(self, place: Place, *more: str, out: Path | None = None, bbox: str = BBOX) -> list[str]:
        """A point cloud of the place; later options win over these."""
        # fmt: off
        return [
            "point-cloud", "--source", "local", "--catalog", str(place.catalog), "--dem", "local",
            "--dem-path", str(place.dem), "--bbox", bbox, "--out", str(out or self.out), *more,
        ]
        # fmt: on

    def run(self, *arguments: str, cwd: Path | None = None, timeout: float = 120, **more: str) -> Ended:
        done = subprocess.run(
            [COMMAND, *arguments],
            env=self.variables | more,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *arguments: str, **more: str) -> Iterator["subprocess.Popen[str]"]:
        """The command in the foreground of a process group of its own; nothing of it outlives the block."""
        process = subprocess.Popen(
            [COMMAND, *arguments],
            env=self.variables | more,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill_group(process.pid)
            process.communicate()

    def files(self) -> dict[str, bytes]:
        """The result by file name. The id of the job, which depends on `out`, is left out."""
        (job,) = (path.name.encode() for path in (self.home / "jobs").iterdir() if path.is_dir())
        return {path.name: path.read_bytes().replace(job, b"JOB") for path in sorted(self.out.iterdir())}


def finished(process: "subprocess.Popen[str]", timeout: float = 120) -> Ended:
    out, err = process.communicate(timeout=timeout)
    return Ended(process.returncode, out, err)


def kill_group(group: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def group(pid: int) -> list[psutil.Process]:
    """The living processes of a process group, the server of the workers and the workers among them."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def eventually(condition: Callable[[], object], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def after(process: "subprocess.Popen[str]", words: Sequence[str]) -> str:
    """Wait until a line of progress begins with one of the words; gives it."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(tuple(words)):
            return line
    return ""
