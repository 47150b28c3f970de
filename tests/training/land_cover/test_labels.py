"""The 43 classes become the 19 as published, and bands are chosen by number or name."""

import numpy as np
import pytest

from eo.errors import CorruptData, InvalidInput
from land_cover.labels import CLASSES, COLOURS
from training.land_cover.bands import ALL, BANDS, PIXELS, chosen
from training.land_cover.labels import MERGED, merged, multi_hot


def test_43_classes_become_19_and_11_are_dropped() -> None:
    assert len(MERGED) == 43
    assert sum(kept is None for kept in MERGED.values()) == 11
    assert {kept for kept in MERGED.values() if kept} == set(CLASSES)
    assert len(CLASSES) == len(set(CLASSES)) == 19


def test_classes_are_in_the_order_of_the_published_weights() -> None:
    assert list(CLASSES) == sorted(CLASSES)
    assert CLASSES[0] == "Agro-forestry areas"
    assert CLASSES[11] == "Marine waters"
    assert CLASSES[18] == "Urban fabric"
    assert len(set(COLOURS.values())) == 19


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["Rice fields", "Non-irrigated arable land"], ("Arable land",)),
        (["Peatbogs", "Airports", "Estuaries"], ("Inland wetlands", "Marine waters")),
        (["Transitional woodland/shrub", "Sclerophyllous vegetation", "Annual crops associated with permanent crops"],
         ("Moors, heathland and sclerophyllous vegetation", "Permanent crops", "Transitional woodland, shrub")),
        (["Burnt areas", "Bare rock"], ()),
    ],
)  # fmt: skip
def test_labels_merge_once_each_in_the_order_of_the_classes(old: list[str], new: tuple[str, ...]) -> None:
    assert merged(old, "a.json") == new


def test_an_unknown_label_names_the_file_and_itself() -> None:
    with pytest.raises(CorruptData, match=r"a\.json: 'Lava' is none of the 43"):
        merged(["Pastures", "Lava"], "a.json")
    with pytest.raises(CorruptData, match=r"b\.parquet, x: 'Rice fields' is none of the 19"):
        multi_hot(["Pastures", "Rice fields"], "b.parquet, x")


def test_labels_are_zeros_and_ones_by_class() -> None:
    hot = multi_hot(["Urban fabric", "Arable land"], "a")
    assert hot.dtype == np.uint8
    assert np.flatnonzero(hot).tolist() == [CLASSES.index("Arable land"), CLASSES.index("Urban fabric")]


def test_bands_are_chosen_by_number_or_name_in_sentinel_2s_order() -> None:
    assert [len(BANDS[count]) for count in (7, 10, 11, 12)] == [7, 10, 11, 12]
    assert chosen("7") == chosen(7) == ("B02", "B03", "B04", "B08", "B8A", "B11", "B12")
    assert chosen("B12, B8A,B02") == chosen(["B8A", "B02", "B12"]) == ("B02", "B8A", "B12")
    assert ALL == ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
    assert [PIXELS[band] for band in ("B01", "B02", "B05")] == [20, 120, 60]


@pytest.mark.parametrize(
    ("wrong", "said"), [(9, "bands 9: choose 7, 10"), ("B02,B10", "B10"), ("B02,B02", "twice"), ([], "none")]
)
def test_bands_that_there_are_not_are_refused(wrong: int | str | list[str], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        chosen(wrong)
