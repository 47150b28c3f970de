"""What was asked of sources and stores: counted where it happens, summed in the usage of a call."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eo.assembly import requests

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from zarr.abc.store import Store as ZarrStore

    from eo.store import Body, Store


@dataclass
class Traffic:
    """Requests to remote sources and what they brought, of one piece of work."""

    requests: int = 0
    """Attempts, failed ones included."""
    bytes: int = 0
    """Bytes of bodies that arrived."""

    def add(self, other: "Traffic") -> None:
        """Count what another piece of work asked for."""
        self.requests += other.requests
        self.bytes += other.bytes


@dataclass
class StoreTraffic:
    """Requests to the job's own store, as Amazon S3 would count them; a folder is asked just as often."""

    reads: int = 0
    """GET and HEAD."""
    writes: int = 0
    """PUT, COPY, POST and LIST. An object written in several parts counts once: units write few that large."""
    bytes_read: int = 0
    bytes_written: int = 0

    def read(self, size: int) -> None:
        """Count an object, or that there is none (0)."""
        self.reads += 1
        self.bytes_read += size

    def wrote(self, size: int) -> None:
        """Count an object."""
        self.writes += 1
        self.bytes_written += size

    def take(self, other: "StoreTraffic") -> None:
        """Count what another one has counted, and set that to nothing: it then belongs to nobody else."""
        self.reads += other.reads
        self.writes += other.writes
        self.bytes_read += other.bytes_read
        self.bytes_written += other.bytes_written
        other.reads = other.writes = other.bytes_read = other.bytes_written = 0


READ_AHEAD = 1 << 20
"""Bytes of a large object that are asked for together."""


class _CountedFile(io.RawIOBase):
    """A file that counts what is read of it."""

    def __init__(self, inner: BinaryIO, traffic: StoreTraffic) -> None:
        self._inner = inner
        self._traffic = traffic

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return self._inner.seek(offset, whence)

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        data = self._inner.read(len(view))
        view[: len(data)] = data
        self._traffic.read(len(data))
        return len(data)

    def close(self) -> None:
        self._inner.close()
        super().close()


@dataclass(frozen=True)
class CountedStore:
    """A store that counts what is asked of it. What goes through its Zarr store is counted by the cube."""

    inner: "Store"
    traffic: StoreTraffic

    def __hash__(self) -> int:
        return hash(self.inner)

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        data = b""
        try:
            data = self.inner.read(key)
        finally:
            self.traffic.read(len(data))
        return data

    def reader(self, key: str) -> BinaryIO:
        """A large object as a file that seeks. Raises KeyError where there is none."""
        return io.BufferedReader(_CountedFile(self.inner.reader(key), self.traffic), READ_AHEAD)

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes]:
        """The bytes of many small objects, in the order of their keys. Raises KeyError where there is none."""
        for data in self.inner.read_all(keys):
            self.traffic.read(len(data))
            yield data

    def write(self, key: str, pieces: Iterable[memoryview | bytes]) -> None:
        """Write an object whole."""
        size = 0

        def counted() -> Iterator[memoryview | bytes]:
            nonlocal size
            for piece in pieces:
                size += len(piece)
                yield piece

        try:
            self.inner.write(key, counted())
        finally:
            self.traffic.wrote(size)

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        self.traffic.read(0)
        return self.inner.exists(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the objects below a prefix; S3 lists a thousand in one request."""
        self.traffic.wrote(0)
        for number, key in enumerate(self.inner.keys(prefix), start=1):
            yield key
            if number % 1000 == 0:
                self.traffic.wrote(0)

    def delete(self, prefix: str) -> int:
        """Delete an object or all objects below a prefix. Deletions are free of charge."""
        return self.inner.delete(prefix)

    def concatenate(self, key: str, head: bytes, bodies: "Sequence[Body]") -> None:
        """Write head, then the bodies in order: the store copies them, so that no byte of theirs passes here."""
        self.inner.concatenate(key, head, bodies)
        took = requests(len(head), [body.size for body in bodies])
        self.traffic.reads += took.reads
        self.traffic.writes += took.writes
        self.traffic.bytes_read += took.passing
        self.traffic.bytes_written += took.sent

    def zarr(self, prefix: str) -> "ZarrStore":
        """The objects below a prefix as a Zarr store."""
        return self.inner.zarr(prefix)

    def temporary(self, prefix: str) -> Path:
        """A local folder for temporary files of the work below a prefix."""
        return self.inner.temporary(prefix)
