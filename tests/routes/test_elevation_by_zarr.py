"""The Earth Data Hub's Zarr stores over HTTP with a login: both formats, both directions, holes and refusals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eo.errors import AccessDenied, InvalidInput
from peers.faults import Status
from peers.files import FileServer
from peers.fixtures import EDH_TOKEN, EDH_USER
from routes.loopback import STORE, Machine, Worked
from routes.places import WORLD, off_truth, scene_at
from scenes.edh import write_edh_zarr
from support import bounds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from scenes.dem import Dem
    from scenes.sentinel2 import Scene


@dataclass
class Served:
    machine: Machine
    scene: Scene
    dem: Dem
    server: FileServer

    def work(self, **more: Any) -> Worked:
        inputs = {
            "source": "local",
            "catalog": str(self.scene.folder),
            "bbox": list(bounds_of(self.scene, inset=150)),
            "sampled_fraction": 1,
            "max_cloud_cover": 100,
        }
        return self.machine.work(inputs | more)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    servers: list[FileServer] = []

    def start(epsg: int = 32632, lon: float = 11.4, lat: float = 46.6, **store: Any) -> Served:
        scene = scene_at(tmp_path / "catalog", epsg, lon, lat, file_format="gtiff")
        options = {"chunks": (64, 64)} | store
        dem = write_edh_zarr(tmp_path / "served" / STORE, world=WORLD, bounds=bounds_of(scene), **options)
        server = FileServer(tmp_path / "served", user=EDH_USER, password=EDH_TOKEN)
        server.start()
        servers.append(server)
        env = {"EARTH_DATA_HUB_URL": f"{server.url}/{STORE}", "EARTH_DATA_HUB_KEY": EDH_TOKEN}
        return Served(Machine(tmp_path / "machine", env), scene, dem, server)

    yield start
    for server in servers:
        server.stop()


@pytest.mark.parametrize("ascending", [True, False], ids=["from south to north", "from north to south"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_heights_are_true(serve: Callable[..., Served], zarr_format: int, ascending: bool) -> None:
    served = serve(zarr_format=zarr_format, ascending=ascending)
    worked = served.work()
    assert len(worked.cloud.xyz) == worked.result.summary["pixels_inside"] > 3000
    assert off_truth(worked.cloud, served.dem) <= 0.05
    assert worked.cloud.comments["vertical"] == ["EPSG:3855"]
    assert served.server.connections.peak == 1
    assert worked.requests == served.server.requests
    assert worked.requests / 2 <= worked.plan.predicted.usage.source_requests <= 2 * worked.requests
    if zarr_format == 3:
        assert {call.status for call in served.server.calls} == {200}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(64, 64), (64, 80)], ids=["a chunk ends at 180", "a chunk crosses 180"])
def test_a_job_across_the_antimeridian_reads_both_ends(
    serve: Callable[..., Served], zarr_format: int, chunks: tuple[int, int]
) -> None:
    served = serve(32701, -180.0, -16.5, zarr_format=zarr_format, chunks=chunks)
    worked = served.work()
    lon, _ = worked.cloud.lonlat
    assert (lon > 179).any()
    assert (lon < -179).any()
    assert len(worked.cloud.xyz) == worked.result.summary["pixels_inside"] > 3000
    assert off_truth(worked.cloud, served.dem) <= 0.05
    west, south, east, north = bounds_of(served.scene, inset=150)
    halves = [served.work(bbox=[west, south, 180, north]), served.work(bbox=[-180, south, east, north])]
    both = np.vstack([half.cloud.table() for half in halves])
    both = both[np.lexsort(both.T[::-1])]
    # Longitudes of one half are counted a turn further there: the last bit of a weight may differ.
    np.testing.assert_allclose(both, worked.cloud.table(), rtol=0, atol=1e-3)


def test_a_chunk_that_is_not_there_is_a_void(serve: Callable[..., Served]) -> None:
    served = serve(chunks=(16, 16))
    chunks = [path for path in (served.dem.path / "dsm" / "c").glob("*/*") if path.is_file()]
    west, south, east, north = bounds_of(served.scene)
    row, col = int((90 - (south + north) / 2) * 3600) // 16, int(((west + east) / 2 + 180) * 3600) // 16
    middle = served.dem.path / "dsm" / "c" / str(row) / str(col)
    assert middle in chunks
    middle.unlink()
    worked = served.work()
    summary = worked.result.summary
    assert 0 < len(worked.cloud.xyz) < summary["pixels_inside"]
    assert summary["pixels_without_elevation"] == summary["pixels_inside"] - len(worked.cloud.xyz)
    assert "where earth-data-hub has no elevation" in worked.notes
    assert off_truth(worked.cloud, served.dem) <= 0.05
    assert sum(call.status == 404 for call in served.server.calls) == 1


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", ["zarr.json", "latitude/c", "dsm/c/"])
def test_a_refusal_is_never_a_void(serve: Callable[..., Served], path: str, status: int) -> None:
    served = serve()
    refused = served.server.script.add(path, [Status(status)] * 99)
    with pytest.raises(AccessDenied, match="EARTH_DATA_HUB_KEY"):
        served.work()
    assert refused.calls == 1


def test_a_wrong_address_is_told(serve: Callable[..., Served]) -> None:
    served = serve()
    served.machine.env["EARTH_DATA_HUB_URL"] += "x"
    with pytest.raises(InvalidInput, match=r"GLO-30-v1.zarrx is not a Zarr group"):
        served.work()
