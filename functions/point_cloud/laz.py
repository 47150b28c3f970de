"""LAZ chunks by lazrs, the codec of the laz-rs project: each compressed apart, so that they may be joined in any order."""

import io
from collections.abc import Sequence

import lazrs
import numpy as np
from numpy.typing import NDArray

from point_cloud.las import POINT_FORMAT, vlr

TABLE_PLACE = 8
"""Bytes before the first chunk that say where the table of the chunks is."""
_VLR = lazrs.LazVlr.new_for_compression(POINT_FORMAT, 0, use_variable_size_chunks=True)


def laszip_vlr() -> bytes:
    """The record that says how points are compressed: in chunks that differ in size."""
    return vlr("laszip encoded", 22204, "LASzip by laz-rs", bytes(_VLR.record_data()))


class Compressor:
    """Makes chunks, one after the other: what a codec of its own takes for each is a third of the work."""

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._codec = lazrs.LasZipCompressor(self._out, _VLR)
        self._codec.reserve_offset_to_chunk_table()

    def chunk(self, points: NDArray[np.void]) -> bytes:
        """Compress points (1-D, of `las.POINT`, at least one). Equal points give equal bytes, whatever came before."""
        self._out.seek(0)
        self._out.truncate()
        self._codec.compress_many(points.view(np.uint8))
        self._codec.finish_current_chunk()
        return self._out.getvalue()


def chunk_table(chunks: Sequence[tuple[int, int]]) -> bytes:
    """The table of chunks, each as (points, bytes), in the order of the file."""
    out = io.BytesIO()
    lazrs.write_chunk_table(out, list(chunks), _VLR)
    return out.getvalue()
