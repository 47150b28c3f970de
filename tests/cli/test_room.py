"""Too little room: a message that says so, nothing half-made, and the same command goes on once there is room."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from command import COMMAND, Ended, Machine, Place

TOO_LARGE = 4


@contextmanager
def _tiny(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A file system of this size; gives a function that changes it."""
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"no file system can be mounted here: {mount.stderr.decode().strip()}")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)

    try:
        yield resize
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _limited(machine: Machine, size: int, *order: str) -> Ended:
    """Run with a limit on the size of files (RLIMIT_FSIZE), which works like a quota, without root."""
    done = subprocess.run(
        [COMMAND, "run", *order],
        env=machine.variables,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def _leftovers(machine: Machine) -> list[Path]:
    return [path for path in machine.home.rglob("*.part*") if path.is_file()]


class TestFullDisk:
    def test_what_can_be_foreseen_is_refused_before(self, place: Place, machine: Machine) -> None:
        with _tiny(machine.home, "64k"):
            run = machine.run("run", *machine.order(place, "--sampled-fraction", "1"))
            assert run.code == TOO_LARGE
            assert "0 MB free" in run.complaint
            assert "EO_SHARDS_HOME" in run.complaint
            assert "fetch" not in run.err

    @pytest.mark.parametrize("size", [pytest.param("160k", marks=pytest.mark.chaos), "700k"])
    def test_state_folder(self, place: Place, machine: Machine, undisturbed: dict[str, bytes], size: str) -> None:
        """Small chunks take whole pages, more than is foreseen: it ends while it writes."""
        with _tiny(machine.home, size) as resize:
            run = machine.run("run", *machine.order(place))
            assert run.code == TOO_LARGE, run.err
            assert "MB free" in run.complaint
            assert not machine.out.exists()
            assert not _leftovers(machine)
            resize("100m")
            again = machine.run("run", *machine.order(place))
            assert again.code == 0, again.err
            assert machine.files() == undisturbed

    def test_folder_of_the_result(self, place: Place, machine: Machine, undisturbed: dict[str, bytes]) -> None:
        with _tiny(machine.out, "200k") as resize:
            run = machine.run("run", *machine.order(place))
            assert run.code == TOO_LARGE, run.err
            assert str(machine.out) in run.complaint
            assert not list(machine.out.iterdir())
            resize("100m")
            again = machine.run("run", *machine.order(place))
            assert again.code == 0, again.err
            assert "drape: 0 of" not in again.err
            assert machine.files() == undisturbed


class TestFileSizeLimit:
    @pytest.mark.parametrize("size", [500, pytest.param(100_000, marks=pytest.mark.chaos)])
    def test_it_is_explained(self, place: Place, machine: Machine, undisturbed: dict[str, bytes], size: int) -> None:
        run = _limited(machine, size, *machine.order(place))
        assert run.code == TOO_LARGE, run.err
        assert "File too large" in run.complaint
        assert not machine.out.exists()
        assert not _leftovers(machine)
        again = machine.run("run", *machine.order(place))
        assert again.code == 0, again.err
        assert machine.files() == undisturbed
