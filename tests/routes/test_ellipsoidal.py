"""Heights above the ellipsoid: the geoid's grid where PROJ finds it, a clear refusal where it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from routes.loopback import Machine
from routes.places import WORLD, scene_at
from scenes.dem import write_geotiff
from support import bounds_of

if TYPE_CHECKING:
    from pathlib import Path

    from scenes.sentinel2 import Scene

GRID = "us_nga_egm08_25.tif"


def undulation(lon: Any, lat: Any) -> Any:
    """A geoid that rises evenly, so that interpolating its grid is exact."""
    return 30 + 0.1 * lon + 0.2 * lat


def write_geoid(folder: Path) -> Path:
    lon, lat = np.arange(-180, 180.5, 1.0), np.arange(90, -90.5, -1.0)
    heights = undulation(lon[None, :], lat[:, None]).astype(np.float32)
    folder.mkdir(parents=True)
    profile = {"driver": "GTiff", "width": lon.size, "height": lat.size, "count": 1, "dtype": "float32"}
    with rasterio.open(
        folder / GRID, "w", crs="EPSG:4979", transform=from_origin(-180.5, 90.5, 1, 1), **profile
    ) as grid:
        grid.write(heights, 1)
        grid.update_tags(TYPE="VERTICAL_OFFSET_GEOGRAPHIC_TO_VERTICAL")
    return folder


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_at(tmp_path / "catalog", 32632, 11.4, 46.6, file_format="gtiff")


def inputs(scene: Scene, tmp_path: Path, vertical: str | None) -> dict[str, Any]:
    bounds = bounds_of(scene)
    around = (bounds[0] - 0.01, bounds[1] - 0.01, bounds[2] + 0.01, bounds[3] + 0.01)
    write_geotiff(
        tmp_path / "dem.tif", world=WORLD, crs="EPSG:4326", bounds=around, resolution=1 / 3600, vertical=vertical
    )
    return {
        "source": "local",
        "catalog": str(scene.folder),
        "dem": "local",
        "dem_path": str(tmp_path / "dem.tif"),
        "bbox": list(bounds_of(scene, inset=150)),
        "sampled_fraction": 1,
        "max_cloud_cover": 100,
    }


def test_the_geoid_is_added_where_its_grid_is_at_hand(scene: Scene, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine", {"PROJ_USER_WRITABLE_DIRECTORY": str(write_geoid(tmp_path / "grids"))})
    order = inputs(scene, tmp_path, "EPSG:3855")
    machine.order("run", order, out="geoid").fine()
    machine.order("run", order | {"vertical": "ellipsoidal"}, out="ellipsoid").fine()
    above_geoid, above_ellipsoid = machine.cloud("geoid"), machine.cloud("ellipsoid")
    assert above_geoid.comments["vertical"] == ["EPSG:3855"]
    assert above_ellipsoid.comments["vertical"] == ["EPSG:4979"]
    np.testing.assert_array_equal(above_geoid.xyz[:, :2], above_ellipsoid.xyz[:, :2])
    added = above_ellipsoid.xyz[:, 2] - above_geoid.xyz[:, 2]
    assert np.abs(added - undulation(*above_geoid.lonlat)).max() < 0.001


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_without_the_grid_the_plan_says_what_to_do(scene: Scene, tmp_path: Path, verb: str) -> None:
    machine = Machine(tmp_path / "machine")
    order = inputs(scene, tmp_path, "EPSG:3855") | {"vertical": "ellipsoidal"}
    said = machine.order(verb, order).failed(2)
    assert f"needs the geoid grid {GRID}" in said
    assert "pyproj sync --file us_nga_egm08_25" in said
    assert "PROJ_USER_WRITABLE_DIRECTORY" in said
    assert not (machine.folder / "out").exists()


def test_heights_above_nobody_knows_what_are_refused(scene: Scene, tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    said = machine.order("run", inputs(scene, tmp_path, None) | {"vertical": "ellipsoidal"}).failed(2)
    assert "the DEM's are above an undeclared surface" in said
    assert not (machine.folder / "out").exists()
