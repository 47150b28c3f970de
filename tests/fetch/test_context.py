"""Contexts: the coarse bands and the elevation of whole granules, whatever a job's extent."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import rasterio
import zarr
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.warp import transform_bounds

from cli import show
from eo.archive import Archive
from eo.catalog import MASKS
from eo.engine import LocalEngine
from eo.errors import CorruptData, InvalidInput, NothingFound
from eo.folder_store import FolderStore
from eo.grid import RasterGrid
from eo.imagery import CONTEXT_METRES, imagery
from eo.inputs import CubeInputs, ElevationInputs
from eo.runner import run_unit
from eo.settings import Settings
from eo.sources.raster import FileInfo
from eo.stage import Made, Stage
from l1c import ALL_BANDS, catalogued, raster, write_item
from plan.context_sources import CELL
from plan.planner import Planned, make_plan
from plan.scene_sources import Decimated
from plan.upload_catalog import UploadedProduct
from real_data import test_data
from scenes.sentinel2 import write_scene
from scenes.world import World
from uploads import KEY, zipped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from pydantic import BaseModel

    from eo.job import Output, Part, Plan, Result
    from eo.unit_io import ResultIO

BANDS = {"B01": 60, "B02": 10, "B04": 10, "B11": 20}
BLOCK = 64
"""Edge of the files' tiles in pixels."""
SIZE = 2_400
"""Metres of a tile's edge: 20 pixels of 120 m."""
PLACES = {
    "32TPS": ("EPSG:32632", 671_240, 5_168_180),
    "32TQS": ("EPSG:32632", 672_680, 5_168_180),
    "33TTM": ("EPSG:32633", 211_020, 5_172_540),
}
"""By tile: CRS and upper left corner. The first two overlap by 960 m; the third, of the next zone, covers half of the first."""


class Inputs(CubeInputs, ElevationInputs):
    """Inputs of the process below."""


class Coarse:
    """A process that wants contexts, and makes an array of each kind."""

    id: ClassVar[str] = "coarse"
    title: ClassVar[str] = "Coarse"
    description: ClassVar[str] = "contexts alone"
    version: ClassVar[str] = "1.0.0"
    Inputs: ClassVar[type[BaseModel]] = Inputs
    outputs: ClassVar[Mapping[str, Output]] = {}

    def __init__(
        self, bands: tuple[str, ...] = tuple(BANDS), *, elevation: bool = False, context_elevation: bool = True
    ) -> None:
        self._bands, self._elevation, self._below = bands, elevation, context_elevation

    def stages(self, inputs: Any) -> list[Stage]:  # noqa: ARG002
        field = Stage(
            name="field",
            map="scripted:field",
            over="scenes",
            bytes_per_pixel=1000,
            makes=(
                Made(name="gain_B02", over="scenes", dtype="float32", fill="NaN"),
                Made(name="quality", over="scenes", dtype="uint8"),
            ),
        )
        correct = Stage(
            name="correct",
            map="scripted:correct",
            over="shards",
            makes=(Made(name="surface_B02", over="shards", dtype="uint16"),),
        )
        made = imagery(
            ("B02",),
            classes=False,
            elevation=self._elevation,
            context=self._bands,
            context_optional=("B10", *MASKS),
            context_elevation=self._below,
        )
        return [*made, field, correct]

    def sampled(self, inputs: Any) -> float:  # noqa: ARG002
        return 1.0

    def check(self, plan: Plan) -> tuple[str, ...]:  # noqa: ARG002
        """Anything goes."""
        return ()

    def bytes_per_point(self, inputs: Any) -> tuple[int, ...]:  # noqa: ARG002
        return (4,)

    def merge(self, parts: list[Part], io: ResultIO) -> Result:
        raise NotImplementedError


@dataclass
class Done:
    """A job whose stages of `imagery` have run."""

    planned: Planned
    home: Path
    parts: dict[str, list[Part]]

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @cached_property
    def cube(self) -> zarr.Group:
        return zarr.open_group(self.home / "scratch" / "job" / "1" / "cube.zarr", mode="r")

    def array(self, name: str) -> NDArray[Any]:
        found = self.cube[name]
        assert isinstance(found, zarr.Array)
        return np.asarray(found[:])

    def contexts(self, tile: str) -> dict[str, NDArray[Any]]:
        """By name: the coarse arrays of a tile's scene that fetch and the context stage have written."""
        name = next(name for name in self.plan.scene_names if tile in name)
        group = self.cube[f"context/{name}"]
        assert isinstance(group, zarr.Group)
        return {
            key: self.array(f"context/{name}/{key}") for key in group.array_keys() if key not in {"gain_B02", "quality"}
        }


def plan(folder: Path, home: Path, service: Coarse, bbox: Sequence[float], **more: Any) -> tuple[Planned, Settings]:
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_CHUNK": "64"})
    given = {
        "source": "local",
        "catalog": str(folder / "c"),
        "collection": "sentinel-2-l1c",
        "dem": "local",
        "dem_path": str(folder / "dem.tif"),
        "bbox": list(bbox),
        "max_cloud_cover": 100,
    }
    return make_plan(service, Inputs.model_validate(given | more), job="job", settings=settings), settings


def run(folder: Path, bbox: Sequence[float], service: Coarse | None = None, **more: Any) -> Done:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
    planned, settings = plan(folder, home, service or Coarse(), bbox, **more)
    return worked(planned, settings, home)


def upload(folder: Path, service: Coarse, bbox: Sequence[float], dem_path: Path) -> Done:
    """The job of the product in a folder's catalogue, zipped and uploaded."""
    home = Path(tempfile.mkdtemp(prefix="home-", dir=folder))
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(home), "EO_SHARDS_CHUNK": "64"})
    store = FolderStore(home)
    store.path(KEY).parent.mkdir(parents=True)
    zipped(folder / "c", store.path(KEY))
    with Archive(store.reader(KEY), KEY) as archive:
        digest = archive.digest
    product = UploadedProduct.of(store, {"bucket": "data", "key": KEY, "product": digest})
    inputs = Inputs.model_validate(
        {"collection": "sentinel-2-l1c", "dem": "local", "dem_path": str(dem_path), "bbox": list(bbox)}
        | {"max_cloud_cover": 100}
    )
    return worked(make_plan(service, inputs, job="job", settings=settings, product=product), settings, home)


def worked(planned: Planned, settings: Settings, home: Path) -> Done:
    store = FolderStore(home)
    LocalEngine(store, settings).start(planned.plan, planned.units)
    parts = {
        name: [run_unit(store, "job", name, unit, 1, settings)[0] for unit in planned.units[name]]
        for name in ("fetch", "align", "context")
    }
    return Done(planned, home, parts)


def dns(tile: str, band: str, size: int) -> NDArray[np.uint16]:
    """Numbers of a band, with a corner and single pixels without data."""
    random = np.random.default_rng([ord(letter) for letter in tile + band])
    values = random.integers(1, 4000, (size, size), dtype=np.uint16)
    values[random.random((size, size)) < 0.1] = 0
    values[: size // 4, : size // 3] = 0
    return values


def masks(tile: str, size: int) -> NDArray[np.uint8]:
    return (np.random.default_rng(len(tile)).random((3, size, size)) < 0.3).astype(np.uint8)


def tile(folder: Path, name: str, *, missing: Sequence[str] = (), with_masks: bool = True, size: int = SIZE) -> None:
    """Write a granule in the folders of a SAFE product, with a STAC item."""
    crs, left, top = PLACES[name]
    product = f"S2A_MSIL1C_20260712T101031_N0511_R022_T{name}_20260712T151031"
    granule = folder / f"{product}.SAFE" / "GRANULE" / f"L1C_T{name}"
    for place in ("IMG_DATA", "QI_DATA"):
        (granule / place).mkdir(parents=True)
    assets = {}
    for band, metres in (BANDS | {"B10": 60}).items():
        if band in missing:
            continue
        path = granule / "IMG_DATA" / f"T{name}_20260712T101031_{band}.tif"
        raster(path, dns(name, band, size // metres), crs, Affine(metres, 0, left, 0, -metres, top), block=BLOCK)
        scaling = [{"scale": 0.0001, "offset": -0.1}]
        assets[band] = {"href": str(path.relative_to(folder)), "roles": ["data"], "raster:bands": scaling}
    if with_masks:
        # By the name that products have; the driver goes by the file's first bytes.
        path = granule / "QI_DATA" / "MSK_CLASSI_B00.jp2"
        raster(path, masks(name, size // 60), crs, Affine(60, 0, left, 0, -60, top), block=16)
    properties = {
        "datetime": "2026-07-12T10:10:31Z",
        # The order in which scenes are taken, as long as each covers new ground.
        "eo:cloud_cover": list(PLACES).index(name),
    }
    covered = transform_bounds(crs, "EPSG:4326", left, top - size, left + size, top)
    write_item(folder, product, covered, assets, properties)


def dem(path: Path, bounds: Sequence[float]) -> None:
    """Posts of an arc second, of a smooth ground."""
    west, south, east, north = bounds
    step = 1 / 3600
    cols, rows = np.meshgrid(np.arange(round((east - west) / step)), np.arange(round((north - south) / step)))
    ground = 900 + 40 * np.sin(cols / 9) + 300 * np.cos(rows / 31) + cols
    raster(path, ground.astype(np.float32), "EPSG:4326", Affine(step, 0, west, 0, -step, north), block=BLOCK)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contexts")
    (folder / "c").mkdir()
    for name in PLACES:
        tile(folder / "c", name, missing=["B10"] if name == "32TQS" else [], with_masks=name != "32TQS")
    dem(folder / "dem.tif", (11.2, 46.6, 11.3, 46.68))
    return folder


def box(name: str, *, col: float = 0.3, row: float = 0.4, edge: float = 0.25) -> tuple[float, float, float, float]:
    """Degrees of a part of a tile."""
    crs, left, top = PLACES[name]
    x, y = left + col * SIZE, top - row * SIZE
    return transform_bounds(crs, "EPSG:4326", x, y - edge * SIZE, x + edge * SIZE, y)


def block_means(values: NDArray[np.uint16], edge: int) -> NDArray[np.uint16]:
    """Means of what has data, one block at a time, rounded half up; 0 where nothing has."""
    rows, cols = values.shape[0] // edge, values.shape[1] // edge
    result = np.zeros((rows, cols), np.uint16)
    for row in range(rows):
        for col in range(cols):
            block = values[row * edge : (row + 1) * edge, col * edge : (col + 1) * edge]
            known = block[block > 0].tolist()
            result[row, col] = int(sum(known) / len(known) + 0.5) if known else 0
    return result


def bilinear(path: Path, lon: NDArray[Any], lat: NDArray[Any]) -> NDArray[Any]:
    """Heights between the posts of a file, NaN beyond its outermost ones."""
    with rasterio.open(path) as file:
        posts, at = file.read(1).astype(np.float64), file.transform
    u, v = (lon - at.c) / at.a - 0.5, (lat - at.f) / at.e - 0.5
    on = (u >= 0) & (v >= 0) & (u <= posts.shape[1] - 1) & (v <= posts.shape[0] - 1)
    col, row = (np.clip(np.floor(a).astype(int), 0, n - 2) for a, n in ((u, posts.shape[1]), (v, posts.shape[0])))
    right, down = u - col, v - row
    upper = posts[row, col] * (1 - right) + posts[row, col + 1] * right
    lower = posts[row + 1, col] * (1 - right) + posts[row + 1, col + 1] * right
    return np.where(on, upper * (1 - down) + lower * down, np.nan)


def degrees(crs: str, left: float, top: float, size: int, metres: float = 120) -> tuple[NDArray[Any], NDArray[Any]]:
    """Longitude and latitude of pixel centres, of shape (size, size)."""
    rows, cols = np.mgrid[:size, :size]
    place = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return place.transform(left + (cols + 0.5) * metres, top - (rows + 0.5) * metres)


@pytest.mark.parametrize("name", ["32TPS", "33TTM"])
def test_contexts_hold_the_whole_granule_as_block_means_with_flags_and_heights(folder: Path, name: str) -> None:
    done = run(folder, box(name), datetime="2026-07-12")
    for tile_name in (n for n in PLACES if any(n in scene for scene in done.plan.scene_names)):
        found = done.contexts(tile_name)
        for band, metres in BANDS.items():
            np.testing.assert_array_equal(found[band], block_means(dns(tile_name, band, SIZE // metres), 120 // metres))
        crs, left, top = PLACES[tile_name]
        truth = bilinear(folder / "dem.tif", *degrees(crs, left, top, 20))
        assert found["elevation"].dtype == np.float32
        np.testing.assert_allclose(found["elevation"], truth, rtol=0, atol=0.01)
        grid = done.plan.contexts[next(i for i, scene in enumerate(done.plan.scene_names) if tile_name in scene)]
        assert (grid.crs, grid.x, grid.y, grid.dx, grid.width, grid.height) == (crs, left, top, 120, 20, 20)
    crs_of = {grid.crs for grid in done.plan.contexts}
    assert crs_of == ({"EPSG:32632", "EPSG:32633"} if name == "33TTM" else {"EPSG:32632"})
    own = done.contexts(name)
    np.testing.assert_array_equal(own["B10"], block_means(dns(name, "B10", 40), 2))
    for mask, band in MASKS.items():
        assert own[mask].dtype == np.uint8
        np.testing.assert_array_equal(own[mask], masks(name, 40)[band - 1, 1::2, 1::2])


def test_jobs_of_any_extent_have_the_same_contexts(folder: Path) -> None:
    small = run(folder, box("32TPS", edge=0.1))
    large = run(folder, box("32TPS", col=0.05, row=0.2, edge=0.85), resolution=20)
    assert len(large.plan.scene_names) > 1
    one, other = small.contexts("32TPS"), large.contexts("32TPS")
    assert one.keys() == other.keys() >= {*BANDS, "B10", *MASKS, "elevation"}
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_what_a_scene_may_lack_is_left_out(folder: Path) -> None:
    done = run(folder, box("32TQS", col=0.8, row=0.1, edge=0.1))
    assert set(done.contexts("32TQS")) == {*BANDS, "elevation"}
    assert not any("32TQS" in name and name.endswith(("B10", *MASKS)) for name in done.plan.sources)


@pytest.mark.parametrize("wedge", [0.0, 0.4])
def test_products_of_jpeg_2000(folder: Path, tmp_path: Path, wedge: float) -> None:
    """Coarse pixels come from the file's levels, but at the border of the data from its own pixels."""
    bands = ("B02", "B03", "B04", "B08")
    scene = write_scene(
        tmp_path / "c",
        world=World(seed=2),
        epsg=32632,
        ulx=671_240,
        uly=5_168_180,
        tile="32TPS",
        size=240,
        level="L1C",
        bands=bands,
        nodata_wedge=wedge,
        item_style=None,
        block=64,
    )
    done = run(tmp_path, box("32TPS", col=0.5, row=0.5), Coarse(bands), dem_path=str(folder / "dem.tif"))
    assert done.plan.scenes[0].angles is not None
    found = done.contexts("32TPS")
    assert set(found) == {*bands, "elevation"}
    assert all(source.level >= 0 for name, source in done.plan.sources.items() if name.startswith("context/"))  # type: ignore[union-attr]
    uploaded = upload(tmp_path, Coarse(bands), box("32TPS", col=0.5, row=0.5), folder / "dem.tif").contexts("32TPS")
    assert uploaded.keys() == found.keys()
    for name, values in found.items():
        np.testing.assert_array_equal(uploaded[name], values)
    for band in bands:
        with rasterio.open(scene.assets[band]) as file:
            truth = block_means(file.read(1), 12)
        off = np.abs(found[band] - truth.astype(np.float64))
        assert off.mean() < 0.02 * truth.mean()
        if wedge:
            assert 0 < (truth == 0).sum() < 200
            tile = 16  # of coarse pixels: 3 by 3 of the file's
            assert (truth[:tile, :tile] == 0).any()
            np.testing.assert_array_equal(found[band][:tile, :tile], truth[:tile, :tile])
            assert ((found[band] == 0) == (truth == 0)).all()


@pytest.mark.parametrize(("metres", "edge"), [(10, 1024), (20, 640), (60, 192)])
def test_cells_of_real_files_decode_each_tile_once(metres: int, edge: int) -> None:
    """The tiles of Sentinel-2's JPEG 2000 files, of 10980 to 1830 pixels."""
    size = 109_800 // metres
    grid = RasterGrid("EPSG:32632", 600_000, 5_200_020, metres, metres, size, size)
    overviews = (2, 4, 8, 16, 32)
    file = Decimated.of(
        FileInfo(grid, (edge, edge), overviews, "uint16", 1, None, "JP2OpenJPEG"), CONTEXT_METRES, classes=False
    )
    assert (file.grid.dx, file.size) == (120, (915, 915))
    # 12, 6 and 2 pixels for one: of the file's halves or quarters, three or one.
    assert (overviews[file.level], file.mean) == {10: (4, 3), 20: (2, 3), 60: (2, 1)}[metres]
    (chunk, _), (cell, _) = (cut := file.cutting(CELL)).chunks, cut.cell
    assert cell % chunk == 0
    assert cell * 120 // metres % edge == 0
    assert cell < 400


def test_a_band_that_must_be_there_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    tile(tmp_path / "c", "32TPS", missing=["B11"])
    with pytest.raises(NothingFound, match="no band B11"):
        plan(tmp_path, tmp_path, Coarse(context_elevation=False), box("32TPS"))


def test_the_target_grid_is_what_it_is_without_contexts(folder: Path) -> None:
    done = run(folder, box("32TPS", edge=0.1), Coarse(elevation=True), datetime="2026-07-12")
    grid = done.plan.grid
    band, valid = done.plan.targets["B02"], done.array("valid")
    assert "context" not in band.array
    assert sum(part.counts["valid"] for part in done.parts["align"]) == valid.sum() > 0
    target = done.plan.targets["elevation"]
    lon, lat = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True).transform(
        *np.meshgrid(
            (np.arange(grid.window.col, grid.window.col_end) + 0.5) * 10,
            -(np.arange(grid.window.row, grid.window.row_end) + 0.5) * 10,
        )
    )
    found = done.array(target.array)[grid.window.slices(target.window)]
    np.testing.assert_allclose(found, bilinear(folder / "dem.tif", lon, lat), rtol=0, atol=0.02)
    # 10 m and 60 m at 120 m are resampled only for the contexts.
    assert "resampled" not in "".join(done.plan.notes)


def test_heights_are_unknown_where_the_dem_ends_or_nobody_wants_them(folder: Path, tmp_path: Path) -> None:
    west, south, east, north = box("32TPS", edge=0.3)
    dem(tmp_path / "small.tif", (west, south, east, north))
    crs, left, top = PLACES["32TPS"]
    truth = bilinear(tmp_path / "small.tif", *degrees(crs, left, top, 20))
    done = run(folder, box("32TPS", col=0.4, row=0.5, edge=0.02), dem_path=str(tmp_path / "small.tif"))
    found = done.contexts("32TPS")["elevation"]
    known = ~np.isnan(truth)
    assert 20 < known.sum() < 200
    np.testing.assert_allclose(found[known], truth[known], rtol=0, atol=0.01)
    # Half a post beyond the outermost ones has their height.
    assert np.isnan(found).sum() > 200
    none = run(folder, box("32TPS", edge=0.02), Coarse(elevation=True, context_elevation=False))
    assert np.isnan(none.contexts("32TPS")["elevation"]).all()
    assert sum(part.counts["voids"] for part in none.parts["context"]) == 400 * len(none.plan.scenes)


def test_one_unit_a_scene_and_arrays_for_what_stages_make(folder: Path) -> None:
    planned, _ = plan(folder, folder / "home", Coarse(), box("32TPS", col=0.05, edge=0.9))
    made = planned.plan
    assert len(made.scenes) == len(made.scene_names) == len(made.contexts) > 1
    for stage in ("context", "field"):
        units = planned.units[stage]
        assert [unit.id for unit in units] == list(made.scene_names)
        assert [unit.array for unit in units] == [made.context(index) for index in range(len(made.scenes))]
        assert [unit.window.shape for unit in units] == [(20, 20)] * len(units)
    specs = {array.name: array for array in made.arrays}
    for scene in made.scene_names:
        gain, quality = specs[f"context/{scene}/gain_B02"], specs[f"context/{scene}/quality"]
        assert (gain.shape, gain.chunks, gain.dtype, gain.fill) == ((20, 20), (20, 20), "float32", "NaN")
        assert (quality.dtype, quality.fill) == ("uint8", 0)
    surface = made.targets["surface_B02"]
    assert (surface.window, specs[surface.array].dtype) == (made.targets["valid"].window, "uint16")
    # 400 cells at 1 kB each are the hungriest stage's share.
    field = [stage for stage in made.stages if stage.name == "field"]
    assert made.predicted.unit_memory_bytes > 400 * field[0].bytes_per_pixel
    assert made.predicted.units["field"] == len(made.scenes)


def test_a_plan_without_points_is_shown_without_any(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for below, shown in ((True, "dem.tif, vertical CRS unknown"), (False, "")):
        planned, _ = plan(folder, folder / "home", Coarse(context_elevation=below), box("32TPS"))
        show.plan(planned.plan, None)
        rows = {line[:20].strip(): line[20:] for line in capsys.readouterr().out.splitlines()}
        assert rows.get("elevation", "") == shown
        assert rows["pixels"] == f"{planned.plan.predicted.pixels:,}"
        assert "points" not in rows
        assert "context 1, field 1, correct" in rows["units"]


def test_bands_that_do_not_meet_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    tile(tmp_path / "c", "32TPS")
    path = next((tmp_path / "c").rglob("*_B11.tif"))
    raster(path, dns("32TPS", "B11", 120), "EPSG:32632", Affine(20, 0, 671_260, 0, -20, 5_168_180), block=BLOCK)
    with pytest.raises(CorruptData, match=r"B04 and B11 .* 671240.00.* 671260.00"):
        plan(tmp_path, tmp_path, Coarse(context_elevation=False), box("32TPS"), dem_path=str(folder / "dem.tif"))


def test_a_file_of_less_than_a_coarse_pixel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    tile(tmp_path / "c", "32TPS", size=60)
    crs, left, top = PLACES["32TPS"]
    bbox = transform_bounds(crs, "EPSG:4326", left + 10, top - 50, left + 50, top - 10)
    with pytest.raises(InvalidInput, match="less than one of 120 m"):
        plan(tmp_path, tmp_path, Coarse(context_elevation=False), bbox)


def test_heights_on_both_sides_of_the_antimeridian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A granule across 180 degrees, over a DEM of the globe, in jobs on either side of it and on it."""
    monkeypatch.setitem(PLACES, "01KAB", ("EPSG:32701", 179_000, 8_118_000))
    (tmp_path / "c").mkdir()
    tile(tmp_path / "c", "01KAB")
    step = 0.25
    cols, rows = np.meshgrid(np.arange(1440), np.arange(720))
    posts = (500 + 300 * np.sin(cols * 2 * np.pi / 1440 * 90) + 100 * np.cos(rows / 5)).astype(np.float32)
    raster(tmp_path / "dem.tif", posts, "EPSG:4326", Affine(step, 0, -180, 0, -step, 90), block=BLOCK)
    crs, left, top = PLACES["01KAB"]
    lon, lat = degrees(crs, left, top, 20)
    assert 1 < (lon > 0).sum() < 399
    middle = float(np.median(lat))
    boxes = [(179.99, middle - 0.005, 180.0, middle), (-180.0, middle - 0.005, -179.99, middle)]
    boxes.append((179.995, middle - 0.005, -179.995, middle))
    found = [run(tmp_path, bbox).contexts("01KAB")["elevation"] for bbox in boxes]
    # A file of the user's ends where it ends: half a post beyond its outermost ones has their height.
    side, v = np.where(lon > 0, 1439, 0), (90 - lat) / step - 0.5
    row = np.floor(v).astype(int)
    down = v - row
    truth = posts[row, side] * (1 - down) + posts[row + 1, side] * down
    for heights in found:
        np.testing.assert_array_equal(heights, found[0])
        np.testing.assert_allclose(heights, truth, rtol=0, atol=0.01)


def test_the_real_bands_in_one_file(tmp_path: Path) -> None:
    source, heights = test_data("slovenia", "S2_L1C_20150830.tif"), test_data("slovenia", "dem.tif")
    catalogued(tmp_path / "c", source, (14.55, 45.865, 14.566, 45.876), "2015-08-30T10:00:00Z")
    wanted = ("B01", "B02", "B03", "B04", "B08", "B8A", "B11", "B12")
    done = run(tmp_path, (14.553, 45.868, 14.56, 45.873), Coarse(wanted), dem_path=str(heights))
    found = done.contexts(source.stem)
    assert set(found) == {*wanted, "B10", "elevation"}
    with rasterio.open(source) as file:
        at, shape = file.transform, file.shape
        for band in (*wanted, "B10"):
            np.testing.assert_array_equal(found[band], block_means(file.read(ALL_BANDS.index(band) + 1), 12))
    assert found["elevation"].shape == (shape[0] // 12, shape[1] // 12)
    with rasterio.open(heights) as file:
        posts, on = file.read(1), file.transform
    rows, cols = np.mgrid[: shape[0] // 12, : shape[1] // 12]
    u = (at.c + (cols + 0.5) * 12 * at.a - on.c) / on.a - 0.5
    v = (at.f + (rows + 0.5) * 12 * at.e - on.f) / on.e - 0.5
    near = posts[np.floor(v).astype(int), np.floor(u).astype(int)]
    assert np.abs(found["elevation"] - near).max() < 15
