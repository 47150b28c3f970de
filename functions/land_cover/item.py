"""The STAC item of a land-cover map (STAC 1.1.0, https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec)."""

from collections.abc import Mapping
from typing import Any

from eo import lineage
from eo.card import Card
from eo.cog_layout import Layout, Place, Raster
from eo.job import Plan
from eo.result_item import PICTURE, STAC_VERSION, asset, footprint, links, model_link, raster_asset, sensed
from land_cover import cards
from land_cover.files import GEOJSON, LABELS, MAP, NAMES, PARQUET, PROBABILITIES, STATISTICS, TABLE
from land_cover.patches import EDGE, METRES, slug
from land_cover.rasters import LABEL_RASTER, PALETTE, PROBABILITY_RASTER, UNSEEN
from land_cover.rasters import NAMES as CODE_NAMES

EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in (
        "raster/v2.0.0",
        "classification/v2.0.0",
        "projection/v2.0.0",
        "processing/v1.2.0",
        "file/v2.1.0",
    )
]

Files = Mapping[str, tuple[int, str]]
"""(bytes, SHA-256) by file name."""


def stac_item(
    plan: Plan,
    card: Card,
    summary: Mapping[str, Any],
    *,
    sizes: Mapping[str, int],
    digests: Mapping[str, str],
    where: tuple[Layout, Place],
    shape: tuple[int, int],
) -> dict[str, Any]:
    """Describe the result. `where`: the rasters' pixels; `shape`: (rows, columns) of the map.

    Links are relative, times are the scenes' and the id is that of the table: equal plans give equal items.
    """
    files = {name: (size, digests[name]) for name, size in sizes.items()}
    assets = {
        "data": asset(PARQUET, TABLE, "Patches: probabilities and labels", "data", files),
        "geojson": asset(GEOJSON, "application/geo+json", "Patches in longitude and latitude", "data", files),
        "probabilities": _raster(PROBABILITIES, "Probability of each class", PROBABILITY_RASTER, where, files),
        "labels": _raster(LABELS, "Most probable class", LABEL_RASTER, where, files),
        "label_names": asset(NAMES, "application/xml", "Names of the codes, for GDAL", "metadata", files),
        "statistics": asset(STATISTICS, "application/json", "Patches by class", "metadata", files),
        "map": asset(MAP, PICTURE, "Most probable classes, with a legend", "overview", files),
    }
    assets["geojson"] |= {"proj:code": "EPSG:4326"}
    # The projection extension's advice for pictures without a location of their own.
    assets["map"] |= {"proj:code": None, "proj:shape": list(shape)}
    half = METRES / 2
    x, y = ([low + half, high - half] for low, high in summary["bounds"].values())
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{plan.process}-{digests[PARQUET][:16]}",
        **footprint(plan, x, y, clip=False),
        "properties": {**_about(plan, card, summary), **_processing(plan, summary), **_own(plan, card, summary)},
        "links": [*links(plan), model_link(summary["model"])],
        "assets": assets,
    }


def _about(plan: Plan, card: Card, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What it is, and of what."""
    warning = cards.warning(card)
    what = f"Probabilities of 19 land-cover classes (BigEarthNet) for patches of {EDGE:,} m"
    return {
        "title": f"{'DEMONSTRATION: ' if warning else ''}Land cover of {plan.bbox}",
        "description": "; ".join([*filter(None, [warning]), what, *summary["attributions"]]),
        **sensed(plan),
        "proj:code": plan.grid.crs,
    }


def _raster(name: str, title: str, raster: Raster, where: tuple[Layout, Place], files: Files) -> dict[str, Any]:
    """A GeoTIFF."""
    bands = [_band(raster, index) for index in range(len(raster.bands))]
    return raster_asset(name, title, ["data"], raster, *where, files, bands)


def _band(raster: Raster, index: int) -> dict[str, Any]:
    name = raster.bands[index].description
    if not raster.classes:
        return {"name": slug(name), "description": f"probability of {name}", "unit": "1"}
    return {"name": slug(name), "description": name, "classification:classes": [_class(c) for c in range(len(PALETTE))]}


def _class(code: int) -> dict[str, Any]:
    colour = "".join(f"{part:02X}" for part in PALETTE[code])
    return {
        "value": code,
        "name": slug(CODE_NAMES[code]),
        "title": CODE_NAMES[code],
        "description": CODE_NAMES[code],
        "color_hint": colour,
        **({"nodata": True} if code == UNSEEN else {}),
    }


def _processing(plan: Plan, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What made it from what."""
    scenes = ", ".join(f"{scene.id} (baseline {scene.baseline or 'unknown'})" for scene in plan.scenes)
    wanted = plan.sources_wanted
    return {
        **lineage.software(plan),
        "processing:level": "L3",
        "processing:lineage": (
            f"Bands {', '.join(wanted.bands)} of {scenes} on the grid {plan.grid.crs} at {plan.grid.resolution} m "
            f"({wanted.resampling} where they are coarser), judged by the model {summary['model']['name']}"
        ),
    }


def _own(plan: Plan, card: Card, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What no extension has a field for."""
    return {
        "eo_shards:demonstration": bool(cards.warning(card)),
        "eo_shards:inputs": lineage.inputs(plan),
        "eo_shards:sources": lineage.sources(plan),
        "eo_shards:models": [dict(summary["model"])],
        "eo_shards:thresholds": list(cards.thresholds(card)),
        "eo_shards:patches_by_status": summary["patches_by_status"],
        "eo_shards:notes": summary["notes"],
    }
