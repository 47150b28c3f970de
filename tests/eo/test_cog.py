"""Sharded GeoTIFFs, held against GDAL, rio-cogeo, tifffile and overviews that are computed here."""

import hashlib
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rio_cogeo.cogeo import cog_validate

from eo import cog
from eo.cog_layout import Band, Layout, Place, Raster, epsg, layout
from eo.errors import InvalidInput, LostWork
from eo.folder_store import FolderStore
from eo.grid import TargetGrid, Window
from eo.job import Part, Plan, Unit
from eo.unit_io import ResultIO, UnitIO

Pixels = NDArray[Any]
"""(bands, rows, columns)."""
CRS, RESOLUTION = "EPSG:32633", 10
CHUNK = 64


def raster(dtype: Any = "uint16", bands: int = 1, nodata: float = 0, *, classes: bool = False) -> Raster:
    names = tuple(Band(f"band {number}", 0.0001, -0.1) for number in range(bands))
    return Raster(
        "made", dtype, names if dtype == "uint16" else tuple(Band(b.description) for b in names), nodata, classes
    )


def imagery(spec: Raster, window: Window, seed: int = 0) -> Pixels:
    """Pixels with texture and holes; nearly all of the first rows have no data."""
    random = np.random.default_rng(seed)
    shape = (len(spec.bands), *window.shape)
    if spec.classes:
        return np.repeat(random.integers(0, 7, (shape[0], shape[1], -(-shape[2] // 3))), 3, axis=2)[
            ..., : shape[2]
        ].astype(spec.dtype)
    scale = {"uint8": 200, "uint16": 60000, "float32": 1}[spec.dtype]
    values = (random.random(shape) * scale + (0 if spec.dtype == "float32" else 1)).astype(spec.dtype)
    holes = random.random(window.shape) < 0.3
    holes[: window.height // 3] |= random.random((window.height // 3, window.width)) < 0.95
    values[:, holes] = spec.nodata
    values[0, random.random(window.shape) < 0.05] = spec.nodata
    return values


def made(
    folder: Path,
    spec: Raster,
    pixels: Pixels,
    window: Window,
    *,
    shard: int,
    lattice: tuple[int, int] = (0, 0),
    keep: Any = lambda _: True,
    big: bool = False,
    **laid: Any,
) -> tuple[Path, Layout]:
    """The file, by way of units and a fan-in on a folder store."""
    store = FolderStore(folder)
    grid = TargetGrid(CRS, RESOLUTION, 3, 7, window)
    plan = Plan.model_construct(job="job", generation=1, grid=grid, lattice=lattice, chunk=CHUNK, shard=shard)
    whole = layout(window, lattice=lattice, chunk=CHUNK, **laid)
    shards = []
    for number, part in enumerate(window.cells(shard, shard, col=lattice[0], row=lattice[1])):
        if not keep(part):
            continue
        unit = Unit(id=f"u{number}", window=part)
        io = UnitIO(
            plan=plan, stage="raster", unit=unit.id, cube=SimpleNamespace(), store=store, settings=None, scratch=folder
        )  # type: ignore[arg-type]
        cog.put(io, spec, whole, part, [band[part.slices(window)] for band in pixels])
        left = io.left
        shards.append((unit, Part(unit=unit.id, keys=left.keys, sizes=left.sizes, digests=left.digests)))
    io = ResultIO(plan=plan, store=store)
    cog.join(
        io,
        "made.tif",
        raster=spec,
        whole=whole,
        place=Place.of(grid, whole),
        shards=shards,
        metadata={"NOTE": "a < b & c"},
        **({"classic_limit": 0} if big else {}),
    )
    return folder / "jobs" / "job" / "result" / "made.tif", whole


def padded(pixels: Pixels, window: Window, whole: Layout, nodata: float) -> Pixels:
    full = np.full((len(pixels), *whole.window.shape), nodata, pixels.dtype)
    full[(slice(None), *window.slices(whole.window))] = pixels
    return full


def coarser(values: Pixels, spec: Raster) -> Pixels:
    """One level up, pixel by pixel in rational numbers."""
    bands, rows, cols = values.shape
    found = np.full((bands, -(-rows // 2), -(-cols // 2)), spec.nodata, values.dtype)
    for place in np.ndindex(found.shape):
        b, r, c = place
        four = values[b, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].ravel().tolist()
        known = [v for v in four if not (math.isnan(v) if math.isnan(spec.nodata) else v == spec.nodata)]
        if not known:
            continue
        if spec.classes:
            found[place] = min(known, key=lambda v: (-known.count(v), v))
        elif spec.dtype == "float32":
            found[place] = np.float32(float(sum(map(Fraction, known)) / len(known)))
        else:
            found[place] = math.floor(Fraction(sum(known), len(known)) + Fraction(1, 2))
    return found


def check(path: Path, whole: Layout, spec: Raster, pixels: Pixels, window: Window) -> None:
    """Every level as GDAL reads it, the georeference, the metadata; and that it is a COG."""
    expected = padded(pixels, window, whole, spec.nodata)
    with rasterio.open(path) as file:
        assert file.crs == CRS
        left, top = 3 + whole.window.col * RESOLUTION, 7 - whole.window.row * RESOLUTION
        assert file.transform == rasterio.Affine(RESOLUTION, 0, left, 0, -RESOLUTION, top)
        assert file.dtypes == (spec.dtype,) * len(spec.bands)
        np.testing.assert_equal(file.nodata, float(spec.nodata))
        assert file.scales == tuple(band.scale for band in spec.bands)
        assert file.offsets == tuple(band.offset for band in spec.bands)
        assert file.descriptions == tuple(band.description for band in spec.bands)
        assert file.tags()["AREA_OR_POINT"] == "Area"
        assert file.tags()["NOTE"] == "a < b & c"
        assert file.overviews(1) == [2**level for level in range(1, whole.levels + 1)]
        assert file.block_shapes[0] == (whole.tile, whole.tile)
        np.testing.assert_array_equal(file.read(), expected)
        known = ~(np.isnan(expected) if math.isnan(spec.nodata) else expected == spec.nodata)
        np.testing.assert_array_equal(file.read_masks() > 0, known)
    for level in range(1, whole.levels + 1):
        expected = coarser(expected, spec)
        with rasterio.open(path, overview_level=level - 1) as file:
            np.testing.assert_array_equal(file.read(), expected, err_msg=f"level {level}")
    valid, errors, _ = cog_validate(path)
    assert valid, errors


WINDOWS = {
    "on the lattice": Window(0, 0, 128, 128),
    "odd": Window(-37, 1003, 171, 95),
    "one pixel": Window(-1, -1, 1, 1),
    "one row": Window(5, -70, 203, 1),
    "far": Window(60_000_001, -900_000_003, 83, 101),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_any_window_is_read_as_it_was_written(window: Window, tmp_path: Path) -> None:
    spec = raster(bands=3)
    pixels = imagery(spec, window)
    path, whole = made(tmp_path, spec, pixels, window, shard=64)
    check(path, whole, spec, pixels, window)


SPECS = {
    "1 uint8": raster("uint8", nodata=255),
    "4 uint8": raster("uint8", 4),
    "4 uint16": raster(bands=4, nodata=65535),
    "19 float32": raster("float32", 19, math.nan),
    "1 float32": raster("float32", 1, -9999.0),
    "classes": raster("uint8", 2, classes=True),
    "many classes": raster("uint16", 1, 65535, classes=True),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_any_kind_of_pixels(spec: Raster, tmp_path: Path) -> None:
    window = Window(-13, 70, 77, 61)
    pixels = imagery(spec, window)
    path, whole = made(tmp_path, spec, pixels, window, shard=64, joined=1000)
    assert whole.own == 2
    check(path, whole, spec, pixels, window)
    if spec.dtype == "float32":
        return  # tifffile undoes the floats' predictor only with another package
    read = tifffile.imread(path)
    expected = padded(pixels, window, whole, spec.nodata).transpose(1, 2, 0)
    np.testing.assert_array_equal(read.reshape(expected.shape), expected)


def levels_of(path: Path) -> list[Pixels]:
    with rasterio.open(path) as file:
        found, count = [file.read()], len(file.overviews(1))
    for level in range(count):
        with rasterio.open(path, overview_level=level) as file:
            found.append(file.read())
    return found


@pytest.mark.parametrize("joined", [1 << 22, 2000, 1])
def test_any_tiling_gives_the_same_pixels_at_every_level(joined: int, tmp_path: Path) -> None:
    window, lattice = Window(-300, 411, 513, 390), (20, -11)
    spec = raster(bands=2)
    pixels = imagery(spec, window)
    whole_at_once = None
    for shard in (64, 128, 192, 320, 1024):
        path, whole = made(tmp_path / str(shard), spec, pixels, window, shard=shard, lattice=lattice, joined=joined)
        found = levels_of(path)
        if whole_at_once is None:
            check(path, whole, spec, pixels, window)
            whole_at_once = found
        for one, other in zip(found, whole_at_once, strict=True):
            np.testing.assert_array_equal(one, other)


WHERE = st.integers(-500, 500)
EDGE = st.integers(1, 150)


@settings(max_examples=25, deadline=None)
@given(
    window=st.builds(Window, WHERE, WHERE, EDGE, EDGE),
    times=st.sampled_from([1, 2, 3]),
    joined=st.sampled_from([300, 5000]),
    at=st.integers(-70, 70),
)
def test_two_tilings_of_any_job_agree(
    tmp_path_factory: pytest.TempPathFactory, *, window: Window, times: int, joined: int, at: int
) -> None:
    spec = raster("uint8")
    pixels = imagery(spec, window, seed=window.width)
    folder = tmp_path_factory.mktemp("cog")
    one, _ = made(folder / "one", spec, pixels, window, shard=CHUNK * times, lattice=(at, -at), joined=joined)
    other, whole = made(folder / "other", spec, pixels, window, shard=CHUNK * 8, lattice=(at, -at), joined=joined)
    for a, b in zip(levels_of(one), levels_of(other), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(levels_of(one)[0], padded(pixels, window, whole, 0))


def test_overlapping_jobs_have_the_same_overviews_where_both_have_all_pixels(tmp_path: Path) -> None:
    spec, ground = raster(), Window(0, 0, 600, 600)
    pixels = imagery(spec, ground)
    small, large = Window(130, 70, 340, 400), Window(33, 50, 500, 510)
    found = []
    for name, window in (("small", small), ("large", large)):
        part = pixels[(slice(None), *window.slices(ground))]
        path, whole = made(tmp_path / name, spec, part, window, shard=64)
        found.append((whole.window, levels_of(path)))
    for level in (1, 2, 3):
        inside = Window(144 >> level, 80 >> level, 304 >> level, 368 >> level)
        one, other = (
            levels[level][(0, *inside.slices(Window(w.col >> level, w.row >> level, 1, 1)))] for w, levels in found
        )
        np.testing.assert_array_equal(one, other)


def test_tiles_without_data_take_no_bytes(tmp_path: Path) -> None:
    window, spec = Window(0, 0, 512, 512), raster(bands=3)
    pixels = np.zeros((3, *window.shape), np.uint16)
    pixels[:, 300:310, 200:210] = 1234
    # Shards that the bbox misses have no unit at all.
    path, whole = made(tmp_path, spec, pixels, window, shard=64, keep=lambda part: part.row >= 256)
    check(path, whole, spec, pixels, window)
    with tifffile.TiffFile(path) as file:
        counts = np.array(file.pages[0].tags["TileByteCounts"].value)
        offsets = np.array(file.pages[0].tags["TileOffsets"].value)
        assert np.count_nonzero(counts) == 1
        assert ((offsets == 0) == (counts == 0)).all()
    assert path.stat().st_size < 20_000


def test_job_without_any_data_is_a_file_too(tmp_path: Path) -> None:
    window, spec = Window(3, 3, 200, 100), raster(bands=3)
    pixels = np.zeros((3, *window.shape), np.uint16)
    path, _ = made(tmp_path, spec, pixels, window, shard=64)
    with rasterio.open(path) as file:
        assert not file.read().any()
        assert not file.dataset_mask().any()


def test_big_tiff_has_the_same_pixels(tmp_path: Path) -> None:
    window, spec = Window(-20, 9, 200, 180), raster(bands=3)
    pixels = imagery(spec, window)
    path, whole = made(tmp_path, spec, pixels, window, shard=64, big=True)
    assert path.read_bytes()[:4] == b"II\x2b\0"
    check(path, whole, spec, pixels, window)
    np.testing.assert_array_equal(tifffile.imread(path), padded(pixels, window, whole, 0).transpose(1, 2, 0))


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    window, spec = Window(-20, 9, 200, 180), raster(bands=3)
    files = [made(tmp_path / name, spec, imagery(spec, window), window, shard=128)[0] for name in ("one", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_overviews_stand_before_full_resolution_and_the_smallest_first(tmp_path: Path) -> None:
    window, spec = Window(0, 0, 256, 256), raster()
    path, whole = made(tmp_path, spec, imagery(spec, window) | 1, window, shard=64, joined=20_000, tile=32)
    assert (whole.own, whole.levels) == (1, 3)
    with tifffile.TiffFile(path) as file:
        spans = []
        for page in file.pages:
            offsets, counts = (np.array(page.tags[name].value) for name in ("TileOffsets", "TileByteCounts"))
            spans.append((offsets.min(), (offsets + counts).max()))
    assert [span[0] for span in spans] == sorted((span[0] for span in spans), reverse=True)
    assert all(after[1] == before[0] for before, after in pairwise(spans))
    assert spans[0][1] == path.stat().st_size


def test_padding_is_at_most_a_quarter_of_the_job_and_nothing_is_right_of_it_or_below() -> None:
    for width, height in ((64, 64), (100, 90), (2047, 2047), (4095, 3000), (10980, 10980), (40_000, 30_000)):
        window = Window(-7, 1023, width, height)
        whole = layout(window, lattice=(0, 0), chunk=1024)
        assert (whole.window.col_end, whole.window.row_end) == (window.col_end, window.row_end)
        assert max(window.col - whole.window.col, window.row - whole.window.row) <= max(width, height) / 4
    assert layout(Window(600_000, 5, 10980, 10980), lattice=(600_000, 5), chunk=1024).window.width == 10980


def test_waiting_tiles_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fan-in holds a path of the quad tree, not a level."""
    most = 0
    add = cog.Coarse._add

    def watched(self: Any, *args: Any) -> None:
        nonlocal most
        add(self, *args)
        most = max(most, len(self._waiting))

    monkeypatch.setattr(cog.Coarse, "_add", watched)
    window, spec = Window(0, 0, 1024, 1024), raster("uint8")
    pixels = np.full((1, *window.shape), 9, np.uint8)
    _, whole = made(tmp_path, spec, pixels, window, shard=64, tile=16)
    assert whole.levels == 6
    assert 0 < most <= whole.levels


@pytest.mark.parametrize("role", ["made.0", "made.1", "made.index"])
def test_damaged_objects_never_become_a_result(role: str, tmp_path: Path) -> None:
    window, spec = Window(0, 0, 128, 128), raster()
    made(tmp_path, spec, imagery(spec, window) | 1, window, shard=64, joined=5000)
    body = next((tmp_path / "scratch").rglob(f"u0.{role}"))
    data = bytearray(body.read_bytes())
    data[-1] ^= 1
    store = FolderStore(tmp_path)
    grid = TargetGrid(CRS, RESOLUTION, 3, 7, window)
    plan = Plan.model_construct(job="job", generation=1, grid=grid)
    whole = layout(window, lattice=(0, 0), chunk=CHUNK, joined=5000)
    shards = []
    for number, window_of in enumerate(window.cells(64, 64)):
        keys = {path.name.split(".", 1)[1]: path for path in (tmp_path / "scratch").rglob(f"u{number}.made.*")}
        shards.append(
            (
                Unit(id=f"u{number}", window=window_of),
                Part(
                    unit=f"u{number}",
                    keys={name: str(path.relative_to(tmp_path)) for name, path in keys.items()},
                    sizes={name: path.stat().st_size for name, path in keys.items()},
                    digests={name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in keys.items()},
                ),
            )
        )
    body.write_bytes(data)
    out = tmp_path / "jobs" / "job" / "result" / "made.tif"
    out.unlink()
    with pytest.raises(LostWork):
        cog.join(
            ResultIO(plan=plan, store=store),
            "made.tif",
            raster=spec,
            whole=whole,
            place=Place.of(grid, whole),
            shards=shards,
        )
    assert not out.exists()


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(InvalidInput, match="set EO_SHARDS_CHUNK to a multiple of 16"):
        layout(Window(0, 0, 10, 10), lattice=(0, 0), chunk=24 + 1)
    for crs in ("ESRI:102001", "EPSG:32767", "EPSG:x"):
        with pytest.raises(InvalidInput, match="give --crs"):
            epsg(crs)
    with pytest.raises(InvalidInput, match="take 0 or 255"):
        raster("uint8", nodata=7)


def test_texts_from_outside_never_break_the_head(tmp_path: Path) -> None:
    window = Window(0, 0, 20, 20)
    told = 'Höhe <&amp;> "x"\x00\n\ud800 end'
    spec = Raster("made", "uint8", (Band(told, 1.0, 0.0, "m²"),), 0)
    path, _ = made(tmp_path, spec, imagery(spec, window), window, shard=64)
    with rasterio.open(path) as file:
        assert file.descriptions == ('Höhe <&amp;> "x"??? end',)
        assert file.units == ("m²",)


@pytest.mark.parametrize(("size", "version"), [(10_000, 42), ((1 << 32) // 4, 43)])
def test_files_of_4_gib_become_big_by_themselves(size: int, version: int, tmp_path: Path) -> None:
    """No pixels are made: four tiles, so large, are placed."""
    whole = Layout(Window(0, 0, 32, 32), 16, 0, 0)
    file = cog._File(raster(), whole, Place(32633, 0, 0, 10), {})
    file.counts[0][...] = size
    file.order = [(0, Window(1, 0, 1, 2)), (0, Window(0, 0, 1, 2))]
    head = file.head(1 << 32)
    path = tmp_path / "head.tif"
    path.write_bytes(head)
    assert head[2] == version
    with tifffile.TiffFile(path) as read:
        found = read.pages[0].tags["TileOffsets"].value
    assert found == tuple(len(head) + place * size for place in (2, 0, 3, 1))


def test_small_raster_is_written_whole(tmp_path: Path) -> None:
    spec, window = raster(bands=2), Window(0, 0, 300, 270)
    pixels = imagery(spec, window)
    io = ResultIO(plan=Plan.model_construct(job="job", generation=1), store=FolderStore(tmp_path))
    cog.write(io, "made.tif", list(pixels), raster=spec, place=Place(32633, 3, 7, 10), metadata={"NOTE": "a < b & c"})
    path = tmp_path / "jobs" / "job" / "result" / "made.tif"
    check(path, Layout(window, 256, 1, 1), spec, pixels, window)
    assert io.digests["made.tif"] == hashlib.sha256(path.read_bytes()).hexdigest()
