"""What a correction knew and found of the air, in words and numbers for any result that is made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eo.catalog import Angles, Auxiliary, Scene
from eo.job import Part, Plan
from eo.outcome import share

ASSUMED = "assumed"
"""Who tells where nobody does."""
CLIMATOLOGY = 0.12
"""AOT at 550 nm where nothing tells: about the mean over land."""
OZONE, WATER = 0.32, 2.0
"""cm-atm and g/cm2 where nothing tells: mid-latitude means."""
VIEW = (6.0, 105.0)
"""(zenith, azimuth) in degrees where no product tells: halfway from nadir to the swath's edge; it changes a reflectance by
less than 0.002."""
VIEWED = ("B02", "B03", "B04")
"""Bands whose mean view stands for all."""

HOW, WATER_BY = "aot_by ", "water_milli_by "
"""What the names of counts begin with that say how a scene's AOT and its water vapour were found."""
MILLI = 1000
"""Parts carry whole numbers: AOTs and shares in thousandths."""


def first(given: float | None, product: float | None) -> tuple[float | None, str]:
    """(what the user gives, else what the product tells, who of them)."""
    if given is not None:
        return given, "given"
    return product, ASSUMED if product is None else "product"


def mean_view(angles: Angles, bands: Sequence[str]) -> tuple[tuple[float, float], str]:
    """(mean view (zenith, azimuth) of those of the bands that are known, in degrees, who tells)."""
    views = [angles.view[band] for band in bands if band in angles.view]
    # Directions as vectors: azimuths of different bands may lie on both sides of north.
    turn = np.deg2rad([view[1] for view in views or [VIEW]])
    azimuth = float(np.rad2deg(np.arctan2(np.sin(turn).mean(), np.cos(turn).mean())))
    return (float(np.mean([view[0] for view in views or [VIEW]])), azimuth), angles.origin if views else ASSUMED


def air(parts: Sequence[Part], plan: Plan) -> list[dict[str, Any]]:
    """By scene: mean, smallest and largest AOT at 550 nm over the granule, gases, angles, and the share of physics.

    What ends in `_from` says who tells; water vapour is in g/cm2, ozone in cm-atm, angles are in degrees.
    """
    return [
        {
            "scene": name,
            "aot550": part.counts["aot_milli"] / MILLI / part.counts["cells"],
            "aot550_range": [round(end, 3) for end in part.extremes["aot"]],
            "aot550_from": _how(part.counts),
            **_gases(scene, part.counts, plan.inputs),
            **_directions(scene),
            "physics_in_place_of_the_model": part.counts["fallback_milli"] / MILLI / part.counts["cells"],
        }
        for name, scene, part in zip(plan.scene_names, plan.scenes, parts, strict=True)
    ]


def _gases(scene: Scene, counts: Mapping[str, int], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Columns above the granule's mean ground, and who tells."""
    product = scene.auxiliary or Auxiliary()
    water, water_from = first(inputs["water_vapour"], product.water_vapour)
    if water is None:
        # Only the pixels tell whether they tell.
        name, milli = next((name, count) for name, count in counts.items() if name.startswith(WATER_BY))
        water, water_from = milli / MILLI, name.removeprefix(WATER_BY)
    ozone, ozone_from = first(inputs["ozone"], product.ozone)
    return {
        "water_vapour": water,
        "water_vapour_from": water_from,
        "ozone": OZONE if ozone is None else ozone,
        "ozone_from": ozone_from,
    }


def _directions(scene: Scene) -> dict[str, Any]:
    """Where the sun and the sensor stood; the sun over the middle of the granule."""
    if scene.angles is None:  # the field stage refuses such
        return {}
    (zenith, azimuth), who = mean_view(scene.angles, VIEWED)
    return {
        "sun_zenith": round(float(np.mean(scene.angles.sun_zenith)), 3),
        "sun_azimuth": round(scene.angles.sun_azimuth, 3),
        "sun_from": scene.angles.origin,
        "view_zenith": round(zenith, 3),
        "view_azimuth": round(azimuth, 3) % 360,
        "view_from": who,
    }


def notes(parts: Sequence[Part], plan: Plan) -> list[str]:
    """What the user should know of how a scene's air was found."""
    lines = []
    for name, scene, part in zip(plan.scene_names, plan.scenes, parts, strict=True):
        how, stood_in = _how(part.counts), part.counts["fallback_milli"] / MILLI / part.counts["cells"]
        if ASSUMED in how.split("; ")[-1].split():
            lines.append(f"{name}: nothing tells its aerosol, an AOT of {CLIMATOLOGY} is assumed")
        if first(plan.inputs["ozone"], (scene.auxiliary or Auxiliary()).ozone)[1] == ASSUMED:
            lines.append(f"{name}: nothing tells its ozone, {OZONE} cm-atm are assumed")
        if stood_in:
            lines.append(f"{name}: physics stands in for the model over {100 * stood_in:.1f} % of the granule")
        if part.counts["low_sun"]:
            lines.append(f"{name}: the sun stands lower than models were made for; trust the uncertainty less")
    return lines


def unknown_elevation(parts: Sequence[Part], names: Sequence[str]) -> list[str]:
    """Where the air was taken to lie on another ground than its own (see `atmospheric_correction.granule`)."""
    lines = []
    for name, counts in zip(names, (part.counts for part in parts), strict=True):
        voids, cells = counts["voids"], counts["cells"]
        if voids == cells:
            lines.append(f"{name}: elevation is unknown over the whole granule; sea level stands in")
        elif voids:
            lines.append(
                f"{name}: elevation is unknown over {share(voids / cells)} of the granule; the mean of what is known stands in"
            )
    return lines


def _how(counts: Mapping[str, int]) -> str:
    return next(name.removeprefix(HOW) for name in counts if name.startswith(HOW))
