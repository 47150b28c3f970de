"""One pair of scenes with elevation for all tests of the Copernicus Data Space route."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from routes.loopback import STORE, Cdse, Machine, cdse
from routes.places import JULY, WORLD
from scenes.clouds import Clouds
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import write_scene
from support import bounds_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from scenes.dem import Dem
    from scenes.sentinel2 import Scene


@dataclass(frozen=True)
class Pair:
    """Two scenes side by side on two days, the second with clouds, and the elevation under them."""

    catalog: Path
    scenes: tuple[Scene, ...]
    dem: Dem
    inputs: dict[str, Any]

    @property
    def local(self) -> dict[str, Any]:
        """Inputs of the same job on the same files."""
        folders = {"catalog": str(self.catalog), "dem_path": str(self.dem.path)}
        return self.inputs | folders | {"source": "local", "dem": "local"}


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("pair")
    catalog = folder / "catalog"
    more: dict[str, Any] = {"world": WORLD, "epsg": 32632, "uly": 5_168_180, "size": 256, "block": 64, "tlm": True}
    later = datetime(2026, 7, 17, 10, 10, 31, tzinfo=UTC)
    scenes = (
        write_scene(catalog, ulx=671_240, tile="32TPS", **more),
        write_scene(catalog, ulx=673_240, tile="32TQS", sensed=later, clouds=Clouds(fraction=0.15, seed=3), **more),
    )
    dem = write_edh_zarr(folder / STORE, world=WORLD, bounds=bounds_of(*scenes), chunks=(256, 256))
    bbox = bounds_of(*scenes, inset=250)
    inputs = {"bbox": list(bbox), "datetime": JULY, "max_cloud_cover": 100, "sampled_fraction": 0.5}
    return Pair(catalog, scenes, dem, inputs)


@pytest.fixture(scope="session")
def same_locally(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The point cloud of the same job on the same files, without any server."""
    return Machine(tmp_path_factory.mktemp("local")).work(pair.local).ply


@pytest.fixture(scope="module")
def served(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdse]:
    with cdse(tmp_path_factory.mktemp("machine"), pair.scenes, pair.dem.path) as running:
        yield running


@pytest.fixture
def route(served: Cdse, tmp_path: Path) -> Iterator[Cdse]:
    """The servers with an empty log and script, and a machine that has done nothing yet."""
    served.forget()
    ours = {name: value for name, value in served.machine.env.items() if name != "EO_SHARDS_HOME"}
    yield replace(served, machine=Machine(tmp_path, ours))
    assert served.s3.connections.peak <= 4
