"""What `inspect` shows of a GeoTIFF: of a result of ours, and of any other."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cli.intact import intact
from eo.errors import CorruptData, InvalidInput
from eo.sources.raster import opened, signed

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

LOOKED_EDGE = 1000
"""Pixels of the longer side of what statistics are made of: overviews where the file has them."""
FEW_CODES = 16
"""Different values up to which bytes are codes, and counted."""


def is_geotiff(file: Path) -> bool:
    """Whether a file begins as TIFFs do; whoever opens it says why it cannot be read."""
    with suppress(OSError), file.open("rb") as start:
        return signed(start.read(12)) == "GTiff"
    return False


def geotiff(file: Path, picture: Path | None) -> None:
    """Show a GeoTIFF: size, place, bands, tiles and statistics. Raises CorruptData, InvalidInput.

    Where its checksums lie beside it, every byte of it is compared with them first.
    """
    if picture is not None:
        raise InvalidInput(
            f"--picture {picture} is for point clouds, {file.name} is a GeoTIFF: leave it out, and open the file in QGIS"
        )
    checked = intact(file)
    with opened(str(file), name=file.name) as dataset:
        for key, value in [*_tags(dataset), *_place(dataset), *_storage(dataset)]:
            print(f"{key:<20}{value}")
        if checked:
            print(f"{'checksum':<20}{checked}")
        for key, value in _bands(dataset, file.name):
            print(f"{key:<20}{value}")


Rows = Iterator[tuple[str, str]]
"""(key, value) of lines."""


def _tags(dataset: "DatasetReader") -> Rows:
    for key, value in dataset.tags().items():
        if key != "AREA_OR_POINT":
            yield key.lower(), value


def _place(dataset: "DatasetReader") -> Rows:
    """Size, CRS and bounds."""
    yield "size", f"{dataset.width:,} x {dataset.height:,} pixels"
    if dataset.crs is None or dataset.transform.is_identity:
        yield "crs", "none: the file does not say where it lies"
        return
    left, bottom, right, top = dataset.bounds
    yield "crs", dataset.crs.to_string()
    yield "pixel", f"{dataset.res[0]:g} x {dataset.res[1]:g}"
    digits = 6 if dataset.crs.is_geographic else 3  # about a tenth of a metre, and millimetres
    yield "x range", f"{left:,.{digits}f} to {right:,.{digits}f}"
    yield "y range", f"{bottom:,.{digits}f} to {top:,.{digits}f}"


def _storage(dataset: "DatasetReader") -> Rows:
    rows, cols = dataset.block_shapes[0]
    kind = "tiles" if dataset.profile.get("tiled") else "strips"
    yield (
        "stored in",
        f"{kind} of {cols} x {rows} pixels, {dataset.compression.value if dataset.compression else 'raw'}",
    )
    factors = dataset.overviews(1)
    yield "overviews", ", ".join(f"1/{factor}" for factor in factors) or "none"


def _bands(dataset: "DatasetReader", name: str) -> Rows:
    """Each band: what it is, and what it holds."""
    from rasterio.errors import RasterioError  # noqa: PLC0415

    every = max(1, -(-max(dataset.width, dataset.height) // LOOKED_EDGE))
    shape = -(-dataset.height // every), -(-dataset.width // every)
    yield (
        "statistics of",
        "every pixel" if every == 1 else f"{shape[1]:,} x {shape[0]:,} pixels, one in {every} x {every}",
    )
    for band in dataset.indexes:
        try:
            values = dataset.read(band, out_shape=shape, masked=True)
        except (RasterioError, OSError) as error:
            raise CorruptData(
                f"band {band} of {name} cannot be decoded ({error}); make or fetch the file again"
            ) from None
        yield f"band {band}", _described(dataset, band)
        yield "", _values(values, dataset.scales[band - 1], dataset.offsets[band - 1])


def _described(dataset: "DatasetReader", band: int) -> str:
    at = band - 1
    nodata, scale, offset = dataset.nodatavals[at], dataset.scales[at], dataset.offsets[at]
    shift = "" if offset == 0 else f" {'-' if offset < 0 else '+'} {abs(offset):g}"
    return ", ".join(
        [
            dataset.descriptions[at] or "no description",
            dataset.dtypes[at],
            dataset.colorinterp[at].name,
            "no no-data value" if nodata is None else f"no data {nodata:g}",
            *([] if (scale, offset) == (1, 0) else [f"value = stored x {scale:g}{shift}"]),
        ]
    )


def _values(values: Any, scale: float, offset: float) -> str:  # noqa: ANN401 - a masked array of any type
    """How many pixels have data, and their values; codes are counted."""
    known = values.compressed()
    known = known[np.isfinite(known)]
    share = f"{100 * known.size / max(values.size, 1):.1f} % with data"
    if not known.size or np.iscomplexobj(known):
        return share
    codes = Counter(known.tolist()) if known.dtype == np.uint8 else Counter()
    if 0 < len(codes) <= FEW_CODES:
        counted = ", ".join(f"{code}: {100 * count / known.size:.1f} %" for code, count in sorted(codes.items()))
        return f"{share}; of these {counted}"
    low, mean, high = (
        float(number) * scale + offset for number in (known.min(), known.mean(dtype=np.float64), known.max())
    )
    std = float(known.std(dtype=np.float64)) * abs(scale)
    return f"{share}, {low:.6g} to {high:.6g}, mean {mean:.6g}, std {std:.6g}"
