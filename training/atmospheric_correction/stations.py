"""What stations on the ground have measured: a table in the style of AERONET (AOT) or RadCalNet (reflectance)."""

import csv
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from eo.errors import InvalidInput

PLACE = ("station", "lon", "lat", "datetime")
AOT = "aot550"
QUANTITY = re.compile(r"B\d[\dA]|aot550")
LIMITS = {"lon": (-180.0, 180.0), "lat": (-90.0, 90.0), AOT: (0.0, 10.0)}
REFLECTANCE = (-0.05, 2.0)
"""What a reflectance may be: percent, or -9999 for nothing, is beyond it."""


@dataclass(frozen=True)
class Measurement:
    """One line of the table."""

    station: str
    lon: float
    lat: float
    time: datetime
    """UTC where the table does not say."""
    values: dict[str, float]
    """By band or aot550; those that the line has."""
    uncertainties: dict[str, float]
    """1-sigma of values, where the table has a column such as B02_uncertainty."""


def read(path: Path) -> list[Measurement]:
    """Read a CSV of station, lon, lat, datetime (ISO 8601), and B02, ... or aot550, each with <name>_uncertainty or not.

    Empty cells are not measured. Raises InvalidInput, with the line, where something is missing or impossible.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            names = [name.strip() for name in reader.fieldnames or []]
            reader.fieldnames = names
            lines = list(reader)
    except OSError as error:
        raise InvalidInput(f"table {path} cannot be read: {error.strerror}; name a CSV file") from None
    missing = [name for name in PLACE if name not in names]
    quantities = [name for name in names if QUANTITY.fullmatch(name)]
    if missing or not quantities:
        raise InvalidInput(
            f"table {path} has the columns {names}; it needs {list(PLACE)} and at least one of B02, ... and {AOT}"
        )
    return [_measurement(f"{path} line {number}", line, quantities) for number, line in enumerate(lines, 2)]


def _measurement(where: str, line: dict[str, str | None], quantities: Iterable[str]) -> Measurement:
    text = (line["datetime"] or "").strip()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{where}: datetime is {text!r}; write it as 2026-07-12T10:10:31Z") from None
    lon, lat = (_number(where, name, line[name]) for name in ("lon", "lat"))
    if math.isnan(lon) or math.isnan(lat):
        raise InvalidInput(f"{where}: a station needs lon and lat in degrees, one is empty; write it")
    values = {name: _number(where, name, line[name]) for name in quantities}
    doubts = {name: _number(where, None, line.get(f"{name}_uncertainty")) for name in values}
    return Measurement(
        station=(line["station"] or "").strip(),
        lon=lon,
        lat=lat,
        time=time if time.tzinfo else time.replace(tzinfo=UTC),
        values={name: value for name, value in values.items() if not math.isnan(value)},
        uncertainties={name: value for name, value in doubts.items() if not math.isnan(value)},
    )


def _number(where: str, name: str | None, text: str | None) -> float:
    """A cell's number within its limits (none without a name); NaN for an empty one."""
    if not (text or "").strip():
        return math.nan
    try:
        value = float(text or "")
    except ValueError:
        value = math.inf
    low, high = (0.0, 10.0) if name is None else LIMITS.get(name, REFLECTANCE)
    if not low <= value <= high:
        raise InvalidInput(
            f"{where}: {name or 'an uncertainty'} is {text!r}, it must be a number from {low:g} to {high:g}; "
            "leave the cell empty where nothing was measured"
        )
    return value
