"""Zips as users, and others, make them."""

import io
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eo.archive import MAX_DIRECTORY, Archive
from eo.errors import CorruptData, EoShardsError, InvalidInput, NothingFound
from eo.safe_zip import SafeZip
from uploads import safe_scene, zipped


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    safe_scene(folder / "one", size=32)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> bytes:
    return zipped(folder / "one", folder / "one.zip").read_bytes()


def made(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def read(data: bytes) -> SafeZip:
    return SafeZip(Archive(io.BytesIO(data), "a.zip"))


def test_a_product_is_found_wherever_it_lies_in_the_zip(folder: Path, tmp_path: Path) -> None:
    bare = read(zipped(next((folder / "one").glob("*.SAFE")), tmp_path / "bare.zip").read_bytes())
    deep = read(zipped(folder / "one", tmp_path / "deep.zip", rename=lambda name: f"a/b c/{name}").read_bytes())
    assert bare.root == ""
    assert deep.root.startswith("a/b c/S2C_MSIL2A")
    assert bare.product == deep.product
    assert bare.image("B04") == deep.images(("B04",))["B04"].removeprefix(deep.root)


def test_what_macos_adds_is_no_second_product(folder: Path, tmp_path: Path) -> None:
    path = zipped(folder / "one", tmp_path / "mac.zip")
    with zipfile.ZipFile(path, "a") as archive:
        for name in archive.namelist():
            archive.writestr(f"__MACOSX/{name}", b"\0\5\x16\7")
    assert read(path.read_bytes()).product.level == "L2A"


def test_the_digest_is_that_of_the_content(folder: Path, whole: bytes, tmp_path: Path) -> None:
    deflated = zipped(folder / "one", tmp_path / "deflated.zip", method=zipfile.ZIP_DEFLATED).read_bytes()
    assert read(whole).archive.digest == read(deflated).archive.digest
    assert Archive(io.BytesIO(made(("a", b"1"))), "a").digest != Archive(io.BytesIO(made(("a", b"2"))), "a").digest


def test_two_products_are_refused(folder: Path, tmp_path: Path) -> None:
    safe_scene(tmp_path / "two", size=32, tile="32TQS", ulx=680_000)
    zipped(tmp_path / "two", tmp_path / "two.zip")
    with zipfile.ZipFile(tmp_path / "two.zip", "a") as archive:
        for file in sorted((folder / "one").rglob("*.xml")):
            archive.write(file, file.relative_to(folder / "one").as_posix())
    with pytest.raises(InvalidInput, match="holds 2 Sentinel-2 products instead of one"):
        read((tmp_path / "two.zip").read_bytes())


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100, b"\0" * 100_000])
def test_what_is_no_zip_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not a readable zip"):
        read(data)


def test_a_zip_of_something_else_is_refused() -> None:
    with pytest.raises(InvalidInput, match="holds 0 Sentinel-2 products"):
        read(made(("readme.txt", b"hello")))
    with pytest.raises(InvalidInput, match="has 0 granules"):
        read(made(("X.SAFE/MTD_MSIL2A.xml", b"<a/>")))
    with pytest.raises(CorruptData, match="not one of"):
        read(made(("X.SAFE/MTD_MSIL2A.xml", b"<a/>"), ("X.SAFE/GRANULE/L2A/MTD_TL.xml", b"<a/>")))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_zip_is_refused(whole: bytes, share: float) -> None:
    with pytest.raises(InvalidInput, match="may be truncated"):
        read(whole[: int(len(whole) * share)])


@pytest.mark.parametrize(
    "name", ["../evil.xml", "/etc/passwd", "a/../../b", "a\\b", "C:/windows", "a//b", "./a", "a/\x07b", "x" * 300]
)
def test_names_that_are_no_paths_inside_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="no path inside of it"):
        Archive(io.BytesIO(made(("good", b""), (name, b"evil"))), "a.zip")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="holds a twice"):
        Archive(io.BytesIO(made(("a", b"1"), ("a", b"2"))), "a.zip")


def test_an_encrypted_file_is_refused(whole: bytes) -> None:
    data = bytearray(whole)
    name = next(name for name in read(whole).archive.names if "B04" in name)
    entry = data.rindex(name.encode()) - 46  # its entry in the list of members (APPNOTE.TXT, 4.3.12)
    data[entry + 8] |= 1
    with pytest.raises(InvalidInput, match="is encrypted"):
        read(bytes(data)).image("B04")


def test_a_file_by_another_method_is_refused(folder: Path, tmp_path: Path) -> None:
    data = zipped(folder / "one", tmp_path / "bz2.zip", method=zipfile.ZIP_BZIP2).read_bytes()
    with pytest.raises(InvalidInput, match="compressed by method 12"):
        read(data)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = made(("a/MTD_MSIL2A.xml", b" " * (5 << 20)), ("a/GRANULE/b/MTD_TL.xml", b""), method=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    with pytest.raises(InvalidInput, match="more than the 4,194,304"):
        read(bomb)


def test_a_bomb_that_lies_about_its_size_is_cut_off() -> None:
    data = bytearray(made(("a", b" " * 10_000_000), method=zipfile.ZIP_DEFLATED))
    entry = data.rindex(b"a") - 46
    struct.pack_into("<I", data, entry + 24, 1000)
    with pytest.raises(CorruptData, match="cannot be unpacked"):
        Archive(io.BytesIO(bytes(data)), "a.zip").read("a", limit=2000)


def test_a_list_of_members_is_read_only_up_to_its_limit() -> None:
    data = made(*((f"{number:0200d}", b"") for number in range(MAX_DIRECTORY // 200)))
    with pytest.raises(InvalidInput, match="list of members of more than"):
        Archive(io.BytesIO(data), "a.zip")


def test_files_that_are_missing_are_named(folder: Path, tmp_path: Path) -> None:
    less = zipped(folder / "one", tmp_path / "l.zip", rename=lambda name: None if "_B04_" in name else name)
    with pytest.raises(CorruptData, match=r"B04_10m.jp2 is not in a.zip, although its product lists it"):
        read(less.read_bytes()).image("B04")
    with pytest.raises(NothingFound, match="has no band B09"):
        read(less.read_bytes()).images(("B09",))
    assert set(read(less.read_bytes()).images(("B03", "B09"), optional=("B09",))) == {"B03"}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_whatever_bytes_change_it_is_read_or_refused(whole: bytes, data: st.DataObject) -> None:
    """The end holds the list of members, so half of the changes go there."""
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(whole) - 1) | st.integers(len(whole) - 3000, len(whole) - 1))
        broken[place] = data.draw(st.integers(0, 255))
    try:
        safe = read(bytes(broken))
        for name in safe.images(("B02", "B03", "B04")).values():
            safe.archive.read(name, limit=1 << 20)
    except EoShardsError:
        pass
