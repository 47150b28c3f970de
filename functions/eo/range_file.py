"""A remote object as a read-only file, for readers that seek."""

import io
from collections import OrderedDict
from collections.abc import Callable

BLOCK = 64 * 1024
"""Smallest request in bytes: headers and box lists of JPEG 2000 and TIFF are read a few bytes at a time."""
MAX_AHEAD = 16
"""Blocks that are fetched at once, at most, when a file is read on and on."""
CACHE = 8 * 1024 * 1024
"""Bytes that are kept."""

Read = Callable[[int, int], bytes]


class Blocks:
    """Blocks of one object, fetched when first asked for, the last used ones kept."""

    def __init__(self, read: Read, size: Callable[[], int], *, block: int = BLOCK, cache: int = CACHE) -> None:
        self._read = read
        self.size = size
        self._block = block
        self._room = max(2, cache // block)
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next = -1
        self._ahead = 1

    def read(self, offset: int, length: int) -> bytes:
        """Give exactly these bytes, fewer only at the end of the object; raises what the object's reader raises."""
        # The first read learns the size from its answer, so that no extra request is spent on it.
        end = offset + length if not self._kept else min(offset + length, self.size())
        if end <= offset:
            return b""
        first, last = offset // self._block, (end - 1) // self._block
        missing = [number for number in range(first, last + 1) if number not in self._kept]
        if len(missing) > self._room // 2:
            return self._read(offset, end - offset)  # large reads are not read twice, so they pass by the cache
        if missing:
            # From the first to the last missing one by one request: a hole is cheaper than a second round trip.
            self._ahead = min(2 * self._ahead, MAX_AHEAD) if missing[0] == self._next else 1
            count = max(missing[-1] + 1 - missing[0], self._ahead)
            self._fetch(missing[0], count)
            self._next = missing[0] + count
        blocks = [self._kept.get(number, b"") for number in range(first, last + 1)]  # behind the end there is none
        for number in range(first, last + 1):
            if number in self._kept:
                self._kept.move_to_end(number)
        while len(self._kept) > self._room:
            self._kept.popitem(last=False)
        start = offset - first * self._block
        return b"".join(blocks)[start : start + end - offset]

    def _fetch(self, first: int, count: int) -> None:
        data = self._read(first * self._block, count * self._block)
        for number in range(-(-len(data) // self._block)):
            self._kept[first + number] = data[number * self._block : (number + 1) * self._block]
            self._kept.move_to_end(first + number)


class RangeFile(io.RawIOBase):
    """Blocks as a binary file. Several may share the same blocks."""

    def __init__(self, blocks: Blocks, name: str) -> None:
        super().__init__()
        self.name = name
        self._blocks = blocks
        self._position = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that it can seek."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; positions behind the end read nothing."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        self._position = max(0, (self._blocks.size() if base is None else base) + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Read that many bytes, fewer only at the end."""
        length = self._blocks.size() - self._position if size is None or size < 0 else size
        data = self._blocks.read(self._position, length) if length > 0 else b""
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        """Read on to the end."""
        return self.read()

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as the file goes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
