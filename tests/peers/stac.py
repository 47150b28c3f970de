"""A STAC API 1.0 over items in memory, as pystac-client talks to it."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from peers.stac_filter import BadRequestError, Item
from peers.stac_index import Index, project
from peers.web import Peer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_GEOJSON = "application/geo+json"
_BASE = (
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "https://api.stacspec.org/v1.0.0/item-search",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
)
_EXTENSIONS = {
    "fields": ("https://api.stacspec.org/v1.0.0/item-search#fields",),
    "sort": ("https://api.stacspec.org/v1.0.0/item-search#sort",),
    "query": ("https://api.stacspec.org/v1.0.0/item-search#query",),
    "filter": (
        "https://api.stacspec.org/v1.0.0-rc.2/item-search#filter",
        "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json",
        "http://www.opengis.net/spec/cql2/1.0/conf/basic-cql2",
    ),
}
_OWNER = {"fields": "fields", "sortby": "sort", "query": "query", "filter": "filter", "filter-lang": "filter"}
_PAGING = frozenset({"token", "limit", "fields"})
_TOKEN = "next:"


class StacApi(Peer):
    """Landing page, collections and search over some items, at `url` (which ends in `/v1`).

    >>> with StacApi(grid_items(days=30)) as api:
    ...     client = pystac_client.Client.open(api.url)
    ...     found = client.search(bbox=(9, 46, 10, 47), collections=["sentinel-2-l2a"], limit=500)
    ...     names = [item["id"] for item in found.items_as_dicts()]
    """

    def __init__(
        self,
        items: Iterable[Item],
        *,
        page_cap: int = 1000,
        extensions: Iterable[str] = ("fields", "sort", "query", "filter"),
    ) -> None:
        """Serve items (dicts as in a STAC file; `assets` may be any Mapping).

        `page_cap` is the most items of one page, whatever `limit` says. What is asked of an extension that is not
        among `extensions` is ignored, as by real servers, and the conformance classes say so.
        """
        super().__init__()
        self.index = Index(items)
        self.page_cap = page_cap
        self.extensions = frozenset(extensions)

    @property
    def url(self) -> str:
        """Address of the landing page."""
        return f"{super().url}/v1"

    @property
    def searches(self) -> int:
        """How many pages were asked for."""
        return sum(call.path == "/v1/search" for call in self._calls)

    def respond(self, request: Request) -> Response:
        """Route."""
        try:
            if request.path.rstrip("/") == "/v1/search":
                post = request.method == "POST"
                return self._search(_decoded(request.body) if post else _from_query(request.query), post=post)
        except BadRequestError as error:
            return Response.json({"code": "BadRequest", "description": str(error)}, HTTPStatus.BAD_REQUEST)
        document = self._document([part for part in request.path.split("/") if part])
        return self.refuse(HTTPStatus.NOT_FOUND, request.path) if document is None else _encoded(document)

    def _document(self, path: list[str]) -> Item | None:
        match path:
            case ["v1"]:
                return self._landing()
            case ["v1", "conformance"]:
                return {"conformsTo": self._conformance()}
            case ["v1", "collections"]:
                found = [self._collection(name) for name in self.index.collections]
                return {"collections": found, "links": self._links("collections")}
            case ["v1", "collections", name] if name in self.index.collections:
                return self._collection(name)
            case ["v1", "collections", name, "items", item]:
                return self.index.get(name, item)
        return None

    def _search(self, search: dict[str, Any], *, post: bool) -> Response:
        off = {name for name, extension in _OWNER.items() if extension not in self.extensions}
        asked = {name: value for name, value in search.items() if name not in off and value is not None}
        if asked.get("filter-lang", "cql2-json") != "cql2-json":
            raise BadRequestError("only cql2-json filters are understood here")
        limit = min(_positive(asked.get("limit", 10)), self.page_cap)
        found = self.index.find({name: value for name, value in asked.items() if name not in _PAGING})
        first = _offset(asked.get("token"))
        fields = asked.get("fields") or {}
        include, exclude = fields.get("include") or [], fields.get("exclude") or []
        page = [project(self.index.items[number], include, exclude) for number in found[first : first + limit]]
        links = self._links("search")
        if first + limit < len(found):
            links.append(self._next(search, f"{_TOKEN}{first + limit}", post=post))
        return _encoded(
            {
                "type": "FeatureCollection",
                "stac_version": "1.0.0",
                "numberMatched": len(found),
                "numberReturned": len(page),
                "features": page,
                "links": links,
            }
        )

    def _next(self, search: Mapping[str, Any], token: str, *, post: bool) -> dict[str, Any]:
        link = {"rel": "next", "type": _GEOJSON, "href": f"{self.url}/search"}
        if post:
            return {**link, "method": "POST", "merge": False, "body": {**search, "token": token}}
        query = {name: _to_query(name, value) for name, value in search.items()}
        return {**link, "method": "GET", "href": f"{self.url}/search?{urlencode({**query, 'token': token})}"}

    def _conformance(self) -> list[str]:
        return [*_BASE, *(name for extension in sorted(self.extensions) for name in _EXTENSIONS[extension])]

    def _links(self, own: str) -> list[dict[str, Any]]:
        return [
            {"rel": "root", "type": "application/json", "href": self.url},
            {"rel": "self", "type": "application/json", "href": f"{self.url}/{own}".rstrip("/")},
        ]

    def _landing(self) -> dict[str, Any]:
        def link(rel: str, path: str, media_type: str = "application/json", **more: str) -> dict[str, str]:
            return {"rel": rel, "type": media_type, "href": f"{self.url}/{path}", **more}

        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "loopback",
            "title": "Loopback STAC API",
            "description": "Items of a test.",
            "conformsTo": self._conformance(),
            "links": [
                *self._links(""),
                link("conformance", "conformance"),
                link("data", "collections"),
                link("search", "search", _GEOJSON, method="GET"),
                link("search", "search", _GEOJSON, method="POST"),
                *(link("child", f"collections/{name}") for name in self.index.collections),
            ],
        }

    def _collection(self, name: str) -> dict[str, Any]:
        return {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name,
            "description": name,
            "license": "other",
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]},
            },
            "links": self._links(f"collections/{name}"),
        }


def _positive(limit: int | str) -> int:
    if not str(limit).isdigit() or int(limit) < 1:
        raise BadRequestError(f"limit {limit!r} is not a positive number")
    return int(limit)


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    number = token.removeprefix(_TOKEN)
    if number == token or not number.isdigit():
        raise BadRequestError(f"unknown token {token!r}")
    return int(number)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        search = json.loads(body or b"{}")
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(search, dict):
        raise BadRequestError("the body is not a JSON object")
    return search


def _from_query(query: str) -> dict[str, Any]:
    """Read a GET search into the form of a POST body."""
    search: dict[str, Any] = dict(parse_qsl(query))
    try:
        if "bbox" in search:
            search["bbox"] = [float(number) for number in search["bbox"].split(",")]
        for name in ("intersects", "query", "filter"):
            if name in search:
                search[name] = json.loads(search[name])
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    for name in ("ids", "collections"):
        if name in search:
            search[name] = search[name].split(",")
    if "fields" in search:
        # A plus sign that was not percent-encoded arrives as a space.
        names = [name.strip() for name in search["fields"].split(",")]
        search["fields"] = {
            "include": [name.lstrip("+") for name in names if name and not name.startswith("-")],
            "exclude": [name[1:] for name in names if name.startswith("-")],
        }
    if "sortby" in search:
        search["sortby"] = [
            {"field": name.strip().lstrip("+-"), "direction": "desc" if name.startswith("-") else "asc"}
            for name in search["sortby"].split(",")
        ]
    return search


def _to_query(name: str, value: Any) -> str:
    """Write a value of a search as `_from_query` reads it."""
    if name == "fields":
        return ",".join([*(f"+{one}" for one in value["include"]), *(f"-{one}" for one in value["exclude"])])
    if name == "sortby":
        return ",".join(f"{'-' if rule['direction'] == 'desc' else '+'}{rule['field']}" for rule in value)
    if isinstance(value, list):
        return ",".join(str(one) for one in value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _encoded(document: Item) -> Response:
    # default=dict: assets that are made only when somebody looks at them.
    return Response(
        HTTPStatus.OK, {"Content-Type": _GEOJSON}, json.dumps(document, separators=(",", ":"), default=dict).encode()
    )
