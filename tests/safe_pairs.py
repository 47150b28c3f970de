"""Folders of L1C and L2A products as CDSE delivers them, small, with DNs that the test chooses."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from scenes.product import Level, Product
from scenes.rasters import SUFFIX, Encoding, Format, write_raster

MOMENT = datetime(2026, 7, 12, 10, 10, 31, tzinfo=UTC)
NATIVE = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B8A": 20, "B12": 20, "B01": 60, "SCL": 20, "AOT": 20}
EPSG, LEFT, TOP = 32633, 500_000, 5_100_000


@dataclass
class Written:
    """One product and what is in its files."""

    path: Path
    product: Product
    files: dict[str, Path]
    dn: dict[str, NDArray[np.generic]] = field(repr=False)


def write_product(
    folder: Path,
    level: Level,
    dn: dict[str, NDArray[np.generic]],
    *,
    size: int,
    tile: str = "33TWM",
    baseline: str = "05.11",
    offset: int = -1000,
    sensed: datetime = MOMENT,
    left: int = LEFT,
    top: int = TOP,
    epsg: int = EPSG,
    file_format: Format = "gtiff",
    resolutions: dict[str, int] | None = None,
    orbit: int = 22,
) -> Written:
    """Write a product of `size` x `size` pixels of 10 m; each band's array has its own resolution's pixels."""
    steps = NATIVE | (resolutions or {})
    product = Product(
        level=level,
        tile=tile,
        sensed=sensed,
        platform="S2B",
        baseline=baseline,
        offset=offset,
        epsg=epsg,
        ulx=left,
        uly=top,
        size=size,
        resolution=10,
        cloud_cover=3.0,
        sun_zenith=33.0,
        sun_azimuth=150.0,
        orbit=orbit,
    )
    files = {}
    for name, pixels in dn.items():
        step = steps[name]
        assert pixels.shape == (size * 10 // step, size * 10 // step), name
        relative = product.image(name, step, SUFFIX[file_format])
        write_raster(
            folder / relative,
            pixels,
            crs=f"EPSG:{epsg}",
            transform=Affine(step, 0, left, 0, -step, top),
            encoding=Encoding(file_format, block=64),
        )
        files[name] = folder / relative
    images = [product.image(name, steps[name], SUFFIX[file_format]) for name in dn]
    for relative, text in product.metadata(images, [(15.0, 46.0), (15.1, 46.0), (15.1, 46.1), (15.0, 46.0)]).items():
        (folder / relative).write_text(text, encoding="utf-8")
    return Written(folder / f"{product.id}.SAFE", product, files, dn)


def drawn(
    bands: tuple[str, ...], *, size: int, seed: int, low: int = 1200, high: int = 5000
) -> dict[str, NDArray[np.generic]]:
    """DNs of bands at their native resolution, and an SCL that is vegetation."""
    rng = np.random.default_rng(seed)
    made: dict[str, NDArray[np.generic]] = {}
    for band in bands:
        edge = size * 10 // NATIVE[band]
        made[band] = rng.integers(low, high, (edge, edge)).astype(np.uint16)
    return made


def classes(size: int, code: int = 4) -> NDArray[np.uint8]:
    """An SCL of one class."""
    return np.full((size // 2, size // 2), code, np.uint8)


def write_pair(
    folder: Path,
    *,
    size: int = 192,
    bands: tuple[str, ...] = ("B02", "B03", "B04", "B08"),
    seed: int = 1,
    scl: NDArray[np.uint8] | None = None,
    extra: dict[str, NDArray[np.generic]] | None = None,
    l1c: dict[str, object] | None = None,
    l2a: dict[str, object] | None = None,
    **both: object,
) -> tuple[Written, Written]:
    """Write an L1C and an L2A of one place and moment with independent random DNs."""
    one = drawn(bands, size=size, seed=seed)
    other = drawn(bands, size=size, seed=seed + 1000)
    other["SCL"] = classes(size) if scl is None else scl
    other |= extra or {}
    return (
        write_product(folder, "L1C", one, size=size, **{**both, **(l1c or {})}),  # type: ignore[arg-type]
        write_product(folder, "L2A", other, size=size, **{**both, **(l2a or {})}),  # type: ignore[arg-type]
    )
