"""The generated data set as files: a folder as BigEarthNet v2 is distributed."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from rasterio.transform import Affine

from eo.errors import InvalidInput
from training.land_cover.bands import PIXELS
from training.land_cover.data.index import GENERATED, METADATA, NO_COUNTRY, V2_FOLDER
from training.land_cover.synthetic.frozen import patch
from training.land_cover.synthetic.plan import CELL, EPSG, Params, Row, digest, plan
from training.parallel import mapped


def write(folder: Path, params: Params, *, workers: int = 1, quiet: bool = True) -> list[Row]:
    """Write the data set; gives its patches. The metadata come last: without them the folder is no data set.

    What was stopped is written over by the same parameters. Raises InvalidInput where the folder has anything else in it.
    """
    said = json.dumps({"params": asdict(params), "sha256 of the plan": digest(params)}, indent=2) + "\n"
    if folder.exists() and any(folder.iterdir()) and not _begun(folder, said):
        raise InvalidInput(f"{folder} is not empty: remove what is in it or give another folder")
    rows = plan(params)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / GENERATED).write_text(said, "utf-8")
    make = partial(_write_patch, folder / V2_FOLDER, params.seed)
    mapped(make, rows, workers=workers, what="patches", quiet=quiet)
    part = folder / f".{METADATA}.part"
    pq.write_table(metadata(rows), part)
    part.replace(folder / METADATA)
    return rows


def _begun(folder: Path, said: str) -> bool:
    """Whether the same data set was begun there, and not ended."""
    kept = folder / GENERATED
    return not (folder / METADATA).exists() and kept.is_file() and kept.read_text("utf-8") == said


def metadata(rows: list[Row]) -> pa.Table:
    """The table of patches, with the columns of BigEarthNet v2."""
    names = [row.patch_id for row in rows]
    places = [(row.tile, row.column, row.row) for row in rows]
    return pa.table(
        {
            "patch_id": names,
            "labels": [list(row.labels) for row in rows],
            "split": [row.split for row in rows],
            "country": [NO_COUNTRY] * len(rows),
            "s1_name": [f"S1A_IW_GRDH_1SDV_20170613T165043_{t[1:]}_{c:02d}_{r:02d}" for t, c, r in places],
            "s2v1_name": [f"S2A_MSIL2A_20170613T101031_{c}_{r}" for _, c, r in places],
            "contains_seasonal_snow": [False] * len(rows),
            "contains_cloud_or_shadow": [False] * len(rows),
        }
    )


def _write_patch(folder: Path, seed: int, row: Row) -> None:
    place = folder / row.patch_id.rsplit("_", 2)[0] / row.patch_id
    place.mkdir(parents=True, exist_ok=True)
    left, top = row.corner
    for band, dn in patch(row, seed).items():
        edge = PIXELS[band]
        step = CELL / edge
        with rasterio.open(
            place / f"{row.patch_id}_{band}.tif",
            "w",
            driver="GTiff",
            width=edge,
            height=edge,
            count=1,
            dtype="uint16",
            crs=f"EPSG:{EPSG}",
            transform=Affine(step, 0, left, 0, -step, top),
        ) as file:
            file.write(dn, 1)
