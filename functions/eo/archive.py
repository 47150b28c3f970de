"""A zip that somebody sent, read where it lies: nothing in it is believed before it is checked.

Members are read by name and written to paths of our own, so no name of the archive ever is a path. What a member may
take is limited by the size that its entry declares, which `zipfile` never goes beyond.
"""

import hashlib
import struct
import zipfile
import zlib
from contextlib import closing
from pathlib import Path
from typing import IO, BinaryIO, Self, cast

from eo.errors import CorruptData, InvalidInput

MAX_DIRECTORY = 4 << 20
"""Bytes of a zip's list of members that are read: a Sentinel-2 product has 30 kB of them, one of old times 1.5 MB."""
MAX_MEMBER = 512 << 20
"""Bytes of a member: a 10 m band has 140 MB as JPEG 2000 and 241 MB as a plain GeoTIFF."""
MAX_NAME = 255
"""Bytes of a part of a name: what file systems take."""
PIECE = 1 << 20
METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
ENCRYPTED = 0x1
"""Bit of an entry's flags (APPNOTE.TXT, 4.4.4)."""
BROKEN = (zipfile.BadZipFile, struct.error, NotImplementedError, ValueError, OverflowError, EOFError)
"""What `zipfile` raises where a list of members is not one."""


class Archive:
    """The members of a zip. Raises InvalidInput where it is none, or one that nobody makes by accident."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Read the list of members; `name` is what messages call the zip."""
        self.name = name
        counted = _Counted(file, name)
        try:
            self._zip = zipfile.ZipFile(cast("IO[bytes]", counted))
        except BROKEN as error:
            raise InvalidInput(
                f"{name} is not a readable zip ({error}): it may be truncated; make it again and upload it whole"
            ) from None
        counted.left = None
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            self._add(info)

    def __enter__(self) -> Self:
        """Give the archive itself; its file is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    @property
    def names(self) -> list[str]:
        """Names of the files in it, sorted."""
        return sorted(self._members)

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over names, sizes and CRC-32s of all files: another content has another one."""
        listed = [f"{name}\0{self._members[name].file_size}\0{self._members[name].CRC}\n" for name in self.names]
        return hashlib.sha256("".join(listed).encode()).hexdigest()

    def size(self, member: str) -> int:
        """Bytes of a file when it is unpacked."""
        return self._members[member].file_size

    def packed(self, member: str) -> int:
        """Bytes of a file as it lies in the zip."""
        return self._members[member].compress_size

    def check(self, member: str, *, limit: int = MAX_MEMBER) -> None:
        """Raises InvalidInput where a file cannot be unpacked, or is larger than any of its kind."""
        info = self._members[member]
        if info.flag_bits & ENCRYPTED:
            raise InvalidInput(f"{member} in {self.name} is encrypted: make the zip without a password")
        if info.compress_type not in METHODS:
            raise InvalidInput(
                f"{member} in {self.name} is compressed by method {info.compress_type}: make the zip with stored or "
                "deflated files"
            )
        if info.file_size > limit:
            raise InvalidInput(
                f"{member} in {self.name} has {info.file_size:,} bytes, more than the {limit:,} that a file of its kind "
                "may have"
            )

    def read(self, member: str, *, limit: int) -> bytes:
        """A small file. Raises InvalidInput as `check`, and CorruptData where it cannot be unpacked."""
        self.check(member, limit=limit)
        with closing(_Pieces(self._zip, self._members[member], self.name)) as pieces:
            return b"".join(pieces)

    def extract(self, member: str, path: Path) -> str:
        """Unpack a file to a path; gives its SHA-256 in hex. Raises as `read`."""
        self.check(member)
        digest = hashlib.sha256()
        with path.open("wb") as target, closing(_Pieces(self._zip, self._members[member], self.name)) as pieces:
            for piece in pieces:
                digest.update(piece)
                target.write(piece)
        return digest.hexdigest()

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = info.orig_filename
        parts = name.removesuffix("/").split("/")
        if (
            not name.isprintable()
            or "\\" in name
            or ":" in parts[0]
            or any(part in {"", ".", ".."} or len(part.encode()) > MAX_NAME for part in parts)
        ):
            raise InvalidInput(f"{self.name} holds a file called {name[:100]!r}, which is no path inside of it")
        if name.endswith("/"):
            return
        if name in self._members:
            raise InvalidInput(f"{self.name} holds {name[:100]} twice: make it again, with one of them")
        self._members[name] = info


class _Pieces:
    """A member, unpacked piece by piece."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> None:
        self._broken = f"{info.filename} in {name} cannot be unpacked"
        try:
            self._file = archive.open(info)
        except BROKEN as error:
            raise self._error(error) from None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        try:
            piece = self._file.read(PIECE)
        except (*BROKEN, zlib.error) as error:
            raise self._error(error) from None
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        self._file.close()

    def _error(self, error: Exception) -> CorruptData:
        return CorruptData(f"{self._broken} ({error}): make the zip again and upload it whole")


class _Counted:
    """A file of which only so much is read: how long a zip's list of members is, the zip itself says."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        # Beside the list: the end record with its comment is looked for in the last 64 kB.
        self.left: int | None = MAX_DIRECTORY + (128 << 10)

    def read(self, size: int = -1) -> bytes:
        if self.left is not None:
            if size > self.left:
                raise InvalidInput(
                    f"{self._name} has a list of members of more than {MAX_DIRECTORY:,} bytes: it is no zipped product"
                )
            data = self._file.read(self.left if size < 0 else size)
            self.left -= len(data)
            return data
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
