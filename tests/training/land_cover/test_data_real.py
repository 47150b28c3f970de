"""The six real patches of BigEarthNet v1."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from land_cover.labels import CLASSES
from real_data import test_data
from training.land_cover.bands import ALL, BANDS, PIXELS
from training.land_cover.data.convert import convert
from training.land_cover.data.geography import shared_places
from training.land_cover.data.geotiff import TiffPatches, footprints
from training.land_cover.data.index import indexed
from training.land_cover.data.patches import opened

PUBLISHED = {
    "B02": (438, 607), "B03": (614, 603), "B04": (588, 685), "B05": (943, 738), "B06": (1770, 1100),
    "B07": (2050, 1276), "B08": (2193, 1369), "B8A": (2236, 1357), "B11": (1568, 1070), "B12": (998, 814),
}  # fmt: skip
"""Mean and deviation of DN over reBEN, whose patches have no seasonal snow."""
SNOW = "S2B_MSIL2A_20180204T94161_57_38"
FARMED = "Land principally occupied by agriculture, with significant areas of natural vegetation"
LABELS = {
    "S2A_MSIL2A_20170613T101031_87_48": {"Arable land", FARMED},
    "S2A_MSIL2A_20170617T113321_36_85": {"Arable land", "Pastures"},
    "S2A_MSIL2A_20170617T113321_4_55": {"Pastures"},
    "S2A_MSIL2A_20171221T112501_56_35": {"Complex cultivation patterns", FARMED, "Broad-leaved forest",
                                         "Transitional woodland, shrub"},
    "S2B_MSIL2A_20170924T93020_69_24": {"Coniferous forest", "Mixed forest", "Transitional woodland, shrub",
                                        "Inland wetlands", "Inland waters"},
    SNOW: {"Arable land", "Coniferous forest", "Mixed forest"},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder() -> Path:
    return test_data("bigearthnet")


def test_their_43_classes_become_19(folder: Path) -> None:
    found = indexed(folder)
    said = {
        name: {label for label, there in zip(CLASSES, hot, strict=True) if there}
        for name, hot in zip(found.names, found.labels, strict=True)
    }
    assert said == LABELS
    assert not found.synthetic


def test_every_pixel_is_what_rasterio_reads(folder: Path) -> None:
    found = indexed(folder)
    for split in sorted(set(found.splits.tolist())):
        patches = TiffPatches(found, split, ALL, "nearest")
        for index, name in enumerate(patches.names):
            values = patches.read(index)
            for number, band in enumerate(ALL):
                with rasterio.open(folder / name / f"{name}_{band}.tif") as file:
                    dn = file.read(1)
                times = 120 // PIXELS[band]
                np.testing.assert_allclose(values[number], np.kron(dn, np.ones((times, times))) / 10_000, rtol=1e-6)


def test_normalised_they_lie_within_the_published_statistics(folder: Path) -> None:
    found = indexed(folder)
    mean, deviation = np.array([PUBLISHED[band] for band in BANDS[10]]).T[:, :, None, None] / 10_000
    for split in ("train", "validation", "test"):
        patches = opened(folder, split, BANDS[10], "nearest")
        for index, name in enumerate(patches.names):
            level = ((patches.read(index) - mean) / deviation).mean((1, 2))
            if name == SNOW:
                assert (level[:3] > 3).all()  # brighter in the visible than any ground without snow
            else:
                assert (np.abs(level) < 2).all()
    assert len(found.names) == 6


def test_no_two_splits_share_their_ground(folder: Path) -> None:
    found = indexed(folder)
    ground = footprints(found)
    said = json.loads(next((folder / found.names[0]).glob("*.json")).read_text())["coordinates"]
    assert ground.corners[0].tolist() == [32633, said["ulx"], said["lry"], said["lrx"], said["uly"]]
    assert set(ground.corners[:, 0].tolist()) == {32629, 32633, 32635}
    assert shared_places(ground, found.splits) == []


def test_they_convert(folder: Path, tmp_path: Path) -> None:
    made = convert(folder, tmp_path / "store", "bicubic")
    assert sum(made.counts.values()) == 6
    assert made.warning is None
    for split in ("train", "validation", "test"):
        tiff, stored = (opened(place, split, BANDS[12], "bicubic") for place in (folder, tmp_path / "store"))
        assert tiff.names == stored.names
        assert not stored.synthetic
        for index in range(len(tiff)):
            np.testing.assert_array_equal(tiff.read(index), stored.read(index))
