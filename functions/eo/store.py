"""Objects by key. The local engine keeps them in a folder (`eo.folder_store`); the bundle in a bucket (`eo.bucket_store`).

Every object is written once and whole: a reader sees all of it or nothing.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore


@dataclass(frozen=True, slots=True)
class Body:
    """An object that a part names, as its unit left it."""

    key: str
    size: int
    """Bytes."""
    digest: str
    """SHA-256 in hex."""


class Store(Hashable, Protocol):
    """What stages, merge and job service need of a store. Stores are values: they travel between processes."""

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        ...

    def reader(self, key: str) -> BinaryIO:
        """A large object as a file that seeks, without holding it. Raises KeyError where there is none.

        What is read of one file is of one object: where it is replaced meanwhile, reads give the old one's bytes or raise
        CorruptData.
        """
        ...

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes]:
        """The bytes of many small objects, in the order of their keys. Raises KeyError where there is none."""
        ...

    def write(self, key: str, pieces: Iterable[memoryview | bytes]) -> None:
        """Write an object whole, replacing an equal one of an earlier attempt."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the objects below a prefix, which ends with a slash."""
        ...

    def delete(self, prefix: str) -> int:
        """Delete an object or all objects below a prefix; returns the bytes that are free again."""
        ...

    def concatenate(self, key: str, head: bytes, bodies: Sequence[Body]) -> None:
        """Write head, then the bodies in order, as one object, without holding them.

        Raises CorruptData, before there is anything under the key, where a body is gone or not what its unit wrote.
        """
        ...

    def zarr(self, prefix: str) -> "ZarrStore":
        """The objects below a prefix as a Zarr store."""
        ...

    def temporary(self, prefix: str) -> Path:
        """A local folder for temporary files of the work below a prefix, such as a source file fetched whole."""
        ...
