"""What an upload orders: its content as checked inputs, one set for each job."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from eo.archive import Archive
from eo.errors import EoShardsError, InvalidInput, TooLarge
from eo.inputs import check_deployed
from eo.job import Process
from eo.order import validated
from eo.safe_zip import SafeZip
from eo.strict_json import parse, storable
from upload import collection, product
from upload.content import Content

MAX_DOCUMENT = 10_000_000
"""Bytes of a job or of a collection of polygons."""
MAX_SHOWN = 5
"""Faults of a collection that are told; the others are counted."""


@dataclass(frozen=True)
class Wanted:
    """One job."""

    inputs: Mapping[str, Any]
    about: Mapping[str, Any] = field(default_factory=dict)
    """Which part of the upload it is of, as the answer says it."""
    product: str = ""
    """Digest of the members of the zip that is its only scene."""


def wanted(process: Process, key: str, content: Content) -> list[Wanted]:
    """The jobs that an upload orders, all of them valid. Raises InvalidInput, TooLarge, CorruptData and NothingFound.

    What reading the content raises passes.
    """
    name = PurePosixPath(key).name
    suffix = PurePosixPath(key).suffix.lower()
    if suffix == ".zip":
        return [_product(process, name, content)]
    if suffix not in {".json", ".geojson"}:
        raise InvalidInput(
            f"{name} is neither a job (.json), nor polygons (.geojson), nor a zipped Sentinel-2 product (.zip)"
        )
    if content.size > MAX_DOCUMENT:
        raise TooLarge(f"{name} has {content.size:,} bytes, more than the {MAX_DOCUMENT:,} of one upload: cut it")
    document = parse(content.read(), name)
    if suffix == ".geojson" or collection.is_geojson(document):
        return _collection(process, document)
    return [Wanted(_checked(process, _job(document, process, name)))]


def _job(document: object, process: Process, name: str) -> Mapping[str, Any]:
    """The inputs of a job document, bare or as an object `inputs`."""
    if not isinstance(document, dict):
        raise InvalidInput(f'{name} is not a job, which looks like {{"inputs": {{"bbox": [11.2, 46.4, 11.6, 46.7]}}}}')
    named = document.get("process", process.id)
    if named != process.id:
        raise InvalidInput(
            f"{name} names the process {str(named)[:40]!r}, but it was put where {process.id} is ordered: put it below "
            f"incoming/{str(named)[:40]}/, or leave process out"
        )
    rest = {key: value for key, value in document.items() if key != "process"}
    if "inputs" not in rest:
        return rest
    inputs = rest.pop("inputs")
    if rest or not isinstance(inputs, dict):
        beside = f"{next(iter(rest))[:40]!r} beside them" if rest else "they are not an object"
        raise InvalidInput(f"{name} has inputs, but {beside}; a job has process and inputs")
    return inputs


def _collection(process: Process, document: object) -> list[Wanted]:
    """A job for each feature, or none where one of them is wrong."""
    found: list[Wanted] = []
    faults: list[str] = []
    for feature in collection.features(document):
        try:
            inputs = collection.inputs(feature.body, process.Inputs)
            found.append(Wanted(_checked(process, inputs), feature.about))
        except EoShardsError as error:
            faults.append(f"feature {feature.about['feature']}: {error}")
    if faults:
        more = f"; and {len(faults) - MAX_SHOWN} more" if len(faults) > MAX_SHOWN else ""
        raise InvalidInput("; ".join(faults[:MAX_SHOWN]) + more)
    return found


def _product(process: Process, name: str, content: Content) -> Wanted:
    """The job of a product, with the inputs of its metadata."""
    text = content.metadata.get("inputs", "")
    given = parse(text.encode(), "the metadata inputs") if text else {}
    if not isinstance(given, dict):
        raise InvalidInput("the metadata inputs are not a JSON object")
    with closing(content.open()) as file, Archive(file, name) as archive:
        safe = SafeZip(archive)
        inputs = _checked(process, product.inputs(safe, given))
        product.check(safe, process, validated(process, inputs))
        return Wanted(inputs, {"product": safe.product.uri}, archive.digest)


def _checked(process: Process, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs themselves, if they are valid."""
    check_deployed(inputs)
    storable(inputs, "the inputs")
    validated(process, inputs)
    return inputs
