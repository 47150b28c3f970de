"""A remote folder as a read-only Zarr store, by the project's own transport: retries, limits and counts included."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

if TYPE_CHECKING:
    from eo.transport import Remote


_NO_KEYS: tuple[str, ...] = ()


class HttpStore(Store):
    """Objects below a URL. An object that is not there (404) is None; refused access (401, 403) is an error.

    That difference matters: Zarr reads what is not there as the fill value, and a wrong password must not make a sea.
    Zarr asks for several objects at once; they are fetched one after the other, over the source's one connection.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, remote: "Remote", url: str) -> None:
        super().__init__(read_only=True)
        self._remote = remote
        self._url = url.rstrip("/")
        self._turn = threading.Lock()
        self._failed = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HttpStore) and other._url == self._url

    def __hash__(self) -> int:
        return hash(self._url)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Read an object or a part of it; None where there is none."""
        data = await asyncio.to_thread(self._in_turn, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    def _in_turn(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        with self._turn:
            if self._failed:
                return None  # of what was asked for together, zarr raises the first failure; asyncio prints any other
            try:
                return self._get(key, byte_range)
            except BaseException:
                self._failed = True
                raise

    def _get(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        reader = self._remote.reader(f"{self._url}/{key}")
        if byte_range is None:
            return reader.find()
        if isinstance(byte_range, RangeByteRequest):
            return reader.read(byte_range.start, byte_range.end - byte_range.start)
        if isinstance(byte_range, OffsetByteRequest):
            return reader.read(byte_range.offset, reader.size - byte_range.offset)
        assert isinstance(byte_range, SuffixByteRequest)
        start = max(0, reader.size - byte_range.suffix)
        return reader.read(start, reader.size - start)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Read parts of several objects, one after the other."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return await asyncio.to_thread(self._in_turn, key, None) is not None

    async def set(self, key: str, value: Buffer) -> None:
        """Refused: the store is read-only."""
        raise PermissionError(key, value)

    async def delete(self, key: str) -> None:
        """Refused: the store is read-only."""
        raise PermissionError(key)

    async def list(self) -> AsyncIterator[str]:
        """HTTP has no listing."""
        for key in _NO_KEYS:
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:  # noqa: ARG002 - the store's interface
        """HTTP has no listing."""
        for key in _NO_KEYS:
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:  # noqa: ARG002 - the store's interface
        """HTTP has no listing."""
        for key in _NO_KEYS:
            yield key
