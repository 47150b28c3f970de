"""Copernicus DEM GLO-30 as COGs over HTTP: truth across tiles, latitude bands, the equator and the antimeridian."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from eo.errors import CorruptData, NothingFound
from eo.lineage import sources
from peers.faults import Hang, Ok, Reset, Status, Truncate
from peers.files import FileServer
from routes.loopback import Machine, Worked
from routes.places import WORLD, off_truth, scene_at
from scenes.glo30 import Glo30, tile_name, write_glo30
from support import bounds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenes.sentinel2 import Scene


@dataclass
class Served:
    """A scene around a place and the elevation under it, in the buckets of GLO-30 and, by name, GLO-90."""

    machine: Machine
    scene: Scene
    dem: Glo30
    server: FileServer

    def work(self, **more: Any) -> Worked:
        return self.machine.work(self.inputs | more)

    @property
    def inputs(self) -> dict[str, Any]:
        return {
            "source": "local",
            "catalog": str(self.scene.folder),
            "dem": "cop-dem-glo-30",
            "bbox": list(bounds_of(self.scene, inset=150)),
            "sampled_fraction": 1,
            "max_cloud_cover": 100,
        }


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    servers: list[FileServer] = []

    def start(
        epsg: int, lon: float, lat: float, *, missing: tuple[str, ...] = (), withheld: tuple[str, ...] = ()
    ) -> Served:
        scene = scene_at(tmp_path / "catalog", epsg, lon, lat, file_format="gtiff")
        root = tmp_path / "served"
        (root / "30").mkdir(parents=True)
        dem = write_glo30(root / "30", world=WORLD, bounds=bounds_of(scene), missing=(*missing, *withheld))
        known = "".join(f"{name.replace('COG_10', 'COG_30')}\n" for name in (*dem.tiles, *withheld))
        (root / "90").mkdir()
        (root / "90" / "tileList.txt").write_text(known)
        server = FileServer(root)
        server.start()
        servers.append(server)
        env = {"COP_DEM_30_URL": f"{server.url}/30", "COP_DEM_90_URL": f"{server.url}/90"}
        return Served(Machine(tmp_path / "machine", env), scene, dem, server)

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("epsg", "lon", "lat", "tiles"),
    [
        (32632, 11.0, 47.0, 4),
        (32632, 9.5, 50.0, 2),
        (32719, -70.0, -50.0, 4),
        (32633, 15.5, 60.0, 2),
        (32701, -180.0, -16.5, 2),
        (32731, 2.0, 0.0, 4),
    ],
    ids=["corner of four tiles", "50 N", "50 S", "60 N", "antimeridian", "equator"],
)
def test_heights_are_true_where_tiles_meet(
    serve: Callable[..., Served], epsg: int, lon: float, lat: float, tiles: int
) -> None:
    served = serve(epsg, lon, lat)
    assert len(served.dem.tiles) == tiles
    worked = served.work()
    cloud = worked.cloud
    assert len(cloud.xyz) == worked.result.summary["pixels_inside"] > 3000
    assert off_truth(cloud, served.dem) <= 0.05
    assert cloud.comments["vertical"] == ["EPSG:3855"]
    # Whole degrees lie inside the cloud, so seams were crossed.
    lons, lats = cloud.lonlat
    assert min(abs(lats - round(lat))) < 1e-3 or min(abs(lons - lon)) < 1e-3
    # Both lists once, and of each tile a few ranges: no file is taken whole.
    assert served.server.calls[0].path == "/30/tileList.txt"
    assert sum(call.path.endswith("tileList.txt") for call in served.server.calls) == 2
    assert all(call.range for call in served.server.calls if call.path.endswith(".tif"))
    # The result names the tiles that were read, and no others.
    read = {f"{served.server.url}{call.path}" for call in served.server.calls if call.path.endswith(".tif")}
    assert {file["href"] for file in sources(worked.plan)[-1]["files"]} == read
    assert worked.requests == served.server.requests
    assert worked.requests / 2 <= worked.plan.predicted.usage.source_requests <= 2 * worked.requests
    again = served.machine.work(served.inputs, shard=64)
    assert (again.cloud.table() == cloud.table()).all()


def test_a_tile_in_neither_list_is_sea(serve: Callable[..., Served]) -> None:
    sea = tile_name(11, 46)
    served = serve(32632, 11.0, 46.5, missing=(sea,))
    worked = served.work()
    cloud = worked.cloud
    lon, _ = cloud.lonlat
    assert (cloud.xyz[lon >= 11.0, 2] == 0).all()
    assert (cloud.xyz[lon < 11.0 - 1 / 3600, 2] > 100).all()
    assert off_truth(cloud, served.dem) <= 0.05
    assert not any(sea in call.path for call in served.server.calls)
    assert not any(sea in file["href"] for file in sources(worked.plan)[-1]["files"])


def test_withheld_land_is_a_void_that_the_result_names(serve: Callable[..., Served]) -> None:
    withheld = tile_name(11, 46)
    served = serve(32632, 11.0, 46.5, withheld=(withheld,))
    worked = served.work()
    cloud = worked.cloud
    lon, _ = cloud.lonlat
    # The last posts before the void are those at 11 degrees minus one step.
    assert lon.max() < 11.0
    assert 1000 < len(cloud.xyz) < worked.result.summary["pixels_inside"]
    assert off_truth(cloud, served.dem) <= 0.05
    assert withheld in worked.notes
    assert "where cop-dem-glo-30 has no elevation" in worked.notes


def test_nothing_but_withheld_land_is_nothing_found(serve: Callable[..., Served]) -> None:
    withheld = tile_name(11, 46)
    served = serve(32632, 11.5, 46.5, withheld=(withheld,))
    (served.server.root / "30" / "tileList.txt").write_text(f"{tile_name(3, 3)}\n")
    with pytest.raises(NothingFound, match="cop-dem-glo-30 has no elevation"):
        served.work()


def test_a_listed_tile_that_is_not_there_is_an_error(serve: Callable[..., Served]) -> None:
    served = serve(32632, 11.5, 46.5)
    shutil.rmtree(next(iter(served.dem.tiles.values())).parent)
    with pytest.raises(NothingFound, match=rf"{tile_name(11, 46)}.tif: not there \(404\)"):
        served.work()
    assert sum(call.path.endswith(".tif") for call in served.server.calls) == 1


def test_a_list_that_names_nothing_is_an_error(serve: Callable[..., Served]) -> None:
    served = serve(32632, 11.5, 46.5)
    (served.server.root / "90" / "tileList.txt").write_text("<html>moved</html>")
    with pytest.raises(CorruptData, match="names no tile; check COP_DEM_30_URL and COP_DEM_90_URL"):
        served.work()


def test_failures_that_pass_leave_the_same_heights(serve: Callable[..., Served]) -> None:
    served = serve(32632, 11.5, 46.5)
    quiet = served.work().cloud.table()
    calls = served.server.requests
    served.server.forget()
    served.server.script.add(".tif", [Status(429, 0.05), Status(503), Ok(), Reset(), Truncate(10), Ok(), Hang(1.5)])
    served.server.script.add("tileList", [Status(503), Reset()])
    assert (served.work().cloud.table() == quiet).all()
    assert served.server.script.left <= 2
    assert served.server.requests >= calls + 4
