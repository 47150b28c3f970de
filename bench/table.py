"""Rows of the benchmark, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measured number."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    """What it has to reach; None where the number is only told."""
    better: Literal["higher", "lower"] = "lower"

    @property
    def passed(self) -> bool | None:
        """Whether the bar is reached."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.better == "higher" else self.value <= self.bar


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    width = max(len(row.name) for row in rows)
    print(f"\n{'':{width}}  {'value':>10}  {'':<12} bar")
    for row in rows:
        bar = "" if row.bar is None else f"{'>=' if row.better == 'higher' else '<='} {row.bar:g}"
        verdict = {None: "", True: "pass", False: "FAIL"}[row.passed]
        print(f"{row.name:{width}}  {_number(row.value):>10}  {row.unit:<12} {bar:<9}{verdict}".rstrip())
    bars = [row.passed for row in rows if row.passed is not None]
    print(f"\n{sum(bars)} of {len(bars)} bars reached")


def write(rows: Sequence[Row], path: Path) -> None:
    """Write rows as JSON, one in a line."""
    records = [asdict(row) | {"value": float(f"{row.value:.4g}")} for row in rows]
    path.write_text("[\n" + ",\n".join(map(json.dumps, records)) + "\n]\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
