"""The STAC item of a correction (STAC 1.1.0, https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec)."""

from collections.abc import Mapping
from typing import Any

from atmospheric_correction.raster import QUALITY
from eo import lineage
from eo.checksums import CHECKSUMS
from eo.cog_layout import Layout, Place, Raster
from eo.correction import corrected
from eo.job import Plan
from eo.result_item import PICTURE, STAC_VERSION, asset, footprint, links, model_link, raster_asset, sensed

SURFACE, QUALITY_FILE, UNCERTAINTY = "surface_reflectance.tif", "quality.tif", "uncertainty.tif"
ITEM, BEFORE_AFTER, SPECTRA = "surface_reflectance.json", "before_after.png", "spectra.json"

EXTENSIONS = [
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
BANDS: Mapping[str, tuple[str, float]] = {
    "B02": ("blue", 0.4924),
    "B03": ("green", 0.5598),
    "B04": ("red", 0.6646),
    "B08": ("nir", 0.8328),
}
"""(common name, centre wavelength in micrometres) of Sentinel-2A (Sentinel-2 Spectral Response Functions, COPE-GSEG-EOPG-TN-15-0007).

Those of Sentinel-2B and 2C differ by less than 0.001 in these bands.
"""

Where = Mapping[str, tuple[Raster, Layout, Place]]
"""By file: what its pixels are, how they are laid out and where they lie."""


def stac_item(
    plan: Plan,
    summary: Mapping[str, Any],
    *,
    sizes: Mapping[str, int],
    digests: Mapping[str, str],
    where: Where,
    shape: tuple[int, int],
) -> dict[str, Any]:
    """Describe the result. `shape` is (rows, columns) of the picture.

    Links are relative, times are the scenes' and the id is that of the pixels: equal plans give equal items.
    """
    files = {name: (size, digests[name]) for name, size in sizes.items() if name in digests}
    title = {
        SURFACE: "Surface reflectance",
        QUALITY_FILE: "What became of each pixel",
        UNCERTAINTY: "1-sigma uncertainty of surface reflectance, coarse",
    }
    assets = {
        "data": _raster(SURFACE, title[SURFACE], ["data", "reflectance"], where, files),
        "quality": _raster(QUALITY_FILE, title[QUALITY_FILE], ["data-mask"], where, files),
        "uncertainty": _raster(UNCERTAINTY, title[UNCERTAINTY], ["uncertainty"], where, files),
        "checksums": asset(CHECKSUMS, "application/json", "SHA-256 of every piece of the rasters", "metadata", files),
        "spectra": asset(SPECTRA, "application/json", "Reflectance by band before and after", "metadata", files),
        "before_after": asset(BEFORE_AFTER, PICTURE, "Before (left) and after, in true colour", "overview", files),
    }
    for name, data in (("data", SURFACE), ("quality", QUALITY_FILE)):
        # Nobody read the joined files as a whole, so there is no checksum of the usual kind: their pieces have theirs.
        del assets[name]["file:checksum"]
        assets[name] |= {"eo_shards:checksums": f"./{CHECKSUMS}", "eo_shards:composite_sha256": digests[data]}
    assets["quality"]["bands"][0]["classification:classes"] = [
        {"value": code, "name": name, "description": text, **({"nodata": True} if code == 0 else {})}
        for code, (name, text) in QUALITY.items()
    ]
    # The projection extension's advice for pictures without a location of their own.
    assets["before_after"] |= {"proj:code": None, "proj:shape": list(shape)}
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{plan.process}-{digests[SURFACE][:16]}",
        **footprint(plan, summary["bounds"]["x"], summary["bounds"]["y"]),
        "properties": {**about(plan, summary), **processing(plan, summary), **own(plan, summary)},
        "links": [*links(plan), model_link(summary["model"])],
        "assets": assets,
    }


def about(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What it is, and of what."""
    notices = ["Sentinel-2 reflectance at the surface, without the atmosphere", *summary["attributions"]]
    return {
        "title": f"Surface reflectance of {plan.bbox}",
        "description": "; ".join(notices),
        **sensed(plan),
        "proj:code": plan.grid.crs,
    }


def _raster(
    name: str, title: str, roles: list[str], where: Where, files: Mapping[str, tuple[int, str]]
) -> dict[str, Any]:
    """A GeoTIFF."""
    raster, laid, place = where[name]
    return raster_asset(
        name, title, roles, raster, laid, place, files, [_band(raster, i) for i in range(len(raster.bands))]
    )


def _band(raster: Raster, index: int) -> dict[str, Any]:
    """One band. Reflectance and its uncertainty have no unit."""
    band = raster.bands[index]
    if raster.classes:
        return {"name": band.description, "data_type": raster.dtype, "nodata": raster.nodata}
    name = band.description.split(maxsplit=1)[0]
    common, wavelength = BANDS[name]
    return {
        "name": name,
        "description": band.description,
        "data_type": raster.dtype,
        "nodata": raster.nodata,
        "unit": "1",
        "eo:common_name": common,
        "eo:center_wavelength": wavelength,
        "raster:scale": band.scale,
        "raster:offset": band.offset,
    }


def processing(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What made it from what. L2 alone: L2A is the name of ESA's own product."""
    scenes = ", ".join(f"{scene.id} (baseline {scene.baseline or 'unknown'})" for scene in plan.scenes)
    return {
        **lineage.software(plan),
        "processing:level": "L2",
        "processing:lineage": (
            f"Bands {', '.join(corrected(plan))} of {scenes} on the grid {plan.grid.crs} at {plan.grid.resolution} m, "
            f"corrected for the atmosphere by the model {summary['model']['name']}"
        ),
    }


def own(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What no extension has a field for."""
    return {
        "eo_shards:inputs": lineage.inputs(plan),
        "eo_shards:sources": lineage.sources(plan),
        "eo_shards:models": [dict(summary["model"])],
        "eo_shards:pixels_by_quality": summary["pixels_by_quality"],
        "eo_shards:air": summary["air"],
        "eo_shards:notes": summary["notes"],
    }
