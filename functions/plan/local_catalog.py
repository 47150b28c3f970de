"""A folder as a catalogue: STAC items as other tools write them, or SAFE products without items."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime as DateTime  # noqa: N812 - `datetime` is the STAC parameter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from eo.bbox import BBox
from eo.catalog import Json, Scene
from eo.errors import CorruptData, EoShardsError, InvalidInput, NothingFound
from eo.inputs import edges
from eo.safe import ProductMetadata, read_product
from eo.stac_item import level, scene_from_item
from plan import safe_catalog
from plan.candidate import Candidate
from plan.choose import geometries

_CLAIM = b'"stac_version"'


def find(folder: Path, *, collection: str, bbox: BBox, datetime: str | None = None) -> list[Candidate]:
    """Find the items and products below a folder that match.

    An item matches a collection by its own one or by its processing level; one that tells neither matches any.
    A product in a .SAFE folder is taken by itself where no item lies in it or refers to it.
    Raises InvalidInput where the folder is missing, NothingFound where it holds nothing of the kind, and CorruptData,
    naming the file, where something claims to be an item and is not.
    """
    if not folder.is_dir():
        raise InvalidInput(
            f"catalog {folder} is not a folder: name one that holds STAC items or unzipped .SAFE products"
        )
    candidates: list[Candidate] = []
    described: set[str] = set()
    items = 0
    for path, item in _items(folder):
        items += 1
        described |= {part for part in path.parts if part.endswith(".SAFE")}
        described |= {part for href in _hrefs(item) for part in href.split("/") if part.endswith(".SAFE")}
        if _belongs(item, collection):
            candidates.append(_read(path, lambda item=item, path=path: Candidate.from_item(item, path)))  # type: ignore[misc]
    products = [path for path in safe_catalog.products(folder) if path.name not in described]
    for path in products:
        candidate, product_level = safe_catalog.candidate(path)
        if product_level == level({"collection": collection}):
            candidates.append(candidate)
    if not items and not products:
        raise NothingFound(f"catalog {folder} holds neither STAC items nor .SAFE products")
    if not candidates:
        other = products[0].name if products else "STAC items"
        raise NothingFound(
            f"catalog {folder} holds nothing of {collection}, but {other} of another processing level: name a folder with "
            f"{level({'collection': collection})} products, or choose another collection where the process takes one"
        )
    within = _interval(datetime)
    candidates = [c for c in candidates if within(c.datetime)]
    return [c for c, meets in zip(candidates, _meet(candidates, bbox), strict=True) if meets]


def load(
    candidates: Sequence[Candidate], *, folder: Path, bands: Sequence[str], optional: Sequence[str] = ()
) -> list[Scene]:
    """Make scenes of candidates that `find` gave; their assets have absolute paths inside the folder.

    `optional` bands are taken of scenes that have them.
    Raises what `scene_from_item` raises, InvalidInput where an asset that is needed is remote or lies outside of the
    folder, and CorruptData where its file is missing.
    """
    return [_scene(candidate, folder, bands, optional) for candidate in candidates]


def locate(href: str, *, base: Path, folder: Path) -> str:
    """Turn an href of an item in `base` into the absolute path of a file that lies, links followed, in the folder."""
    parts = urlsplit(href)
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"}:
        raise InvalidInput(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/... is remote, but the source local reads files of its "
            "catalog only: download the asset and give its item a relative href, or use the catalogue it comes from"
        )
    path = base / (unquote(parts.path) if parts.scheme else href)
    resolved = path.resolve()
    if not resolved.is_relative_to(folder.resolve()):
        raise InvalidInput(f"{href} lies outside of the catalog {folder}: copy the file into it")
    if not resolved.is_file():
        raise CorruptData(f"{href} does not exist in {base}: the item names a file that the catalog lacks")
    return str(resolved)


def _scene(candidate: Candidate, folder: Path, bands: Sequence[str], optional: Sequence[str]) -> Scene:
    path = candidate.path
    if path is None:
        raise InvalidInput(f"scene {candidate.id} does not come from a folder")
    if path.is_dir():
        return safe_catalog.scene(path, folder=folder, bands=bands, optional=optional)
    item = next((item for item in _items_of(path) if item.get("id") == candidate.id), None)
    if item is None:
        raise CorruptData(f"{path} changed while the job was planned: item {candidate.id} is gone; plan again")
    try:
        return scene_from_item(
            item,
            bands=bands,
            optional=optional,
            locate=lambda href: locate(href, base=path.parent, folder=folder),
            metadata=lambda: _metadata(item, path.parent, folder),
            href=str(path.resolve()),
        )
    except EoShardsError as error:
        raise type(error)(f"{path}: {error}") from error


def _metadata(item: Json, base: Path, folder: Path) -> ProductMetadata | None:
    """Read the product's XML beside the item, or in the SAFE folder its assets lie in."""
    folders = [base]
    for href in _hrefs(item):
        if "://" not in href:
            folders += [parent for parent in (base / href).resolve().parents if parent.name.endswith(".SAFE")]
    for place in dict.fromkeys(folders):
        path = safe_catalog.metadata_file(place) if place.resolve().is_relative_to(folder.resolve()) else None
        if path is not None:
            return read_product(path)
    return None


def _items(folder: Path) -> Iterator[tuple[Path, Json]]:
    for directory, names, files in os.walk(folder):
        # Zarr stores hold a JSON file for every array, none of them ours.
        names[:] = sorted(name for name in names if not name.endswith(".zarr") and not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith((".json", ".geojson")):
                path = Path(directory, name)
                for item in _items_of(path):
                    yield path, item


def _items_of(path: Path) -> list[Json]:
    """Give the items of a file; none where it is something else."""
    data = path.read_bytes()
    if _CLAIM not in data:
        return []
    try:
        document: Any = json.loads(data)
    except ValueError as error:
        raise CorruptData(f"{path} has a stac_version but is not JSON ({error}): repair or remove it") from None
    if not isinstance(document, dict):
        return []
    if document.get("type") == "FeatureCollection":
        return [item for item in document.get("features") or () if isinstance(item, dict) and "stac_version" in item]
    return [document] if document.get("type") == "Feature" and "stac_version" in document else []


def _read(path: Path, read: Callable[[], Candidate]) -> Candidate:
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptData(
            f"{path} is not a valid STAC item ({type(error).__name__}: {error}): repair or remove it"
        ) from None


def _hrefs(item: Json) -> list[str]:
    assets = item.get("assets")
    values = assets.values() if isinstance(assets, dict) else ()
    return [str(asset.get("href", "")) for asset in values if isinstance(asset, dict)]


def _belongs(item: Json, collection: str) -> bool:
    found = level(item)
    return item.get("collection") == collection or found is None or found == level({"collection": collection})


def _interval(datetime: str | None) -> Callable[[str], bool]:
    first, last = (None, None) if datetime is None else (_moment(end) for end in edges(datetime))

    def within(time: str) -> bool:
        # Whole seconds: the last one of a day is meant with its fractions.
        moment = DateTime.fromisoformat(time).replace(microsecond=0)
        return (first is None or moment >= first) and (last is None or moment <= last)

    return within


def _moment(end: str) -> DateTime | None:
    return None if end == ".." else DateTime.fromisoformat(end).replace(microsecond=0)


def _meet(candidates: Sequence[Candidate], bbox: BBox) -> list[bool]:
    area = bbox.polygon()
    found = []
    for candidate in candidates:
        try:
            (shape,) = geometries([candidate.footprint], bbox.centre_lon)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CorruptData(f"{candidate.path}: its geometry is not a polygon ({error}): repair it") from None
        found.append(bool(np.any(area.intersects(shape))))
    return found
