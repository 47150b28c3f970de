"""Five real L1C dates of one forest in Slovenia (eo-learn's example data): three clear ones, two under clouds."""

from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from atmospheric_correction.quality import CIRRUS, CLOUD
from l1c import Corrected, catalogued, correct
from real_data import test_data

CLEAR, CLOUDY = ("20150711", "20150830", "20150909"), ("20150731", "20150820")
FOREST = {"B02": (0.01, 0.03), "B03": (0.025, 0.05), "B04": (0.015, 0.035)}
"""Between which 6S puts the forest's means at AOT 0.05 to 0.2."""


@pytest.fixture(scope="module")
def dates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corrected]:
    made = {}
    heights = test_data("slovenia", "dem.tif")
    for date in (*CLEAR, *CLOUDY):
        source = test_data("slovenia", f"S2_L1C_{date}.tif")
        folder = tmp_path_factory.mktemp(date)
        (folder / "dem.tif").write_bytes(heights.read_bytes())
        with rasterio.open(source) as file:
            west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
            time = file.tags()["datetime"]
        catalogued(folder / "c", source, (west, south, east, north), f"{time}Z")
        inset = (east - west) / 20
        box = (west + inset, south + inset, east - inset, north - inset)
        made[date] = correct(folder, box, chunk=64)
    return made


def reflectance(done: Corrected, band: str) -> NDArray[Any]:
    """Of the pixels that were corrected."""
    dn = done.target(f"surface_{band}")
    good = (dn > 0) & np.isin(done.target("quality"), (1, 2))
    return dn[good] / 10_000 - 0.1


@pytest.mark.parametrize("date", CLEAR)
def test_clear_dates_show_a_forest(dates: dict[str, Corrected], date: str) -> None:
    done = dates[date]
    codes = done.target("quality")
    assert np.isin(codes[codes > 0], (1, 2)).mean() > 0.9
    assert done.plan.scenes[0].angles is not None
    assert done.plan.scenes[0].angles.origin == "time"
    for band, (low, high) in FOREST.items():
        found = reflectance(done, band)
        assert low < np.median(found) < high, (band, np.median(found))
        seen = done.target(band)[(codes == 1) & (done.target(f"surface_{band}") > 0)] / 10_000
        # Air takes contrast away, correction gives it back.
        assert found.std() > seen.std()
        assert np.median(found) < np.median(seen)


def test_clear_dates_agree_to_a_hundredth(dates: dict[str, Corrected]) -> None:
    for band, most in (("B02", 0.012), ("B03", 0.012), ("B04", 0.012)):
        medians = [float(np.median(reflectance(dates[date], band))) for date in CLEAR]
        assert np.ptp(medians) < most, (band, medians)


@pytest.mark.parametrize("date", CLOUDY)
def test_cloudy_dates_are_flagged_and_not_invented(dates: dict[str, Corrected], date: str) -> None:
    done = dates[date]
    codes = done.target("quality")
    assert np.isin(codes[codes > 0], (CIRRUS, CLOUD)).mean() >= 0.9
    assert (done.target("surface_B02")[codes == CLOUD] == 0).all()
    assert "cloud" in done.notes or "cirrus" in done.notes
