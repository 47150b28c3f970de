"""The users' own example, planned from a year's catalogue by the real command."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from peers.files import FileServer
from peers.fixtures import EDH_TOKEN, EDH_USER
from peers.s3 import KEY, SECRET, S3Peer
from peers.stac import StacApi
from peers.stac_items import ALPS, grid_items
from routes.loopback import BUCKET, Machine, disk_with, peak_of
from scenes.edh import write_edh_zarr
from scenes.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

YEAR = "2025-10-06/2026-09-30"


def header_of_a_band(folder: Path, asset: dict[str, Any]) -> bytes:
    """The beginning of a JPEG 2000 file of a whole band: what a plan reads of it. The pixels are missing."""
    (height, width), (step, _, left, _, _, top) = asset["proj:shape"], asset["proj:transform"]
    path, small = folder / "band.jp2", 1024
    dtype = asset["data_type"]
    profile = {"driver": "JP2OpenJPEG", "width": small, "height": small, "count": 1, "dtype": dtype}
    options = {"reversible": "YES", "quality": "100", "blockxsize": 1024, "blockysize": 1024}
    where = {"crs": asset["proj:code"], "transform": from_origin(left, top, step, step)}
    with rasterio.open(path, "w", **profile, **options, **where) as file:
        file.write(np.zeros((small, small), dtype), 1)
    data = bytearray(path.read_bytes())
    box, siz = data.index(b"ihdr") + 4, data.index(b"\xff\x4f\xff\x51") + 8
    data[box : box + 8] = struct.pack(">II", height, width)
    data[siz : siz + 8] = struct.pack(">II", width, height)
    return bytes(data)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, StacApi, S3Peer, FileServer]]:
    folder = tmp_path_factory.mktemp("alps")
    write_edh_zarr(folder / "dem.zarr", world=World(octaves=1), bounds=(7, 47, 7.001, 47.001))
    items = list(grid_items())
    # The clearest scene comes first, so its files are the ones that are opened.
    first = next(item for item in items if item["properties"]["grid:code"] == "MGRS-32TLT")
    first["properties"]["eo:cloud_cover"] = 0.0
    with S3Peer() as s3, FileServer(folder, user=EDH_USER, password=EDH_TOKEN) as dem, StacApi(items) as stac:
        for name in ("B04_10m", "B03_10m", "B02_10m", "SCL_20m"):
            asset = first["assets"][name]
            s3.put(BUCKET, asset["href"].removeprefix(f"s3://{BUCKET}/"), header_of_a_band(folder, asset))
        env = {
            "CDSE_STAC_URL": stac.url,
            "CDSE_S3_ENDPOINT": s3.url,
            "CDSE_KEY": KEY,
            "CDSE_SECRET": SECRET,
            "EARTH_DATA_HUB_URL": f"{dem.url}/dem.zarr",
            "EARTH_DATA_HUB_KEY": EDH_TOKEN,
            "EO_SHARDS_CHUNK": "1024",
            "EO_SHARDS_TIMEOUT": "60",
        }
        yield Machine(folder / "machine", env), stac, s3, dem


def test_the_users_own_example_is_planned(example: tuple[Machine, StacApi, S3Peer, FileServer]) -> None:
    machine, stac, s3, dem = example
    inputs = {"bbox": list(ALPS), "datetime": YEAR, "sampled_fraction": 0.2}
    ran = machine.order("plan", inputs, "--json", **disk_with(machine.folder, 10**12))
    plan = json.loads(ran.fine())
    assert peak_of(machine.folder) < 512_000_000
    pages = [call for call in stac.calls if call.path == "/v1/search"]
    assert len(stac.index.items) > 9000
    # Pages of candidates, then the chosen scenes whole.
    assert len(pages) < 45
    small = [call.sent for call in pages if call.sent < 1_500_000]
    assert len(small) >= len(pages) - 2
    assert {scene["crs"] for scene in plan["scenes"]} == {"EPSG:32631", "EPSG:32632"}
    assert plan["uncovered"] == 0
    assert plan["grid"]["crs"] == "EPSG:32632"
    predicted = plan["predicted"]
    assert 100 < predicted["parts"] <= 10_000
    assert predicted["parts"] == predicted["units"]["drape"] == predicted["units"]["align"]
    assert predicted["unit_memory_bytes"] <= 600_000_000
    area = predicted["pixels"] * 100 / 1e6
    assert 310_000 < area < 330_000  # km2: 600 x 530
    assert predicted["points"] == pytest.approx(0.2 * predicted["pixels"], rel=0.01)
    # One file of each band is opened, and its first bytes are read; all others are believed.
    assert len({call.path for call in s3.calls}) == len(s3.calls) == 4
    assert all(call.range == "bytes=0-65535" for call in s3.calls)
    assert dem.requests <= 8
    assert sum(path.is_file() for path in (machine.folder / "home").rglob("*")) == 0
