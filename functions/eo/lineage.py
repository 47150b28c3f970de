"""What a result was made from, in the words of STAC, the same for every process.

Everything here is read from the plan. Paths of the machine and credentials stay out: a local file is named, not placed.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from eo.catalog import Asset, Scene
from eo.correction import CorrectionInputs
from eo.inputs import LOCAL_INPUTS
from eo.job import ElevationSource, ImageSource, Plan
from eo.model import read_card, read_item

Json = dict[str, Any]
SHA2_256 = "1220"
"""Multihash prefix: function 0x12, 32 bytes (https://github.com/multiformats/multihash)."""


def sources(plan: Plan) -> list[Json]:
    """Every scene with the files that were read of it, and the elevation.

    Sizes and checksums (multihash) are those that the catalogue states: the job compares a file that it fetches whole,
    and cannot compare one of which it reads a part.
    """
    read: dict[int, dict[str, Asset]] = {}
    for source in plan.sources.values():
        if isinstance(source, ImageSource):
            read.setdefault(source.scene, {})[source.band] = source.asset
    scenes = [_scene(scene, read.get(index, scene.assets)) for index, scene in enumerate(plan.scenes)]
    sheets = [source for source in plan.sources.values() if isinstance(source, ElevationSource)]
    return [*scenes, *([_elevation(plan, sheets)] if sheets else [])]


def _scene(scene: Scene, assets: Mapping[str, Asset]) -> Json:
    return {
        "type": "scene",
        "id": scene.id,
        "href": public(scene.href),
        "collection": scene.collection,
        "datetime": scene.datetime,
        "processing:version": scene.baseline or "unknown",
        "files": [{"band": band, **_file(asset)} for band, asset in sorted(assets.items())],
    }


def _file(asset: Asset) -> Json:
    found: Json = {"href": public(asset.href)}
    if asset.size is not None:
        found["file:size"] = asset.size
    if asset.checksum is not None:
        found["file:checksum"] = asset.checksum
    return found


def _elevation(plan: Plan, sheets: list[ElevationSource]) -> Json:
    files = dict.fromkeys(public(href) for sheet in sheets for href in sheet.files)
    return {
        "type": "elevation",
        "id": plan.elevation_name,
        "href": public(sheets[0].href),
        "vertical_crs": plan.vertical_crs or "unknown",
        "files": [{"href": href} for href in files],
    }


def links(plan: Plan) -> list[dict[str, str]]:
    """`derived_from`: the scenes' items and the elevation, where they have addresses.

    A file of this machine has none that may be told, and its bare name would be looked for beside the result: such scenes
    are named in `sources` alone.
    """
    addresses = [(scene, public(scene.href)) for scene in plan.scenes]
    found = [{"rel": "derived_from", "href": href, "title": scene.id} for scene, href in addresses if "://" in href]
    for link in found:
        if link["href"].endswith(".json") or link["href"].startswith("http"):
            link["type"] = "application/geo+json"
    read = (path for s in plan.sources.values() if isinstance(s, ElevationSource) for path in s.files)
    posts = dict.fromkeys(public(path) for path in read if "://" in path)
    return [*found, *({"rel": "derived_from", "href": href, "title": PurePath(href).name} for href in posts)]


def software(plan: Plan) -> Json:
    """Fields of the processing extension: what made it, in which version."""
    name, version = plan.software.split()
    return {"processing:software": {name: version}, "processing:version": plan.version}


def inputs(plan: Plan) -> Json:
    """What was ordered, defaults included; files of the machine are among the sources, by name."""
    unused = set() if plan.inputs.get("correct", True) else CorrectionInputs.model_fields.keys()
    return {key: value for key, value in plan.inputs.items() if key not in LOCAL_INPUTS and key not in unused}


def models(plan: Plan) -> list[dict[str, str]]:
    """The trained models that were applied, by name and digest; none where nothing was corrected.

    Raises as `eo.model.read_card`.
    """
    if not plan.inputs.get("correct", "model" in plan.inputs):
        return []
    card = read_card(plan.inputs["model"])
    return [{"name": card.name, "digest": card.digest}]


def model_item(name: str) -> bytes:
    """The STAC item of a model as a result has it beside its files. Raises as `eo.model.read_item` does.

    Files of the model's folder are not delivered: the copy names them by their digests, for MLM wants them named.
    """
    item = json.loads(read_item(name))
    item["assets"] = {key: _elsewhere(asset) for key, asset in item.get("assets", {}).items()}
    return (json.dumps(item, indent=1) + "\n").encode()


def _elsewhere(asset: Json) -> Json:
    """A file that does not lie beside the item, by its SHA-256 (RFC 6920, "Naming Things with Hashes")."""
    digest = bytes.fromhex(asset["file:checksum"].removeprefix(SHA2_256))
    name = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    title = f"{asset['title']} ({PurePath(asset['href']).name} of the model's folder, not delivered)"
    return asset | {"href": f"ni:///sha-256;{name}", "title": title}


def public(href: str) -> str:
    """A URL without credentials and query; of a file of this machine only its name."""
    parts = urlsplit(href)
    if parts.scheme in {"http", "https", "s3"} and parts.netloc:
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return quote(PurePath(href).name)
