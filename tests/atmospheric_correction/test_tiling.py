"""However a job is cut, and whatever else it covers, a pixel's correction has the same bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eo.grid import Window
from l1c import CLOUD, SNOW, WATER, Corrected, Floats, Tile, correct, fields, spoil, stock
from small_net import models

BANDS = ("B02", "B03", "B04")
SIGMA_STEP = 16


def ground(band: str, x: Floats, y: Floats) -> Floats:
    """Fields, a lake, a snowfield and a cloud."""
    rho = fields(band, x, y)
    for spectrum, col, row, radius in ((WATER, 0.45, 0.42, 400), (SNOW, 0.6, 0.42, 400), (CLOUD, 0.5, 0.56, 450)):
        here = np.hypot(x - 671_240 - col * 9840, 5_168_180 - row * 9840 - y) < radius
        rho = np.where(here, spectrum.get(band, 0.5), rho)
    return rho


def holes(band: str, dn: NDArray[np.uint16]) -> None:
    """No data in a corner, single pixels without data or saturated. B08 lacks more."""
    if band == "B10":
        return
    spoil(band, dn, corner=(0.42, 0.42))
    if band == "B08":
        size = len(dn)
        dn[int(0.58 * size) :, size // 2 : size // 2 + 30] = 0


TILE = Tile(ground=ground, change=holes)
BOX = TILE.box(0.37, 0.36, 0.28)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = stock(tmp_path_factory.mktemp("tiling"), TILE)
    models(folder / "models")
    return folder


@pytest.fixture(autouse=True)
def _models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EO_SHARDS_MODELS", str(folder / "models"))


@pytest.fixture(scope="module", params=["physics", "atmosphere-field"])
def whole(request: pytest.FixtureRequest, folder: Path) -> Corrected:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EO_SHARDS_MODELS", str(folder / "models"))
        return correct(folder, BOX, model=request.param, chunk=1024)


def products(done: Corrected, window: Window) -> dict[str, NDArray[Any]]:
    """On a window of the job's grid, from the files: bands and quality by pixel, sigma by its own."""
    made = {}
    for name, (pixels, transform) in done.files().items():
        step = SIGMA_STEP if name == "uncertainty.tif" else 1
        # The centre of the first pixel of each file, in columns and rows of the grid.
        col = round((transform.c + transform.a / 2) / 10 - 0.5)
        row = round(-(transform.f + transform.e / 2) / 10 - 0.5)
        cols = slice(-(-(window.col - col) // step), -(-(window.col_end - col) // step))
        rows = slice(-(-(window.row - row) // step), -(-(window.row_end - row) // step))
        assert min(cols.start, rows.start) >= 0
        made[name] = pixels[:, rows, cols]
    return made


def test_what_the_tests_below_compare_is_all_there(whole: Corrected) -> None:
    made = products(whole, whole.window)
    assert set(np.unique(made["quality.tif"])) == {0, 1, 3, 5, 6}
    surface = made["surface_reflectance.tif"]
    assert surface.shape == (3, *whole.window.shape)
    np.testing.assert_array_equal(surface, np.stack([whole.target(f"surface_{band}") for band in BANDS]))
    assert len(np.unique(surface)) > 1000
    assert len(np.unique(made["uncertainty.tif"])) > 2
    assert whole.parts["field"][0].counts["cells"] == 4


@pytest.mark.parametrize(("shard", "lattice"), [(64, (67_400, -516_601)), (128, (13, 7))])
def test_any_tiling_gives_the_same_files(
    folder: Path, whole: Corrected, shard: int, lattice: tuple[int, int] | None
) -> None:
    cut = correct(folder, BOX, model=whole.plan.inputs["model"], shard=shard, lattice=lattice)
    assert len(cut.parts["correct"]) > 5
    one, other = products(whole, whole.window), products(cut, whole.window)
    for name, pixels in one.items():
        np.testing.assert_array_equal(other[name], pixels, err_msg=name)


@pytest.mark.parametrize(("crs", "adjacency"), [("EPSG:32633", True), ("EPSG:3035", False)])
def test_nor_does_it_matter_where_the_grid_is_another_than_the_scene_s(folder: Path, crs: str, adjacency: bool) -> None:
    box = TILE.box(0.45, 0.45, 0.15)
    one, other = (
        correct(folder, box, crs=crs, adjacency=adjacency, **cut)  # type: ignore[arg-type]
        for cut in ({"chunk": 1024}, {"shard": 64, "lattice": (11, 17)})
    )
    assert len(other.parts["correct"]) > 5
    for variable in (*(f"surface_{band}" for band in BANDS), "quality"):
        np.testing.assert_array_equal(one.target(variable), other.target(variable))
    assert (one.target("quality") > 0).mean() > 0.5


def test_two_jobs_agree_where_they_overlap(folder: Path, whole: Corrected) -> None:
    """Another bbox, another order of bands, other shards: not a bit of what both deliver differs."""
    other = correct(
        folder, TILE.box(0.45, 0.3, 0.3, 0.4), model=whole.plan.inputs["model"], bands=["B08", "B04", "B02"], shard=256
    )
    common = whole.window.intersection(other.window)
    assert common is not None
    assert common.pixels > 30_000
    inside = (whole.target("valid")[common.slices(whole.window)] > 0) & (
        other.target("valid")[common.slices(other.window)] > 0
    )
    assert 0.8 < inside.mean() < 1
    for variable in ("surface_B02", "surface_B04", "quality"):
        one, two = (job.target(variable)[common.slices(job.window)] for job in (whole, other))
        # Of the bands that only one job has a pixel may be saturated.
        compared = inside & (one != 6) & (two != 6) if variable == "quality" else inside
        np.testing.assert_array_equal(one[compared], two[compared], err_msg=variable)
    one, two = (products(job, common)["uncertainty.tif"] for job in (whole, other))
    both = (one[0] > 0) & (two[0] > 0)
    assert both.sum() > 80
    np.testing.assert_array_equal(one[0][both], two[0][both])
    np.testing.assert_array_equal(one[2][both], two[1][both])


def test_the_coarse_grid_is_that_of_the_granule_whatever_the_job(folder: Path, whole: Corrected) -> None:
    tiny = correct(folder, TILE.box(0.5, 0.5, 0.002), model=whole.plan.inputs["model"], only="field")
    names = [f"{kind}_{band}" for kind in ("gain", "bias", "sigma") for band in BANDS]
    for name in (*names, "quality"):
        ours, theirs = (job.array(f"{job.plan.context(0)}/{name}") for job in (whole, tiny))
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.mark.parametrize("adjacency", [True, False])
def test_each_pixel_is_its_dn_through_gain_and_bias_at_its_place(folder: Path, adjacency: bool) -> None:
    """By an independent bilinear interpolation, in double precision, over the whole scene's coarse grid."""
    done = correct(folder, BOX, model="physics", adjacency=adjacency)
    window, coarse = done.window, done.plan.contexts[0]
    cols, rows = np.arange(window.col, window.col_end), np.arange(window.row, window.row_end)
    u = ((cols + 0.5) * 10 - coarse.x) / coarse.dx - 0.5
    v = (coarse.y + (rows + 0.5) * 10) / coarse.dy - 0.5

    def there(name: str) -> Floats:
        layer = done.array(f"{done.plan.context(0)}/{name}").astype(np.float64)
        left, top = (np.clip(np.floor(at).astype(int), 0, coarse.width - 2) for at in (u, v))
        right, down = (u - left)[None], (v - top)[:, None]
        upper = layer[top][:, left] * (1 - right) + layer[top][:, left + 1] * right
        lower = layer[top + 1][:, left] * (1 - right) + layer[top + 1][:, left + 1] * right
        return upper * (1 - down) + lower * down

    for band in BANDS:
        dn, made = done.target(band), done.target(f"surface_{band}")
        truth = there(f"gain_{band}") * (dn - 1000.0) + there(f"bias_{band}")
        if not adjacency:
            light = truth / 10_000 - 0.1
            truth = light / (1 + there(f"albedo_{band}") * light) * 10_000 + 1000
        compared = (made > 0) & (dn < 65_535)
        assert compared.mean() > 0.6
        assert np.abs(made - np.clip(truth, 1, 65_534))[compared].max() < 0.51
        assert (made[(dn == 65_535) & (made > 0)] == 65_535).all()
