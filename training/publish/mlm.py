"""The card as a STAC item with the Machine Learning Model extension, for catalogues and `derived_from` links.

STAC 1.1.0, https://github.com/stac-extensions/mlm v1.4.0. What the extension has no field for is in the card, which is an
asset of the item.
"""

import hashlib
import re
from typing import Any

from eo.card import CARD, DIGEST, NETWORK, SYNTHETIC, Card, File, Tensor, Training

STAC_VERSION = "1.1.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
    "https://stac-extensions.github.io/processing/v1.2.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
]
SHA2_256 = "1220"
"""Multihash prefix: function 0x12, 32 bytes (https://github.com/multiformats/multihash)."""
ONNX_TYPE = "application/octet-stream; framework=onnx"
"""No media type of ONNX is registered; MLM advises this form."""
WORLD = [-180.0, -90.0, 180.0, 90.0]

COMMON_NAMES = {
    "B01": ("coastal", 0.443),
    "B02": ("blue", 0.490),
    "B03": ("green", 0.560),
    "B04": ("red", 0.665),
    "B05": ("rededge071", 0.704),
    "B06": ("rededge075", 0.740),
    "B07": ("rededge078", 0.783),
    "B08": ("nir", 0.842),
    "B8A": ("nir08", 0.865),
    "B09": ("nir09", 0.945),
    "B10": ("cirrus", 1.375),
    "B11": ("swir16", 1.610),
    "B12": ("swir22", 2.190),
}
"""Name in STAC's eo extension and centre in micrometres (Sentinel-2 User Handbook)."""

RESIZE_TYPES = {
    "nearest": "interpolation-nearest",
    "bilinear": "interpolation-linear",
    "bicubic": "interpolation-cubic",
}
"""What MLM calls ways of resampling."""


def stac_item(card: Card) -> dict[str, Any]:
    """Equal cards give equal items: no time but that of the data, relative links."""
    west, south, east, north = WORLD
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": EXTENSIONS,
        "id": f"{card.name}-{card.digest[:16]}",
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "bbox": WORLD,
        "properties": {**_about(card), **_mlm(card), **_own(card)},
        "links": [],
        "assets": _assets(card),
    }


def _about(card: Card) -> dict[str, Any]:
    return {
        "title": card.title,
        "description": card.summary,
        # MLM advises the time for which the model has learnt.
        "datetime": None,
        "start_datetime": card.training.start,
        "end_datetime": card.training.end,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": card.grid.metres,
        "license": card.licence,
        "bands": [
            {"name": band, "eo:common_name": COMMON_NAMES[band][0], "eo:center_wavelength": COMMON_NAMES[band][1]}
            for band in card.bands
        ],
        "processing:level": card.level,
        "processing:lineage": _lineage(card.training),
    }


def _mlm(card: Card) -> dict[str, Any]:
    hyperparameters = {"epochs": card.training.epochs, "seeds": list(card.training.seeds)}
    network = card.opset is not None
    return {
        "mlm:name": card.name,
        "mlm:architecture": card.architecture,
        "mlm:tasks": [card.task],
        **({"mlm:framework": "ONNX", "mlm:framework_version": card.onnxruntime} if network else {}),
        "mlm:memory_size": sum(file.bytes for file in card.files) * (2 if card.precision == "float16" else 1),
        "mlm:total_parameters": card.parameters,
        "mlm:pretrained": card.training.pretrained is not None,
        "mlm:pretrained_source": card.training.pretrained,
        "mlm:batch_size_suggestion": 1,
        "mlm:accelerator": None,
        "mlm:accelerator_summary": "One CPU core is enough",
        "mlm:input": [_input(card, tensor) for tensor in card.inputs],
        "mlm:output": [_output(card, tensor) for tensor in card.outputs],
        "mlm:hyperparameters": {**hyperparameters, **card.training.hyperparameters},
    }


def _input(card: Card, tensor: Tensor) -> dict[str, Any]:
    scaling = None
    if card.normalisation and tensor.bands:
        of = dict(zip(card.bands, zip(card.normalisation.mean, card.normalisation.std, strict=True), strict=True))
        scaling = [{"type": "z-score", "mean": of[band][0], "stddev": of[band][1]} for band in tensor.bands]
    return {
        "name": tensor.name,
        "description": f"{tensor.meaning} [{tensor.units}]",
        "bands": list(tensor.bands),
        "input": _structure(tensor),
        "value_scaling": scaling,
        "resize_type": RESIZE_TYPES[card.resampling] if card.resampling and tensor.bands else None,
        # DN to reflectance, by the offset of each product.
        "pre_processing_function": {"format": "python", "expression": "eo.radiometry:Radiometry"}
        if tensor.bands
        else None,
    }


def _output(card: Card, tensor: Tensor) -> dict[str, Any]:
    # Names of the classification extension are of letters, digits and hyphens.
    classes = [
        {"value": value, "name": re.sub(r"[^0-9A-Za-z]+", "-", name).strip("-").lower(), "description": name}
        for value, name in enumerate(card.classes)
    ]
    return {
        "name": tensor.name,
        "description": f"{tensor.meaning} [{tensor.units}]",
        "tasks": [card.task],
        "result": _structure(tensor),
        **({"classification:classes": classes} if classes and "class" in tensor.dims else {}),
        "post_processing_function": None,
    }


def _structure(tensor: Tensor) -> dict[str, Any]:
    return {
        "shape": [extent if isinstance(extent, int) else -1 for extent in tensor.shape],
        "dim_order": list(tensor.dims),
        # STAC has no boolean among its data types.
        "data_type": "uint8" if tensor.dtype == "bool" else tensor.dtype,
    }


def _own(card: Card) -> dict[str, Any]:
    """What no extension has a field for, and nobody should have to open the card to know."""
    return {
        "eo_shards:version": card.version,
        DIGEST: card.digest,
        "eo_shards:satellites": list(card.satellites),
        "eo_shards:intended_use": card.intended_use,
        "eo_shards:out_of_scope": list(card.out_of_scope),
        "eo_shards:known_failures": list(card.known_failures),
        "eo_shards:domain": [each.model_dump() for each in card.domain],
        # By class: MLM has no field for them.
        **({"eo_shards:thresholds": dict(zip(card.classes, card.thresholds, strict=True))} if card.thresholds else {}),
        **({"eo_shards:training_data": SYNTHETIC} if card.synthetic else {}),
        **({"eo_shards:energy": card.energy.model_dump()} if card.energy else {}),
    }


def _assets(card: Card) -> dict[str, Any]:
    described = card.encoded()
    assets: dict[str, Any] = {}
    for place, file in enumerate(sorted(card.files, key=lambda file: (file.name != NETWORK, file.name))):
        # A model without a network is its first table. STAC allows bands of an item only where an asset has some too.
        network = file.name == NETWORK
        assets["model" if place == 0 else file.name] = {
            **_asset(file.name, file.meaning, file),
            "type": ONNX_TYPE if network else "application/octet-stream",
            "roles": ["mlm:model", "mlm:weights", "data"] if place == 0 else ["data"],
            **({"mlm:artifact_type": "onnx" if network else "table"} if place == 0 else {}),
            **({"bands": [{"name": band} for band in card.bands]} if place == 0 else {}),
        }
    listed = File(name=CARD, bytes=len(described), sha256=hashlib.sha256(described).hexdigest(), meaning="Model card")
    assets["card"] = {**_asset(CARD, "Model card", listed), "type": "application/json", "roles": ["metadata"]}
    return assets


def _asset(name: str, title: str, file: File) -> dict[str, Any]:
    return {
        "href": f"./{name}",
        "title": title,
        "file:size": file.bytes,
        "file:checksum": SHA2_256 + file.sha256,
    }


def _lineage(training: Training) -> str:
    """What a model was made of, and how that ended."""
    if training.stopped == "not trained":
        return f"Made from {training.data}"
    return f"Trained on {training.data}; {training.stopped} after {epochs(training)}"


def epochs(training: Training) -> str:
    """How many there were, in words."""
    return f"{training.epochs} epoch{'' if training.epochs == 1 else 's'}"
