"""`point-cloud --correct`: points coloured by the surface reflectance that the correction finds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from plyfile import PlyData
from pydantic import ValidationError

from eo.correction import SURFACE, surface
from eo.radiometry import stretch_lut
from l1c import Corrected, Tile, correct, stock
from point_cloud.process import BANDS, PointCloud

TILE = Tile(size=4_920)
BOX = TILE.box(0.4, 0.4, 0.15)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stock(tmp_path_factory.mktemp("correct"), TILE)


def cloud(folder: Path, **more: object) -> tuple[Corrected, PlyData]:
    done = correct(
        folder,
        BOX,
        process=PointCloud(),
        collection="sentinel-2-l1c",
        correct=True,
        sampled_fraction=1,
        coordinates="absolute",
        **more,
    )
    return done, PlyData.read(done.out / "point_cloud.ply")


def test_points_have_the_colours_of_the_corrected_reflectance(folder: Path) -> None:
    done, ply = cloud(folder)
    alone = correct(folder, BOX)
    grid, points = done.plan.grid, ply["vertex"]
    cols = np.round(points["x"] / grid.resolution - grid.phase_x / grid.resolution - 0.5).astype(int)
    rows = np.round(grid.phase_y / grid.resolution - points["y"] / grid.resolution - 0.5).astype(int)
    window = alone.plan.grid.window
    assert len(points) == np.count_nonzero(alone.target("surface_B04"))
    for band, colour in zip(BANDS, ("red", "green", "blue"), strict=True):
        dn = alone.target(surface(band))[rows - window.row, cols - window.col]
        assert (dn > 0).all()
        np.testing.assert_array_equal(points[colour], stretch_lut(SURFACE, 0.3)[dn])


def test_blue_gets_darker_than_without(folder: Path) -> None:
    _, ply = cloud(folder)
    plain = correct(folder, BOX, process=PointCloud(), collection="sentinel-2-l1c", sampled_fraction=1, model=None)
    seen = PlyData.read(plain.out / "point_cloud.ply")
    assert ply["vertex"]["blue"].mean() < 0.6 * seen["vertex"]["blue"].mean()


def test_the_result_names_the_model_and_its_digest(folder: Path) -> None:
    done, ply = cloud(folder)
    item = json.loads((done.out / "point_cloud.json").read_text())
    (model,) = item["properties"]["eo_shards:models"]
    assert model["name"] == "physics"
    assert f"model physics {model['digest']}" in ply.comments


def test_the_result_tells_of_the_air_what_the_correction_tells(folder: Path, tmp_path: Path) -> None:
    done, _ = cloud(folder)
    item = json.loads((done.out / "point_cloud.json").read_text())
    (air,) = item["properties"]["eo_shards:air"]
    assert [air] == done.result.summary["air"] == correct(folder, BOX).result.summary["air"]
    assert air["aot550"] > 0

    def dead(band: str, dn: NDArray[np.uint16]) -> None:
        if band == "B01":
            dn[...] = 0

    lame, _ = cloud(stock(tmp_path, replace(TILE, change=dead)), model="atmosphere-field")
    assert "physics stands in for the model over 100.0 % of the granule" in lame.notes


def test_any_tiling_gives_the_same_points(folder: Path) -> None:
    one, _ = cloud(folder, shard=64)
    other, _ = cloud(folder, shard=192, lattice=(7, 13))

    def points(done: Corrected) -> np.ndarray:
        return np.sort(PlyData.read(done.out / "point_cloud.ply")["vertex"].data)

    np.testing.assert_array_equal(points(one), points(other))


def test_surface_reflectance_is_not_corrected_again() -> None:
    order = {"bbox": [10, 46, 10.1, 46.1], "correct": True}
    with pytest.raises(ValidationError, match="surface reflectance already"):
        PointCloud.Inputs.model_validate(order)


def test_choices_of_a_correction_need_one() -> None:
    order = {"bbox": [10, 46, 10.1, 46.1], "collection": "sentinel-2-l1c", "model": "physics"}
    with pytest.raises(ValidationError, match="give correct too"):
        PointCloud.Inputs.model_validate(order)
