"""The `copc` package of npm, which browsers' viewers read by, finds the same nodes and points."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from copc_files import read_copc
from point_cloud import octree
from scenes.sentinel2 import write_scene
from scenes.world import World
from support import bounds_of, local, quick_dem, run_job

READER = Path(__file__).with_name("read_copc.cjs")
PACKAGES = Path(__file__).parents[2] / "view" / "node_modules"
"""Of the pages, which read by the same package."""
WORLD = World(seed=11)


def test_it_finds_every_node_with_its_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = shutil.which("node")
    if node is None or not (PACKAGES / "copc").is_dir():
        pytest.skip("node or its package copc is not there: make view")
    monkeypatch.setattr(octree, "NODE_EDGE", 4)
    scene = write_scene(
        tmp_path / "c",
        world=WORLD,
        epsg=32632,
        ulx=671_240,
        uly=5_168_180,
        tile="32TPS",
        size=96,
        file_format="gtiff",
        block=32,
    )
    quick_dem(tmp_path / "dem.tif", WORLD, bounds_of(scene))
    inputs = local(tmp_path / "c", tmp_path / "dem.tif", bounds_of(scene), format="copc,ply")
    path = run_job(tmp_path, shard=64, **inputs).out / "point_cloud.copc.laz"
    made = read_copc(path)
    assert made.pages > 1
    told = [node, str(READER), str(path)]
    done = subprocess.run(told, env={"NODE_PATH": str(PACKAGES)}, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["count"] == made.points.size
    assert found["cube"] == [*(made.centre - made.half), *(made.centre + made.half)]
    assert (found["spacing"], found["wkt"].rstrip("\0")) == (made.spacing, made.wkt)
    assert found["nodes"].keys() == {"-".join(map(str, key)) for key in made.nodes}
    for key, points in made.nodes.items():
        other = found["nodes"]["-".join(map(str, key))]
        assert other["count"] == points.size
        if points.size:
            columns = [*made.xyz(points).T, *(points[name] for name in ("R", "G", "B", "class", "gps"))]
            np.testing.assert_allclose(
                other["sums"], [float(np.sum(column, dtype=float)) for column in columns], rtol=1e-12
            )
