"""What `inspect` shows of a LAS, LAZ or COPC file: of a result of ours, and of any other that laspy reads."""

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import laspy
import lazrs
import numpy as np
from laspy.copc import load_octree_for_query
from numpy.typing import NDArray
from pyproj.exceptions import CRSError

from cli.drawn import BLOCK_POINTS, Block, draw
from cli.intact import intact
from eo.errors import CorruptData
from point_cloud.las import CLASS_NAMES, utc

OF_BYTES = 255
"""Colours up to this are of 8 bits in 16, as some programs write them in spite of the standard."""


def las(file: Path, picture: Path | None) -> None:
    """Show a file: format, CRS, counts, classes, octree, times; draw it from above. Raises CorruptData, InvalidInput.

    Where its checksums lie beside it, every byte of it is compared with them first. Every point is read, a block at a time.
    """
    checked = intact(file)
    with _read(file), laspy.open(file) as reader:
        header = reader.header
        count = int(header.point_count)
        for key, value in [*_head(header), *_octree(file, header)]:
            print(f"{key:<20}{value}")
        if checked:
            print(f"{'checksum':<20}{checked}")
        if not count:
            return
        seen = _Seen()
        low, high = np.array(header.mins), np.array(header.maxs)
        # In the mean, as far as points lie apart: gaps make them seem farther than they are.
        apart = float(np.sqrt(max(high[0] - low[0], 1) * max(high[1] - low[1], 1) / count))
        drawn = draw(seen.of(reader), low, high, apart, picture or file.with_suffix(".inspect.png"))
    if seen.points != count:
        raise CorruptData(f"{file} has {seen.points:,} points and {count:,} by its header; it was cut off or changed")
    for key, value in seen.told(low, high):
        print(f"{key:<20}{value}")
    print(f"{'picture':<20}{drawn}")


Rows = Iterator[tuple[str, str]]
"""(key, value) of lines."""


def _head(header: laspy.LasHeader) -> Rows:
    copc = any(record.user_id == "copc" for record in header.vlrs)
    stored = "COPC 1.0, " if copc else "LAZ, " if header.are_points_compressed else ""
    yield "format", f"{stored}LAS {header.version}, point format {header.point_format.id}"
    yield "software", _text(header.generating_software)
    yield "crs", _crs(header)
    for record in header.vlrs:
        if (record.user_id, record.record_id) == ("LASF_Spec", 3):
            for number, line in enumerate(_text(record.record_data).splitlines()):
                yield "" if number else "about", line
    yield "points", f"{header.point_count:,}"


def _text(data: bytes | str) -> str:
    """What a field holds; laspy gives bytes where it is not ASCII."""
    return (data.decode(errors="replace") if isinstance(data, bytes) else data).rstrip("\0 ")


def _crs(header: laspy.LasHeader) -> str:
    try:
        crs = header.parse_crs()
    except CRSError:
        return "not readable: the file's WKT is damaged"
    if crs is None:
        return "none: the file does not say where it lies"
    codes = [":".join(known) for part in crs.sub_crs_list or [crs] if (known := part.to_authority())]
    return f"{'+'.join(codes)} ({crs.name})" if codes else crs.name


def _octree(file: Path, header: laspy.LasHeader) -> Rows:
    if not any(record.user_id == "copc" for record in header.vlrs):
        return
    with laspy.CopcReader.open(file) as reader:
        nodes = [
            node
            for node in load_octree_for_query(reader.source, reader.copc_info, reader.root_page)
            if node.point_count
        ]
        depth = max((node.key.level for node in nodes), default=0)
        finest = reader.copc_info.spacing / 2**depth
        yield "octree", f"{depth + 1} levels, {len(nodes):,} nodes with points, {finest:g} m apart at the deepest"


class _Seen:
    """What all points together say."""

    def __init__(self) -> None:
        self.points = 0
        self._classes: Counter[int] = Counter()
        self._low, self._high = np.full(4, np.inf), np.full(4, -np.inf)
        self._adjusted = False

    def of(self, reader: laspy.LasReader) -> Iterator[Block]:
        """All blocks of a file, each looked at as it passes."""
        self._adjusted = bool(reader.header.global_encoding.gps_time_type)
        for points in reader.chunk_iterator(BLOCK_POINTS):
            self.points += len(points)
            for code, count in enumerate(np.bincount(points.classification)):
                self._classes[code] += int(count)
            x, y, z = (np.asarray(points[axis]) for axis in "xyz")
            known = set(points.point_format.dimension_names)
            times = np.asarray(points.gps_time) if "gps_time" in known else np.zeros(1)
            values = (x, y, z, times)
            self._low = np.minimum(self._low, [each.min() for each in values])
            self._high = np.maximum(self._high, [each.max() for each in values])
            yield Block(x, y, z, _colours(points) if "red" in known else np.full((3, len(x)), 128, np.float32))

    def told(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> Rows:
        """In words, beside what the header says."""
        for index, axis in enumerate("xyz"):
            told = f"{self._low[index]:,.3f} to {self._high[index]:,.3f}"
            if max(abs(self._low[index] - low[index]), abs(self._high[index] - high[index])) > 0.01:
                told += f" (by its header {low[index]:,.3f} to {high[index]:,.3f})"
            yield f"{axis} range", told
        for code, count in sorted(self._classes.items()):
            if count:
                yield f"class {code}", f"{count:,} ({CLASS_NAMES.get(code, 'see LAS 1.4, table 17')})"
        if self._adjusted and self._high[3] > self._low[3]:
            yield "sensed", f"{utc(self._low[3])} to {utc(self._high[3])}"
        elif self._adjusted:
            yield "sensed", utc(self._low[3])


def _colours(points: laspy.ScaleAwarePointRecord) -> NDArray[np.float32]:
    colours = np.stack([np.asarray(points[name]) for name in ("red", "green", "blue")])
    return (colours if colours.max() <= OF_BYTES else colours >> 8).astype(np.float32)


@contextmanager
def _read(file: Path) -> Iterator[None]:
    """What laspy and the codec raise of bytes that are none of theirs, as CorruptData."""
    try:
        yield
    except (
        laspy.LaspyException,
        lazrs.LazrsError,
        struct.error,
        ArithmeticError,
        LookupError,
        ValueError,
        OSError,
    ) as error:
        words = str(error).split("\n")[0][:200] or type(error).__name__
        raise _unreadable(file, words) from None
    except MemoryError:
        # Bytes that are no lengths: the file's own records take little.
        raise _unreadable(file, "a record is longer than any memory") from None


def _unreadable(file: Path, words: str) -> CorruptData:
    return CorruptData(f"{file} is not a readable LAS file ({words}); run the job again, or get it again")
