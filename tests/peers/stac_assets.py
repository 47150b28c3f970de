"""The assets of a Sentinel-2 L2A item of the Copernicus Data Space, made when they are looked at.

Layout, names and fields are those of a real item (2025-03-30, T33UWP; odc-stac's tests, Apache-2.0); sizes, checksums and
UUIDs are made up. As there, AOT and WVP carry the reflectance offset, which is a quirk of that catalogue.
All assets of an item are 80 kB of JSON: 9,000 items at once would be close to a gigabyte.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_BANDS = {
    "B01": ("Coastal aerosol (band 1)", "coastal", 0.443, 0.228, 60),
    "B02": ("Blue (band 2)", "blue", 0.493, 0.267, 10),
    "B03": ("Green (band 3)", "green", 0.56, 0.291, 10),
    "B04": ("Red (band 4)", "red", 0.665, 0.342, 10),
    "B05": ("Red edge 1 (band 5)", "rededge071", 0.704, 0.357, 20),
    "B06": ("Red edge 2 (band 6)", "rededge075", 0.741, 0.374, 20),
    "B07": ("Red edge 3 (band 7)", "rededge078", 0.783, 0.399, 20),
    "B08": ("NIR 1 (band 8)", "nir", 0.833, 0.454, 10),
    "B8A": ("NIR 2 (band 8A)", "nir08", 0.865, 0.441, 20),
    "B09": ("NIR 3 (band 9)", "nir09", 0.945, 0.479, 60),
    "B11": ("SWIR 1 (band 11)", "swir16", 1.614, 0.841, 20),
    "B12": ("SWIR 2 (band 12)", "swir22", 2.202, 1.16, 20),
}
_OTHER = {
    "AOT": "Aerosol optical thickness (AOT)",
    "SCL": "Scene classification map (SCL)",
    "TCI": "True color image",
    "WVP": "Water vapour (WVP)",
}
_AT = {
    10: ("AOT", "B02", "B03", "B04", "B08", "TCI", "WVP"),
    20: ("AOT", "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B11", "B12", "B8A", "SCL", "TCI", "WVP"),
    60: ("AOT", "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B09", "B11", "B12", "B8A", "SCL", "TCI", "WVP"),
}
_IMAGES = {f"{name}_{gsd}m": (name, gsd) for gsd, names in _AT.items() for name in names}
_METADATA = {
    "safe_manifest": "manifest.safe",
    "granule_metadata": "{granule}/MTD_TL.xml",
    "inspire_metadata": "INSPIRE.xml",
    "product_metadata": "MTD_MSIL2A.xml",
    "datastrip_metadata": "DATASTRIP/DS_2CPS_{sensed}_S{sensed}/MTD_DS.xml",
}
_CLASSES = (
    "no_data", "saturated_or_defective", "dark_area_pixels", "cloud_shadows", "vegetation", "not_vegetated", "water",
    "unclassified", "cloud_medium_probability", "cloud_high_probability", "thin_cirrus", "snow",
)  # fmt: skip
_NAMES = tuple(sorted([*_IMAGES, *_METADATA, "Product", "thumbnail"]))
_EDGE = 109_800
_STORES = ["cdse-s3", "creodias-s3"]
# Bytes per pixel of a lossless band of a real product: 119 MB for 10980 x 10980.
_BYTES_PER_PIXEL = 0.986


@dataclass(frozen=True)
class Assets(Mapping[str, Any]):
    """The `assets` of one item; each is made anew when it is asked for."""

    product: str
    """Item id, which is the name of the product without `.SAFE`."""
    tile: str
    """Such as `T32TPS`."""
    sensed: str
    """Such as `20260711T101559`."""
    granule: str
    """Folder of the granule inside the product."""
    epsg: int
    left: int
    top: int

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)

    def __getitem__(self, name: str) -> dict[str, Any]:
        if name in _IMAGES:
            return self._image(*_IMAGES[name])
        if name in _METADATA:
            path = _METADATA[name].format(granule=self.granule, sensed=self.sensed)
            common = {"type": "application/xml", "roles": ["metadata"], "title": path.rpartition("/")[2]}
            return {**self._file(path, 100_000), **common}
        if name == "thumbnail":
            return {
                "href": f"https://datahub.creodias.eu/odata/v1/Assets({self._uuid})/$value",
                "type": "image/jpeg",
                "roles": ["thumbnail", "overview"],
                "title": "Quicklook",
                "data_type": "uint8",
                "proj:code": None,
                "proj:shape": [343, 343],
            }
        if name == "Product":
            return {
                "href": f"https://download.dataspace.copernicus.eu/odata/v1/Products({self._uuid})/$value",
                "type": "application/zip",
                "roles": ["data", "metadata", "archive"],
                "title": "Zipped product",
                "auth:refs": ["oidc"],
            }
        raise KeyError(name)

    @property
    def _uuid(self) -> uuid.UUID:
        return uuid.uuid5(uuid.NAMESPACE_URL, self.product)

    def _image(self, name: str, gsd: int) -> dict[str, Any]:
        path = f"{self.granule}/IMG_DATA/R{gsd}m/{self.tile}_{self.sensed}_{name}_{gsd}m.jp2"
        edge = _EDGE // gsd
        asset: dict[str, Any] = {
            **self._file(path, int(edge * edge * _BYTES_PER_PIXEL)),
            "proj:bbox": [self.left, self.top - _EDGE, self.left + _EDGE, self.top],
            "proj:code": f"EPSG:{self.epsg}",
            "proj:transform": [gsd, 0, self.left, 0, -gsd, self.top],
            "proj:shape": [edge, edge],
            "gsd": gsd,
            "type": "image/jp2",
            "roles": ["data", f"gsd:{gsd}m"],
            "nodata": 0,
            "data_type": "uint8" if name in {"SCL", "TCI"} else "uint16",
            "title": f"{_BANDS[name][0] if name in _BANDS else _OTHER[name]} - {gsd}m",
        }
        if name in _BANDS:
            native = _BANDS[name][4]
            sampling = "original" if gsd == native else "downsampled" if gsd > native else "upsampled"
            asset["roles"] = ["data", "reflectance", f"sampling:{sampling}", f"gsd:{gsd}m"]
            asset |= {"bands": [_band(name)], "view:azimuth": 118.75, "view:incidence_angle": 3.78}
        if name == "TCI":
            asset |= {"roles": ["visual", f"gsd:{gsd}m"], "bands": [_band(band) for band in ("B04", "B03", "B02")]}
        if name == "SCL":
            asset["classification:classes"] = [{"name": kind, "value": value} for value, kind in enumerate(_CLASSES)]
        if asset["data_type"] == "uint16":
            asset |= {"raster:scale": 0.0001, "raster:offset": -0.1}
        return asset

    def _file(self, path: str, size: int) -> dict[str, Any]:
        local = f"{self.product}.SAFE/{path}"
        nodes = "".join(f"/Nodes({part})" for part in local.split("/"))
        https = f"https://zipper.dataspace.copernicus.eu/odata/v1/Products({self._uuid}){nodes}/$value"
        day = f"{self.sensed[:4]}/{self.sensed[4:6]}/{self.sensed[6:8]}"
        return {
            "href": f"s3://eodata/Sentinel-2/MSI/L2A/{day}/{local}",
            "alternate": {
                "https": {"href": https, "auth:refs": ["oidc"], "storage:refs": [], "alternate:name": "HTTPS"}
            },
            "file:size": size,
            "file:checksum": f"1620{hashlib.sha256(local.encode()).hexdigest()}",
            "file:local_path": local,
            "auth:refs": ["s3"],
            "storage:refs": _STORES,
            "alternate:name": "S3",
        }


def _band(name: str) -> dict[str, Any]:
    description, common, centre, width, _ = _BANDS[name]
    return {
        "name": name,
        "description": description,
        "eo:common_name": common,
        "eo:center_wavelength": centre,
        "eo:full_width_half_max": width,
    }
