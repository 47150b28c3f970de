"""Parts of a file over HTTP (RFC 9110, 14): one range, as downloads that go on ask for it."""

import re
from dataclasses import dataclass

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
"""A Range header that asks for one range."""


@dataclass(frozen=True)
class Piece:
    """Bytes of a file."""

    first: int
    length: int
    whole: bool

    def content_range(self, size: int) -> str:
        """The value of Content-Range."""
        return f"bytes {self.first}-{self.first + self.length - 1}/{size}"


def piece(header: str | None, size: int) -> Piece | None:
    """What of a file of so many bytes a Range header asks for; None where there are no such bytes.

    A header that is not understood, or asks for several ranges, is ignored: the whole file is an answer too.
    """
    whole = Piece(0, size, whole=True)
    match = RANGE.fullmatch((header or "").replace(" ", ""))
    if match is None or not any(match.groups()):
        return whole
    start, end = match.groups()
    if not start:
        first, last = max(size - int(end), 0), size - 1
    else:
        first, last = int(start), min(int(end), size - 1) if end else size - 1
        if end and int(end) < first:
            return whole
    return Piece(first, last - first + 1, whole=False) if first <= last else None
