"""What a result says of the air: every number with who told it."""

from types import SimpleNamespace
from typing import Any

import pytest

from eo.catalog import Angles, Auxiliary
from eo.found_air import VIEW, air, notes
from eo.job import Part

COUNTS = {"cells": 2, "aot_milli": 500, "fallback_milli": 0, "aot_by net": 1, "low_sun": 0}
ANGLES = Angles(((30.0, 32.0), (34.0, 36.0)), 150.0, {"B02": (4.0, 100.0), "B12": (9.0, 10.0)}, "product")


def told(
    auxiliary: Auxiliary | None = None, angles: Angles = ANGLES, counts: dict[str, int] | None = None, **inputs: float
) -> tuple[dict[str, Any], str]:
    """(what is said of a scene's air, notes)."""
    plan: Any = SimpleNamespace(
        scene_names=("s",),
        scenes=(SimpleNamespace(auxiliary=auxiliary, angles=angles),),
        inputs={"water_vapour": None, "ozone": None, **inputs},
    )
    parts = [Part(unit="s", counts=COUNTS | (counts or {"water_milli_by assumed": 2000}), extremes={"aot": (0.2, 0.3)})]
    (found,) = air(parts, plan)
    return found, "; ".join(notes(parts, plan))


@pytest.mark.parametrize(
    ("known", "water", "ozone"),
    [
        ({"water_vapour": 1.5, "ozone": 0.3, "auxiliary": Auxiliary(None, 3.0, 0.4)}, (1.5, "given"), (0.3, "given")),
        ({"auxiliary": Auxiliary(None, 3.0, 0.4)}, (3.0, "product"), (0.4, "product")),
        ({"counts": {"water_milli_by B09": 1234}}, (1.234, "B09"), (0.32, "assumed")),
        ({"counts": {"water_milli_by assumed": 2000}}, (2.0, "assumed"), (0.32, "assumed")),
    ],
)
def test_gases_are_told_with_who_knew_them(known: Any, water: Any, ozone: Any) -> None:
    found, said = told(**known)
    assert (found["water_vapour"], found["water_vapour_from"]) == water
    assert (found["ozone"], found["ozone_from"]) == ozone
    assert ("nothing tells its ozone, 0.32 cm-atm are assumed" in said) == (ozone[1] == "assumed")


def test_angles_are_those_of_the_visible_bands_over_the_middle_of_the_granule() -> None:
    found, _ = told()
    assert (found["sun_zenith"], found["sun_azimuth"], found["sun_from"]) == (33.0, 150.0, "product")
    assert (found["view_zenith"], found["view_azimuth"], found["view_from"]) == (4.0, 100.0, "product")
    clock, _ = told(angles=Angles(ANGLES.sun_zenith, 150.0, {}, "time"))
    assert (clock["sun_from"], clock["view_from"]) == ("time", "assumed")
    assert (clock["view_zenith"], clock["view_azimuth"]) == VIEW
