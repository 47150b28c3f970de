"""What a correction's field stage found of the air, in words and numbers for any result that is made of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from eo.job import Part
from eo.outcome import share

ASSUMED = "assumed"
"""Who tells where nobody does."""
CLIMATOLOGY = 0.12
"""AOT at 550 nm where nothing tells: about the mean over land."""

HOW = "aot_by "
"""What the names of counts begin with that say how a scene's AOT was found."""
MILLI = 1000
"""Parts carry whole numbers: AOTs and shares in thousandths."""


def air(parts: Sequence[Part], names: Sequence[str]) -> list[dict[str, Any]]:
    """By scene: mean, smallest and largest AOT at 550 nm over the granule, who found it, and the share of physics."""
    return [
        {
            "scene": name,
            "aot550": part.counts["aot_milli"] / MILLI / part.counts["cells"],
            "aot550_range": [round(end, 3) for end in part.extremes["aot"]],
            "aot550_from": _how(part.counts),
            "physics_in_place_of_the_model": part.counts["fallback_milli"] / MILLI / part.counts["cells"],
        }
        for name, part in zip(names, parts, strict=True)
    ]


def notes(parts: Sequence[Part], names: Sequence[str]) -> list[str]:
    """What the user should know of how a scene's air was found."""
    lines = []
    for name, part in zip(names, parts, strict=True):
        how, stood_in = _how(part.counts), part.counts["fallback_milli"] / MILLI / part.counts["cells"]
        if ASSUMED in how.split("; ")[-1].split():
            lines.append(f"{name}: nothing tells its aerosol, an AOT of {CLIMATOLOGY} is assumed")
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
