"""What `inspect` says of a point cloud, a damaged one and a foreign one."""

import json
import re
import shutil
from pathlib import Path

import pytest

from command import Machine, Place


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
        (b"II*\x00 and so on", 5, "is not a PLY file"),
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
