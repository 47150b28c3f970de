"""What a result says about its pixels: how many, which are missing and why, and whose data they are made of."""

from collections import Counter
from collections.abc import Mapping

from eo.job import Plan
from eo.unit_io import ResultIO


def align_counts(io: ResultIO) -> dict[str, int]:
    """What the align stage counted, summed."""
    counts: Counter[str] = Counter()
    for part in io.parts("align"):
        counts.update(part.counts)
    return {name: counts[name] for name in ("inside", "empty", "masked", "void", "valid")}


def attributions(plan: Plan) -> list[str]:
    """The notices that the data's licences ask for: "contains ..." for Sentinel data, "produced ..." for its DEM."""
    years = sorted({scene.year for scene in plan.scenes})
    lines = [f"contains modified Copernicus Sentinel data {', '.join(map(str, years))}"]
    if plan.inputs.get("dem", "local") != "local":
        # Both other sources serve Copernicus GLO-30.
        lines.append(
            "produced using Copernicus WorldDEM-30 (c) DLR e.V. 2010-2014 and (c) Airbus Defence and Space GmbH "
            "2014-2018 provided under COPERNICUS by the European Union and ESA; all rights reserved"
        )
    return lines


def left_out(counts: Mapping[str, int], plan: Plan) -> list[str]:
    """What became of the pixels that are not in the result."""
    snow = "snow, " if any(stage.sources and stage.sources.mask_snow for stage in plan.stages) else ""
    reasons = {
        "empty": "no scene has data",
        "masked": f"there are clouds, {snow}shadows or defects",
        "clouded": "the corrector found clouds",
        "void": f"{plan.elevation_name} has no elevation",
    }
    return [
        f"left out {pixels(counts[name])} ({share(counts[name] / max(counts['inside'], 1))}) where {reason}"
        for name, reason in reasons.items()
        if counts.get(name)
    ]


def pixels(count: int) -> str:
    """So many pixels."""
    return f"{count:,} pixel{'' if count == 1 else 's'}"


def share(part: float) -> str:
    """A share (0-1) in percent."""
    return "less than 0.01 %" if part < 1e-4 else f"{100 * part:.2f} %"
