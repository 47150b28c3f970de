"""Raster files as the archives hold them: lossless JPEG 2000, cloud-optimised and plain GeoTIFF."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import rasterio
from rasterio.errors import NotGeoreferencedWarning

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from rasterio.transform import Affine

Format = Literal["jp2", "cog", "gtiff"]

SUFFIX: dict[Format, str] = {"jp2": ".jp2", "cog": ".tif", "gtiff": ".tif"}
MEDIA_TYPE: dict[Format, str] = {
    "jp2": "image/jp2",
    "cog": "image/tiff; application=geotiff; profile=cloud-optimized",
    "gtiff": "image/tiff; application=geotiff",
}


@dataclass(frozen=True)
class Encoding:
    """How a raster is stored."""

    format: Format = "jp2"
    block: int = 1024
    """Edge of the file's tiles in pixels."""
    tlm: bool = False
    """JPEG 2000 only: write the TLM markers (tile-part lengths) that products carry since baseline 05.12."""


def write_raster(
    path: Path, pixels: NDArray[Any], *, crs: str, transform: Affine, encoding: Encoding, nodata: float | None = None
) -> None:
    """Write one band, `pixels` of shape (rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    profile: dict[str, Any] = {
        "width": width,
        "height": height,
        "count": 1,
        "dtype": pixels.dtype.name,
        "crs": crs,
        "transform": transform,
    }
    profile |= _options(encoding, pixels, nodata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as file:
            file.write(pixels, 1)


def _options(encoding: Encoding, pixels: NDArray[np.generic], nodata: float | None) -> dict[str, Any]:
    """Creation options; JPEG 2000 has no field for nodata, as in the real products."""
    block = encoding.block
    if encoding.format == "jp2":
        return {
            "driver": "JP2OpenJPEG",
            "reversible": "YES",
            "quality": "100",
            "blockxsize": block,
            "blockysize": block,
            "resolutions": min(6, min(block, *pixels.shape).bit_length()),
            "tlm": "YES" if encoding.tlm else "NO",
        }
    predictor = 3 if pixels.dtype.kind == "f" else 2
    common = {"compress": "deflate", "nodata": nodata}
    if encoding.format == "cog":
        method = "nearest" if pixels.dtype.itemsize == 1 else "average"
        return common | {
            "driver": "COG",
            "blocksize": block,
            "predictor": "FLOATING_POINT" if pixels.dtype.kind == "f" else "STANDARD",
            "resampling": method,
        }
    # GeoTIFF tiles come in multiples of 16 pixels.
    tiled = {"tiled": True, "blockxsize": block, "blockysize": block} if block % 16 == 0 else {}
    return common | tiled | {"driver": "GTiff", "predictor": predictor}
