"""Machine-wide slots: at most so many holders at a time over all processes of a user."""

import fcntl
import hashlib
import os
import random
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eo.errors import InvalidInput

POLL = 0.02
"""Seconds between two looks at the slots, by the one process that is next."""


@contextmanager
def connection_slots(name: str, limit: int, folder: Path | None = None) -> Iterator[int]:
    """Hold one of `limit` slots of this name, waiting for it as long as needed; gives its number.

    Locks are `flock`s, which the kernel releases when a process ends in whatever way. They belong to the open file,
    so a process must not be forked while it holds one (the engine starts its workers by spawn).
    Raises InvalidInput where the folder of the slots belongs to somebody else.
    """
    place = _private(folder or Path(tempfile.gettempdir()) / f"eo-shards-{os.getuid()}")
    stem = hashlib.sha256(name.encode()).hexdigest()[:16]
    files = [_open(place / f"{stem}.{number}") for number in range(limit)]
    try:
        # Who waits, waits in the kernel's queue for the door; only the first in it polls. So nobody is overtaken.
        door = _open(place / f"{stem}.door")
        try:
            fcntl.flock(door, fcntl.LOCK_EX)
            held = _poll(files)
        finally:
            os.close(door)
        yield held
    finally:
        for file in files:
            os.close(file)


def slot_name(endpoint: str, access_key: str) -> str:
    """Name the slots of one account; the key is hashed with it, never written."""
    return hashlib.sha256(f"{endpoint}\n{access_key}".encode()).hexdigest()


def _poll(files: list[int]) -> int:
    while True:
        for number, file in enumerate(files):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return number
        time.sleep(POLL * random.uniform(0.5, 1.5))  # noqa: S311 - no secret depends on it


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _private(folder: Path) -> Path:
    """Make the folder for this user alone: in a shared temp dir another user's file could hold our locks for ever."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise InvalidInput(f"{folder} is not a private folder of this user (mode 0700): remove it, or set TMPDIR")
    return folder
