"""The last step of a local job: its result appears in the user's folder whole, or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eo.checksums import CHECKSUMS, composite, damaged, listed
from eo.disk import existing, explained
from eo.errors import InvalidInput
from eo.folder_store import FolderStore
from eo.job import Part, Plan, Result
from eo.usage import Meter
from merge.fan_in import fan_in


def check_out(out: Path) -> None:
    """Refuse a folder that cannot take a result, before anything is done for it. Raises InvalidInput."""
    folder = out if out.is_dir() else existing(out)
    beyond = out.relative_to(folder).parts
    if beyond and os.path.lexists(folder / beyond[0]):
        raise InvalidInput(f"--out {out}: {folder / beyond[0]} is not a folder; choose another one")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidInput(f"--out {out}: {folder} is not writable for this user; choose another one")


def deliver(plan: Plan, parts: list[Part], *, store: FolderStore, out: Path, meter: Meter) -> Result:
    """Merge in a hidden folder inside of `out`, then rename what was made: an equal or other result there stays till then.

    The store's result folder is a link to where the files are. Raises what merging and writing raise; `out` then is
    what it was.
    """
    link = store.path(f"jobs/{plan.job}/result")
    with _staging(out, plan.job) as staging:
        _point(link, staging)
        result = fan_in(plan, parts, store=meter.store, meter=meter)
        for name in result.files:
            (staging / name).replace(out / name)
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


def _point(link: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        link.unlink()
    with explained(link):
        link.symlink_to(target)
