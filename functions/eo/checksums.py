"""Checksums of files that are joined from pieces without passing through any process.

Nobody reads a joined file as a whole while it is made, so there is no SHA-256 of it. There is one of each piece, and
the *composite* one: SHA-256 over the pieces' digests, one after the other, as Amazon S3 defines it for multipart
uploads (https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html). `checksums.json`
lists the pieces, so that whoever has the file can check every byte of it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from eo.errors import CorruptData

CHECKSUMS = "checksums.json"
"""Name of the file that lists the pieces."""
ALGORITHM = "sha2-256"
"""Name in the multihash table (https://github.com/multiformats/multicodec)."""
BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of a joined file."""

    offset: int
    size: int
    sha256: str


def pieces(sizes_and_digests: Sequence[tuple[int, str]]) -> list[Piece]:
    """The ranges of a file that is these pieces, in this order; empty ones are left out."""
    found: list[Piece] = []
    offset = 0
    for size, digest in sizes_and_digests:
        if size:
            found.append(Piece(offset, size, digest))
            offset += size
    return found


def composite(listed: Sequence[Piece]) -> str:
    """SHA-256, in hex, over the digests of all pieces."""
    return hashlib.sha256(b"".join(bytes.fromhex(piece.sha256) for piece in listed)).hexdigest()


def document(joined: dict[str, list[Piece]]) -> bytes:
    """The JSON of `checksums.json`: by file name."""
    described = {
        name: {
            "algorithm": ALGORITHM,
            "size": sum(piece.size for piece in listed),
            "composite": composite(listed),
            "pieces": [asdict(piece) for piece in listed],
        }
        for name, listed in joined.items()
    }
    return (json.dumps(described, indent=1) + "\n").encode()


def listed(data: bytes, name: str) -> list[Piece] | None:
    """The pieces of a file as `checksums.json` lists them, None where it does not. Raises CorruptData."""
    try:
        entry = json.loads(data).get(name)
        if entry is None:
            return None
        found = [Piece(**piece) for piece in entry["pieces"]]
        joined = pieces([(piece.size, piece.sha256) for piece in found])
        if joined == found and composite(found) == entry["composite"]:
            return found
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise CorruptData(f"{CHECKSUMS} is not what was written: fetch it again from where the result came")


def damaged(file: Path, pieces_of_file: Sequence[Piece]) -> Piece | None:
    """The first piece that is not what it was when the file was made, None where all are."""
    with file.open("rb") as opened:
        for piece in pieces_of_file:
            if _digest(opened, piece) != piece.sha256:
                return piece
        end = pieces_of_file[-1].offset + pieces_of_file[-1].size if pieces_of_file else 0
        return None if opened.seek(0, 2) == end else Piece(end, opened.tell() - end, "")


def told(file: Path, piece: Piece) -> str:
    """What is wrong with a file whose first damaged piece this is."""
    if not piece.sha256:
        return f"{file} is longer than it was made, from byte {piece.offset:,} on: fetch it again from where the result came"
    return (
        f"{file} is not what it was when it was made: bytes {piece.offset:,} to {piece.offset + piece.size - 1:,} differ or "
        "are gone; fetch it again from where the result came, or run its job again"
    )


def _digest(opened: BinaryIO, piece: Piece) -> str:
    opened.seek(piece.offset)
    digest = hashlib.sha256()
    left = piece.size
    while left and (block := opened.read(min(BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()
