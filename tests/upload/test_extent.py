"""The box of a product holds every pixel of it, and little else."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eo.errors import CorruptData
from eo.grid import RasterGrid
from support import lonlat
from upload.product import extent

EDGE = 10_980


def product(crs: str, x: float, y: float, *, left: int = 0, footprint: bool = True) -> Any:
    """A tile of which the first columns are without data; footprints name the corners alone."""
    grid = RasterGrid(crs, x, y, 10, 10, EDGE, EDGE)
    west = x + 10 * left
    lon, lat = lonlat(
        crs,
        np.array([west, x + 10 * EDGE, x + 10 * EDGE, west, west]),
        np.array([y, y, y - 10 * EDGE, y - 10 * EDGE, y]),
    )
    ring = tuple(zip(lon.tolist(), lat.tolist(), strict=True)) if footprint else None
    return SimpleNamespace(
        tile=SimpleNamespace(grids={10: grid}),
        product=SimpleNamespace(footprint=ring),
        archive=SimpleNamespace(name="a.zip"),
    )


def edge_pixels(crs: str, x: float, y: float, left: int = 0) -> tuple[Any, Any]:
    """(lon, lat) of the centres of the outermost pixels with data."""
    cols = np.arange(left, EDGE, 10)
    rows = np.arange(0, EDGE, 10)
    across, down = x + 10 * (cols + 0.5), y - 10 * (rows + 0.5)
    first, last = x + 10 * (left + 0.5), x + 10 * (EDGE - 0.5)
    top, bottom = y - 5, y - 10 * (EDGE - 0.5)
    return lonlat(
        crs,
        np.concatenate([across, across, np.full(rows.size, first), np.full(rows.size, last)]),
        np.concatenate([np.full(cols.size, top), np.full(cols.size, bottom), down, down]),
    )


@pytest.mark.parametrize(
    ("crs", "x", "y"),
    [
        ("EPSG:32632", 399_960, 5_200_020),
        ("EPSG:32733", 300_000, 6_200_020),
        ("EPSG:32633", 499_980, 8_900_040),
        ("EPSG:32601", 300_000, 5_700_000),
        ("EPSG:32660", 699_960, 7_200_000),
        ("EPSG:32660", 699_960, 200_000),
    ],
)
@pytest.mark.parametrize("footprint", [True, False])
@pytest.mark.parametrize("left", [0, 6000])
def test_every_pixel_lies_in_the_box(crs: str, x: float, y: float, *, footprint: bool, left: int) -> None:
    box = extent(product(crs, x, y, left=left, footprint=footprint))
    assert box.contains(*edge_pixels(crs, x, y, left)).all()
    whole = extent(product(crs, x, y, footprint=False))
    assert box.width <= whole.width
    assert box.height <= whole.height
    if footprint and left and crs == "EPSG:32632":
        assert box.width < 0.55 * whole.width


@pytest.mark.parametrize("crs", ["EPSG:99999", "+proj=utm +zone=32", "/etc/passwd"])
def test_what_lies_nowhere_is_refused(crs: str) -> None:
    with pytest.raises(CorruptData):
        extent(_nowhere(crs))


def _nowhere(crs: str) -> Any:
    found = product("EPSG:32632", 399_960, 5_200_020)
    found.tile.grids = {10: RasterGrid(crs, 399_960, 5_200_020, 10, 10, EDGE, EDGE)}
    return found
