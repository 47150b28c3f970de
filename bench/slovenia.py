"""The three clear L1C dates over one Slovenian forest, beside 6S: `python -m bench.slovenia`.

Real data (EO_SHARDS_TEST_DATA, see README), sun from the time of sensing, view assumed. Forest is the same on all
dates, so correctors should agree between dates as far as 6S does, lie within what 6S says for AOT 0.05 to 0.2, and keep
contrast.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.transform import xy
from rasterio.warp import transform

from atmospheric_correction import correctors
from atmospheric_correction.air import uniform_inverse
from atmospheric_correction.granule import Granule, Told
from bench import table
from eo import solar
from eo.catalog import Angles, Auxiliary
from eo.model import load

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

DATES = ("20150711", "20150830", "20150909")
NAMES = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
BANDS = ("B02", "B03", "B04")
FOREST = 2
"""Its code in lulc.tif."""
AOTS = (0.05, 0.12, 0.2)
FACTOR = 12
ENVELOPE = 0.01


def folder() -> Path:
    """Where the data lie; ends the command where they do not."""
    found = Path(os.environ.get("EO_SHARDS_TEST_DATA", "../shared/data")) / "slovenia"
    if not found.is_dir():
        sys.exit(f"{found} is not there: EO_SHARDS_TEST_DATA must name the folder of the real data")
    return found


def granule(date: str, told: Told) -> tuple[Granule, dict[str, Floats]]:
    """(the coarse grid of a date, its TOA reflectance at 10 m by band)."""
    with rasterio.open(folder() / f"S2_L1C_{date}.tif") as file:
        fine = dict(zip(NAMES, file.read().astype(np.float32) / 10_000, strict=True))
        sensed = datetime.fromisoformat(file.tags()["datetime"] + "+00:00")
        x, y = xy(file.transform, file.height // 2, file.width // 2)
        (lon,), (lat,) = transform(file.crs, "EPSG:4326", [x], [y])
    zenith, azimuth = (float(each) for each in solar.position(sensed, np.array(lon), np.array(lat)))
    with rasterio.open(folder() / "dem.tif") as file:
        height = float(file.read(1).mean())
    rows, cols = (edge // FACTOR for edge in fine["B02"].shape)
    coarse = {
        band: values[: rows * FACTOR, : cols * FACTOR].reshape(rows, FACTOR, cols, FACTOR).mean((1, 3))
        for band, values in fine.items()
        if band in {"B01", "B02", "B03", "B04", "B08", "B8A", "B09", "B10", "B12"}
    }
    angles = Angles(((zenith, zenith), (zenith, zenith)), azimuth, {}, "time")
    elevation = np.full((rows, cols), height, np.float32)
    return Granule(coarse, elevation, {}, FACTOR * 10.0, angles, told, Auxiliary()), fine


def corrected(date: str, model: str, aot: float | None = None) -> dict[str, Floats]:
    """Surface reflectance at 10 m by band."""
    made, fine = granule(date, Told(aot=aot))
    net = None if model == "physics" else load(model)
    found = correctors.find(made, BANDS, table=load("physics"), net=net, adjacency=False)
    optics = {band: found.air.on_context(number, made.ground) for number, band in enumerate(BANDS)}
    # A kilometre has one air: its mean over the coarse grid.
    return {
        band: uniform_inverse(fine[band], {name: values.mean() for name, values in optics[band].items()})
        for band in BANDS
    }


def rows() -> list[table.Row]:
    """Print the means by date; how they compare with 6S, as rows with bars."""
    with rasterio.open(folder() / "lulc.tif") as file:
        forest = file.read(1) == FOREST
    toa = {date: granule(date, Told())[1] for date in DATES}
    said = {f"6S, AOT {aot}": {date: corrected(date, "physics", aot) for date in DATES} for aot in AOTS}
    said["physics, dark pixels"] = {date: corrected(date, "physics") for date in DATES}
    for model in ("atmosphere-field-visible", "atmosphere-field"):
        said[model] = {date: corrected(date, model) for date in DATES}
    means = {
        name: np.array([[made[date][band][forest].mean() for band in BANDS] for date in DATES])
        for name, made in {"top of atmosphere": toa, **said}.items()
    }
    print(f"\n{'forest':26}" + "".join(f"{date:>26}" for date in DATES) + f"{'largest difference':>28}")
    for name, values in means.items():
        spread = max(abs(values[a] - values[b]).max() for a, b in combinations(range(len(DATES)), 2))
        print(
            f"{name:26}"
            + "".join("   " + " ".join(f"{each:7.4f}" for each in date) for date in values)
            + f"{spread:20.4f}"
        )
    low = np.min([means[f"6S, AOT {aot}"] for aot in AOTS], axis=0) - ENVELOPE
    high = np.max([means[f"6S, AOT {aot}"] for aot in AOTS], axis=0) + ENVELOPE
    result = []
    for model in ("physics, dark pixels", "atmosphere-field-visible", "atmosphere-field"):
        outside = np.maximum(np.maximum(low - means[model], means[model] - high), 0).max()
        result.append(
            table.Row(f"Slovenia: {model}: forest outside of 6S at AOT 0.05 to 0.2, +- 0.01", outside, "reflectance", 0)
        )
        of_6s = max(np.ptp(means[f"6S, AOT {aot}"], axis=0).max() for aot in AOTS)
        result.append(
            table.Row(
                f"Slovenia: {model}: spread between dates over 6S's", np.ptp(means[model], axis=0).max() / of_6s, "x", 1
            )
        )
        contrast = min(said[model][date][band].std() / toa[date][band].std() for date in DATES for band in BANDS)
        result.append(table.Row(f"Slovenia: {model}: contrast over that of TOA, least", contrast, "x", 1, "higher"))
    return result


if __name__ == "__main__":
    table.show(rows())
