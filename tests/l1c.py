"""L1C products whose ground and air are known, and whole corrections of them in this process."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import zarr
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from atmospheric_correction import physics
from atmospheric_correction.air import OPTICS
from atmospheric_correction.process import AtmosphericCorrection
from eo.grid import Window
from eo.job import Process
from eo.model import load
from staged import Ran, staged

Floats = NDArray[np.floating[Any]]
Ground = Callable[[str, Floats, Floats], Floats]
"""(band, x, y) to surface reflectance; x and y are metres of the tile's CRS."""

ALL_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""In the order in which files of all bands have them."""
METRES = {"B01": 60, "B02": 10, "B03": 10, "B04": 10, "B08": 10, "B8A": 20, "B09": 60, "B10": 60, "B12": 20}
PLANT = {"B01": 0.012, "B02": 0.015, "B03": 0.045, "B04": 0.03, "B08": 0.33, "B8A": 0.36, "B12": 0.06}
"""Dark vegetation: red is half, blue a quarter of the short-wave infrared."""
SOIL = {"B01": 0.08, "B02": 0.10, "B03": 0.14, "B04": 0.19, "B08": 0.27, "B8A": 0.29, "B12": 0.33}
WATER = {"B01": 0.03, "B02": 0.03, "B03": 0.025, "B04": 0.012, "B08": 0.004, "B8A": 0.003, "B12": 0.001}
SNOW = {"B01": 0.9, "B02": 0.9, "B03": 0.88, "B04": 0.86, "B08": 0.8, "B8A": 0.78, "B12": 0.08}
CLOUD = {"B01": 0.75, "B02": 0.75, "B03": 0.74, "B04": 0.76, "B08": 0.8, "B8A": 0.8, "B12": 0.5}


def flat(spectrum: Mapping[str, float]) -> Ground:
    """One ground everywhere."""
    return lambda band, x, _y: np.full(x.shape, spectrum.get(band, 0.1))


def fields(band: str, x: Floats, y: Floats) -> Floats:
    """Forest with fields of bare soil, of all sizes from 100 m on."""
    share = np.sin(x / 310) * np.sin(y / 270) + 0.5 * np.sin(x / 37 + 1) * np.sin(y / 41)
    bare = np.clip(1.5 * share - 0.2, 0, 1)
    return np.asarray(PLANT.get(band, 0.1) + (SOIL.get(band, 0.1) - PLANT.get(band, 0.1)) * bare)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A granule to be written."""

    tile: str = "32TPS"
    crs: str = "EPSG:32632"
    left: float = 671_240
    top: float = 5_168_180
    size: int = 9_840
    """Metres along an edge: by default 2 x 2 cells."""
    finest: int = 10
    """Metres of a pixel of the finest bands: coarser ones make a large granule cheap."""
    ground: Ground = fields
    aot: float = 0.2
    height: float = 0.0
    """Of the ground for the light, metres."""
    sun: float | None = 40.0
    """Zenith in the item; None where it does not say."""
    offset: int = -1000
    baseline: str = "05.11"
    sensed: str = "2026-07-12T10:10:31Z"
    cloud_cover: float = 0
    missing: tuple[str, ...] = ()
    change: Callable[[str, NDArray[np.uint16]], None] | None = None
    """What is done to the DNs of a band before they are written."""

    @property
    def id(self) -> str:
        return (
            f"S2A_MSIL1C_{self.sensed[:19].replace('-', '').replace(':', '')}_N0511_R022_T{self.tile}_20260712T151031"
        )

    def box(self, col: float, row: float, width: float, height: float | None = None) -> tuple[float, ...]:
        """Degrees of a part of it, in shares of its edge from the upper left corner."""
        x, y = self.left + col * self.size, self.top - row * self.size
        bottom, right = y - (height or width) * self.size, x + width * self.size
        return tuple(transform_bounds(self.crs, "EPSG:4326", x, bottom, right, y))

    def metres(self, band: str) -> int:
        return max(METRES[band], self.finest)

    def centres(self, metres: int) -> tuple[Floats, Floats]:
        rows, cols = np.mgrid[: self.size // metres, : self.size // metres]
        return self.left + (cols + 0.5) * metres, self.top - (rows + 0.5) * metres

    def dn(self, band: str) -> NDArray[np.uint16]:
        """What the sensor sees, as numbers."""
        rho = self.ground(band, *self.centres(self.metres(band)))
        if band == "B10":
            toa = np.full(rho.shape, 0.001)
        elif band == "B09":
            toa = 0.3 * rho
        else:
            air = optics(self.sun or 40.0, self.aot, self.height)
            path, down, direct, diffuse, albedo, gas = (air[name][physics.BANDS.index(band)] for name in OPTICS)
            toa = gas * (path + down * (direct + diffuse) * rho / (1 - albedo * rho))
        values = np.clip(np.round(toa * 10_000) - self.offset, 1, 60_000).astype(np.uint16)
        if self.change is not None:
            self.change(band, values)
        return values

    def write(self, folder: Path) -> "Tile":
        """Files and item."""
        (folder / self.id).mkdir(parents=True)
        assets = {}
        for band in METRES:
            if band in self.missing:
                continue
            metres = self.metres(band)
            path = folder / self.id / f"{band}.tif"
            raster(path, self.dn(band), self.crs, Affine(metres, 0, self.left, 0, -metres, self.top))
            scaling = [{"scale": 0.0001, "offset": self.offset / 10_000}]
            assets[band] = {"href": f"{self.id}/{band}.tif", "roles": ["data"], "raster:bands": scaling}
        properties: dict[str, Any] = {
            "datetime": self.sensed,
            "eo:cloud_cover": self.cloud_cover,
            "processing:version": self.baseline,
        }
        if self.sun is not None:
            properties |= {"view:sun_elevation": 90 - self.sun, "view:sun_azimuth": 150.0}
        write_item(folder, self.id, self.box(0, 0, 1), assets, properties)
        return self


@lru_cache
def optics(sun: float, aot: float, height: float) -> dict[str, Floats]:
    """Of continental aerosol over the middle of a granule, by name, each (bands,)."""
    state = physics.State(*(np.array([value], np.float32) for value in (sun, 6.0, 45.0, 2.0, 0.32)))
    mix = physics.mixture("continental", 1)
    levels = np.array([height / 1000], np.float32)
    made = physics.optics(load("physics"), state, np.array([aot], np.float32), mix, physics.BANDS, levels)
    return {name: values[0, 0] for name, values in made.items()}


def spoil(band: str, dn: NDArray[np.uint16], *, corner: tuple[float, float]) -> None:
    """No data in a corner (shares of the rows and columns) and in single pixels, of one band alone; saturated ones."""
    rows, cols = (int(share * len(dn)) for share in corner)
    dn[:rows, :cols] = 0
    spots = np.random.default_rng(ord(band[2])).random(dn.shape)
    dn[spots < 0.001] = 65_535
    dn[spots > 0.999] = 0


def raster(
    path: Path,
    values: NDArray[Any],
    crs: str,
    transform: Affine,
    *,
    block: int | None = 256,
    nodata: float | None = None,
) -> None:
    """A GeoTIFF of a band (rows, columns) or of several (bands, rows, columns), in tiles; in strips without `block`."""
    bands = values if values.ndim == 3 else values[None]
    count, height, width = bands.shape
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=count,
        dtype=values.dtype,
        crs=crs,
        transform=transform,
        nodata=nodata,
        **({"tiled": True, "blockxsize": block, "blockysize": block} if block else {}),
    ) as file:
        file.write(bands)


def write_item(
    folder: Path,
    name: str,
    box: Sequence[float],
    assets: Mapping[str, Any],
    properties: Mapping[str, Any],
    *,
    collection: str = "sentinel-2-l1c",
) -> None:
    """The item of a product of Sentinel-2A; `box` in degrees, west > east across the antimeridian; `properties` with the time."""
    west, south, east, north = box
    end = east + 360 if west > east else east
    ring = [[west, south], [end, south], [end, north], [west, north], [west, south]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(box),
        "properties": {"platform": "sentinel-2a", **properties},
        "links": [],
        "assets": assets,
    }
    (folder / f"{name}.json").write_text(json.dumps(item))


def catalogued(folder: Path, source: Path, box: Sequence[float], time: str) -> None:
    """A new catalogue of one real file with all bands; it has to hold the files that its items name."""
    folder.mkdir()
    (folder / source.name).write_bytes(source.read_bytes())
    described = [{"name": band, "scale": 0.0001, "offset": 0} for band in ALL_BANDS]
    asset = {"href": f"./{source.name}", "roles": ["data"], "raster:bands": described}
    write_item(folder, source.stem, box, {"data": asset}, {"datetime": time})


def dem(path: Path, *tiles: Tile, rough: bool = True) -> Path:
    """Heights around tiles, of hills or of the sea."""
    boxes = np.array([tile.box(-0.1, -0.1, 1.2) for tile in tiles])
    (west, south), (east, north), step = boxes[:, :2].min(0), boxes[:, 2:].max(0), 1 / 1200
    cols, rows = np.meshgrid(np.arange(round((east - west) / step)), np.arange(round((north - south) / step)))
    heights = 900 + 500 * np.sin(cols / 9) + 300 * np.cos(rows / 31) if rough else 0 * cols
    raster(path, heights.astype(np.float32), "EPSG:4326", Affine(step, 0, west, 0, -step, north))
    return path


def stock(folder: Path, tile: Tile) -> Path:
    """Put a tile and the heights around it where `order` looks for them; gives the folder."""
    tile.write(folder / "c")
    dem(folder / "dem.tif", tile)
    return folder


@dataclass
class Corrected(Ran):
    """A job that has run."""

    @cached_property
    def cube(self) -> zarr.Group:
        return zarr.open_group(self.home / "scratch" / "job" / "1" / "cube.zarr", mode="r")

    def array(self, name: str) -> NDArray[Any]:
        found = self.cube[name]
        assert isinstance(found, zarr.Array)
        return np.asarray(found[:])

    def target(self, variable: str) -> NDArray[Any]:
        """A variable of the target grid on the job's window."""
        kept = self.plan.targets[variable]
        return self.array(kept.array)[self.plan.grid.window.slices(kept.window)]

    @property
    def window(self) -> Window:
        return self.plan.grid.window

    def files(self) -> dict[str, tuple[NDArray[Any], Affine]]:
        """By file name: the pixels (bands, rows, columns) and where they lie, as rasterio reads them."""
        made = {}
        for path in sorted(self.out.glob("*.tif")):
            with rasterio.open(path) as file:
                made[path.name] = (file.read(), file.transform)
        return made


def order(folder: Path, bbox: Sequence[float], process: Process | None = None, **more: Any) -> Any:
    """Inputs of a job on the tiles in `folder / c` and the heights in `folder / dem.tif`."""
    given = {"source": "local", "catalog": str(folder / "c"), "dem": "local", "dem_path": str(folder / "dem.tif")}
    known = given | {"bbox": list(bbox), "max_cloud_cover": 100, "model": "physics"}
    chosen = {name: value for name, value in (known | more).items() if value is not None}
    return (process or AtmosphericCorrection()).Inputs.model_validate(chosen)


def correct(
    folder: Path,
    bbox: Sequence[float],
    *,
    shard: int | None = None,
    lattice: tuple[int, int] | None = None,
    chunk: int = 64,
    only: str | None = None,
    process: Process | None = None,
    **more: Any,
) -> Corrected:
    """Run a job stage by stage, in this process; up to the stage `only` where that is given. A correction by default."""
    chosen = process or AtmosphericCorrection()
    inputs = order(folder, bbox, process, **more)
    return staged(Corrected, folder, chosen, inputs, shard=shard, lattice=lattice, chunk=chunk, only=only)
