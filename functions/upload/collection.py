"""A GeoJSON document as orders: one for each feature, its bounding box the box of the job."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from eo.errors import InvalidInput, TooLarge
from upload.boxes import DEGREES, box

MAX_FEATURES = 500
"""Jobs that one upload may start: each takes a handful of requests, and all of them one call of the function."""
GEOMETRIES = {"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"}
KINDS = {"Feature", "FeatureCollection", *GEOMETRIES}
_CRS84 = re.compile(r"(?i)(urn:ogc:def:crs:)?(OGC:(1\.3|2|)?:?CRS84|EPSG:(.*:)?4326)|.*/(CRS84|4326)")
"""Names of WGS 84 that tools write into the `crs` of 2008's GeoJSON, which RFC 7946 has dropped."""


@dataclass(frozen=True)
class Feature:
    """A feature and how the answer names it."""

    body: Mapping[str, Any]
    about: Mapping[str, Any]


def is_geojson(document: object) -> bool:
    """Whether a JSON document is GeoJSON and no job."""
    return isinstance(document, dict) and document.get("type") in KINDS and "inputs" not in document


def features(document: object) -> Iterator[Feature]:
    """The features of a document; a geometry alone counts as one. Raises InvalidInput and TooLarge."""
    kind = document.get("type") if isinstance(document, dict) else None
    if not isinstance(document, dict) or kind not in KINDS:
        raise InvalidInput(f"its type is {str(kind)[:40]!r}, which is none of GeoJSON (RFC 7946)")
    _check_crs(document)
    bodies = document.get("features") if kind == "FeatureCollection" else [document]
    if not isinstance(bodies, list) or not bodies:
        raise InvalidInput("its FeatureCollection has no features")
    if len(bodies) > MAX_FEATURES:
        raise TooLarge(f"it has {len(bodies):,} features, more than the {MAX_FEATURES} of one upload: cut it")
    for number, body in enumerate(bodies):
        whole = {"type": "Feature", "geometry": body} if kind in GEOMETRIES else body
        yield Feature(whole if isinstance(whole, dict) else {}, _about(number, whole))


def inputs(feature: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The inputs of a feature's job: its box, and those of its properties that are called like an input.

    Other properties are no business of ours, since every GIS writes some; null is what it writes where there is no value.
    """
    if feature.get("type") != "Feature":
        raise InvalidInput("it is not a Feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise InvalidInput("its properties are not an object")
    found = {name: value for name, value in properties.items() if name in model.model_fields and value is not None}
    if "bbox" in found:
        raise InvalidInput("it has a property bbox, but its box is that of its geometry: remove one of the two")
    return {"bbox": box(feature.get("geometry")).to_list(), **found}


def _about(number: int, feature: object) -> dict[str, Any]:
    """Number of a feature, from 0, and its id where it has one."""
    own = feature.get("id") if isinstance(feature, dict) else None
    return {"feature": number} | ({"id": own} if isinstance(own, str | int) and own != "" else {})


def _check_crs(document: Mapping[str, Any]) -> None:
    crs = document.get("crs")
    if crs is None:
        return
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name") if isinstance(properties, dict) else crs)
    if not _CRS84.fullmatch(name):
        raise InvalidInput(f"its crs is {name[:60]!r}; {DEGREES}")
