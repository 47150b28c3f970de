"""earth-search: cloud-optimised GeoTIFFs over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from eo.errors import CorruptData, InvalidInput
from peers.faults import Corrupt, Hang, Ok, Reset, Status, Truncate
from peers.files import FileServer
from peers.stac import StacApi
from routes.loopback import STORE, Machine, Worked, whole
from routes.places import JULY, WORLD, off_truth, scene_at
from scenes.edh import write_edh_zarr
from support import Cloud, bounds_of, centres, colours, crs_of, lonlat, within

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
    files: FileServer
    stac: StacApi

    @property
    def inputs(self) -> dict[str, Any]:
        return {
            "source": "earth-search",
            "dem": "local",
            "dem_path": str(self.dem.path),
            "bbox": list(bounds_of(self.scene, inset=150)),
            "datetime": JULY,
            "sampled_fraction": 1,
        }

    def work(self, **more: Any) -> Worked:
        return self.machine.work(self.inputs | more)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    running: list[Any] = []

    def start(*, size: int = 256, change: Callable[[dict[str, Any]], None] | None = None, **more: Any) -> Served:
        files = FileServer(tmp_path / "cogs")
        files.start()
        running.append(files)
        scene = scene_at(
            tmp_path / "cogs",
            32632,
            11.4,
            46.6,
            size=size,
            item_style="earth-search",
            file_format="cog",
            href=lambda relative: f"{files.url}/{relative}",
            **more,
        )
        dem = write_edh_zarr(tmp_path / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(256, 256))
        assert scene.item is not None
        if change is not None:
            change(scene.item)
        stac = StacApi([scene.item])
        stac.start()
        running.append(stac)
        env = {"EARTH_SEARCH_URL": stac.url, "EARTH_SEARCH_DATA_URLS": files.url}
        return Served(Machine(tmp_path / "machine", env), scene, dem, files, stac)

    yield start
    for server in running:
        server.stop()


def check(served: Served, cloud: Cloud) -> None:
    """Every pixel inside has its place, height and colour."""
    cols, rows, x, y = centres(served.scene)
    inside = within(served.inputs["bbox"], *lonlat(crs_of(served.scene), x, y))
    order, wanted = np.lexsort(cloud.xyz[:, 1::-1].T), np.lexsort((y[inside], x[inside]))
    assert len(cloud.xyz) == inside.sum()
    assert np.abs(cloud.xyz[order, 0] - x[inside][wanted]).max() <= 0.001
    assert np.abs(cloud.xyz[order, 1] - y[inside][wanted]).max() <= 0.001
    np.testing.assert_array_equal(cloud.rgb[order], colours(served.scene, cols[inside], rows[inside])[wanted])
    assert off_truth(cloud, served.dem) <= 0.05


@pytest.mark.parametrize("applied", [True, False], ids=["offset already applied", "offset still to apply"])
def test_points_are_true_whatever_the_offset(serve: Callable[..., Served], applied: bool) -> None:
    """Items carry the offset in both cases; the flag tells whether the numbers still need it."""
    served = serve(offset_applied=applied)
    assert served.scene.item is not None
    assert served.scene.item["assets"]["red"]["raster:bands"][0]["offset"] == -0.1
    worked = served.work()
    check(served, worked.cloud)
    assert worked.requests == served.files.requests
    assert worked.requests / 2 <= worked.plan.predicted.usage.source_requests <= 2 * worked.requests
    assert whole(served.files.calls) == []


def test_the_command_runs_it(serve: Callable[..., Served]) -> None:
    served = serve(offset_applied=True)
    served.machine.order("run", served.inputs).fine()
    check(served, served.machine.cloud())


def test_a_coarser_resolution_reads_overviews(serve: Callable[..., Served]) -> None:
    served = serve(size=1024, block=128, offset_applied=True)
    fine = served.work()
    all_bytes = served.files.bytes_sent
    served.files.forget()
    coarse = served.work(resolution=40, mask_clouds=False)
    assert coarse.plan.grid.resolution == 40
    assert served.files.bytes_sent < all_bytes / 4
    assert coarse.result.summary["points"] == pytest.approx(fine.result.summary["points"] / 16, rel=0.02)
    mean = coarse.cloud.rgb.astype(float).mean(axis=0)
    np.testing.assert_allclose(mean, fine.cloud.rgb.astype(float).mean(axis=0), atol=1.5)


def test_failures_that_pass_leave_the_same_points(serve: Callable[..., Served]) -> None:
    served = serve(offset_applied=True)
    quiet = served.work().cloud.table()
    calls = served.files.requests
    served.files.forget()
    faults = [Status(429, 0.05), Status(503), Ok(), Reset(), Truncate(10), Ok(), Hang(1.5)]
    served.files.script.add(".tif", faults)
    assert (served.work().cloud.table() == quiet).all()
    assert served.files.script.left == 0
    assert served.files.requests == calls + 5


def test_l1c_is_refused_before_anything_is_asked(serve: Callable[..., Served]) -> None:
    served = serve()
    said = served.machine.order("plan", served.inputs | {"collection": "sentinel-2-l1c"}).failed(InvalidInput.exit_code)
    assert "source earth-search has no free sentinel-2-l1c: choose source cdse, or sentinel-2-l2a" in said
    assert served.stac.requests == 0


def test_a_file_elsewhere_is_not_opened(serve: Callable[..., Served]) -> None:
    def elsewhere(item: dict[str, Any]) -> None:
        item["assets"]["red"]["href"] = "http://169.254.169.254/latest/red.tif"

    served = serve(change=elsewhere)
    with pytest.raises(InvalidInput, match=r"169\.254\.169\.254/latest/red\.tif does not lie in"):
        served.work()
    assert served.files.requests == 0


def test_a_damaged_file_is_told(serve: Callable[..., Served]) -> None:
    served = serve()
    served.files.script.add("B04.tif", [Corrupt(at=0)] * 9)
    with pytest.raises(CorruptData, match=r"B04\.tif is neither JPEG 2000 nor GeoTIFF"):
        served.work()
