"""The 43 classes become the 19 as published, and bands are chosen by number or name."""

from itertools import combinations

import numpy as np
import pytest

from eo.errors import CorruptData, InvalidInput
from land_cover.labels import CLASSES, COLOURS
from land_cover.pictures import PAPER
from land_cover.rasters import GREYS
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


LEGEND = {
    "Continuous urban fabric": "230-000-077", "Discontinuous urban fabric": "255-000-000",
    "Industrial or commercial units": "204-077-242", "Non-irrigated arable land": "255-255-168",
    "Permanently irrigated land": "255-255-000", "Rice fields": "230-230-000", "Vineyards": "230-128-000",
    "Fruit trees and berry plantations": "242-166-077", "Olive groves": "230-166-000", "Pastures": "230-230-077",
    "Annual crops associated with permanent crops": "255-230-166", "Complex cultivation patterns": "255-230-077",
    "Land principally occupied by agriculture, with significant areas of natural vegetation": "230-204-077",
    "Agro-forestry areas": "242-204-166", "Broad-leaved forest": "128-255-000", "Coniferous forest": "000-166-000",
    "Mixed forest": "077-255-000", "Natural grassland": "204-242-077", "Moors and heathland": "166-255-128",
    "Sclerophyllous vegetation": "166-230-077", "Transitional woodland/shrub": "166-242-000",
    "Beaches, dunes, sands": "230-230-230", "Sparsely vegetated areas": "204-255-204", "Inland marshes": "166-166-255",
    "Peatbogs": "077-077-255", "Salt marshes": "204-204-255", "Salines": "230-230-255", "Water courses": "000-204-242",
    "Water bodies": "128-242-230", "Coastal lagoons": "000-255-166", "Estuaries": "166-255-230",
    "Sea and ocean": "230-242-255",
}  # fmt: skip
"""Of the classes that were kept, as the legend of CORINE Land Cover writes them (EEA, clc2000legend.csv)."""


def test_a_colour_is_that_of_a_class_of_corine_that_was_merged_into_it() -> None:
    assert set(LEGEND) == {name for name, kept in MERGED.items() if kept}
    for name, colour in COLOURS.items():
        of = {tuple(map(int, LEGEND[old].split("-"))) for old, kept in MERGED.items() if kept == name}
        assert colour in of, name


def lightness_and_chroma(colour: tuple[int, int, int]) -> np.ndarray:
    """CIELAB (D65) of sRGB: IEC 61966-2-1, ISO/CIE 11664-4."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_no_two_classes_look_the_same_on_a_map_nor_as_its_paper_or_what_was_not_judged() -> None:
    """A difference of 2.3 can just be seen (Mahy et al. 1994, doi:10.1002/col.5080190207)."""
    drawn = {**COLOURS, **GREYS, "paper": PAPER}
    apart = {
        (one, other): float(np.linalg.norm(lightness_and_chroma(drawn[one]) - lightness_and_chroma(drawn[other])))
        for one, other in combinations(drawn, 2)
    }
    nearest = min(apart, key=lambda pair: apart[pair])
    assert nearest == ("Beaches, dunes, sands", "Marine waters")
    assert apart[nearest] == pytest.approx(8.6, abs=0.1)


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
