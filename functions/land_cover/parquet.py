"""Patches as GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/), in the CRS of the job.

Written by arro3, Arrow and Parquet of the Rust project without anything else: 35 MB on Lambda, of which pyarrow takes 170.
"""

import datetime as dt
import io
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import shapely
from pyproj import CRS

from eo.job import Plan
from land_cover.patches import EDGE, Records, corner
from land_cover.table import PROBABILITY_COLUMNS, SHARES, Table

if TYPE_CHECKING:
    from arro3.core import Array, Field, RecordBatch, Schema

VERSION = "1.1.0"
GEOMETRY, BOX, ABOUT = "geometry", "bbox", "about"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
ROWS = 20_000
"""Patches of a row group: some 2 MB, of which a reader takes those whose boxes meet its own."""


def document(records: Records, table: Table, told: Mapping[str, str]) -> bytes:
    """The file. `told`: what it says of itself, in the member `about` of its metadata `geo`.

    Not as keys of their own: arro3 writes several in an order that differs from run to run.
    """
    from arro3.core import RecordBatchReader  # noqa: PLC0415 - only the merge writes
    from arro3.io import write_parquet  # noqa: PLC0415

    schema = _schema()

    def batches() -> "Iterator[RecordBatch]":
        """Made one after the other, as they are written: all of a million patches would take half a gigabyte."""
        for start in range(0, max(len(records), 1), ROWS):
            yield _batch(records[start : start + ROWS], table, schema)

    buffer = io.BytesIO()
    write_parquet(
        RecordBatchReader.from_batches(schema, batches()),
        buffer,
        compression="zstd(3)",
        # Which version of the writer it was is no product: equal plans give equal bytes.
        created_by=table.plan.software,
        key_value_metadata={"geo": json.dumps({**geo(records, table.plan), ABOUT: dict(told)})},
        max_row_group_size=ROWS,
        # With Arrow's own schema in the file, pyarrow, and so geopandas, looks for `geo` in that alone.
        skip_arrow_metadata=True,
    )
    return buffer.getvalue()


def geo(records: Records, plan: Plan) -> dict[str, Any]:
    """The file's `geo` metadata."""
    left, top = corner(records)
    box = [left.min(), top.min() - EDGE, left.max() + EDGE, top.max()]
    return {
        "version": VERSION,
        "primary_column": GEOMETRY,
        "columns": {
            GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "crs": CRS.from_user_input(plan.grid.crs).to_json_dict(),
                "orientation": "counterclockwise",
                "edges": "planar",
                "bbox": [float(edge) for edge in box],
                "covering": {BOX: {name: [BOX, name] for name in CORNERS}},
            }
        },
    }


def _schema() -> "Schema":
    from arro3.core import DataType, Field, Schema  # noqa: PLC0415

    text, share = DataType.string(), DataType.float32()
    known = {"id": text, "status": text, "model": text, GEOMETRY: DataType.binary(), BOX: DataType.struct(_corners())}
    known |= dict.fromkeys(SHARES, share) | {"scenes": DataType.uint16()}
    maybe = {
        "labels": DataType.list(Field("element", text, nullable=False)),
        "most_probable": text,
        "probability": share,
        **dict.fromkeys(PROBABILITY_COLUMNS, share),
        "scene": text,
        "datetime": DataType.timestamp("us", tz="UTC"),
    }
    types = known | maybe
    names = ["id", "status", "labels", "most_probable", "probability", *PROBABILITY_COLUMNS, *SHARES]
    names += ["scene", "datetime", "scenes", "model", BOX, GEOMETRY]
    return Schema([Field(name, types[name], nullable=name in maybe) for name in names])


def _corners() -> "list[Field]":
    from arro3.core import DataType, Field  # noqa: PLC0415

    return [Field(name, DataType.float64(), nullable=False) for name in CORNERS]


def _batch(records: Records, table: Table, schema: "Schema") -> "RecordBatch":
    from arro3.core import Array, DataType, RecordBatch, struct_array  # noqa: PLC0415

    left, top = corner(records)
    edges = (left, top - EDGE, left + EDGE, top)
    columns = table.columns(records)
    made: dict[str, Array] = {
        BOX: struct_array([Array.from_numpy(edge) for edge in edges], fields=_corners()),
        GEOMETRY: Array(list(shapely.to_wkb(shapely.box(*edges, ccw=True))), DataType.binary()),
        "labels": _lists(columns.pop("labels"), schema.field("labels")),
    }
    times = [text and _microseconds(text) for text in columns.pop("datetime")]
    made["datetime"] = Array(times, DataType.int64()).cast(schema.field("datetime").type)
    made |= {name: Array(values, schema.field(name).type) for name, values in columns.items()}
    return RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)


def _microseconds(text: str) -> int:
    """Since 1970, of an RFC 3339 instant."""
    return (dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _lists(values: list[list[str] | None], field: "Field") -> "Array":
    from arro3.core import Array, DataType, list_array  # noqa: PLC0415

    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + len(value or ()))
    words = [word for value in values for word in value or ()]
    return list_array(
        Array(offsets, DataType.int32()),
        Array(words, DataType.string()),
        type=field.type,
        mask=Array([value is None for value in values], DataType.bool()),
    )
