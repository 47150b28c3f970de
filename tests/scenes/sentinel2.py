"""Generated Sentinel-2 scenes: SAFE-like products and their STAC items, with truth for every pixel."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.transform import Affine

from scenes.clouds import Clouds, Sun
from scenes.footprint import outline, ring
from scenes.items import Image, Style, asset_key, build_item, item_id
from scenes.product import Level, Product
from scenes.rasters import MEDIA_TYPE, SUFFIX, Encoding, Format, write_raster
from scenes.surface import CLOUD_HIGH, CLOUD_MEDIUM
from scenes.view import Pixels, View, mosaic

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from scenes.noise import Floats
    from scenes.world import World

CLEAR = Clouds()
MORNING = Sun()
SUMMER = datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A written scene and its truth."""

    id: str
    """Of the item, or of the product where there is none."""
    folder: Path
    """The folder that was given; the item and the product lie in it."""
    item_path: Path | None
    item: dict[str, Any] | None
    assets: dict[str, Path]
    """Written files by band name, and SCL."""
    keys: dict[str, str]
    """Asset keys in the item by band name, and SCL."""
    transform: Affine
    """Of the bands."""
    scl_resolution: int
    product: Product
    view: View = field(repr=False)

    def true_dn(self, band: str, columns: Any, rows: Any) -> NDArray[np.uint16]:
        """DNs at pixel indices (integers, broadcast together), computed from the formulas, not read from the file."""
        return self.view.dn((band,), *_indices(columns, rows))[0]

    def true_reflectance(self, band: str, columns: Any, rows: Any) -> Floats:
        """(DN + offset) / 10,000 at pixel indices, float64; NaN where there is no data."""
        dn = self.true_dn(band, columns, rows)
        return np.where(dn == 0, np.nan, (dn.astype(np.float64) + self.view.offset) / 10_000)

    def true_scl(self, columns: Any, rows: Any) -> NDArray[np.uint8]:
        """Scene class at indices of the SCL's own pixels (broadcast together)."""
        return self.view.scl(*_indices(columns, rows), self.scl_resolution)


def _indices(columns: Any, rows: Any) -> tuple[Pixels, Pixels]:
    # Contiguous: NumPy may round functions of strided arrays differently.
    columns, rows = np.broadcast_arrays(np.asarray(columns, np.int64), np.asarray(rows, np.int64))
    return np.ascontiguousarray(columns), np.ascontiguousarray(rows)


def write_scene(
    folder: Path,
    *,
    world: World,
    epsg: int,
    ulx: float,
    uly: float,
    tile: str,
    size: int = 1024,
    resolution: int = 10,
    sensed: datetime = SUMMER,
    level: Level = "L2A",
    platform: str = "S2C",
    baseline: str = "05.11",
    offset: int = -1000,
    offset_applied: bool = False,
    bands: tuple[str, ...] = ("B02", "B03", "B04"),
    clouds: Clouds = CLEAR,
    sun: Sun = MORNING,
    nodata_wedge: float = 0.0,
    item_style: Style | None = "cdse",
    file_format: Format = "jp2",
    block: int = 1024,
    tlm: bool = False,
    with_scl: bool = True,
    href: Callable[[PurePosixPath], str] | None = None,
) -> Scene:
    """Write one granule of `size` x `size` pixels below `folder`, with its item unless `item_style` is None.

    `ulx`, `uly` are the outer corner of the upper left pixel in `epsg`. `offset` is what the metadata says;
    `offset_applied` keeps it there but takes it out of the numbers, as earth-search does. Hrefs are relative to the
    item, or what `href` makes of a file's path relative to `folder`. An L1C product has no SCL.
    """
    scl_resolution = max(20, resolution)
    if size * resolution % scl_resolution:
        msg = f"{size} pixels of {resolution} m are no whole number of SCL pixels of {scl_resolution} m"
        raise ValueError(msg)
    seed = zlib.crc32(f"{tile} {sensed.isoformat()}".encode()) % 2**24
    view = View(
        world=world,
        level=level,
        epsg=epsg,
        ulx=ulx,
        uly=uly,
        size=size,
        resolution=resolution,
        offset=0 if offset_applied else offset,
        sun=sun,
        clouds=clouds,
        noise_seed=seed,
        nodata_wedge=nodata_wedge,
    )
    scl_size = size * resolution // scl_resolution
    classes = mosaic(lambda columns, rows: [view.scl(columns, rows, scl_resolution)], scl_size)[0]
    product = Product(
        level=level,
        tile=tile,
        sensed=sensed,
        platform=platform,
        baseline=baseline,
        offset=offset,
        epsg=epsg,
        ulx=ulx,
        uly=uly,
        size=size,
        resolution=resolution,
        cloud_cover=_cloud_cover(classes),
        sun_zenith=round(90 - sun.elevation, 6),
        sun_azimuth=sun.azimuth,
    )
    rasters = dict(zip(bands, mosaic(lambda columns, rows: view.dn(bands, columns, rows), size), strict=True))
    if with_scl and level == "L2A":
        rasters["SCL"] = classes
    encoding = Encoding(format=file_format, block=block, tlm=tlm)
    images = []
    for name in list(rasters):
        pixels = rasters.pop(name)  # A band's memory is given back once it is written.
        step = scl_resolution if name == "SCL" else resolution
        relative = _image_path(product, name, step, item_style, SUFFIX[file_format])
        transform = Affine(step, 0, ulx, 0, -step, uly)
        write_raster(folder / relative, pixels, crs=f"EPSG:{epsg}", transform=transform, encoding=encoding, nodata=0)
        images.append(
            Image(
                name=name,
                path=folder / relative,
                href=href(relative) if href else _local_href(relative, item_style),
                media_type=MEDIA_TYPE[file_format],
                resolution=step,
                size=pixels.shape[0],
            )
        )
    if item_style != "earth-search":
        _write_metadata(folder, product, images, ring(view.corners(), epsg))
    item, item_path = None, None
    if item_style is not None:
        shape = outline(view.corners(), epsg)
        item = build_item(product, images, shape, item_style, offset_applied=offset_applied)
        item_path = folder / _item_path(product, item_style)
        item_path.write_text(json.dumps(item, indent=1), encoding="utf-8")
    return Scene(
        id=item_id(product, item_style or "cdse"),
        folder=folder,
        item_path=item_path,
        item=item,
        assets={image.name: image.path for image in images},
        keys={image.name: asset_key(image.name, image.resolution, item_style or "cdse", level) for image in images},
        transform=Affine(resolution, 0, ulx, 0, -resolution, uly),
        scl_resolution=scl_resolution,
        product=product,
        view=view,
    )


def cdse_href(relative: PurePosixPath) -> str:
    """S3 address that CDSE would give a file of a product: pass it as `href`."""
    _, kind, sensed, *_ = relative.parts[0].split("_")
    return f"s3://eodata/Sentinel-2/MSI/{kind[3:]}/{sensed[:4]}/{sensed[4:6]}/{sensed[6:8]}/{relative}"


def _cloud_cover(classes: NDArray[np.uint8]) -> float:
    """Percentage of the valid pixels that are cloud, as the real products count it."""
    valid = max(1, int(np.count_nonzero(classes)))
    return round(100 * int(np.count_nonzero(np.isin(classes, (CLOUD_MEDIUM, CLOUD_HIGH)))) / valid, 6)


def _image_path(product: Product, name: str, step: int, style: Style | None, suffix: str) -> PurePosixPath:
    if style == "earth-search":
        return PurePosixPath(item_id(product, style)) / f"{name}{suffix}"
    return product.image(name, step, suffix)


def _item_path(product: Product, style: Style) -> PurePosixPath:
    """Beside the product; among the files where there is no product, as in earth-search's bucket."""
    name = item_id(product, style)
    return PurePosixPath(name) / f"{name}.json" if style == "earth-search" else PurePosixPath(f"{name}.json")


def _local_href(relative: PurePosixPath, style: Style | None) -> str:
    return f"./{relative.name}" if style == "earth-search" else f"./{relative}"


def _write_metadata(folder: Path, product: Product, images: list[Image], outer: list[tuple[float, float]]) -> None:
    paths = [PurePosixPath(image.path.relative_to(folder).as_posix()) for image in images]
    for relative, text in product.metadata(paths, outer).items():
        (folder / relative).parent.mkdir(parents=True, exist_ok=True)
        (folder / relative).write_text(text, encoding="utf-8")
