"""Statistics of reflectance that merge: the same whether a job is one shard or many.

All numbers are integers, in units of 1 / quantification, so that sums have no rounding that depends on their order.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eo.radiometry import Radiometry

BINS, STEP = 256, 0.005
"""Of the histogram: from reflectance 0 in steps; what lies outside is counted in the first and last bin."""
PERCENTILES = (2, 5, 25, 50, 75, 95, 98)

Series = Mapping[str, Any]
"""count, sum, squares, min, max (None without pixels), histogram (256), as JSON."""


def series(dn: NDArray[np.uint16], good: NDArray[np.bool_], radiometry: Radiometry) -> Series:
    """Statistics of the good pixels of one band."""
    counts = np.bincount(dn[good], minlength=1 << 16)
    there = np.flatnonzero(counts)
    counts = counts[there]
    values = there + radiometry.offset
    bins = np.clip(values * round(1 / STEP) // radiometry.quantification, 0, BINS - 1)
    histogram = np.zeros(BINS, np.int64)
    np.add.at(histogram, bins, counts)
    return {
        "count": int(counts.sum()),
        "sum": int((counts * values).sum()),
        # Python's integers: 2^32 pixels of 2^32 would not fit into 64 bits.
        "squares": sum(number * value**2 for number, value in zip(counts.tolist(), values.tolist(), strict=True)),
        "min": int(values[0]) if values.size else None,
        "max": int(values[-1]) if values.size else None,
        "histogram": histogram.tolist(),
    }


def merged(found: Iterable[Series]) -> Series:
    """The statistics of all pixels of several."""
    total: dict[str, Any] = {"count": 0, "sum": 0, "squares": 0, "min": None, "max": None, "histogram": [0] * BINS}
    for one in found:
        for name in ("count", "sum", "squares"):
            total[name] += one[name]
        for name, choose in (("min", min), ("max", max)):
            known = [value for value in (total[name], one[name]) if value is not None]
            total[name] = choose(known) if known else None
        total["histogram"] = [a + b for a, b in zip(total["histogram"], one["histogram"], strict=True)]
    return total


def described(found: Series, quantification: int) -> dict[str, Any]:
    """Statistics in reflectance: count, mean, std (of all these pixels), min, max, percentiles to about STEP, histogram."""
    count = found["count"]
    if not count:
        return {"count": 0}
    low, high = found["min"] / quantification, found["max"] / quantification
    spread = count * found["squares"] - found["sum"] ** 2
    percentiles = {
        f"p{percent:02d}": round(min(max(_percentile(found["histogram"], percent / 100), low), high), 4)
        for percent in PERCENTILES
    }
    return {
        "count": count,
        "mean": round(found["sum"] / count / quantification, 6),
        "std": round(math.sqrt(spread) / count / quantification, 6),
        "min": low,
        "max": high,
        **percentiles,
        "histogram": found["histogram"],
    }


def _percentile(histogram: list[int], share: float) -> float:
    """Reflectance below which this share of the pixels lies, linear within a bin."""
    wanted, below = share * sum(histogram), 0
    for index, number in enumerate(histogram):
        if number and below + number >= wanted:
            return STEP * (index + (wanted - below) / number)
        below += number
    return STEP * BINS
