"""Copernicus DEM GLO-30 as 1 x 1 degree COGs (the public buckets on AWS).

A tile holds the posts of its northern and western border, so whole degrees belong to the tile south and east of them.
Towards the poles posts grow sparser along the parallels, in bands of latitude; each band is a lattice of its own.
Source: Copernicus DEM Product Handbook, "Pixel spacing", and the bucket's readme.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from eo.errors import CorruptData
from eo.grid import RasterGrid, Window
from eo.sources import raster
from eo.sources.lattice import EGM2008, Lattice, unwrapped

if TYPE_CHECKING:
    from eo.bbox import BBox
    from eo.transport import Remote

ADAPTER = "cop-dem-glo-30"
ROWS = 3600
"""Posts of a degree of latitude."""
BANDS = ((0, 3600), (50, 2400), (60, 1800), (70, 1200), (80, 720), (85, 360))
"""(lowest absolute latitude of a tile's side towards the equator, posts of a degree of longitude)."""
POLES = 90
TILE_LIST = "tileList.txt"


def columns(south: int) -> int:
    """Posts along a parallel of the tile whose southern edge is at this latitude."""
    nearest = south if south >= 0 else -(south + 1)
    return next(count for low, count in reversed(BANDS) if nearest >= low)


def tile_name(west: int, south: int) -> str:
    """Name of a tile by its south-western corner."""
    ns, ew = ("S" if south < 0 else "N"), ("W" if west < 0 else "E")
    return f"Copernicus_DSM_COG_10_{ns}{abs(south):02d}_00_{ew}{abs(west):03d}_00_DEM"


def describe(bbox: "BBox", *, url: str, url_90: str, remote: "Remote") -> list[Lattice]:
    """Describe the lattices of the bands of latitude that a job touches, from north to south.

    Tiles that neither GLO-30 nor GLO-90 lists are sea, at 0 m. Tiles that only GLO-90 lists are land that is withheld
    from the public GLO-30: they are voids. Both lists are read once, when the job is planned.
    """
    tiles = _Tiles(here=_listed(remote, url), known=_listed(remote, url_90))
    north, south = min(POLES - 1, int(np.floor(bbox.max_lat + 0.01))), max(-POLES, int(np.floor(bbox.min_lat - 0.01)))
    wanted = range(north, south - 1, -1)
    runs = [
        rows
        for count in dict.fromkeys(columns(row) for row in wanted)
        for rows in _runs([row for row in wanted if columns(row) == count])
    ]
    lattices = [_lattice(rows, bbox, url, tiles) for rows in runs]
    return sorted(lattices, key=lambda lattice: -lattice.grid.y)


@dataclass(frozen=True)
class _Tiles:
    """South-western corners (longitude, latitude) of tiles."""

    here: set[tuple[int, int]]
    """Tiles of GLO-30."""
    known: set[tuple[int, int]]
    """Tiles of GLO-90, which has all land."""


def _runs(rows: list[int]) -> list[list[int]]:
    """Split descending rows where they are not neighbours: a band has a northern and a southern half."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and runs[-1][-1] == row + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _lattice(rows: list[int], bbox: "BBox", url: str, tiles: "_Tiles") -> Lattice:
    count = columns(rows[0])
    dx, dy = 1 / count, 1 / ROWS
    # Rows are counted from the pole, not from the job's northern tile: else the last bit of weights would depend on it.
    globe = RasterGrid("EPSG:4326", -180 - dx / 2, POLES + dy / 2, dx, dy, 360 * count, 2 * POLES * ROWS)
    whole = globe.cropped(Window(0, (POLES - 1 - rows[0]) * ROWS, globe.width, len(rows) * ROWS))
    grid, first = unwrapped(whole, bbox.centre_lon, count)
    west, _, east, _ = bbox.unwrapped()
    kinds: dict[str, list[str]] = {"sea": [], "void": []}
    for south in rows:
        for unwrapped_west in range(int(np.floor(west - 1)), int(np.ceil(east + 1)) + 1):
            place = ((unwrapped_west + 180) % 360 - 180, south)
            if place not in tiles.here:
                kinds["void" if place in tiles.known else "sea"].append(tile_name(*place))
    return Lattice(
        adapter=ADAPTER,
        grid=grid,
        cell=(ROWS, count),
        href=url,
        vertical=EGM2008,
        flags={"first": first, "north": rows[0] + 1, "columns": count, **kinds},
    )


def tile(flags: Mapping[str, Any], window: Window) -> str:
    """Name of the tile in which a window of a lattice lies."""
    south = int(flags["north"]) - window.row // ROWS - 1
    west = (((int(flags["first"]) + window.col) // int(flags["columns"])) % 360) - 180
    return tile_name(west, south)


def address(url: str, name: str) -> str:
    """Where the file of a tile is."""
    return f"{url}/{name}/{name}.tif"


def kind(flags: Mapping[str, Any], window: Window) -> Literal["there", "sea", "void"]:
    """What the tile is in which a window of a lattice lies."""
    name = tile(flags, window)
    return "sea" if name in flags["sea"] else "void" if name in flags["void"] else "there"


def read(remote: "Remote", href: str, flags: dict[str, Any], window: Window) -> NDArray[np.float32]:
    """Posts of a window inside one tile, float32 metres; 0 in sea tiles, NaN in voids."""
    count, name = int(flags["columns"]), tile(flags, window)
    found = kind(flags, window)
    if found != "there":
        return np.full(window.shape, 0 if found == "sea" else np.nan, np.float32)
    inner = Window((int(flags["first"]) + window.col) % count, window.row % ROWS, window.width, window.height)
    reader = remote.reader(address(href, name))
    with raster.opened(reader, name=f"{name}.tif") as dataset:
        _check(dataset.shape, (ROWS, count), name)
        values: NDArray[Any] = raster.read_window(dataset, 1, inner, name)
        nodata = dataset.nodata
    elevation = values.astype(np.float32)
    if nodata is not None:
        elevation[values == nodata] = np.nan
    return elevation


def _check(found: tuple[int, int], expected: tuple[int, int], name: str) -> None:
    if found != expected:
        raise CorruptData(
            f"{name} has {found[0]} x {found[1]} posts instead of {expected[0]} x {expected[1]}; "
            "report it, or choose another dem"
        )


def _listed(remote: "Remote", url: str) -> set[tuple[int, int]]:
    """(west, south) of every tile that a bucket lists."""
    text = remote.reader(f"{url}/{TILE_LIST}").get().decode("ascii", "replace")
    tiles = set()
    for line in text.split():
        fields = line.strip("/").split("_")
        if len(fields) >= 8 and fields[0] == "Copernicus":
            south, west = int(fields[4][1:]), int(fields[6][1:])
            tiles.add((-west if fields[6][0] == "W" else west, -south if fields[4][0] == "S" else south))
    if not tiles:
        raise CorruptData(f"{url}/{TILE_LIST} names no tile; check COP_DEM_30_URL and COP_DEM_90_URL")
    return tiles
