"""What `inspect` shows of a PLY file of ours."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.drawn import BLOCK_POINTS, Block, draw
from cli.intact import intact
from eo.errors import InvalidInput
from eo.ply import PlyHeader, read_header


def ply(file: Path, picture: Path | None) -> None:
    """Show a PLY file of ours: header, bounds, CRS, counts; draw it from above. Raises CorruptData, InvalidInput.

    Where its checksums lie beside it, every byte of it is compared with them first.
    """
    header = _header(file)
    checked = intact(file)
    for key, values in header.comments.items():
        for value in values:
            print(f"{key:<20}{value}")
    print(f"{'points':<20}{header.count:,}")
    print(f"{'vertex':<20}{', '.join(f'{name} {header.dtype[name].str}' for name in header.dtype.names or ())}")
    if checked:
        print(f"{'checksum':<20}{checked}")
    if not header.count:
        return
    low, high = _bounds(header, file)
    for axis, a, b, name in zip("xyz", low, high, ("offset_x", "offset_y", "offset_z"), strict=True):
        shift = float(header.comments.get(name, ["0"])[0])
        print(f"{axis + ' range':<20}{a + shift:,.3f} to {b + shift:,.3f}")
    # One point in 1/fraction pixels.
    pixel, fraction = (float(header.comments.get(name, ["1"])[0]) for name in ("resolution", "sampled_fraction"))
    drawn = draw(_blocks(header, file), low, high, pixel / fraction**0.5, picture or file.with_suffix(".inspect.png"))
    print(f"{'picture':<20}{drawn}")


OTHERS = {
    ".parquet": "GeoParquet, read it with QGIS or GeoPandas (`geopandas.read_parquet`)",
    ".geojson": "GeoJSON, read it with QGIS or GeoPandas (`geopandas.read_file`)",
    ".json": "JSON, read it with a text editor or a browser",
    ".png": "a picture, open it in a browser",
}
"""What else results hold, by the ends of names, and what shows it."""


def _header(file: Path) -> PlyHeader:
    if file.is_file() and file.suffix in OTHERS:
        raise InvalidInput(f"inspect knows PLY, LAS, LAZ, COPC and GeoTIFF files; {file.name} is {OTHERS[file.suffix]}")
    try:
        return read_header(file)
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {os.strerror(error.errno or 0)}; name a PLY, LAS, LAZ, COPC or GeoTIFF file"
        ) from None


def _vertices(header: PlyHeader, file: Path) -> Iterator[NDArray[np.void]]:
    vertices = header.vertices(file)
    for start in range(0, header.count, BLOCK_POINTS):
        yield vertices[start : start + BLOCK_POINTS]


def _blocks(header: PlyHeader, file: Path) -> Iterator[Block]:
    for some in _vertices(header, file):
        yield Block(some["x"], some["y"], some["z"], np.stack([some[name] for name in ("red", "green", "blue")]))


def _bounds(header: PlyHeader, file: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    for some in _vertices(header, file):
        low = np.minimum(low, [some[axis].min() for axis in "xyz"])
        high = np.maximum(high, [some[axis].max() for axis in "xyz"])
    return low, high
