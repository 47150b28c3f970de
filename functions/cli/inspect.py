"""What `inspect` shows of a point cloud.

It draws as the process itself does (`point_cloud.pictures`). `cli.commands` imports this module only for `inspect`: no
other command needs the drawing and what that imports.
"""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cli.intact import intact
from eo.disk import explained
from eo.errors import InvalidInput
from eo.grid import Window
from eo.pictures import png
from eo.ply import PlyHeader, read_header
from point_cloud.pictures import preview

PICTURE_EDGE = 1000
"""Pixels of the longer side of the picture that `inspect` draws."""
BLOCK_POINTS = 4_000_000
"""Vertices looked at at once, so that any file fits into memory."""


def point_cloud(file: Path, picture: Path | None) -> None:
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
    target = picture or file.with_suffix(".inspect.png")
    drawn = png(preview(*_rastered(header, file, low, high)))
    with explained(target):
        target.write_bytes(drawn)
    print(f"{'picture':<20}{target}")


OTHERS = {
    ".parquet": "GeoParquet, read it with QGIS or GeoPandas (`geopandas.read_parquet`)",
    ".geojson": "GeoJSON, read it with QGIS or GeoPandas (`geopandas.read_file`)",
    ".json": "JSON, read it with a text editor or a browser",
    ".png": "a picture, open it in a browser",
}
"""What else results hold, by the ends of names, and what shows it."""


def _header(file: Path) -> PlyHeader:
    if file.is_file() and file.suffix in OTHERS:
        raise InvalidInput(f"inspect knows PLY and GeoTIFF files; {file.name} is {OTHERS[file.suffix]}")
    try:
        return read_header(file)
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be read: {os.strerror(error.errno or 0)}; name a PLY or GeoTIFF file"
        ) from None


def _blocks(header: PlyHeader, file: Path) -> "list[NDArray[np.void]]":
    vertices = header.vertices(file)
    return [vertices[start : start + BLOCK_POINTS] for start in range(0, header.count, BLOCK_POINTS)]


def _bounds(header: PlyHeader, file: Path) -> tuple[list[float], list[float]]:
    low, high = [np.inf] * 3, [-np.inf] * 3
    for block in _blocks(header, file):
        for index, axis in enumerate("xyz"):
            low[index] = min(low[index], float(block[axis].min()))
            high[index] = max(high[index], float(block[axis].max()))
    return low, high


def _rastered(
    header: PlyHeader, file: Path, low: list[float], high: list[float]
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """(elevation, colours, metres between pixels): the last point that falls on a pixel wins."""
    pixel = float(header.comments.get("resolution", ["1"])[0])
    # One point in 1/fraction pixels: at 2.5 times their distance hardly a pixel of the picture goes without.
    fraction = float(header.comments.get("sampled_fraction", ["1"])[0])
    extent = max(high[0] - low[0], high[1] - low[1], pixel)
    spacing = max(extent / PICTURE_EDGE, 2.5 * pixel / fraction**0.5)
    # One to spare: the last point of a file may round beyond the quotient.
    window = Window(0, 0, int((high[0] - low[0]) / spacing) + 2, int((high[1] - low[1]) / spacing) + 2)
    elevation = np.full(window.shape, np.nan, np.float32)
    rgb = np.zeros((3, *window.shape), np.float32)
    for block in _blocks(header, file):
        col = ((block["x"] - low[0]) / spacing).astype(np.intp)
        row = ((high[1] - block["y"]) / spacing).astype(np.intp)
        elevation[row, col] = block["z"]
        for index, colour in enumerate(("red", "green", "blue")):
            rgb[index, row, col] = block[colour]
    return elevation, rgb, spacing
