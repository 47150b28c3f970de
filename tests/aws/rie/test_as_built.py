"""What `sam build` has made, with its layers, in the runtime's own Python, as Lambda runs it."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from pyproj import CRS

from aws.rie.driven import COMMANDS, CORRECTED, JUDGED

if TYPE_CHECKING:
    from aws.rie.driven import Driven


def test_each_file_of_events_is_answered(driven_as_built: Driven) -> None:
    failed = {name: answer.payload for name, answer in driven_as_built.answers.items() if answer.error}
    assert failed == {}
    assert sorted(driven_as_built.answers) == sorted(COMMANDS)


def test_the_products_are_those_of_the_command(driven_as_built: Driven, locally: dict[str, bytes]) -> None:
    assert driven_as_built.products() == locally


def test_the_corrections_products_are_those_of_the_command(
    driven_as_built: Driven, corrected_locally: dict[str, bytes]
) -> None:
    """Its networks and tables come from the layers, and are run by the onnxruntime that was packed."""
    assert driven_as_built.products(CORRECTED) == corrected_locally


def test_the_land_cover_is_that_of_the_command(driven_as_built: Driven, judged_locally: dict[str, bytes]) -> None:
    """Its table is written by the merge's own layer, whose PROJ may be a newer one, and spell a CRS in other words."""
    made, expected = dict(driven_as_built.products(JUDGED)), dict(judged_locally)
    tables = [pq.read_table(io.BytesIO(each.pop("land_cover.parquet"))) for each in (made, expected)]
    assert tables[0].equals(tables[1])
    crs = [json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]["crs"] for table in tables]
    assert CRS.from_json_dict(crs[0]) == CRS.from_json_dict(crs[1])
    items = [json.loads(each.pop("land_cover.json")) for each in (made, expected)]
    for item in items:
        (table,) = (asset for asset in item["assets"].values() if asset["href"].endswith("land_cover.parquet"))
        assert table.pop("file:checksum")
        assert table.pop("file:size")
        assert item.pop("id").startswith("land-cover-")  # and a digest of the files
    assert items[0] == items[1]
    assert made == expected
