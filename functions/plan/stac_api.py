"""The remote catalogues: STAC APIs, searched page by page with only the fields that are used."""

import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import pystac_client
import pystac_client.errors
import requests
import urllib3
from pystac_client.conformance import ConformanceClasses
from pystac_client.stac_api_io import StacApiIO

from eo.bbox import BBox
from eo.catalog import Json, Scene
from eo.errors import CorruptData, NothingFound, SourceUnavailable, TooLarge
from eo.inputs import edges
from eo.retry import Policy, Transient, check, shown
from eo.settings import Settings
from eo.stac_item import scene_from_item
from eo.transport import allowed
from eo.wire import anonymous
from plan.candidate import Candidate

LOG = logging.getLogger(__name__)

PAGE = 500
"""Items of a page: half a megabyte with the fields below, so that one page costs the server well under a second."""
MOST_ITEMS = 100_000
"""Items of one search. A year over 60 tiles has 9,000; what needs more is no job, or a catalogue that pages in circles."""
FULL_PAGE = 50
"""Whole items of a page: some 100 KB each."""

FIELDS = (
    "type",
    "stac_version",
    "id",
    "collection",
    "geometry",
    "bbox",
    "properties.datetime",
    "properties.start_datetime",
    "properties.eo:cloud_cover",
    "properties.platform",
    "properties.grid:code",
    "properties.processing:version",
    "properties.s2:processing_baseline",
)


class _RetryingIO(StacApiIO):
    """pystac-client's requests by our policy and with our errors; its own would show whole URLs and answers."""

    def __init__(self, policy: Policy, timeout: float) -> None:
        super().__init__(max_retries=None)
        self.session.auth = anonymous  # else the default entry of .netrc would be sent
        self._policy = policy
        self._seconds = timeout  # not `self.timeout`, which Client.open resets

    def request(
        self,
        href: str,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Answer with the text of a successful response; raises the errors of `eo.retry`."""
        verb = (method or "GET").upper()
        body = {"json": parameters} if verb == "POST" else {"params": parameters or {}}

        def attempt() -> str:
            try:
                answer = self.session.request(verb, href, headers=headers, timeout=self._seconds, **cast("Any", body))
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise Transient(f"connection failed ({type(error).__name__})") from None
            check(answer.status_code, shown(href), after=answer.headers.get("Retry-After"))
            return answer.text

        return self._policy.run(attempt, shown(href))


class StacApi:
    """One remote catalogue."""

    def __init__(self, source: Literal["cdse", "earth-search"], settings: Settings) -> None:
        """Choose the endpoint, and where the assets may lie."""
        self._url = settings.cdse_stac_url if source == "cdse" else settings.earth_search_url
        self._places = (f"s3://{settings.cdse_s3_bucket}",) if source == "cdse" else settings.earth_search_data_urls
        self._io = _RetryingIO(Policy.of(settings), settings.timeout)

    def find(self, *, collection: str, bbox: BBox, datetime: str | None) -> list[Candidate]:
        """Find all items, whatever their clouds. Items that are malformed are left out, with a warning in the log."""
        span = None if datetime is None else "/".join(edges(datetime))
        found: dict[str, Candidate] = {}
        for part in bbox.parts():  # catalogues differ in what they make of a box across the antimeridian
            query = {"collections": [collection], "bbox": part.to_list(), "datetime": span, "fields": _fields()}
            for item in self._items({name: value for name, value in query.items() if value is not None}, PAGE):
                try:
                    candidate = Candidate.from_item(item)
                except (KeyError, TypeError, ValueError, AttributeError) as error:
                    LOG.warning("left out malformed item %s: %s: %s", item.get("id"), type(error).__name__, error)
                    continue
                found[candidate.id] = candidate
                if len(found) > MOST_ITEMS:
                    raise TooLarge(f"more than {MOST_ITEMS} items match bbox {bbox} and {datetime}: narrow the dates")
        return list(found.values())

    def load(
        self, candidates: Sequence[Candidate], *, bands: Sequence[str], optional: Sequence[str] = ()
    ) -> list[Scene]:
        """Fetch the whole items and make scenes of them, in order; `optional` bands where they have them."""
        items: dict[str, Json] = {}
        for collection in dict.fromkeys(c.collection for c in candidates):
            wanted = [c.id for c in candidates if c.collection == collection]
            for start in range(0, len(wanted), FULL_PAGE):
                query = {"collections": [collection], "ids": wanted[start : start + FULL_PAGE]}
                items |= {item["id"]: item for item in self._items(query, FULL_PAGE)}
        gone = [c.id for c in candidates if c.id not in items]
        if gone:
            raise NothingFound(f"{shown(self._url)} no longer has {', '.join(gone[:5])}: plan again")
        return [
            scene_from_item(
                items[c.id], bands=bands, optional=optional, locate=lambda href: allowed(href, self._places)
            )
            for c in candidates
        ]

    def _items(self, query: dict[str, Any], page: int) -> Iterator[Json]:
        try:
            client = pystac_client.Client.open(self._url, stac_io=self._io)
            if not client.conforms_to(ConformanceClasses.FIELDS):
                query.pop("fields", None)
                page = FULL_PAGE  # it will send whole items
            for answer in client.search(**query, limit=page).pages_as_dicts():
                yield from answer["features"]
        except json.JSONDecodeError as error:
            raise SourceUnavailable(f"{shown(self._url)}: its answer is not JSON ({error}): try again later") from None
        except (pystac_client.errors.ClientTypeError, NotImplementedError, KeyError, TypeError) as error:
            raise CorruptData(
                f"{shown(self._url)}: it does not answer as a STAC API ({type(error).__name__}): check the endpoint's address"
            ) from error


def _fields() -> dict[str, list[str]]:
    return {"include": list(FIELDS), "exclude": ["assets", "links"]}
