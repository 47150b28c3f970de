"""PLY bodies and headers, held against independent readers."""

import io
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from eo import ply
from eo.errors import CorruptData, InvalidInput
from readers import Points, read_cloudcompare, read_open3d, read_plyfile

COMMENTS = [
    ("generator", "eo-shards 0.1.0"),
    ("crs", "EPSG:32632"),
    ("vertical", "EPSG:3855"),
    ("offset_x", "600005.0"),
    ("scene", "S2A_one"),
    ("scene", "S2B_two"),
    ("contains", "modified Copernicus Sentinel data 2026"),
    ("long", "x" * (ply.MAX_LINE - len("comment long "))),
]


def cloud(coordinates: ply.Coordinates, count: int = 1000) -> Points:
    rng = np.random.default_rng(3)
    xyz = rng.uniform([-9000, -9000, -50], [9000, 9000, 4800], (count, 3))
    xyz = (
        xyz.astype(np.float32).astype(np.float64) if coordinates == "local" else xyz + np.array([600_000, 5_200_000, 0])
    )
    return xyz, rng.integers(0, 256, (count, 3), dtype=np.uint8)


def body(points: Points, coordinates: ply.Coordinates) -> NDArray[np.void]:
    xyz, rgb = points
    return ply.encode(xyz[:, 0], xyz[:, 1], xyz[:, 2], (rgb[:, 0], rgb[:, 1], rgb[:, 2]), coordinates)


def write(path: Path, points: Points, coordinates: ply.Coordinates) -> Path:
    header = ply.header(len(points[0]), coordinates=coordinates, comments=COMMENTS)
    path.write_bytes(header + body(points, coordinates).tobytes())
    return path


@pytest.fixture(params=get_args(ply.Coordinates))
def coordinates(request: pytest.FixtureRequest) -> ply.Coordinates:
    result: ply.Coordinates = request.param
    return result


def test_a_vertex_takes_15_bytes_local_and_27_absolute() -> None:
    assert ply.vertex_dtype("local").itemsize == 15
    assert ply.vertex_dtype("absolute").itemsize == 27


def test_plyfile_reads_back_what_was_written(tmp_path: Path, coordinates: ply.Coordinates) -> None:
    points = cloud(coordinates)
    xyz, rgb = read_plyfile(write(tmp_path / "a.ply", points, coordinates))
    np.testing.assert_array_equal(xyz, points[0])
    np.testing.assert_array_equal(rgb, points[1])


def test_open3d_reads_back_what_was_written(tmp_path: Path, coordinates: ply.Coordinates) -> None:
    points = cloud(coordinates)
    xyz, rgb = read_open3d(write(tmp_path / "a.ply", points, coordinates))
    np.testing.assert_array_equal(xyz, points[0])
    np.testing.assert_array_equal(rgb, points[1])


def test_cloudcompare_reads_back_what_was_written(tmp_path: Path, coordinates: ply.Coordinates) -> None:
    points = cloud(coordinates)
    xyz, rgb = read_cloudcompare(write(tmp_path / "a.ply", points, coordinates), tmp_path)
    # CloudCompare computes in float32 relative to its own shift, here up to 18 km: half a unit in the last place.
    np.testing.assert_allclose(xyz, points[0], rtol=0, atol=0 if coordinates == "local" else 0.001)
    np.testing.assert_array_equal(rgb, points[1])


def test_bodies_join_by_concatenation(tmp_path: Path) -> None:
    xyz, rgb = cloud("local")
    parts = [
        body((xyz[part], rgb[part]), "local").tobytes() for part in (slice(300), slice(300, 300), slice(300, None))
    ]
    path = tmp_path / "joined.ply"
    path.write_bytes(ply.header(1000, coordinates="local") + b"".join(parts))
    assert path.read_bytes()[-15_000:] == body((xyz, rgb), "local").tobytes()
    np.testing.assert_array_equal(read_plyfile(path)[0], xyz)


def test_float64_input_is_rounded_once_to_float32() -> None:
    x = np.array([0.1, 1 / 3, 54321.987654321])
    vertices = ply.encode(x, x, x, (np.zeros(3, np.uint8),) * 3, "local")
    np.testing.assert_array_equal(vertices["y"], x.astype(np.float32))


def test_arrays_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        ply.encode(np.zeros(3), np.zeros(1), np.zeros(3), (np.zeros(3, np.uint8),) * 3, "local")


def test_the_header_is_read_back(tmp_path: Path, coordinates: ply.Coordinates) -> None:
    points = cloud(coordinates)
    path = write(tmp_path / "a.ply", points, coordinates)
    header = ply.read_header(path)
    assert header.count == 1000
    assert header.coordinates == coordinates
    assert header.file_size == path.stat().st_size
    assert header.comments["scene"] == ["S2A_one", "S2B_two"]
    assert [(key, value) for key, values in header.comments.items() for value in values] == COMMENTS
    np.testing.assert_array_equal(header.vertices(path), body(points, coordinates))


def test_an_empty_cloud_is_a_valid_file(tmp_path: Path, coordinates: ply.Coordinates) -> None:
    path = tmp_path / "empty.ply"
    path.write_bytes(ply.header(0, coordinates=coordinates))
    assert ply.read_header(path).vertices(path).shape == (0,)
    assert read_plyfile(path)[0].shape == (0, 3)


@given(
    st.text("!#$[]:/._-aZ09", min_size=1, max_size=20),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=300).filter(
        lambda v: v == v.strip()
    ),
)
def test_any_printable_comment_survives(key: str, value: str) -> None:
    data = ply.header(0, coordinates="local", comments=[(key, value)])
    assert data.splitlines()[2].decode() == f"comment {key} {value}"
    plyfile = pytest.importorskip("plyfile")
    assert plyfile.PlyData.read(io.BytesIO(data)).comments == [f"{key} {value}"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("scene", "a\nend_header"),
        ("scene", "a\rb"),
        ("scene", "a\x00b"),
        ("scene", "tab\tbed"),
        ("scene", "Süd"),
        ("scene", ""),
        ("scene", " padded"),
        ("", "value"),
        ("two words", "value"),
        ("line\n", "value"),
        ("scene", "x" * ply.MAX_LINE),
    ],
)
def test_comments_that_would_break_the_header_are_refused(key: str, value: str) -> None:
    with pytest.raises(InvalidInput, match="PLY comment"):
        ply.header(0, coordinates="local", comments=[(key, value)])


def test_a_header_too_large_to_be_read_back_is_refused() -> None:
    with pytest.raises(InvalidInput, match="shorten"):
        ply.header(0, coordinates="local", comments=[("k", "x" * 900)] * 1200)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(InvalidInput, match="-1"):
        ply.header(-1, coordinates="local")


GOOD = ply.header(2, coordinates="local", comments=[("crs", "EPSG:32632")])


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "not a PLY file"),
        (b"PK\x03\x04zip", "PK"),
        (GOOD[:60], "no line"),
        (GOOD.replace(b"binary_little_endian", b"ascii"), "ascii"),
        (GOOD.replace(b"binary_little_endian", b"binary_big_endian"), "big_endian"),
        (GOOD.replace(b"float z", b"double z"), "neither"),
        (GOOD.replace(b"uchar blue", b"uchar alpha"), "alpha"),
        (GOOD.replace(b"uchar blue", b"list uchar int vertex_indices"), "vertex_indices"),
        (GOOD.replace(b"element vertex", b"element face"), "face"),
        (GOOD.replace(b"vertex 2", b"vertex -2"), "-2"),
        (GOOD.replace(b"vertex 2", b"vertex " + b"9" * 5000), "999"),
        (GOOD.replace(b"\n", b"\r\n"), "not a PLY file"),
        (GOOD.replace(b"vertex 2", b"vertex 2\nelement vertex 2"), "element vertex"),
        (GOOD.replace(b"element vertex 2\n", b""), "property"),
        (GOOD.replace(b"EPSG", b"\xff\xfe"), "ASCII"),
        (GOOD + b"\0" * 29, "29|2 vertices"),
        (GOOD + b"\0" * 31, "2 vertices"),
    ],
)
def test_anything_else_is_refused_with_what_was_found(tmp_path: Path, data: bytes, found: str) -> None:
    path = tmp_path / "bad.ply"
    path.write_bytes(data)
    with pytest.raises(CorruptData, match=found):
        ply.read_header(path)
