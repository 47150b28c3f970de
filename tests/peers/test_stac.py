"""The STAC API, seen by pystac-client, pystac and bare requests; and the items made for it."""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING, Any

import pystac
import pystac_client
import pytest
import requests
from pystac_client.exceptions import APIError
from shapely.geometry import box, shape

from peers.faults import Status
from peers.stac import StacApi
from peers.stac_items import ALPS, grid_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WANTED = ["id", "bbox", "geometry", "properties.datetime", "properties.eo:cloud_cover", "assets.B02_10m.href"]
L2A = ["sentinel-2-l2a"]


def _item(
    name: str, properties: dict[str, Any], *, west: float = 0, day: int = 1, collection: str = "c"
) -> dict[str, Any]:
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "bbox": [west, 0, west + 1, 1],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": f"2026-06-{day:02d}T10:00:00.5Z", **properties},
        "assets": {"a": {"href": "s3://x/a", "type": "image/jp2"}, "b": {"href": "s3://x/b"}},
        "links": [],
    }


SMALL = [
    _item("clear", {"eo:cloud_cover": 5}, day=1),
    _item("cloudy", {"eo:cloud_cover": 80}, day=2),
    _item("unknown", {}, day=3),
    _item("null", {"eo:cloud_cover": None}, day=4),
    _item("west", {"eo:cloud_cover": 20}, west=-180, day=5),
    _item("east", {"eo:cloud_cover": 10}, west=179, day=6),
    _item("other", {"platform": "sentinel-2c"}, day=7, collection="d"),
]


@pytest.fixture(scope="module")
def small() -> Iterator[StacApi]:
    with StacApi(SMALL) as api:
        yield api


@pytest.fixture(scope="module")
def large() -> Iterator[StacApi]:
    with StacApi(grid_items()) as api:
        yield api


def _ids(api: StacApi, method: str = "POST", **search: Any) -> list[str]:
    client = pystac_client.Client.open(api.url)
    return [item["id"] for item in client.search(method=method, **search).items_as_dicts()]


@pytest.mark.parametrize("method", ["POST", "GET"])
class TestSearch:
    """What both methods must find."""

    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            ({}, "other east west null unknown cloudy clear"),
            ({"collections": ["d"]}, "other"),
            ({"ids": ["clear", "east", "absent"]}, "east clear"),
            ({"bbox": [0.5, 0.5, 0.6, 0.6], "collections": ["c"]}, "null unknown cloudy clear"),
            ({"bbox": [-10, -10, -5, 10]}, ""),
            ({"bbox": [179.5, -1, -179.5, 1]}, "east west"),
            ({"bbox": [170, -1, 179.2, 1]}, "east"),
            ({"intersects": {"type": "Point", "coordinates": [-179.5, 0.5]}}, "west"),
            ({"datetime": "2026-06-02/2026-06-03"}, "unknown cloudy"),
            ({"datetime": "2026-06-06T00:00:00Z/.."}, "other east"),
            ({"datetime": "../2026-06-01T10:00:00.5Z"}, "clear"),
            ({"datetime": "2026-06-02T10:00:00.500Z"}, "cloudy"),
            ({"datetime": "2026-06-02T12:00:00.5+02:00"}, "cloudy"),
            ({"query": {"eo:cloud_cover": {"lt": 20}}}, "east clear"),
            ({"query": {"eo:cloud_cover": {"lte": 20}}, "collections": ["c"]}, "east west clear"),
            ({"query": {"eo:cloud_cover": {"neq": 5}}}, "east west cloudy"),
            ({"query": {"platform": {"startsWith": "sentinel-2"}}}, "other"),
            ({"sortby": "+id", "collections": ["c"]}, "clear cloudy east null unknown west"),
            ({"sortby": ["-properties.eo:cloud_cover", "+id"]}, "cloudy west east clear null other unknown"),
        ],
    )
    def test_finds(self, small: StacApi, method: str, search: dict[str, Any], expected: str) -> None:
        assert _ids(small, method, **search) == expected.split()

    @pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
    def test_pages_hold_every_item_once(self, small: StacApi, method: str, limit: int) -> None:
        before = small.searches
        assert _ids(small, method, limit=limit, bbox=[-180, -90, 180, 90]) == [item["id"] for item in reversed(SMALL)]
        assert small.searches - before == -(-len(SMALL) // limit)

    def test_fields_are_included_and_excluded(self, small: StacApi, method: str) -> None:
        client = pystac_client.Client.open(small.url)

        def first(fields: list[str]) -> dict[str, Any]:
            found = client.search(method=method, ids=["clear"], fields=fields, limit=1)
            return next(iter(found.items_as_dicts()))

        assert first(["properties.eo:cloud_cover", "assets.a.href", "assets.absent.href"]) == {
            "id": "clear",
            "collection": "c",
            "properties": {"eo:cloud_cover": 5},
            "assets": {"a": {"href": "s3://x/a"}},
        }
        without = first(["-assets.a", "-geometry", "-links", "-id"])
        assert without.keys() == SMALL[0].keys() - {"geometry", "links"}
        assert without["assets"].keys() == {"b"}
        assert first(["assets", "-assets.b", "assets.a.href"])["assets"] == {"a": SMALL[0]["assets"]["a"]}
        assert SMALL[0]["assets"].keys() == {"a", "b"}


class TestApi:
    def test_pystac_client_knows_what_it_can_do(self, small: StacApi) -> None:
        client = pystac_client.Client.open(small.url)
        for name in ("ITEM_SEARCH", "FIELDS", "SORT", "QUERY", "FILTER", "COLLECTIONS"):
            assert client.conforms_to(getattr(pystac_client.ConformanceClasses, name)), name
        assert [collection.id for collection in client.get_collections()] == ["c", "d"]
        collection = client.get_collection("c")
        assert collection is not None
        assert collection.id == "c"
        assert client.get_collection("absent") is None
        found = client.search(collections=["c"], max_items=2)
        assert found.matched() == 6
        assert [type(item) for item in found.items()] == [pystac.Item] * 2

    def test_items_without_a_property_pass_a_filter_that_asks_for_them(self, small: StacApi) -> None:
        cloud = {"property": "properties.eo:cloud_cover"}
        few: dict[str, Any] = {"op": "<=", "args": [cloud, 10]}
        absent: dict[str, Any] = {"op": "isNull", "args": [cloud]}
        for expression, expected in (
            (few, "east clear"),
            ({"op": "not", "args": [few]}, "west cloudy"),
            ({"op": "or", "args": [few, absent]}, "other east null unknown clear"),
            ({"op": "and", "args": [few, {"op": "=", "args": [{"property": "id"}, "clear"]}]}, "clear"),
            ({"op": "between", "args": [cloud, 10, 20]}, "east west"),
            ({"op": "in", "args": [{"property": "id"}, ["west", "null"]]}, "west null"),
        ):
            assert _ids(small, filter=expression) == expected.split()

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b"[]",
            b'{"bbox": [1, 2, 3]}',
            b'{"bbox": [0, 5, 1, 4]}',
            b'{"bbox": [0, 0, 400, 4]}',
            b'{"datetime": "2026-06-01"}',
            b'{"datetime": "../.."}',
            b'{"datetime": "2026-06-02T00:00:00Z/2026-06-01T00:00:00Z"}',
            b'{"limit": -1}',
            b'{"limit": "many"}',
            b'{"token": "other"}',
            b'{"query": {"x": {"like": 1}}}',
            b'{"filter": {"op": "s_within", "args": [{"property": "geometry"}, 1]}}',
        ],
    )
    def test_bad_requests_are_refused(self, small: StacApi, body: bytes) -> None:
        answer = requests.post(f"{small.url}/search", data=body, timeout=5)
        assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")

    def test_what_it_cannot_do_it_ignores(self) -> None:
        with StacApi(SMALL, extensions=()) as api:
            client = pystac_client.Client.open(api.url)
            assert not client.conforms_to(pystac_client.ConformanceClasses.FIELDS)
            body = {"fields": {"include": ["id"]}, "query": {"eo:cloud_cover": {"lt": 20}}, "ids": ["cloudy"]}
            features = requests.post(f"{api.url}/search", json=body, timeout=5).json()["features"]
            assert features == [SMALL[1]]

    def test_a_page_holds_no_more_than_its_cap(self) -> None:
        with StacApi(SMALL, page_cap=3) as api:
            assert len(_ids(api, limit=500)) == len(SMALL)
            assert api.searches == 3

    def test_faults_are_played(self, stac_api: Callable[..., StacApi]) -> None:
        api = stac_api(SMALL)
        rule = api.script.add("/search", [Status(429, retry_after=0)])
        with pytest.raises(APIError) as caught:
            _ids(api)
        assert caught.value.status_code == 429
        assert len(_ids(api)) == len(SMALL)
        assert rule.calls == 2
        assert api.connections.peak >= 1


class TestRegion:
    """Nine thousand items and more."""

    def test_a_year_of_the_alps_comes_in_pages_with_the_fields_that_are_used(self, large: StacApi) -> None:
        client = pystac_client.Client.open(large.url)
        before = large.searches
        found = client.search(bbox=ALPS, collections=L2A, datetime="2025-01-01/..", limit=500, fields=WANTED)
        items = list(found.items_as_dicts())
        region = box(*ALPS)
        expected = {item["id"] for item in large.index.items if shape(item["geometry"]).intersects(region)}
        assert {item["id"] for item in items} == expected
        assert len(items) == len(expected) >= 9000
        assert large.searches - before == -(-len(items) // 500)
        times = [item["properties"]["datetime"] for item in items]
        assert times == sorted(times, reverse=True)
        assert all(item["assets"]["B02_10m"]["href"].startswith("s3://eodata/") for item in items)

    def test_a_page_of_500_takes_less_than_100_ms(self, large: StacApi) -> None:
        include = {"include": WANTED}
        body = {
            "bbox": ALPS,
            "collections": L2A,
            "query": {"eo:cloud_cover": {"lte": 50}},
            "limit": 500,
            "fields": include,
        }
        taken, sizes = [], []
        with requests.Session() as session:
            for token in (None, *(f"next:{offset}" for offset in range(500, 2500, 500))):
                begin = time.process_time()  # of this process, server and client alike: the machine may be busy
                answer = session.post(f"{large.url}/search", json={**body, "token": token}, timeout=30)
                taken.append(time.process_time() - begin)
                sizes.append(len(answer.content))
                assert len(answer.json()["features"]) == 500
        assert statistics.median(taken) < 0.1
        # What the fields extension is for: a whole item is 60 kB.
        assert max(sizes) < 500 * 1500 < 500 * len(json.dumps(large.index.items[0], default=dict)) / 20

    def test_a_point_is_found_by_footprint_not_by_box(self, large: StacApi) -> None:
        cut = next(item for item in large.index.items if item["properties"]["statistics"]["nodata"] > 20)
        west, south, east, north = cut["bbox"]
        corners = [box(x - 1e-3, y - 1e-3, x + 1e-3, y + 1e-3) for x in (west, east) for y in (south, north)]
        point = max(corners, key=shape(cut["geometry"]).distance)
        found = set(_ids(large, bbox=list(point.bounds), limit=1000, fields=["id"]))
        expected = {item["id"] for item in large.index.items if shape(item["geometry"]).intersects(point)}
        by_box = {item["id"] for item in large.index.items if box(*item["bbox"]).intersects(point)}
        assert found == expected
        assert cut["id"] in by_box - found
