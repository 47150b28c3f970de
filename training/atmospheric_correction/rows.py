"""Tables of errors: on the terminal and as CSV."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

Row = Mapping[str, str | float]


def show(title: str, rows: Sequence[Row], console: Console | None = None) -> None:
    """Print rows of equal keys; numbers with four decimals, whole ones as they are, NaN as a dash."""
    table = Table(title=title)
    for name in rows[0] if rows else ():
        table.add_column(name, justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    (console or Console()).print(table)


def save(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of equal keys as CSV, numbers in full; a file is there whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "-"
    return f"{value:d}" if isinstance(value, int) else f"{value:.4f}"
