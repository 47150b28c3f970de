"""One search over all catalogues: slim candidates for many items, whole scenes for the chosen few."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from eo.bbox import BBox
from eo.catalog import Scene
from eo.errors import InvalidInput
from eo.settings import Settings
from plan import local_catalog, stac_api
from plan.candidate import Candidate

Source = Literal["cdse", "earth-search", "local"]


def find(
    source: Source,
    *,
    collection: str,
    bbox: BBox,
    datetime: str | None,
    settings: Settings,
    local_folder: Path | None = None,
) -> list[Candidate]:
    """Find all items of a collection, bbox and time, whatever their clouds: `choose` needs both counts.

    `datetime` as `eo.inputs.interval` checks it, None for no limit. Raises AccessDenied, RateLimited,
    SourceUnavailable, TooLarge (too many items), and what `local_catalog.find` raises.
    """
    if source == "local":
        return local_catalog.find(_folder(local_folder), collection=collection, bbox=bbox, datetime=datetime)
    api = stac_api.StacApi(source, settings)
    return api.find(collection=collection, bbox=bbox, datetime=datetime)


def load(
    source: Source,
    candidates: Sequence[Candidate],
    *,
    bands: Sequence[str],
    optional: Sequence[str] = (),
    settings: Settings,
    local_folder: Path | None = None,
) -> list[Scene]:
    """Make scenes of the chosen candidates, in their order, with the assets of these bands (SCL where there is one).

    `optional` bands are taken of scenes that have them.
    Raises NothingFound where a scene lacks a band, CorruptData, and what `find` raises.
    """
    if source == "local":
        return local_catalog.load(candidates, folder=_folder(local_folder), bands=bands, optional=optional)
    return stac_api.StacApi(source, settings).load(candidates, bands=bands, optional=optional)


def _folder(local_folder: Path | None) -> Path:
    if local_folder is None:
        raise InvalidInput("source local needs the folder of its catalog: give --catalog FOLDER")
    return local_folder
