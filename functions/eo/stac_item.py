"""Scenes from STAC items, in the dialects of CDSE, earth-search (v0, v1, c1) and stactools."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from eo.catalog import CLASSES, SYNTHETIC, Asset, Json, Scene, is_class, native_metres
from eo.errors import CorruptData, EoShardsError, NothingFound
from eo.grid import RasterGrid
from eo.item_angles import item_angles
from eo.radiometry import Radiometry

if TYPE_CHECKING:
    from eo.safe import ProductMetadata, TileMetadata

Locate = Callable[[str], str]
"""Turns the href of an asset that is used into one that may be opened, or raises InvalidInput."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "B01": ("coastal",),
    "B02": ("blue",),
    "B03": ("green",),
    "B04": ("red",),
    "B05": ("rededge1", "rededge071"),
    "B06": ("rededge2", "rededge075"),
    "B07": ("rededge3", "rededge078"),
    "B08": ("nir",),
    "B8A": ("nir08",),
    "B09": ("nir09",),
    "B10": ("cirrus",),
    "B11": ("swir16",),
    "B12": ("swir22",),
    CLASSES: ("scl",),
}
"""Sentinel-2 names and what earth-search and stactools call them. `rededge` alone names three bands, hence none."""

_ALIASES = {alias: band for band, aliases in NAMES.items() for alias in (band.lower(), *aliases)}
_ALIASES |= {f"b{band[2]}": band for band in NAMES if re.fullmatch(r"B0\d", band)}
_KEY = re.compile(r"(?P<name>[a-z0-9]+?)(?:[_-](?P<metres>\d+)m)?(?P<jp2>-jp2)?", re.IGNORECASE)
_BASELINE = re.compile(r"_N(\d{2})\.?(\d{2})(?:_|$|\.)")
_LEVEL = re.compile(r"(?:msi|(?:msi|^|[-_ ])l)(1c|2a)(?![0-9a-z])")
# Roles of pictures (8 bits, stretched) that name the bands they were made of.
_NOT_DATA = {"visual", "overview", "thumbnail", "metadata"}
_APPLIED = ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
_WITH_OFFSET = (4, 0)
"""First processing baseline whose products have an offset."""


class Found(NamedTuple):
    """An asset that holds a band. Sorts by preference: near before far, not a JP2 twin, not resampled, fine before coarse."""

    remote: bool
    jp2: bool
    resampled: bool
    """Whether its pixels are finer than the sensor's: L2A has B01 of 60 m, which models learn from, at 20 m too."""
    metres: float
    key: str
    place: int
    """Place of the band among the asset's bands, from 0."""


def scene_from_item(
    item: Json,
    *,
    bands: Iterable[str],
    locate: Locate,
    optional: Sequence[str] = (),
    metadata: "Callable[[], ProductMetadata | None] | None" = None,
    tile: "Callable[[], TileMetadata | None] | None" = None,
    href: str | None = None,
) -> Scene:
    """Read a STAC item of any of the known dialects.

    `optional` bands are taken where the item has them, as classes always are. `metadata` reads the product's XML where it
    is at hand, for items that leave out the offset, and `tile` the granule's, for the angles of L1C.
    Raises NothingFound where a band is missing, CorruptData where the item contradicts the
    STAC specification or itself or does not tell its offset, InvalidInput from `locate`.
    """
    name = item.get("id")
    _check_level(item)
    try:
        assets: dict[str, Asset] = {}
        described: dict[str, Json] = {}
        for band in dict.fromkeys((*bands, *optional)):
            found = find_band(item, band)
            if found is not None:
                assets[band] = _asset(item, band, found, locate, metadata)
                described[band] = item["assets"][found.key]
            elif band not in optional and not is_class(band):
                raise NothingFound(
                    f"scene {name} has no band {band} among its assets ({', '.join(sorted(item['assets'])) or 'none'}): "
                    "choose another collection or source"
                )
        properties = item["properties"]
        time = sensing_time(item)
        granule = tile() if tile is not None and level(item) == "L1C" else None
        return Scene(
            id=str(item["id"]),
            collection=str(item.get("collection") or ""),
            datetime=time,
            cloud_cover=cloud_cover(item),
            platform=str(properties.get("platform") or ""),
            baseline=baseline(item),
            footprint=footprint(item),
            assets=assets,
            crs=next(
                (code for code in (_crs(item, {}), *(_crs(item, a) for a in item["assets"].values())) if code), None
            ),
            year=int(time[:4]),
            href=href or _self_href(item),
            angles=item_angles(properties, described) if granule is None else granule.angles,
            synthetic=properties.get(SYNTHETIC) is True,
        )
    except EoShardsError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CorruptData(f"STAC item {name} is malformed ({type(error).__name__}: {error})") from error


def find_band(item: Json, band: str) -> Found | None:
    """Find the best asset of a band: by the names in its array of bands, else by its key."""
    return min((f for key, asset in item["assets"].items() if (f := _holds(key, asset, band))), default=None)


def sensing_time(item: Json) -> str:
    """Give the item's time as ISO 8601 in UTC with microseconds, so that texts sort as times do."""
    properties = item["properties"]
    text = properties.get("datetime") or properties["start_datetime"]
    time = datetime.fromisoformat(text)
    time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def cloud_cover(item: Json) -> float | None:
    """Percent of cloud, None where the item does not say."""
    value = item["properties"].get("eo:cloud_cover")
    return None if value is None else float(value)


def footprint(item: Json) -> dict[str, Any]:
    """Give the item's geometry, else its bbox as one; raises ValueError where it has neither."""
    if item.get("geometry"):
        return dict(item["geometry"])
    bbox = item.get("bbox")
    if not bbox:
        raise ValueError("neither geometry nor bbox")
    west, south, east, north = bbox if len(bbox) == 4 else (*bbox[:2], *bbox[3:5])
    boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    rings = [[[[w, south], [e, south], [e, north], [w, north], [w, south]]] for w, e in boxes]
    return {"type": "MultiPolygon", "coordinates": rings}


def baseline(item: Json) -> str | None:
    """Processing baseline as NN.NN, from its property or from the product's name; None where neither says."""
    properties = item["properties"]
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        if re.fullmatch(r"\d{1,2}\.\d{2}", str(properties.get(key, ""))):
            return str(properties[key]).rjust(5, "0")
    for text in (item.get("id"), properties.get("s2:product_uri"), properties.get("s2:datatake_id")):
        if match := _BASELINE.search(str(text)):
            return f"{match[1]}.{match[2]}"
    return None


def level(item: Json) -> str | None:
    """Processing level, L1C or L2A, from what the item says about itself; None where it does not."""
    properties = item.get("properties", {})
    keys = ("s2:product_type", "product:type", "s2:product_uri")
    for text in (item.get("collection"), *(properties.get(key) for key in keys), item.get("id")):
        if match := _LEVEL.search(str(text).lower()):
            return f"L{match[1].upper()}"
    return None


def _check_level(item: Json) -> None:
    """Raise CorruptData where an item's id and its collection name two levels: corrected twice, or never, is no reflectance."""
    collection, name = item.get("collection"), item.get("id")
    said, named = level({"collection": collection}), level({"id": name})
    if None not in {said, named} and said != named:
        raise CorruptData(
            f"scene {name} is {named} by its name, but its item says collection {collection}, which holds {said} alone: correct "
            f"the item's collection, or get the scene's {said} product"
        )


def _holds(key: str, asset: Json, band: str) -> Found | None:
    if _NOT_DATA & set(asset.get("roles") or ()) or key.lower().startswith(("tci", "visual", "preview")):
        return None
    match = _KEY.fullmatch(key)
    described = [_names(entry) for entry in _described(asset)]
    index = next((i for i, names in enumerate(described) if _ALIASES.get(names[0]) == band), None)
    if index is None:  # then the common name, unless the entry's own name is that of another band
        index = next((i for i, (n, c) in enumerate(described) if n not in _ALIASES and _ALIASES.get(c) == band), None)
    if index is None:
        if len(described) > 1 or any(n in _ALIASES for n, _ in described):
            return None
        if match is None or _ALIASES.get(match["name"].lower()) != band:
            return None
        index = 0
    href, metres = str(asset["href"]), _metres(asset, match)
    resampled = 0 < metres < native_metres(band)  # 0: it does not say
    return Found("://" in href, bool(match and match["jp2"]), resampled, metres, key, index)


def _described(asset: Json) -> list[Json]:
    """The first array of bands that tells names; else the longest, so that their number is known."""
    arrays = [list(asset.get(key) or ()) for key in ("bands", "eo:bands", "raster:bands")]
    named = [entries for entries in arrays if any(any(_names(entry)) for entry in entries)]
    return named[0] if named else max(arrays, key=len)


def _names(entry: Json) -> tuple[str, str]:
    common = entry.get("eo:common_name") or entry.get("common_name")
    return str(entry.get("name") or "").lower(), str(common or "").lower()


def _metres(asset: Json, key: re.Match[str] | None) -> float:
    """Pixel size as declared, only to tell the variants of one band apart."""
    if key and key["metres"]:
        return float(key["metres"])
    entries = asset.get("raster:bands") or [{}]
    size = asset.get("gsd") or asset.get("raster:spatial_resolution") or entries[0].get("spatial_resolution")
    return float(size or (asset.get("proj:transform") or [0])[0])


def _asset(
    item: Json, band: str, found: Found, locate: Locate, metadata: "Callable[[], ProductMetadata | None] | None"
) -> Asset:
    asset = item["assets"][found.key]
    return Asset(
        href=locate(str(asset["href"])),
        band=found.place + 1,
        radiometry=None if is_class(band) else _radiometry(item, asset, band, found.place, metadata),
        declared=_declared(item, asset),
        size=None if asset.get("file:size") is None else int(asset["file:size"]),
        checksum=asset.get("file:checksum"),
    )


def _radiometry(
    item: Json, asset: Json, band: str, index: int, metadata: "Callable[[], ProductMetadata | None] | None"
) -> Radiometry:
    """Offset and quantification: the flag, then the catalogue, then the product, then the baseline; never the date.

    Where nothing at all says a baseline or an offset, there is none: that is STAC's default, and products from
    before baseline 04.00, which are the ones that carry no such field.
    """
    scale = _declared_number(item, asset, index, "scale")
    offset = _declared_number(item, asset, index, "offset")
    if any(item["properties"].get(flag) is True for flag in _APPLIED):
        # The items keep `offset: -0.1` all the same: https://github.com/Element84/earth-search/issues/66
        offset = 0.0
    if offset is None:
        product = metadata() if metadata else None
        if product is not None:
            return product.radiometry(band)
        version = baseline(item)
        if version is not None and tuple(map(int, version.split("."))) >= _WITH_OFFSET:
            raise CorruptData(
                f"STAC item {item['id']} does not tell the radiometric offset of {band}, which products of its baseline "
                f"{version} have: add raster:offset to the asset, or keep the product's MTD_MSI*.xml beside it"
            )
    return Radiometry.from_scale_offset(1e-4 if scale is None else scale, offset or 0.0)


def _declared_number(item: Json, asset: Json, index: int, name: str) -> float | None:
    """`scale` or `offset`, from the band's own entry first (STAC 1.1 and 1.0), then the asset, then the item."""
    for key in ("bands", "raster:bands"):
        entries = asset.get(key) or []
        # One entry for a file of several bands describes all of them.
        entry = entries[index] if index < len(entries) else entries[0] if len(entries) == 1 else {}
        value = entry.get(f"raster:{name}", entry.get(name))
        if value is not None:
            return float(value)
    value = asset.get(f"raster:{name}", item["properties"].get(f"raster:{name}"))
    return None if value is None else float(value)


def _crs(item: Json, asset: Json) -> str | None:
    for holder in (asset, item["properties"]):
        if holder.get("proj:code"):
            return str(holder["proj:code"])
        if holder.get("proj:epsg"):
            return f"EPSG:{int(holder['proj:epsg'])}"
    return None


def _declared(item: Json, asset: Json) -> RasterGrid | None:
    """The declared grid, None where it is incomplete or not north up."""
    crs = _crs(item, asset)
    transform = asset.get("proj:transform") or item["properties"].get("proj:transform")
    shape = asset.get("proj:shape") or item["properties"].get("proj:shape")
    if not (crs and transform and shape):
        return None
    dx, row_x, x, row_y, dy, y = (float(value) for value in transform[:6])
    if row_x or row_y or dx <= 0 or dy >= 0:
        return None
    return RasterGrid(crs, x, y, dx, -dy, int(shape[1]), int(shape[0]))


def _self_href(item: Json) -> str:
    links = {link.get("rel"): link.get("href") for link in item.get("links") or ()}
    return str(links.get("self") or links.get("canonical") or item["id"])
