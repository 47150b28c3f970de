"""The Copernicus Data Space and the Earth Data Hub, over loopback, by the real command."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from peers.faults import Hang
from routes.loopback import BUCKET, STORE, Cdse, cdse, ended, key_of, leaks, options, points, remote_item, whole
from routes.places import JULY, WORLD
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import write_scene
from support import bounds_of, lonlat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from routes.conftest import Pair
    from scenes.sentinel2 import Scene


def slow_second_scene(route: Cdse, pair: Pair) -> None:
    """Its headers are not looked at by the plan; while one file of it waits, workers come for the next."""
    route.s3.script.add(f"_T{pair.scenes[1].product.tile}_", [Hang(2.5)] * 8)
    route.machine.env["EO_SHARDS_TIMEOUT"] = "9"


def test_the_result_is_that_of_the_same_files_on_disk(route: Cdse, pair: Pair, same_locally: Path) -> None:
    slow_second_scene(route, pair)
    ran = route.machine.order("run", pair.inputs, "--keep-cube", EO_SHARDS_WORKERS="8")
    ran.fine()
    ply = route.machine.folder / "out" / "point_cloud.ply"
    assert points(ply) == points(same_locally)
    assert route.machine.cloud().comments["vertical"] == ["EPSG:3855"]
    assert route.machine.cloud().comments["dem"] == ["earth-data-hub"]
    # Eight workers have eight files to fetch, and an account has four connections.
    assert 3 <= route.s3.connections.peak <= 4  # 4, unless the machine is too busy to start that many
    # Most of each file is needed, so it comes whole, and once.
    files = Counter(whole(route.s3.calls))
    assert files == {f"/{BUCKET}/{key_of(scene, band)}": 1 for scene in pair.scenes for band in scene.assets}
    assert {call.status for call in route.s3.calls} <= {200, 206}
    assert leaks(route.machine, ran.out, ran.err, peers=route.peers) == []


def test_two_jobs_share_the_four_connections(route: Cdse, pair: Pair, same_locally: Path) -> None:
    slow_second_scene(route, pair)
    words = [*options(**pair.inputs), "--out"]
    running = [
        route.machine.start("run", "point-cloud", *words, str(route.machine.folder / name), EO_SHARDS_WORKERS="4")
        for name in ("one", "two")
    ]
    for job in running:
        ended(job).fine()
    assert 3 <= route.s3.connections.peak <= 4  # 4, unless the machine is too busy to start that many
    for name in ("one", "two"):
        assert points(route.machine.folder / name / "point_cloud.ply") == points(same_locally)


def test_a_finished_job_asks_nobody_again(route: Cdse, pair: Pair) -> None:
    route.machine.order("run", pair.inputs).fine()
    route.forget()
    assert "finished before" in route.machine.order("run", pair.inputs).fine()
    assert [peer.requests for peer in route.peers] == [0, 0, 0]


def test_coarser_pixels_at_the_border_of_the_data_take_one_download(tmp_path: Path) -> None:
    """Cells that are partly without data are read again at full resolution, from the same copy of the file."""
    corner: dict[str, Any] = {"epsg": 32632, "ulx": 671_240, "uly": 5_168_180, "tile": "32TPS"}
    scene = write_scene(tmp_path / "catalog", world=WORLD, size=256, block=64, nodata_wedge=0.7, **corner)
    dem = write_edh_zarr(tmp_path / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(256, 256))
    bbox = list(bounds_of(scene, inset=70))
    with cdse(tmp_path / "machine", [scene], dem.path) as route:
        worked = route.machine.work({"bbox": bbox, "datetime": JULY, "resolution": 20, "max_cloud_cover": 100})
        images = {name: source for name, source in worked.plan.sources.items() if source.kind == "image"}
        assert sum(source.level >= 0 for source in images.values()) == 3
        assert all(source.whole for source in images.values())
        files = Counter(whole(route.s3.calls))
    assert files == {f"/{BUCKET}/{key_of(scene, band)}": 1 for band in scene.assets}
    assert 0 < worked.result.summary["points"] < worked.result.summary["pixels_inside"]


@pytest.fixture(scope="module", params=[True, False], ids=["TLM", "no TLM"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A scene of 64 tiles a band, and whether its files say where they begin."""
    folder = tmp_path_factory.mktemp("large")
    corner = {"epsg": 32632, "ulx": 671_240, "uly": 5_168_180, "tile": "32TPS"}
    scene = write_scene(folder / "catalog", world=WORLD, size=1024, block=128, tlm=request.param, **corner)  # type: ignore[arg-type]
    dem = write_edh_zarr(folder / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(256, 256))
    item = remote_item(scene)
    for asset in item["assets"].values():
        asset["file:size"] = 30_000_000  # what a plan weighs against the number of ranges; real bands have 120 MB
    with cdse(folder / "machine", [scene], dem.path, [item]) as running:
        yield running, scene, request.param


class TestSmallPartsOfLargeFiles:
    """A box of 300 m in files of 10 km."""

    def box(self, scene: Scene, col: int, row: int) -> dict[str, Any]:
        x, y = scene.view.ulx + col * 10, scene.view.uly - row * 10
        west, south = lonlat("EPSG:32632", x, y - 300)  # type: ignore[arg-type]
        east, north = lonlat("EPSG:32632", x + 300, y)  # type: ignore[arg-type]
        return {"bbox": [float(west), float(south), float(east), float(north)], "datetime": JULY, "sampled_fraction": 1}

    @pytest.mark.parametrize(("col", "row"), [(20, 20), (960, 960)], ids=["first tile", "last tile"])
    def test_only_a_part_comes(self, large: tuple[Cdse, Scene, bool], col: int, row: int) -> None:
        route, scene, tlm = large
        route.forget()
        worked = route.machine.work(self.box(scene, col, row))
        assert 800 < worked.result.summary["points"] < 1000
        path = f"/{BUCKET}/{key_of(scene, 'B04')}"
        calls = [call for call in route.s3.calls if call.path == path]
        size = scene.assets["B04"].stat().st_size
        if tlm or col < 100:
            assert whole(calls) == []
            assert len(calls) <= 8
            assert sum(call.sent for call in calls) < size / 3
        else:
            # Without tile lengths a reader hops over every tile: one request for all is sooner done.
            assert whole(calls) == [path]
            assert len(calls) == 2
        predicted = worked.plan.predicted
        assert worked.requests / 2 <= predicted.usage.source_requests <= 2 * worked.requests
