"""STAC items for generated products, in the dialects of the catalogues that hold the real ones."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scenes.footprint import bbox, geojson

if TYPE_CHECKING:
    from pathlib import Path

    from shapely.geometry import MultiPolygon, Polygon

    from scenes.product import Product

Style = Literal["cdse", "earth-search", "stactools"]

_COMMON_NAMES = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "SCL": "scl"}
_WAVELENGTHS = {"B02": 0.493, "B03": 0.56, "B04": 0.665, "B08": 0.833}
_EXTENSIONS = {
    "cdse": ("eo/v2.0.0", "projection/v2.0.0", "raster/v2.0.0", "file/v2.1.0", "processing/v1.2.0", "view/v1.0.0"),
    "earth-search": ("eo/v1.1.0", "projection/v1.1.0", "raster/v1.1.0", "view/v1.0.0"),
    "stactools": ("eo/v1.1.0", "projection/v1.1.0", "raster/v1.1.0", "view/v1.0.0"),
}


@dataclass(frozen=True, kw_only=True)
class Image:
    """One file of a product, as an item describes it."""

    name: str
    """Band or SCL."""
    path: Path
    href: str
    media_type: str
    resolution: int
    size: int
    """Pixels per side."""


def asset_key(name: str, resolution: int, style: Style, level: str) -> str:
    """Key of an asset: `B02_10m` (CDSE L2A), `B02` (CDSE L1C), `blue` (the others)."""
    if style == "cdse":
        return name if level == "L1C" else f"{name}_{resolution}m"
    return _COMMON_NAMES[name]


def build_item(
    product: Product, images: list[Image], shape: Polygon | MultiPolygon, style: Style, *, offset_applied: bool
) -> dict[str, Any]:
    """Return the item as the catalogue `style` would show it."""
    collection = f"sentinel-2-{product.level.lower()}"
    return {
        "type": "Feature",
        "stac_version": "1.1.0" if style == "cdse" else "1.0.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in _EXTENSIONS[style]],
        "id": item_id(product, style),
        "collection": collection,
        "geometry": geojson(shape),
        "bbox": bbox(shape),
        "properties": _properties(product, style, offset_applied=offset_applied),
        "links": [],
        "assets": {
            asset_key(image.name, image.resolution, style, product.level): _asset(product, image, style)
            for image in images
        },
    }


def item_id(product: Product, style: Style) -> str:
    """Name of the item."""
    if style == "cdse":
        return product.id
    if style == "earth-search":
        return f"{product.platform}_{product.tile}_{product.sensed:%Y%m%d}_0_{product.level}"
    return f"{product.platform}_T{product.tile}_{product.sensed:%Y%m%dT%H%M%S}_{product.level}"


def _properties(product: Product, style: Style, *, offset_applied: bool) -> dict[str, Any]:
    moment = f"{product.sensed:%Y-%m-%dT%H:%M:%S}.024000Z"
    shared: dict[str, Any] = {
        "datetime": moment,
        "platform": f"sentinel-{product.platform[1:].lower()}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "eo:cloud_cover": product.cloud_cover,
        "grid:code": f"MGRS-{product.tile}",
        "view:sun_azimuth": product.sun_azimuth,
        "view:sun_elevation": round(90 - product.sun_zenith, 6),
        # Models that have learnt from generated data alone are refused on all other scenes.
        "eo_shards:synthetic": True,
    }
    if style == "cdse":
        return shared | {
            "gsd": product.resolution,
            "start_datetime": moment,
            "end_datetime": moment,
            "product:type": f"S2MSI{product.level[1:]}",
            "processing:level": "L1" if product.level == "L1C" else "L2",
            "processing:version": product.baseline,
            "sat:orbit_state": "descending",
            "sat:relative_orbit": product.orbit,
        }
    shared |= {
        "proj:epsg": product.epsg,
        "s2:processing_baseline": product.baseline,
        "s2:product_type": f"S2MSI{product.level[1:]}",
        "s2:product_uri": f"{product.id}.SAFE",
    }
    if style == "earth-search":
        shared["earthsearch:boa_offset_applied"] = offset_applied
    return shared


def _asset(product: Product, image: Image, style: Style) -> dict[str, Any]:
    step, extent = image.resolution, image.resolution * image.size
    classes = image.name == "SCL"
    asset: dict[str, Any] = {
        "href": image.href,
        "type": image.media_type,
        "title": f"{image.name} - {step}m",
        "roles": ["data"] if classes else ["data", "reflectance"],
        "gsd": step,
        "proj:shape": [image.size, image.size],
        "proj:transform": [step, 0, product.ulx, 0, -step, product.uly],
        "proj:bbox": [product.ulx, product.uly - extent, product.ulx + extent, product.uly],
    }
    # In the catalogues the offset stands on every reflectance asset, even where it is already in the numbers.
    scaling = {} if classes else {"scale": 0.0001, "offset": product.offset / 10_000}
    kind = {"nodata": 0, "data_type": "uint8" if classes else "uint16"}
    if style != "cdse":
        if not classes:
            asset["eo:bands"] = [
                {
                    "name": image.name if style == "stactools" else _COMMON_NAMES[image.name],
                    "common_name": _COMMON_NAMES[image.name],
                    "center_wavelength": _WAVELENGTHS[image.name],
                }
            ]
        asset["raster:bands"] = [kind | {"spatial_resolution": step} | scaling]
        return asset
    if not classes:
        asset["bands"] = [
            {
                "name": image.name,
                "eo:common_name": _COMMON_NAMES[image.name],
                "eo:center_wavelength": _WAVELENGTHS[image.name],
            }
        ]
    return (
        asset
        | kind
        | {f"raster:{name}": value for name, value in scaling.items()}
        | {
            "proj:code": f"EPSG:{product.epsg}",
            "file:size": image.path.stat().st_size,
            "file:checksum": _multihash(image.path),
        }
    )


def _multihash(path: Path) -> str:
    """SHA2-256 of a file as a multihash: code 0x12, length 0x20, digest."""
    with path.open("rb") as file:
        return "1220" + hashlib.file_digest(file, "sha256").hexdigest()
