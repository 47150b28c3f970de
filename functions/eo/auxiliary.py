"""The weather models' atmosphere that comes with a product: GRIB files of some kilobytes in `AUX_DATA`.

ECMWF's forecast (`AUX_ECMWFT`: ozone, water vapour, pressure, wind) and that of CAMS (`AUX_CAMSFO`: aerosols), both
interpolated to the tile and its time (Sentinel-2 Products Specification Document, S2-PDGS-TAS-DI-PSD; the parameters:
https://cpm.pages.eopf.copernicus.eu/adf-auxiliary-data-file/main/adfs/sharing-dynamic.html). Products from before 2022
lack the second one, early ones both. They only help, so whatever is wrong with them is said and never ends a plan.
"""

import ctypes
import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from eo.catalog import Auxiliary
from eo.errors import CorruptData
from eo.sources.raster import GDAL_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rasterio.io import DatasetReader

FILES = ("AUX_ECMWFT", "AUX_CAMSFO")
"""Their names in the folder `AUX_DATA` of a granule."""
MAX_FILE = 4 << 20
"""Bytes of a file; real ones have some thousand."""
MAX_POINTS = 1 << 20
"""Points of a field: real ones have 9 x 9, and a packed field of one value takes no bytes however many it has."""
MAX_FIELDS = 256


class _Quantity(NamedTuple):
    elements: tuple[str, ...]
    """What GDAL calls it in GRIB 1, which all products have: ECMWF's parameter 207 of table 210 it has no name for."""
    codes: tuple[tuple[int, int, int], ...]
    """(discipline, category, number) in GRIB 2 (https://codes.ecmwf.int/grib/param-db)."""
    unit: float
    """Ours for one of the file's."""
    limits: tuple[float, float]
    """What the atmosphere can hold, in our unit."""
    means: str


_PRESSURE = (0, 3, 0)
"""Of GRIB 2, at whatever level."""

QUANTITIES: Mapping[str, _Quantity] = {
    "aot550": _Quantity(
        ("var207 of table 210 of center ECMWF", "AOD550"), ((192, 210, 207),), 1, (0, 5), "aerosol optical thickness"
    ),
    # 1 kg/m2 is 0.1 g/cm2.
    "water_vapour": _Quantity(("PWC", "TCWV", "TCIWV"), ((0, 1, 64),), 0.1, (0, 10), "water vapour in g/cm2"),
    # 1 Dobson unit is 0.001 cm-atm and 2.1415e-5 kg/m2 (the molar mass of ozone, 48 g, by 22.414 l: 2.1415 kg/m3).
    "ozone": _Quantity(("TCO3",), ((0, 14, 192),), 1 / 2.1415e-2, (0.1, 0.7), "ozone in cm-atm"),
    "pressure": _Quantity(("MSL", "PRMSL"), (_PRESSURE, (0, 3, 1)), 0.01, (850, 1100), "pressure at sea level in hPa"),
}
"""By field of `Auxiliary`."""


@dataclass(frozen=True)
class Found:
    """What the files of a granule say, and what was left out of it."""

    auxiliary: Auxiliary | None
    """None where they say nothing."""
    ignored: tuple[str, ...] = ()
    """Why something was left out, in words for the user."""


def read(files: Mapping[str, bytes]) -> Found:
    """Read the GRIB files of a granule, by name. Never raises: what cannot be used is ignored, with the reason."""
    values: dict[str, float] = {}
    ignored = []
    for name, data in files.items():
        try:
            means = _means(name, data)
        except CorruptData as error:
            ignored.append(str(error))
            continue
        for quantity, value in means.items():
            low, high = QUANTITIES[quantity].limits
            if low <= value <= high:
                values[quantity] = value
            else:
                what = QUANTITIES[quantity].means
                ignored.append(f"{name} says {value:.4g} for {what}, outside of {low:g} to {high:g}: ignored")
    return Found(Auxiliary(**values) if values else None, tuple(ignored))


def _means(name: str, data: bytes) -> dict[str, float]:
    """Mean of every quantity that a file has, in our units; raises CorruptData where GDAL cannot read it."""
    import rasterio  # noqa: PLC0415 - heavy, and only plans of scenes with such files need it
    from rasterio.errors import RasterioError  # noqa: PLC0415

    if len(data) > MAX_FILE:
        raise CorruptData(f"{name} has more than {MAX_FILE:,} bytes: ignored")
    if not data.startswith(b"GRIB"):
        raise CorruptData(f"{name} is not a GRIB file (it starts with {data[:8]!r}): ignored")
    try:
        with (
            _silent(),
            rasterio.Env(**GDAL_OPTIONS),
            rasterio.MemoryFile(data) as memory,
            memory.open(driver="GRIB") as dataset,
        ):
            if dataset.count > MAX_FIELDS or dataset.width * dataset.height > MAX_POINTS:
                raise CorruptData(
                    f"{name} has {dataset.count} fields of {dataset.width} x {dataset.height} points: ignored"
                )
            found: dict[str, list[float]] = {}
            for band in dataset.indexes:
                quantity = _quantity(dataset, band)
                if quantity is not None:
                    mean = _mean(dataset, band) * QUANTITIES[quantity].unit
                    found.setdefault(quantity, []).append(mean)
    except (RasterioError, ValueError, OSError):
        # GDAL's words name its temporary file, which would make each plan another one.
        raise CorruptData(f"{name} is damaged, GDAL cannot read it as GRIB: ignored") from None
    return {quantity: float(np.mean(means)) for quantity, means in found.items()}


@contextmanager
def _silent() -> "Iterator[None]":
    """Keep standard output clean: GDAL's GRIB decoder prints what it finds wrong, past GDAL's own messages."""
    flush = ctypes.CDLL(None).fflush  # of all of C's streams, which hold what is printed until they are full
    sys.stdout.flush()
    flush(None)
    kept = os.dup(1)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        flush(None)
        os.dup2(kept, 1)
        os.close(kept)


def _quantity(dataset: "DatasetReader", band: int) -> str | None:
    """Which of the quantities a field is; None for another one."""
    tags = dataset.tags(band)
    element, codes = tags.get("GRIB_ELEMENT", ""), _codes(tags)
    if codes == _PRESSURE and not tags.get("GRIB_SHORT_NAME", "").endswith("MSL"):
        return None  # at the surface, or another level
    return next(
        (name for name, each in QUANTITIES.items() if (codes in each.codes if codes else element in each.elements)),
        None,
    )


def _codes(tags: Mapping[str, str]) -> tuple[int, int, int] | None:
    """(discipline, category, number) of a GRIB 2 field; None in GRIB 1, which has no disciplines."""
    discipline = tags.get("GRIB_DISCIPLINE", "").partition("(")[0]
    numbers = tags.get("GRIB_PDS_TEMPLATE_ASSEMBLED_VALUES", "").split()[:2]
    if not discipline.isdigit() or len(numbers) < 2 or not all(number.isdigit() for number in numbers):
        return None
    return int(discipline), int(numbers[0]), int(numbers[1])


def _mean(dataset: "DatasetReader", band: int) -> float:
    """Mean over the points that have a value, NaN where none has one."""
    values = dataset.read(band, masked=True).compressed()
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
