"""The last step of a local job: its result appears in the user's folder whole, or not at all."""

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from eo.checksums import CHECKSUMS, composite, damaged, listed
from eo.disk import existing, explained
from eo.errors import InvalidInput
from eo.folder_store import FolderStore
from eo.job import Part, Plan, Result
from eo.usage import Meter
from merge.fan_in import fan_in

REPLACED = ".replaced"
"""Folder, inside of the hidden one, of the files that a result takes the place of, until all of it is there."""


def check_out(out: Path) -> None:
    """Refuse a folder that cannot take a result, before anything is done for it. Raises InvalidInput."""
    folder = out if out.is_dir() else existing(out)
    beyond = out.relative_to(folder).parts
    if beyond and os.path.lexists(folder / beyond[0]):
        raise InvalidInput(f"--out {out}: {folder / beyond[0]} is not a folder; choose another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"--out {out}: {folder} is not writable for this user; choose another one")


def deliver(
    plan: Plan, parts: list[Part], *, store: FolderStore, out: Path, files: Collection[str], meter: Meter
) -> Result:
    """Merge in a hidden folder inside of `out`, then rename what was made: an equal or other result there stays till then.

    `files` are all that the process may make: those that this result has not are those of an earlier one, and go.
    The store's result folder is a link to where the files are. Raises what merging and writing raise; `out` then is
    what it was. Only a process that is killed (SIGKILL, a power cut) between the renames leaves files of this result
    beside those of an earlier one, whose others then are in the hidden folder: the same order again delivers whole.
    """
    link = store.path(f"jobs/{plan.job}/result")
    with _staging(out, plan.job) as staging:
        _point(link, staging)
        result = fan_in(plan, parts, store=meter.store, meter=meter)
        with _alone(out), _exchanged(staging, out, result.files, set(files) - set(result.files)):
            _point(link, out)
    return result


def intact(result: Result, out: Path) -> bool:
    """Whether the files of a result still are what was delivered."""
    delivered = FolderStore(out)
    if not all(delivered.exists(name) for name in result.files):
        return False
    sums = delivered.read(CHECKSUMS) if CHECKSUMS in result.files else b"{}"
    for name, digest in result.files.items():
        joined = listed(sums, name)
        if joined is None:
            if delivered.digest(name) != digest:
                return False
        elif composite(joined) != digest or damaged(out / name, joined):
            return False
    return True


@contextmanager
def _staging(out: Path, job: str) -> Iterator[Path]:
    """A folder for unfinished files that vanishes at the end, and folders above it, where they are new and empty."""
    staging = out / f".eo-shards-{job}"
    above = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with explained(staging):
            shutil.rmtree(staging, ignore_errors=True)  # of an attempt that was killed
            yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):  # not empty
            for folder in above:
                folder.rmdir()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait for other jobs that rename into this folder, and keep them waiting, where the file system has such locks."""
    with ExitStack() as held:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            held.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _exchanged(staging: Path, out: Path, names: Collection[str], gone: Collection[str]) -> Iterator[None]:
    """Rename files of the hidden folder into `out`, and take away those that are to be gone.

    Where that or the block fails, all goes back to where it was.
    Raises InvalidInput, before anything is renamed, where a folder has the name of a file.
    """
    for name in names:
        if (out / name).is_dir() and not (out / name).is_symlink():
            raise InvalidInput(
                f"--out {out}: {out / name} is a folder, the result has a file of that name; move it away or choose "
                "another --out"
            )
    (staging / REPLACED).mkdir()
    begun: list[str] = []
    try:
        for name in names:
            begun.append(name)
            with suppress(FileNotFoundError):
                (out / name).rename(staging / REPLACED / name)
            (staging / name).rename(out / name)
        for name in gone:
            if (out / name).is_file():
                (out / name).rename(staging / REPLACED / name)
        yield
    except BaseException:
        for name in reversed(begun):
            with suppress(OSError):  # the first error is the one to be told, and the other files are to go back
                _put_back(staging, out, name)
        for name in gone:
            with suppress(OSError):
                (staging / REPLACED / name).rename(out / name)
        raise


def _put_back(staging: Path, out: Path, name: str) -> None:
    """Undo what was done for one file, by what lies where: a signal may have come between any two renames."""
    replaced = staging / REPLACED / name
    if os.path.lexists(replaced):
        replaced.replace(out / name)
    elif not os.path.lexists(staging / name):
        (out / name).unlink()


def _point(link: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        link.unlink()
    with explained(link):
        link.symlink_to(target)
