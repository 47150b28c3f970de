"""The store of the local engine: objects as files below a folder.

An object is written under a temporary name, then renamed: a killed writer leaves nothing but a `.part` file that the
next attempt ignores. Deleting is as whole: a folder is renamed before its files go, so that nobody takes what a killed
deletion left for the folder itself.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eo.disk import explained
from eo.errors import AFRESH, InvalidInput, JobBusy, LostWork
from eo.store import Body

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

LOCK_TRIES, LOCK_PAUSE = 3, 0.02
"""How often, and how many seconds apart, a job's lock is tried for."""
DELETED = re.compile(r"\.deleted-[0-9a-f]{8}-(.+)")
"""Name of a folder that is being deleted, or was when its process was killed: with its own name in it."""


@dataclass(frozen=True)
class FolderStore:
    """Objects as files below a folder."""

    root: Path

    def path(self, key: str) -> Path:
        """The file of a key."""
        path = self.root / key
        if ".." in path.parts:
            raise InvalidInput(f"key {key!r} leaves the store; keys have no '..'")
        return path

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        try:
            return self.path(key).read_bytes()
        except FileNotFoundError:
            raise KeyError(key) from None

    def reader(self, key: str) -> BinaryIO:
        """A large object as a file that seeks. Raises KeyError where there is none."""
        try:
            return self.path(key).open("rb")
        except FileNotFoundError:
            raise KeyError(key) from None

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes]:
        """The bytes of many objects, in the order of their keys. Raises KeyError where there is none."""
        return map(self.read, keys)

    def write(self, key: str, pieces: Iterable[memoryview | bytes]) -> None:
        """Write an object whole."""
        with self.writing(key) as temporary, temporary.open("wb", buffering=0) as file:
            for piece in pieces:
                _write_all(file.fileno(), piece)

    @contextmanager
    def writing(self, key: str) -> Iterator[Path]:
        """A temporary file that takes the object's name when the block ends well, and vanishes otherwise."""
        path = self.path(key)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        with explained(path):
            _make_folder(path.parent)
            try:
                yield temporary
                temporary.replace(path)
            finally:
                with suppress(FileNotFoundError):
                    temporary.unlink()

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return self.path(key).is_file()

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the objects below a prefix, which ends with a slash; temporary files are none."""
        for folder, _, names in os.walk(self.path(prefix)):
            for name in names:
                if not name.startswith("."):
                    yield str((Path(folder) / name).relative_to(self.root))

    def concatenate(self, key: str, head: bytes, bodies: Sequence[Body]) -> None:
        """Join objects by in-kernel copy.

        Raises LostWork where a body is not what its unit wrote: a record outlives its process, and what it names may
        not outlive a power cut, with its size kept and its blocks zero.
        """
        for body in bodies:
            if not self.exists(body.key) or self.digest(body.key) != body.digest:
                raise LostWork(f"{body.key} is gone or not what was written; {AFRESH}")
        with self.writing(key) as temporary, temporary.open("wb") as out:
            out.write(head)
            out.flush()
            for body in bodies:
                with self.path(body.key).open("rb") as source:
                    copy_in_kernel(source.fileno(), out.fileno())

    def digest(self, key: str) -> str:
        """SHA-256 of an object, in hex."""
        with self.path(key).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def zarr(self, prefix: str) -> "ZarrStore":
        """The files below a folder as a Zarr store."""
        from zarr.storage import LocalStore  # noqa: PLC0415 - heavy: only who opens a cube needs it

        with explained(self.path(prefix)):
            self.path(prefix).mkdir(parents=True, exist_ok=True)
        return LocalStore(self.path(prefix))

    def temporary(self, prefix: str) -> Path:
        """The folder of a prefix itself: whoever deletes its objects deletes what killed work has left there too."""
        return self.path(prefix)

    def delete(self, prefix: str) -> int:
        """Delete an object or all objects below a prefix; returns the bytes that are free again.

        What a deletion of the same prefix has left that was killed goes too. One process at a time may delete a prefix.
        """
        path = self.path(prefix)
        if path.is_file():
            size = path.stat().st_size
            path.unlink()
            return size
        doomed = [entry for entry in _entries(path.parent) if _deleted(entry) == path.name]
        if path.is_dir():
            doomed.append(path.with_name(f".deleted-{secrets.token_hex(4)}-{path.name}"))
            try:
                path.rename(doomed[-1])
            except OSError:  # a disk so full that it has no room for a name: better not at once than not at all
                doomed[-1] = path
        size = sum(_size(folder) for folder in doomed)
        for folder in doomed:
            shutil.rmtree(folder, ignore_errors=True)
        return size

    def names(self, folder: str) -> list[str]:
        """What `delete` can delete in a folder, sorted: what is there, and what killed deletions have left of others."""
        return sorted({_deleted(entry) or entry.name for entry in _entries(self.path(folder))})

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold a job for this process; the kernel lets go of it when the process dies.

        Raises JobBusy at once where another process holds it.
        """
        path = self.path(key)
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        with file:
            if not _flocked(file.fileno()):
                file.seek(0)
                holder = file.read().decode() or "unknown"
                raise JobBusy(f"process {holder} is working on this job; wait for it, or stop it")
            file.truncate(0)
            with suppress(OSError):  # a full disk: the lock holds all the same
                file.write(str(os.getpid()).encode())
            yield

    def is_locked(self, key: str) -> bool:
        """Whether a living process holds a lock."""
        try:
            with self.path(key).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def _flocked(file: int) -> bool:
    """Take a lock, if need be on a second look: `is_locked` holds one for a moment."""
    for _ in range(LOCK_TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(LOCK_PAUSE)
    return False


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _deleted(path: Path) -> str | None:
    """The name of what was to be deleted, None where this is not the rest of it."""
    match = DELETED.fullmatch(path.name)
    return match[1] if match else None


def _size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it; it may be a link to one that does not exist yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        folder.resolve().mkdir(parents=True, exist_ok=True)


def copy_in_kernel(source: int, target: int) -> None:
    """Append a whole file to another one, by copy_file_range where the system has it, else through a buffer."""
    left = os.fstat(source).st_size
    while left:
        try:
            copied = os.copy_file_range(source, target, min(left, 1 << 30))
        except (AttributeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in {
                errno.EXDEV,
                errno.EINVAL,
                errno.ENOSYS,
                errno.EOPNOTSUPP,
            }:
                raise
            data = os.read(source, 1 << 20)
            copied = len(data)
            _write_all(target, data)
        if not copied:
            raise LostWork(f"a body became shorter while it was copied; {AFRESH}")
        left -= copied


def _write_all(target: int, data: bytes | memoryview) -> None:
    """Write everything, however little the system takes at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]
