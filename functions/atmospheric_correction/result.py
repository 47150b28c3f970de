"""The merge of a correction: rasters, picture, statistics and STAC item from what the shards left."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atmospheric_correction.item import BEFORE_AFTER, ITEM, QUALITY_FILE, SPECTRA, SURFACE, UNCERTAINTY, stac_item
from atmospheric_correction.pictures import before_after
from atmospheric_correction.quality import CIRRUS, CLOUD, FALLBACK, SATURATED, SNOW
from atmospheric_correction.raster import (
    GOOD,
    PIXEL,
    QUALITY,
    QUALITY_RASTER,
    surface_raster,
    uncertainty_raster,
)
from atmospheric_correction.spectra import BINS, STEP, described, merged
from eo import cog, found_air
from eo.cog_layout import Place, epsg, undivided, whole
from eo.correction import SIGMA_STEP, corrected
from eo.correction import SURFACE as SURFACE_RADIOMETRY
from eo.errors import AFRESH, LostWork, NothingFound
from eo.grid import TargetGrid, Window
from eo.job import Part, Plan, Result
from eo.outcome import align_counts, attributions, left_out, pixels, share
from eo.pictures import png
from eo.thumbnail import lattice, step
from eo.unit_io import ResultIO

CORRECT = "correct"
"""The stage whose units leave `sigma`."""


def merge(parts: list[Part], io: ResultIO, *, model: Mapping[str, str]) -> Result:
    """Write the result's files, the item last: who sees it sees all it names.

    `model` is {"name", "digest" (SHA-256 in hex), "href" of its STAC item}. Raises NothingFound where no pixel has data.
    """
    plan = io.plan
    counts = _counts(parts, io)
    if not any(counts[f"quality_{code}"] for code in QUALITY if code):
        raise NothingFound(_why_empty(counts, plan))
    bands, bounds = corrected(plan), _bounds(parts)
    # The small ones first: what they need is checked before the large files are made.
    picture = before_after(canvas(parts, io))
    spectra = statistics(parts, io)
    told = metadata(plan, model)
    rasters = {
        SURFACE: (surface_raster(bands), whole(plan), Place.of(plan.grid, whole(plan))),
        QUALITY_FILE: (QUALITY_RASTER, whole(plan), Place.of(plan.grid, whole(plan))),
        UNCERTAINTY: (uncertainty_raster(bands), undivided(cells(plan)), coarse_place(plan.grid, cells(plan))),
    }
    io.write(BEFORE_AFTER, png(picture))
    raster, _, place = rasters[UNCERTAINTY]
    io.write(SPECTRA, (json.dumps(spectra | {"pixels_by_quality": _by_quality(counts)}, indent=1) + "\n").encode())
    cog.write(io, UNCERTAINTY, list(sigma(io, len(bands))), raster=raster, place=place, metadata=told)
    shards = list(zip(io.units(plan.stages[-1].name), parts, strict=True))
    codes = "; ".join(f"{code} {text}" for code, (_, text) in QUALITY.items())
    for name, extra in ((QUALITY_FILE, {"CLASSES": codes}), (SURFACE, {})):
        raster, laid, place = rasters[name]
        cog.join(io, name, raster=raster, whole=laid, place=place, shards=shards, metadata=told | extra)
    io.write_checksums()
    done = sum(counts[f"quality_{code}"] for code in GOOD)
    summary: dict[str, Any] = {
        "message": f"{pixels(done)} corrected",
        "bytes": io.sizes[SURFACE],
        "bands": list(bands),
        "pixels_inside": counts["inside"],
        "pixels_without_data": counts["empty"],
        "pixels_by_quality": _by_quality(counts),
        "bounds": bounds,
        "model": dict(model),
        "attributions": attributions(plan),
        "air": found_air.air(io.parts("field"), plan),
        "notes": [
            *plan.notes,
            *left_out(counts, plan),
            *_notes(counts),
            *found_air.notes(io.parts("field"), plan),
            *found_air.unknown_elevation(io.parts("context"), plan.scene_names),
        ],
    }
    item = stac_item(plan, summary, sizes=io.sizes, digests=io.digests, where=rasters, shape=picture.shape[:2])
    io.write(ITEM, (json.dumps(item, indent=2) + "\n").encode())
    return Result(files=dict(io.digests), summary=summary)


def metadata(plan: Plan, model: Mapping[str, str]) -> dict[str, str]:
    """What the GeoTIFFs say of themselves."""
    return {
        "GENERATOR": f"{plan.software}, process {plan.process} {plan.version}",
        "SCENES": "; ".join(f"{scene.id} {scene.datetime}" for scene in plan.scenes),
        "MODEL": f"{model['name']} sha256 {model['digest']}",
        "ATTRIBUTION": "; ".join(attributions(plan)),
    }


def _counts(parts: list[Part], io: ResultIO) -> Counter[str]:
    """What align and raster counted."""
    counts: Counter[str] = Counter(align_counts(io))
    for part in parts:
        counts.update(part.counts)
    return counts


def _bounds(parts: list[Part]) -> dict[str, list[float]]:
    """Lowest and highest coordinates of the pixels with data."""
    found = [part.extremes for part in parts if part.extremes]
    return {
        axis: [min(extremes[axis][0] for extremes in found), max(extremes[axis][1] for extremes in found)]
        for axis in ("x", "y")
    }


def canvas(parts: list[Part], io: ResultIO) -> NDArray[np.void]:
    """The whole job on the coarse lattice, of `raster.PIXEL`."""
    every = step(io.plan)
    all_of_it = lattice(io.plan.grid.window, every)
    points = np.zeros(all_of_it.shape, PIXEL)
    thumbnails = io.read_all([part.body("thumbnail") for part in parts])
    for unit, data in zip(io.units(io.plan.stages[-1].name), thumbnails, strict=True):
        window = lattice(unit.window, every)
        if window.width > 0 and window.height > 0:
            points[window.slices(all_of_it)] = np.frombuffer(data, PIXEL).reshape(window.shape)
    return points


def statistics(parts: list[Part], io: ResultIO) -> dict[str, Any]:
    """Reflectance before and after, by band, over the pixels that were corrected."""
    plan = io.plan
    found = [json.loads(data) for data in io.read_all([part.body("statistics") for part in parts])]
    return {
        "pixels": "corrected, by the model or the fallback",
        "bands": {
            band: {
                "before": described(merged(one[band]["before"] for one in found), plan.radiometry[band].quantification),
                "after": described(merged(one[band]["after"] for one in found), SURFACE_RADIOMETRY.quantification),
            }
            for band in corrected(plan)
        },
        "bins": {"first": 0.0, "step": STEP, "count": BINS, "beyond": "counted in the first and the last"},
    }


def cells(plan: Plan) -> Window:
    """Pixels of the uncertainty: the multiples of `SIGMA_STEP` that are the first at or before pixels of the job."""
    snapped = plan.grid.window.snapped(SIGMA_STEP, SIGMA_STEP)
    return Window(
        snapped.col // SIGMA_STEP, snapped.row // SIGMA_STEP, snapped.width // SIGMA_STEP, snapped.height // SIGMA_STEP
    )


def coarse_place(grid: TargetGrid, window: Window) -> Place:
    """Where the uncertainty's pixels lie: each around the centre of the pixel for which it is known."""
    half = SIGMA_STEP / 2 - 0.5
    left, top = grid.x(window.col * SIGMA_STEP - half), grid.y(window.row * SIGMA_STEP - half)
    return Place(epsg(grid.crs), left, top, SIGMA_STEP * grid.resolution)


def sigma(io: ResultIO, bands: int) -> NDArray[np.uint16]:
    """1-sigma uncertainty x 10000 on the lattice, (bands, rows, columns); 0 where there is none. Raises LostWork.

    Held as a whole: 1/256 of the pixels, so 4 MB of three bands for a Sentinel-2 granule.
    """
    all_of_it = cells(io.plan)
    values = np.zeros((bands, *all_of_it.shape), np.uint16)
    left = [
        (unit, part) for unit, part in zip(io.units(CORRECT), io.parts(CORRECT), strict=True) if part.sizes.get("sigma")
    ]
    for (unit, _), data in zip(left, io.read_all([part.body("sigma") for _, part in left]), strict=True):
        window = lattice(unit.window, SIGMA_STEP)
        if len(data) != 2 * bands * window.pixels:
            raise LostWork(
                f"sigma of unit {unit.id} has {len(data)} bytes, not the {2 * bands * window.pixels} of {bands} bands at "
                f"{window.height} x {window.width} points; {AFRESH}"
            )
        values[(slice(None), *window.slices(all_of_it))] = np.frombuffer(data, "<u2").reshape(bands, *window.shape)
    return values


def _by_quality(counts: Counter[str]) -> dict[str, int]:
    """Pixels of the job's shards by what became of them."""
    return {name: counts[f"quality_{code}"] for code, (name, _) in QUALITY.items() if code}


def _notes(counts: Counter[str]) -> list[str]:
    """What is no plain correction."""
    inside = max(counts["inside"], 1)

    notes = {
        FALLBACK: "corrected by physics, since the model left its physical bounds",
        SNOW: "snow",
        CIRRUS: "cirrus",
        CLOUD: "cloud",
        SATURATED: "saturated",
    }
    counted = ((counts[f"quality_{code}"], text) for code, text in notes.items())
    return [f"{text}: {pixels(count)} ({share(count / inside)})" for count, text in counted if count]


def _why_empty(counts: Counter[str], plan: Plan) -> str:
    """Say why there is nothing, and what helps against it."""
    box = f"bbox {plan.bbox}"
    if not counts["inside"]:
        return f"no pixel has its centre in {box}: pixels are {plan.grid.resolution} m wide, choose a larger bbox"
    return f"no scene has data at any of the {pixels(counts['inside'])} in {box}: choose other dates or another bbox"
