"""What `inspect` says of a point cloud, of a GeoTIFF, and of damaged and foreign ones."""

import hashlib
import json
import re
import shutil
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine

from command import Machine, Place
from eo.checksums import document, pieces


@pytest.fixture(scope="module")
def done(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which the usual order is finished."""
    machine = Machine(tmp_path_factory.mktemp("done"))
    assert machine.run("run", *machine.order(place)).code == 0
    return machine


def test_inspect(done: Machine, tmp_path: Path) -> None:
    picture, before = tmp_path / "look.png", set(done.out.iterdir())
    shown = done.run("inspect", str(done.out / "point_cloud.ply"), "--picture", str(picture))
    assert shown.code == 0, shown.err
    count = re.search(rb"element vertex (\d+)\n", (done.out / "point_cloud.ply").read_bytes()[:8192])
    assert count is not None
    assert f"{int(count[1]):,}" in shown.out
    for word in ("EPSG:32632", "EPSG:3855", "x range", "z range"):
        assert word in shown.out
    assert re.search(r"^checksum +intact, \d+ pieces$", shown.out, re.MULTILINE)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert set(done.out.iterdir()) == before


def test_inspect_compares_the_file_with_its_checksums(done: Machine, tmp_path: Path) -> None:
    ply, sums = tmp_path / "point_cloud.ply", tmp_path / "checksums.json"
    data = bytearray((done.out / "point_cloud.ply").read_bytes())
    ply.write_bytes(data)
    assert "checksum" not in done.run("inspect", str(ply)).out
    shutil.copy(done.out / "checksums.json", sums)
    assert "checksum            intact" in done.run("inspect", str(ply)).out
    pieces = json.loads(sums.read_text())["point_cloud.ply"]["pieces"]
    last = pieces[-1]
    data[last["offset"] + 7] ^= 1
    ply.write_bytes(data)
    shown = done.run("inspect", str(ply))
    assert shown.code == 5
    assert f"bytes {last['offset']:,} to {last['offset'] + last['size'] - 1:,} differ" in shown.complaint
    sums.write_bytes(b"{")
    shown = done.run("inspect", str(ply))
    assert shown.code == 5
    assert "checksums.json is not what was written" in shown.complaint
    sums.write_bytes(b"{}")
    assert done.run("inspect", str(ply)).code == 0


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", 5, "is not a PLY file"),
        (b"\x89PNG\r\n\x1a\n", 5, "is not a PLY file"),
        (b"II*\x00 and so on", 5, "is not a readable GTiff file"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n", 5, "only that format"),
        (
            b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty int a\nend_header\n1234",
            5,
            "property int a",
        ),
        ("cut", 5, "cut off"),
        ("long", 5, "was changed"),
        (None, 2, "No such file"),
        ("folder", 2, "Is a directory"),
    ],
)
def test_inspect_of_a_foreign_or_broken_file(
    done: Machine, tmp_path: Path, content: bytes | str | None, code: int, words: str
) -> None:
    path = tmp_path / "some.ply"
    own = (done.out / "point_cloud.ply").read_bytes()
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content if isinstance(content, bytes) else {"cut": own[:-7], "long": own + b"x"}[content])
    shown = done.run("inspect", str(path))
    assert shown.code == code
    assert words in shown.complaint
    assert not path.with_suffix(".inspect.png").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("land_cover.parquet", "geopandas.read_parquet"),
        ("land_cover.geojson", "QGIS"),
        ("statistics.json", "text editor"),
        ("land_cover.png", "browser"),
    ],
)
def test_inspect_of_another_file_of_a_result_says_what_shows_it(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"{}")
    shown = Machine(tmp_path).run("inspect", str(tmp_path / name))
    assert shown.code == 2
    assert f"inspect knows PLY, LAS, LAZ, COPC and GeoTIFF files; {name} is " in shown.complaint
    assert words in shown.complaint


def lines(shown: Any) -> dict[str, str]:
    assert shown.code == 0, shown.err
    return dict(re.split(r" {2,}|(?<=^class \d\d) ", line, maxsplit=1) for line in shown.out.splitlines())


def test_inspect_of_a_copc_says_what_is_in_it(done: Machine, tmp_path: Path) -> None:
    path, picture = done.out / "point_cloud.copc.laz", tmp_path / "look.png"
    told = lines(done.run("inspect", str(path), "--picture", str(picture)))
    points = laspy.read(path)
    assert told["format"] == "COPC 1.0, LAS 1.4, point format 7"
    assert told["crs"] == "EPSG:32632+EPSG:3855 (WGS 84 / UTM zone 32N + EGM2008 height)"
    assert told["points"] == f"{len(points):,}"
    assert re.fullmatch(r"intact, \d+ pieces?", told["checksum"])
    for axis, values in (("x", points.x), ("y", points.y), ("z", points.z)):
        assert told[f"{axis} range"] == f"{values.min():,.3f} to {values.max():,.3f}"
    counts = {code: int(np.sum(points.classification == code)) for code in (1, 4, 9, 21)}
    for code, name in ((1, "unclassified"), (4, "vegetation"), (9, "water"), (21, "snow")):
        assert told.get(f"class {code}") == (f"{counts[code]:,} ({name})" if counts[code] else None)
    # Adjusted GPS time is of 1980-01-06 and a billion seconds later, 18 leap seconds ahead of UTC since 2017.
    sensed = datetime(1980, 1, 6, tzinfo=UTC) + timedelta(seconds=1e9 - 18 + float(points.gps_time[0]))
    assert told["sensed"] == sensed.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    levels = re.fullmatch(r"(\d+) levels, [\d,]+ nodes with points, ([\d.]+) m apart at the deepest", told["octree"])
    assert levels is not None
    # A fifth of the pixels of 10 m are points.
    assert float(levels[2]) == pytest.approx(10 / 0.2**0.5, abs=0.001)
    drawn = np.asarray(Image.open(picture))
    assert drawn.shape[2] == 4
    assert (drawn[..., 3] > 0).mean() > 0.5
    assert len(np.unique(drawn[drawn[..., 3] > 0], axis=0)) > 50


def test_inspect_reads_what_others_write(tmp_path: Path) -> None:
    """An old format with colours of 8 bits, no CRS and no times; bounds that its header has wrong are told."""
    header = laspy.LasHeader(point_format=2, version="1.2")
    header.scales = np.full(3, 0.01)
    file = laspy.LasData(header)
    file.x, file.y, file.z = np.array([[0.0, 10, 20], [0.0, 5, 5], [1.0, 2, 3]])
    file.red = file.green = file.blue = np.array([10, 200, 255], np.uint16)
    file.classification = np.array([2, 2, 6], np.uint8)
    path = tmp_path / "old.las"
    file.write(path)
    data = bytearray(path.read_bytes())
    data[179:187] = struct.pack("<d", 99.0)  # the largest x
    path.write_bytes(data)
    told = lines(Machine(tmp_path).run("inspect", str(path)))
    assert told["format"] == "LAS 1.2, point format 2"
    assert told["crs"].startswith("none")
    assert told["x range"] == "0.000 to 20.000 (by its header 0.000 to 99.000)"
    assert (told["class 2"], told["class 6"]) == ("2 (ground)", "1 (building)")
    assert not {"octree", "sensed", "checksum"} & told.keys()
    assert (tmp_path / "old.inspect.png").is_file()


@pytest.mark.parametrize("spoil", ["cut", "lengths", "chunk", "copc"])
def test_inspect_of_a_damaged_copc_says_so(done: Machine, tmp_path: Path, spoil: str) -> None:
    data = bytearray((done.out / "point_cloud.copc.laz").read_bytes())
    if spoil == "cut":
        del data[len(data) // 2 :]
    elif spoil == "lengths":
        data[96:104] = b"\xff" * 8  # where the points begin, and how many records there are
    elif spoil == "copc":
        data[469:485] = b"\xff" * 16  # where the hierarchy is
    else:
        middle = len(data) // 2
        data[middle : middle + 3000] = bytes(3000)
    path = tmp_path / "point_cloud.copc.laz"
    path.write_bytes(data)
    shown = Machine(tmp_path).run("inspect", str(path))
    if spoil == "chunk" and shown.code == 0:
        # The codec has no checksum; those beside a result have.
        shutil.copy(done.out / "checksums.json", tmp_path)
        shown = Machine(tmp_path).run("inspect", str(path))
    assert shown.code == 5, (shown.out, shown.err)
    assert re.search("not a readable LAS file|differ|by its header", shown.complaint)
    assert not (tmp_path / "point_cloud.copc.inspect.png").exists() or spoil == "chunk"


def geotiff(path: Path, values: np.ndarray[Any, Any], **more: Any) -> Path:
    """Bands (bands, rows, columns) in tiles of 256 pixels, with overviews at a half and a quarter."""
    count, height, width = values.shape
    profile = {
        "count": count, "height": height, "width": width, "dtype": values.dtype, "tiled": True, "compress": "deflate",
        "crs": "EPSG:32633", "transform": Affine(10, 0, 600_000, 0, -10, 5_100_000), "blockxsize": 256, "blockysize": 256,
    }  # fmt: skip
    with rasterio.open(path, "w", driver="GTiff", **profile | more) as file:
        file.write(values)
        file.build_overviews([2, 4], Resampling.nearest)
    return path


def test_inspect_of_a_geotiff_says_what_and_where_it_is(tmp_path: Path) -> None:
    values = np.zeros((2, 1500, 2400), np.uint16)
    values[0, :, 600:], values[1] = 3000, 2000
    path = geotiff(tmp_path / "made.tif", values, nodata=0)
    with rasterio.open(path, "r+") as file:
        file.descriptions, file.scales, file.offsets = ("B02", "B08"), (1e-4, 1e-4), (-0.1, 0)
        file.colorinterp = (ColorInterp.blue, ColorInterp.undefined)
        file.update_tags(MODEL="physics")
    shown = Machine(tmp_path).run("inspect", str(path))
    assert shown.code == 0, shown.err
    found = [re.split(r" {2,}", line, maxsplit=1) for line in shown.out.splitlines()]
    assert found == [
        ["model", "physics"],
        ["size", "2,400 x 1,500 pixels"],
        ["crs", "EPSG:32633"],
        ["pixel", "10 x 10"],
        ["x range", "600,000.000 to 624,000.000"],
        ["y range", "5,085,000.000 to 5,100,000.000"],
        ["stored in", "tiles of 256 x 256 pixels, DEFLATE"],
        ["overviews", "1/2, 1/4"],
        ["statistics of", "800 x 500 pixels, one in 3 x 3"],
        ["band 1", "B02, uint16, blue, no data 0, value = stored x 0.0001 - 0.1"],
        ["", "75.0 % with data, 0.2 to 0.2, mean 0.2, std 0"],
        ["band 2", "B08, uint16, undefined, no data 0, value = stored x 0.0001"],
        ["", "100.0 % with data, 0.2 to 0.2, mean 0.2, std 0"],
    ]


def test_inspect_counts_codes_and_needs_no_place(tmp_path: Path) -> None:
    codes = np.full((1, 100, 100), 1, np.uint8)
    codes[0, :25], codes[0, 25:50] = 6, 0
    path = geotiff(tmp_path / "codes.tif", codes, nodata=0, crs=None, transform=None)
    shown = Machine(tmp_path).run("inspect", str(path))
    assert "75.0 % with data; of these 1: 66.7 %, 6: 33.3 %" in shown.out
    assert re.search("^crs +none", shown.out, re.MULTILINE)
    empty = geotiff(tmp_path / "empty.tif", np.full((1, 9, 9), np.nan, np.float32))
    assert "0.0 % with data\n" in Machine(tmp_path).run("inspect", str(empty)).out


def test_inspect_compares_a_geotiff_with_its_checksums(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "made.tif", np.ones((1, 64, 64), np.uint8))
    data = path.read_bytes()
    sums = document({"made.tif": pieces([(len(data), hashlib.sha256(data).hexdigest())])})
    (tmp_path / "checksums.json").write_bytes(sums)
    assert re.search("^checksum +intact, 1 piece$", Machine(tmp_path).run("inspect", str(path)).out, re.MULTILINE)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    shown = Machine(tmp_path).run("inspect", str(path))
    assert shown.code == 5
    assert "differ" in shown.complaint


def test_inspect_draws_no_geotiff_and_refuses_one_that_is_cut_off(tmp_path: Path) -> None:
    values = np.random.default_rng(1).integers(0, 255, (1, 600, 600)).astype(np.uint8)
    path = geotiff(tmp_path / "made.tif", values)
    shown = Machine(tmp_path).run("inspect", str(path), "--picture", str(tmp_path / "look.png"))
    assert shown.code == 2
    assert "open the file in QGIS" in shown.complaint
    path.write_bytes(path.read_bytes()[:100_000])
    shown = Machine(tmp_path).run("inspect", str(path))
    assert shown.code == 5
    assert "made.tif" in shown.complaint
