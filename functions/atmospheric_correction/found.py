"""What the field stage found of the air, in words and numbers for the result."""

from collections.abc import Mapping, Sequence
from typing import Any

from atmospheric_correction.granule import ASSUMED
from atmospheric_correction.physics import CLIMATOLOGY
from eo.job import Part

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


def _how(counts: Mapping[str, int]) -> str:
    return next(name.removeprefix(HOW) for name in counts if name.startswith(HOW))
