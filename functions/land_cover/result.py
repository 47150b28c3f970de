"""The merge of a land-cover map: tables, rasters, map, statistics and STAC item from what the units left."""

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from eo import cog
from eo.card import Card
from eo.cog_layout import undivided
from eo.errors import AFRESH, LostWork, NothingFound
from eo.job import Part, Plan, Result
from eo.outcome import align_counts, attributions, left_out, share
from eo.pictures import png
from eo.unit_io import ResultIO
from land_cover import cards, geojson, parquet, rasters
from land_cover.files import GEOJSON, ITEM, LABELS, MAP, NAMES, PARQUET, PROBABILITIES, STATISTICS
from land_cover.item import stac_item
from land_cover.labels import CLASSES
from land_cover.patches import EDGE, OK, RECORD, STATUSES, Records, most_probable, patch_count
from land_cover.pictures import picture
from land_cover.table import Table

TITLES: Mapping[str, str] = {
    PARQUET: f"probabilities and labels of {len(CLASSES)} classes",
    GEOJSON: f"probabilities and labels of {len(CLASSES)} classes",
    PROBABILITIES: f"the probability of each of {len(CLASSES)} classes",
    LABELS: f"the most probable of {len(CLASSES)} classes",
    STATISTICS: "how many by class and by what became of them",
}
"""What the files hold, by name."""


def merge(parts: list[Part], io: ResultIO, *, model: Mapping[str, str]) -> Result:
    """Write the result's files, the item last: who sees it sees all it names.

    `model` is {"name", "digest" (SHA-256 in hex), "href" of its STAC item}. Raises NothingFound where there is no patch.
    """
    plan = io.plan
    card = cards.card(model["name"])
    records = patches(parts, io)
    if not len(records):
        raise NothingFound(f"no pixel has its centre in bbox {plan.bbox}: pixels are 10 m wide, choose a larger bbox")
    told = partial(metadata, plan, card, model)
    table = Table(plan, cards.thresholds(card), cards.named(card))
    codes = rasters.codes(records, plan)
    counts = Counter({name: sum(part.counts[name] for part in parts) for name in STATUSES})
    drawn = picture(
        codes, title=f"{title(plan)}: {TITLES[LABELS]}", notices=attributions(plan), warning=cards.warning(card)
    )
    io.write(MAP, png(drawn))
    io.write(STATISTICS, (json.dumps(statistics(records, card, told(STATISTICS)), indent=1) + "\n").encode())
    io.write(PARQUET, parquet.document(records, table, told(PARQUET)))
    io.stream(GEOJSON, geojson.document(records, table, told(GEOJSON)))
    io.write(NAMES, rasters.names_document())
    for name, raster, bands in (
        (PROBABILITIES, rasters.PROBABILITY_RASTER, list(rasters.probabilities(records, plan))),
        (LABELS, rasters.LABEL_RASTER, [codes]),
    ):
        cog.write(io, name, bands, raster=raster, place=rasters.place(plan), metadata=told(name))
    summary: dict[str, Any] = {
        "message": f"{patch_count(counts['ok'])} judged",
        "bytes": sum(io.sizes.values()),
        "patches_by_status": dict(counts),
        "bounds": bounds(records),
        "model": dict(model),
        "attributions": attributions(plan),
        "notes": [
            *plan.notes,
            *left_out(align_counts(io), plan),
            *_notes(counts),
        ],
    }
    where = (undivided(rasters.window(plan)), rasters.place(plan))
    item = stac_item(plan, card, summary, sizes=io.sizes, digests=io.digests, where=where, shape=drawn.shape[:2])
    io.write(ITEM, (json.dumps(item, indent=2) + "\n").encode())
    return Result(files=dict(io.digests), summary=summary)


def patches(parts: list[Part], io: ResultIO) -> Records:
    """All that units have left, from north to south and from west to east. Raises LostWork where something is not whole."""
    found = []
    for part, data in zip(parts, io.read_all([part.body("patches") for part in parts]), strict=True):
        counted = sum(part.counts[name] for name in STATUSES)
        if len(data) != counted * RECORD.itemsize:
            raise LostWork(f"unit {part.unit} has left {len(data):,} bytes for {counted} patches; {AFRESH}")
        found.append(np.frombuffer(data, RECORD))
    records = np.concatenate(found)
    return records[np.lexsort((records["col"], records["row"]))]


def metadata(plan: Plan, card: Card, model: Mapping[str, str], name: str) -> dict[str, str]:
    """What a table or GeoTIFF says of itself, by the file's name."""
    warning = cards.warning(card)
    return {
        "TITLE": f"{title(plan)}: {TITLES[name]}",
        **({"WARNING": warning} if warning else {}),
        "GENERATOR": f"{plan.software}, process {plan.process} {plan.version}",
        "SCENES": "; ".join(f"{scene.id} {scene.datetime}" for scene in plan.scenes),
        "MODEL": f"{model['name']} sha256 {model['digest']}",
        "ATTRIBUTION": "; ".join(attributions(plan)),
    }


def title(plan: Plan) -> str:
    """What the result is called; its files add what they are."""
    days = sorted({scene.datetime[:10] for scene in plan.scenes})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"Land cover of patches of {EDGE:,} m, {when}"


def statistics(records: Records, card: Card, told: Mapping[str, str]) -> dict[str, Any]:
    """Patches by what became of them, and by class."""
    judged = records[records["status"] == OK]
    best = np.bincount(most_probable(judged), minlength=len(CLASSES))
    probabilities = judged["probabilities"].astype(np.float64)
    limits = cards.thresholds(card)
    labelled = (judged["probabilities"] >= np.asarray(limits, np.float32)).sum(axis=0)
    return {
        **told,
        "patches": len(records),
        "patches_by_status": {name: int((records["status"] == code).sum()) for code, name in enumerate(STATUSES)},
        "square_kilometres_judged": len(judged) * EDGE**2 / 1e6,
        "classes": {
            name: {
                "threshold": limits[index],
                "labelled": int(labelled[index]),
                "most_probable": int(best[index]),
                "mean_probability": float(probabilities[:, index].mean()) if len(judged) else None,
            }
            for index, name in enumerate(CLASSES)
        },
    }


def bounds(records: Records) -> dict[str, list[float]]:
    """Outer edges of the patches by axis, in metres of the target CRS."""
    col, row = records["col"], records["row"]
    return {
        "x": [float(col.min() * EDGE), float((col.max() + 1) * EDGE)],
        "y": [float(-(row.max() + 1) * EDGE), float(-row.min() * EDGE)],
    }


def _notes(counts: Counter[str]) -> list[str]:
    """How many patches were not judged, and why."""
    total = max(counts.total(), 1)
    return [
        f"{rasters.REASONS[name]}; not judged: {patch_count(counts[name])} ({share(counts[name] / total)})"
        for name in STATUSES[OK + 1 :]
        if counts[name]
    ]
