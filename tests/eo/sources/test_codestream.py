"""What the head of a JPEG 2000 file says, on files that OpenJPEG wrote."""

from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import Affine

from eo.sources.codestream import has_tile_lengths
from scenes.rasters import Encoding, write_raster


@pytest.mark.parametrize("tlm", [True, False])
@pytest.mark.parametrize("block", [32, 128])
def test_tile_lengths_are_found_where_they_are(tmp_path: Path, tlm: bool, block: int) -> None:
    pixels = np.arange(128 * 128, dtype=np.uint16).reshape(128, 128)
    path = tmp_path / "a.jp2"
    write_raster(
        path,
        pixels,
        crs="EPSG:32632",
        transform=Affine(10, 0, 4e5, 0, -10, 5e6),
        encoding=Encoding(block=block, tlm=tlm),
    )
    data = path.read_bytes()
    assert has_tile_lengths(data) is tlm
    assert has_tile_lengths(data[data.index(b"\xff\x4f\xff\x51") :]) is tlm  # a bare codestream


@pytest.mark.parametrize(
    "start", [b"", b"II*\x00" + bytes(100), b"\xff\x4f\xff\x51", b"\xff\x4f\xff\x51\x00\x00" + bytes(9)]
)
def test_what_is_no_codestream_has_none(start: bytes) -> None:
    assert not has_tile_lengths(start)
