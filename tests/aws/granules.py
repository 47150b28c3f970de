"""Products at the Copernicus Data Space: an L1C granule for what corrects it, an L2A product for what judges its land cover."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from l1c import Tile
from l2a import LEVELS
from l2a import Tile as Surface
from routes.loopback import BUCKET, STORE, Cdse, cdse
from routes.places import JULY, WORLD
from scenes.edh import write_edh_zarr

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TILE = Tile(size=2_400)
"""20 x 20 pixels of the coarse grid, where the scenes of `routes.conftest.pair` are too."""
PLACE = "Sentinel-2/MSI/L1C/2026/07/12"
SURFACE = Surface(size=2_400, bands=tuple(LEVELS), sensed="2026-08-21T10:10:31Z", synthetic=True)
"""2 x 2 patches at the same place, in a month in which nothing else is there; made up, so that any model may judge it."""
SURFACE_PLACE = "Sentinel-2/MSI/L2A/2026/08/21"


def inputs(model: str = "physics", **more: Any) -> dict[str, Any]:
    """An order for the middle of the granule."""
    west, south, east, north = TILE.box(0.3, 0.3, 0.3)
    given = {"bbox": [round(west, 4), round(south, 4), round(east, 4), round(north, 4)], "datetime": JULY}
    return given | {"max_cloud_cover": 100, "model": model} | more


@contextmanager
def granule(folder: Path) -> Iterator[Cdse]:
    """The granule behind the login of the Copernicus Data Space, with elevation at the Earth Data Hub."""
    item = written(folder / "c")
    dem = write_edh_zarr(folder / STORE, world=WORLD, bounds=TILE.box(-0.1, -0.1, 1.2), chunks=(256, 256))
    with cdse(folder, (), dem.path, [item]) as running:
        put(running, folder / "c")
        yield running


def written(folder: Path, tile: Tile | Surface = TILE, place: str = PLACE) -> dict[str, Any]:
    """Write a product; gives its item as the Copernicus Data Space would have it."""
    folder.mkdir(parents=True, exist_ok=True)
    tile.write(folder)
    item: dict[str, Any] = json.loads((folder / f"{tile.id}.json").read_text())
    remote = {key: asset | {"href": f"s3://{BUCKET}/{place}/{asset['href']}"} for key, asset in item["assets"].items()}
    return item | {"assets": remote}


def put(running: Cdse, folder: Path, tile: Tile | Surface = TILE, place: str = PLACE) -> None:
    """Put a product's files where its item says."""
    running.s3.put_tree(BUCKET, f"{place}/{tile.id}/", folder / tile.id)
