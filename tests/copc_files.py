"""COPC files read byte by byte as the texts of LAS 1.4 and COPC 1.0 have them; only the codec is another's (lazrs)."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lazrs
import numpy as np
from numpy.typing import NDArray

Key = tuple[int, int, int, int]
"""(level, x, y, z)."""
POINT = np.dtype(
    {
        "names": ["X", "Y", "Z", "returns", "flags", "class", "gps", "R", "G", "B"],
        "formats": ["<i4", "<i4", "<i4", "u1", "u1", "u1", "<f8", "<u2", "<u2", "<u2"],
        "offsets": [0, 4, 8, 14, 15, 16, 22, 30, 32, 34],
        "itemsize": 36,
    }
)


@dataclass(frozen=True)
class Copc:
    """A file in which everything is where its tables say."""

    nodes: Mapping[Key, NDArray[np.void]]
    """Points by node, as records of `POINT`; of length 0 where a node is only an ancestor."""
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    low: NDArray[np.float64]
    """Of the points, as the header has it."""
    high: NDArray[np.float64]
    centre: NDArray[np.float64]
    half: float
    spacing: float
    gps: tuple[float, float]
    wkt: str
    text: str
    day: tuple[int, int]
    """(year, day of the year)."""
    pages: int
    """Pages of the hierarchy."""

    @property
    def points(self) -> NDArray[np.void]:
        return np.concatenate(list(self.nodes.values()))

    def xyz(self, points: NDArray[np.void]) -> NDArray[np.float64]:
        return np.column_stack([points[axis] for axis in "XYZ"]) * self.scale + self.offset

    def table(self) -> NDArray[np.float64]:
        """Points as rows x, y, z, red, green, blue of 8 bits, sorted, as `support.Cloud.table`."""
        points = self.points
        rows = np.column_stack([self.xyz(points).round(3), *(points[colour] >> 8 for colour in "RGB")])
        return np.asarray(rows[np.lexsort(rows.T[::-1])])

    def cube(self, key: Key) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(lowest, highest) corner of a node."""
        edge = 2 * self.half / 2 ** key[0]
        low = self.centre - self.half + edge * np.array(key[1:])
        return low, low + edge


def read_copc(path: Path) -> Copc:
    """Read a file whole and hold everything against what the texts demand."""
    data = path.read_bytes()
    head = _header(data)
    vlrs, end = _vlrs(data, head["vlrs"])
    assert end == head["points_at"], "points begin where the records end"
    info = vlrs[0]
    # COPC 1.0: the info record is the first, at 375, with copc at 377 and version 1 at 393.
    assert (info[0], info[1], len(info[2])) == ("copc", 1, 160)
    assert (data[377:381], data[393:395]) == (b"copc", b"\1\0")
    *place, page, page_size, gps_low, gps_high = struct.unpack_from("<5d2Q2d", info[2])
    assert info[2][72:] == bytes(88), "reserved"
    by_id = {(user, record): content for user, record, content in vlrs}
    assert len(by_id) == len(vlrs)
    laszip = by_id["laszip encoded", 22204]
    chunk_size = struct.unpack_from("<I", laszip, 12)[0]
    assert chunk_size == 0xFFFFFFFF, "chunks vary in size"
    evlr = _evlr(data, head["evlr_at"])
    assert evlr[0] <= page < page + page_size <= evlr[1]
    entries, pages = _pages(data, page, page_size, evlr)
    made = Copc(
        nodes=_nodes(data, entries, laszip, head["points_at"], head["evlr_at"]),
        scale=head["scale"],
        offset=head["offset"],
        low=head["low"],
        high=head["high"],
        centre=np.array(place[:3]),
        half=place[3],
        spacing=place[4],
        gps=(gps_low, gps_high),
        wkt=by_id["LASF_Projection", 2112].rstrip(b"\0").decode(),
        text=by_id["LASF_Spec", 3].rstrip(b"\0").decode(),
        day=head["day"],
        pages=pages,
    )
    _check(made, head["count"])
    return made


def _header(data: bytes) -> dict:
    """LAS 1.4 - R15, table 3."""
    assert data[:4] == b"LASF"
    assert struct.unpack_from("<H", data, 6)[0] == 0b10001, "WKT, and GPS time less 10^9 s"
    assert (data[24], data[25]) == (1, 4)
    assert data[26:90].isascii()
    day, year, size, points_at, vlrs = struct.unpack_from("<HHHII", data, 90)
    assert size == 375
    assert (data[104], struct.unpack_from("<H", data, 105)[0]) == (7 | 0x80, 36)
    assert data[107:131] == bytes(24), "legacy counts"
    numbers = np.frombuffer(data, "<f8", 12, 131)
    waveforms, evlr_at, evlrs, count = struct.unpack_from("<QQIQ", data, 227)
    by_return = struct.unpack_from("<15Q", data, 255)
    assert (waveforms, evlrs) == (0, 1)
    assert by_return == (count, *[0] * 14)
    return {
        "day": (year, day),
        "points_at": points_at,
        "vlrs": vlrs,
        "scale": numbers[:3],
        "offset": numbers[3:6],
        "high": numbers[6::2],
        "low": numbers[7::2],
        "evlr_at": evlr_at,
        "count": count,
    }


def _vlrs(data: bytes, count: int) -> tuple[list[tuple[str, int, bytes]], int]:
    found, at = [], 375
    for _ in range(count):
        reserved, user, record, size = struct.unpack_from("<H16sHH", data, at)
        assert reserved == 0
        found.append((user.rstrip(b"\0").decode(), record, data[at + 54 : at + 54 + size]))
        at += 54 + size
    return found, at


def _evlr(data: bytes, at: int) -> tuple[int, int]:
    """(begin, end) of the content of the only extended record, with which the file ends."""
    reserved, user, record, size = struct.unpack_from("<H16sHQ", data, at)
    assert (reserved, user.rstrip(b"\0"), record) == (0, b"copc", 1000)
    assert at + 60 + size == len(data)
    return at + 60, at + 60 + size


def _pages(data: bytes, page: int, size: int, within: tuple[int, int]) -> tuple[dict[Key, tuple[int, int, int]], int]:
    """({key: (offset, bytes, points)} of all nodes, number of pages), each key once."""
    found: dict[Key, tuple[int, int, int]] = {}
    waiting: list[tuple[int, int, Key | None]] = [(page, size, None)]
    read: list[tuple[int, int]] = []
    while waiting:
        at, length, root = waiting.pop()
        assert length % 32 == 0
        assert within[0] <= at < at + length <= within[1]
        read.append((at, at + length))
        keys = set()
        for place in range(at, at + length, 32):
            *key, offset, nbytes, points = struct.unpack_from("<iiiiQii", data, place)
            keys.add(tuple(key))
            if points == -1:
                waiting.append((offset, nbytes, tuple(key)))
                continue
            assert tuple(key) not in found
            found[tuple(key)] = (offset, nbytes, points)
        assert root is None or root in keys, "a page tells of the node that leads to it"
    read.sort()
    assert [begin for begin, _ in read] == [within[0], *(end for _, end in read[:-1])], "pages fill the record"
    assert read[-1][1] == within[1]
    return found, len(read)


def _nodes(
    data: bytes, entries: dict[Key, tuple[int, int, int]], laszip: bytes, points_at: int, evlr_at: int
) -> dict[Key, NDArray[np.void]]:
    """Points by node; the chunks fill the file from the points' begin to the table of chunks, which says the same."""
    table_at = struct.unpack_from("<q", data, points_at)[0]
    filled = sorted(entry for entry in entries.values() if entry[2])
    at = points_at + 8
    for offset, nbytes, _ in filled:
        assert offset == at
        at += nbytes
    assert at == table_at
    vlr = lazrs.LazVlr(laszip)
    with_table = _Stream(data, points_at)
    assert lazrs.read_chunk_table(with_table, vlr) == [(points, nbytes) for _, nbytes, points in filled]
    assert table_at < evlr_at
    found = {}
    for key, (offset, nbytes, points) in entries.items():
        raw = np.zeros(points * 36, np.uint8)
        if points:
            chunk = data[offset : offset + nbytes]
            lazrs.decompress_points_with_chunk_table(chunk, laszip, raw, [(points, nbytes)])
        else:
            assert (offset, nbytes) == (0, 0)
        found[key] = raw.view(POINT)
    return found


class _Stream:
    """A file that stands where the points begin."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def read(self, size: int = -1) -> bytes:
        end = len(self._data) if size < 0 else self._at + size
        found = self._data[self._at : end]
        self._at += len(found)
        return found

    def readinto(self, into: bytearray) -> int:
        found = self.read(len(into))
        into[: len(found)] = found
        return len(found)

    def seek(self, to: int, whence: int = 0) -> int:
        self._at = {0: 0, 1: self._at, 2: len(self._data)}[whence] + to
        return self._at

    def tell(self) -> int:
        return self._at


def _check(made: Copc, count: int) -> None:
    """The octree: every node within its cube, every ancestor there, no dead ends; and the header's counts and bounds."""
    assert (0, 0, 0, 0) in made.nodes
    parents = set()
    for key, points in made.nodes.items():
        level, *place = key
        assert all(0 <= axis < 2**level for axis in place)
        if level:
            parent = (level - 1, *(axis // 2 for axis in place))
            assert parent in made.nodes
            parents.add(parent)
        low, high = made.cube(key)
        if points.size:
            xyz = made.xyz(points)
            assert ((xyz >= low - 1e-6) & (xyz < high)).all(), key
    assert all(points.size or key in parents for key, points in made.nodes.items()), "no empty leaves"
    every = made.points
    assert every.size == count
    if every.size:
        xyz = made.xyz(every)
        np.testing.assert_array_equal(xyz.min(axis=0), made.low)
        np.testing.assert_array_equal(xyz.max(axis=0), made.high)
        assert (every["gps"].min(), every["gps"].max()) == made.gps
    assert (every["returns"] == 0x11).all()
    assert not every["flags"].any()
