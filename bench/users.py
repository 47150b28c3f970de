"""Planning the users' example: 600 x 530 km, two UTM zones, some 60 tiles, a year of items, over loopback peers."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data import ROOT, folder
from bench.meter import Spent, python
from bench.table import Row

if TYPE_CHECKING:
    from eo.catalog import Scene

BBOX = (3.2833, 45.3833, 11.2, 50.1833)
WHEN = "2025-10-06/2026-09-30"
CLOUD = 20
TOKEN = "edh_pat_bench"
MIN_ITEMS = 9_000

# What `eo-shards plan` does, without its look at the free disk: the job needs more than many a machine has.
_PLAN = """
import json, sys
import cli.main
from eo.settings import Settings
from plan.planner import make_plan
from registry import process
point_cloud = process("point-cloud")
inputs = point_cloud.Inputs.model_validate({"bbox": sys.argv[1], "datetime": sys.argv[2], "sampled_fraction": 0.2})
plan = make_plan(point_cloud, inputs, job="bench", settings=Settings.from_environment()).plan
print(json.dumps({"scenes": len(plan.scenes), "parts": plan.predicted.parts, "disk": plan.predicted.scratch_bytes}))
"""

# What the same catalogue costs a client that only reads it: all pages, only the fields that are used, nothing kept.
# It tells the CPU of the pages alone: the plan's interpreter and imports are the plan's own cost.
_READ = """
import sys, time
from pystac_client import Client
west, south, east, north = map(float, sys.argv[2].split(","))
fields = {"include": ["id", "geometry", "bbox", "properties.datetime", "properties.eo:cloud_cover"], "exclude": ["assets", "links"]}
search = Client.open(sys.argv[1]).search(
    collections=["sentinel-2-l2a"], bbox=(west, south, east, north), datetime=sys.argv[3], limit=1000, fields=fields
)
started = time.process_time()
print(sum(len(page["features"]) for page in search.pages_as_dicts()), time.process_time() - started)
"""


def rows() -> list[Row]:
    """CPU, memory and parts of the plan."""
    sys.path.insert(0, str(ROOT / "tests"))
    from peers.files import FileServer  # noqa: PLC0415 - the tests' folder is put on the path first
    from peers.s3 import KEY, SECRET, S3Peer  # noqa: PLC0415
    from peers.stac import StacApi  # noqa: PLC0415
    from peers.stac_items import grid_items  # noqa: PLC0415

    folder().mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder()) as place,
        StacApi(grid_items(cloud_cover=(0, CLOUD))) as catalogue,
        S3Peer() as store,
        FileServer(_elevation(), user="edh", password=TOKEN) as heights,
    ):
        env = {
            "EO_SHARDS_HOME": f"{place}/home",
            "CDSE_STAC_URL": catalogue.url,
            "CDSE_S3_ENDPOINT": store.url,
            "CDSE_KEY": KEY,
            "CDSE_SECRET": SECRET,
            "EARTH_DATA_HUB_URL": f"{heights.url}/edh.zarr",
            "EARTH_DATA_HUB_KEY": TOKEN,
        }
        for path, href in _first_scene(env, Path(place)).items():
            bucket, _, key = href.removeprefix("s3://").partition("/")
            store.put(bucket, key, path)
        planned = _plan(env)
        box = ",".join(map(str, BBOX))
        read = python(_READ, catalogue.url, box, WHEN)
    found, told = read.output.split()[-2:]
    items, pages = int(found), float(told)
    assert items >= MIN_ITEMS, items
    plan = json.loads(planned.output[planned.output.index("{") :])
    name = "planning 600 x 530 km, fraction 0.2"
    return [
        Row(f"{name}: items", items, "", MIN_ITEMS, "higher"),
        Row(f"{name}: scenes chosen", plan["scenes"], ""),
        Row(f"{name}: CPU in all", planned.cpu, "CPU s"),
        Row(f"{name}: CPU after the catalogue has answered", planned.cpu - pages, "CPU s", 10),
        Row(f"{name}: peak RSS", planned.largest / 1e6, "MB", 512),
        Row(f"{name}: scratch disk that it predicts", plan["disk"] / 1e9, "GB"),
        Row(f"{name}: parts of the fan-in", plan["parts"], "", 10_000),
    ]


def _plan(env: dict[str, str]) -> Spent:
    return python(_PLAN, ",".join(map(str, BBOX)), WHEN, env=env, watch=True)


def _elevation() -> Path:
    """A folder with an Earth Data Hub of which hardly a post has a height: planning reads its lattice alone."""
    from scenes.edh import write_edh_zarr  # noqa: PLC0415 - the tests' folder is put on the path first
    from scenes.world import World  # noqa: PLC0415

    place = folder() / "globe"
    if not (place / "made").exists():
        write_edh_zarr(place / "edh.zarr", world=World(seed=1), bounds=(9.0, 46.0, 9.01, 46.01))
        (place / "made").touch()
    return place


def _first_scene(env: dict[str, str], place: Path) -> dict[Path, str]:
    """Empty files for the scene whose headers the plan looks at: href by path."""
    import numpy as np  # noqa: PLC0415
    from rasterio.transform import Affine  # noqa: PLC0415

    from scenes.rasters import Encoding, write_raster  # noqa: PLC0415

    scene = _chosen(env)[0]
    files = {}
    for band, asset in scene.assets.items():
        grid = asset.declared
        assert grid is not None
        pixels = np.ones((grid.height, grid.width), np.uint8 if band == "SCL" else np.uint16)
        path = place / f"{band}.jp2"
        transform = Affine(grid.dx, 0, grid.x, 0, -grid.dy, grid.y)
        write_raster(path, pixels, crs=grid.crs, transform=transform, encoding=Encoding())
        files[path] = asset.href
    return files


def _chosen(env: dict[str, str]) -> list[Scene]:
    """The scenes that the plan will choose."""
    import datetime as dt  # noqa: PLC0415

    from eo.settings import Settings  # noqa: PLC0415
    from plan.planner import find_scenes  # noqa: PLC0415
    from registry import process  # noqa: PLC0415

    point_cloud = process("point-cloud")
    inputs: Any = point_cloud.Inputs.model_validate({"bbox": ",".join(map(str, BBOX)), "datetime": WHEN})
    wanted = next(stage.sources for stage in point_cloud.stages(inputs) if stage.sources is not None)
    scenes, _ = find_scenes(inputs, wanted, settings=Settings.from_environment(env), now=dt.datetime.now(dt.UTC))
    return scenes
