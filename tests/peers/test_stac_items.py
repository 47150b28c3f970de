"""The items made for the STAC API: their tiles, days, clouds and assets."""

from __future__ import annotations

import itertools
import json
import statistics
from datetime import UTC, datetime

import pystac
import pytest
from shapely.geometry import box, shape
from shapely.ops import unary_union

from peers.stac_items import ALPS, grid_items, tiles


def test_tiles_cover_the_region_and_overlap() -> None:
    found = tiles()
    assert len(found) == 60
    assert {tile.epsg for tile in found} == {32631, 32632}
    assert unary_union([tile.area for tile in found]).covers(box(*ALPS))
    by_name = {tile.name: tile for tile in found}
    # Names and origins as in real products.
    assert (by_name["31TEL"].left, by_name["31TEL"].top) == (499_980, 5_100_000)
    assert (by_name["32TPS"].left, by_name["32TPS"].top) == (600_000, 5_200_020)


def test_they_are_the_same_each_time_and_in_longer_searches() -> None:
    bbox = (9, 46, 9.5, 46.5)
    short = [json.dumps(item, default=dict) for item in grid_items(bbox, days=30)]
    again = [json.dumps(item, default=dict) for item in grid_items(bbox, days=30)]
    longer = {json.dumps(item, default=dict) for item in grid_items(bbox, days=60)}
    assert short == again
    assert set(short) < longer


def test_revisits_cloud_and_edges_are_those_of_a_year() -> None:
    items = list(grid_items((9, 46, 9.1, 46.1), without_cloud_cover=10))
    days = sorted({item["properties"]["datetime"][:10] for item in items})
    moments = [datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days]
    assert max((two - one).days for one, two in itertools.pairwise(moments)) <= 5
    clouds = [item["properties"].get("eo:cloud_cover") for item in items]
    assert clouds.count(None) == len(items) // 10
    known = [cloud for cloud in clouds if cloud is not None]
    assert 40 < statistics.mean(known) < 60
    nodata = [item["properties"]["statistics"]["nodata"] for item in items]
    assert min(nodata) == 0
    assert max(nodata) > 20
    few = grid_items((9, 46, 9.1, 46.1), days=60, cloud_cover=(0, 20))
    assert max(item["properties"]["eo:cloud_cover"] for item in few) <= 20


def test_they_are_whole_stac_items() -> None:
    item = next(grid_items(days=20))
    item["assets"] = {name: dict(asset) for name, asset in item["assets"].items()}
    parsed = pystac.Item.from_dict(item)
    assert {"B02_10m", "SCL_20m", "TCI_10m", "AOT_10m", "granule_metadata", "Product"} <= parsed.assets.keys()
    blue = parsed.assets["B02_10m"].extra_fields
    assert (blue["raster:offset"], blue["raster:scale"], blue["nodata"]) == (-0.1, 0.0001, 0)
    assert blue["proj:shape"] == [10980, 10980]
    assert parsed.bbox == pytest.approx(shape(item["geometry"]).bounds)
    with pytest.raises(KeyError):
        next(grid_items(days=20))["assets"]["B99_10m"]
