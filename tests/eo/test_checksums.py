"""Checksums of files that nobody reads as a whole while they are made."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from eo.checksums import Piece, composite, damaged, document, listed, pieces, told
from eo.errors import CorruptData

BODIES = [os.urandom(size) for size in (10, 0, 3_000_000, 1)]


def made() -> list[Piece]:
    return pieces([(len(body), hashlib.sha256(body).hexdigest()) for body in BODIES])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "joined"
    path.write_bytes(b"".join(BODIES))
    return path


def test_pieces_are_ranges_one_after_the_other_without_empty_ones() -> None:
    assert [(piece.offset, piece.size) for piece in made()] == [(0, 10), (10, 3_000_000), (3_000_010, 1)]


def test_the_composite_is_that_of_a_multipart_upload() -> None:
    """SHA-256 over the parts' raw digests: what `ChecksumSHA256` of a multipart object says, before its `-3`."""
    raw = b"".join(hashlib.sha256(body).digest() for body in BODIES if body)
    assert composite(made()) == hashlib.sha256(raw).hexdigest()


def test_what_is_written_is_what_is_read() -> None:
    data = document({"a.ply": made(), "b.ply": []})
    assert listed(data, "a.ply") == made()
    assert listed(data, "b.ply") == []
    assert listed(data, "c.ply") is None
    entry = json.loads(data)["a.ply"]
    assert (entry["algorithm"], entry["size"], entry["composite"]) == ("sha2-256", 3_000_011, composite(made()))
    assert document({"a.ply": made(), "b.ply": []}) == data


def broken(**changes: object) -> bytes:
    read = json.loads(document({"a": made()}))
    read["a"] |= changes
    return json.dumps(read).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b'{"a": 1}',
        b'{"a": {}}',
        broken(composite="ab"),
        broken(pieces=json.loads(document({"a": made()}))["a"]["pieces"][1:]),
        broken(pieces=[{"offset": "0", "size": 1, "sha256": "ab"}]),
        broken(pieces=[{"offset": 0, "size": 1, "sha256": "no hex"}]),
        broken(pieces=[{"offset": 0, "size": 1}]),
    ],
)
def test_a_list_that_is_not_what_was_written_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptData, match=r"checksums\.json is not what was written"):
        listed(data, "a")


def test_a_whole_file_has_no_damaged_piece(file: Path) -> None:
    assert damaged(file, made()) is None


@pytest.mark.parametrize(
    ("at", "piece", "said"),
    [
        (0, 0, "bytes 0 to 9 differ"),
        (10, 1, "bytes 10 to 3,000,009 differ"),
        (2_999_999, 1, "bytes 10 to 3,000,009 differ"),
        (3_000_010, 2, "bytes 3,000,010 to 3,000,010 differ"),
    ],
)
def test_the_damaged_piece_is_named_wherever_a_bit_has_flipped(file: Path, at: int, piece: int, said: str) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    found = damaged(file, made())
    assert found == made()[piece]
    assert said in told(file, found)


def test_a_file_that_is_too_short_or_too_long_is_damaged(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-1])
    assert damaged(file, made()) == made()[-1]
    file.write_bytes(data + b"more")
    found = damaged(file, made())
    assert found == Piece(3_000_011, 4, "")
    assert "longer than it was made, from byte 3,000,011 on" in told(file, found)
    file.write_bytes(b"")
    assert damaged(file, made()) == made()[0]
