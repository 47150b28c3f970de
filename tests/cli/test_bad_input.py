"""What cannot work ends with one clear line, an exit code of its class, and nothing in the folder of the result."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from command import COMMAND, Machine, Place

INVALID, NOTHING, TOO_LARGE, CORRUPT, DENIED, UNAVAILABLE = 2, 3, 4, 5, 6, 7


def _refused(machine: Machine, code: int, *words: str, order: list[str], command: str = "run") -> str:
    """Run what has to fail; gives its one line."""
    run = machine.run(command, *order)
    assert run.code == code, run.err
    for word in words:
        assert word in run.complaint
    assert run.out == ""
    assert not machine.out.exists()
    return run.complaint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bbox", "11.2,46.4,11.6"], ["3 numbers instead of four", "11.2,46.4,11.6"]),
        (["--bbox", "a,b,c,d"], ["a,b,c,d"]),
        (["--bbox", ""], ["min_lon,min_lat,max_lon,max_lat"]),
        (["--bbox", "11.2,nan,11.6,46.7"], ["nan"]),
        (["--bbox", "11.2,46.7,11.6,46.4"], ["46.7", "46.4"]),
        (["--bbox", "11.2,46.4,11.2,46.7"], ["11.2"]),
        (["--bbox", "11.2,46.4,11.6,46.4"], ["46.4"]),
        (["--bbox", "11.2,46.4,11.6,96.7"], ["96.7", "90"]),
        (["--bbox", "-190,46.4,11.6,46.7"], ["-190", "180"]),
        (["--bbox", "11.2,46.4,inf,46.7"], ["inf"]),
        (["--sampled-fraction", "nan"], ["sampled_fraction", "nan"]),
        (["--sampled-fraction", "0"], ["sampled_fraction", "0", "greater than 0"]),
        (["--sampled-fraction", "2"], ["sampled_fraction", "2", "less than or equal to 1"]),
        (["--sampled-fraction", "-0.5"], ["sampled_fraction", "-0.5"]),
        (["--sampled-fraction", "half"], ["sampled_fraction", "half"]),
        (["--max-points", "0"], ["max_points"]),
        (["--max-cloud-cover", "101"], ["max_cloud_cover", "101", "100"]),
        (["--datetime", "yesterday"], ["datetime", "yesterday", "2026-06-01"]),
        (["--datetime", "2026-09-01/2026-06-01"], ["ends before it starts"]),
        (["--datetime", "2026-02-30"], ["2026-02-30"]),
        (["--collection", "landsat"], ["collection", "landsat", "sentinel-2-l2a"]),
        (["--source", "cdse"], ["catalog"]),
        (["--dem", "earth-data-hub"], ["dem_path"]),
        (["--resolution", "0"], ["resolution"]),
        (["--resolution", "12.5"], ["resolution", "12.5"]),
        (["--crs", "EPSG 32632"], ["crs", "EPSG 32632"]),
    ],
    ids=lambda value: " ".join(value) if value and value[0].startswith("--") else None,
)
def test_an_input_out_of_bounds(place: Place, machine: Machine, options: list[str], words: list[str]) -> None:
    complaint = _refused(machine, INVALID, *words, order=machine.order(place, *options))
    assert complaint.startswith("InvalidInput: ")
    assert len(complaint) < 400
    assert not machine.home.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "point-clouds"], "invalid choice: 'point-clouds'"),
        (["run", "point-cloud"], "required: --bbox"),
        (["run", "point-cloud", "--bbox", "1,2,3,4", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["run", "point-cloud", "--bbox"], "argument --bbox: expected one argument"),
        (["walk"], "invalid choice: 'walk'"),
        ([], "required: COMMAND"),
        (["describe", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_a_command_that_is_not_understood(machine: Machine, arguments: list[str], words: str) -> None:
    run = machine.run(*arguments)
    assert run.code == 2
    assert words in run.complaint
    assert "--help" in run.complaint
    assert run.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--bbox=-180,-90,180,90"], INVALID, ["bbox"]),
        (["--bbox", "12.5,46.625,12.6,46.64"], NOTHING, ["12.5"]),
        (["--datetime", "2020-01-01/2020-02-01"], NOTHING, ["dates"]),
        (["--collection", "sentinel-2-l1c"], NOTHING, ["collection"]),
        (["--catalog", "/nowhere/at/all"], INVALID, ["/nowhere/at/all", "not a folder"]),
        (["--dem-path", "/nowhere/dem.tif"], INVALID, ["/nowhere/dem.tif", "does not exist"]),
        (["--dem-path", __file__], CORRUPT, ["test_bad_input.py is no elevation", "name a GeoTIFF, JPEG 2000 or Zarr"]),
        (["--crs", "EPSG:4326"], INVALID, ["EPSG:4326"]),
        (["--crs", "EPSG:99999"], INVALID, ["EPSG:99999"]),
        (["--max-points", "10"], TOO_LARGE, ["max_points is 10", "sampled_fraction"]),
        (["--resolution", "1"], INVALID, ["resolution 1 m", "10 m"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and value[0].startswith("--") else None,
)
def test_an_order_that_no_source_answers(
    place: Place, machine: Machine, options: list[str], code: int, words: list[str]
) -> None:
    # Mostly by `plan`, which is half the work.
    command = "run" if options[0] == "--datetime" else "plan"
    _refused(machine, code, *words, order=machine.order(place, *options), command=command)


def test_little_memory_is_refused_before_anything_runs(place: Place, machine: Machine) -> None:
    machine.environment["EO_SHARDS_WORKER_MEMORY"] = "64"
    _refused(machine, TOO_LARGE, "64 MB", "EO_SHARDS_WORKER_MEMORY", order=machine.order(place))


def _flip(path: Path) -> None:
    """Zeros in the middle of the code stream, behind its headers."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(byte ^ 0x5A for byte in data[middle : middle + 600])
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _text(path: Path) -> None:
    path.write_text("<html>502 Bad Gateway</html>")


class TestBrokenFiles:
    @pytest.mark.parametrize(
        "spoil", [_cut, _text, lambda path: path.write_bytes(b"")], ids=["truncated", "text", "empty"]
    )
    def test_a_spoilt_image(
        self, place: Place, machine: Machine, tmp_path: Path, spoil: Callable[[Path], object]
    ) -> None:
        own = place.copied(tmp_path / "own")
        spoil(own.file("SCL"))
        _refused(machine, CORRUPT, own.file("SCL").name, order=machine.order(own))

    def test_flipped_bytes_are_found_or_change_nothing_else(
        self, place: Place, machine: Machine, tmp_path: Path
    ) -> None:
        """JPEG 2000 without checksums: OpenJPEG notices some broken code blocks and decodes others to noise."""
        own = place.copied(tmp_path / "own")
        _flip(own.file("B03"))
        run = machine.run("run", *machine.order(own))
        if run.code:
            assert run.code == CORRUPT
            assert own.file("B03").name in run.complaint
            assert not machine.out.exists()

    def test_a_file_that_is_mended_lets_the_same_command_go_on(
        self, place: Place, machine: Machine, tmp_path: Path, undisturbed: dict[str, bytes]
    ) -> None:
        own = place.copied(tmp_path / "own")
        _cut(own.file("B02"))
        _refused(machine, CORRUPT, order=machine.order(own))
        assert "failed" in machine.run("jobs").out
        shutil.copy(place.file("B02"), own.file("B02"))
        assert machine.run("run", *machine.order(own)).code == 0
        assert machine.files()["point_cloud.ply"] == undisturbed["point_cloud.ply"]

    def test_a_scene_without_the_band(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        own = place.copied(tmp_path / "own")
        (path,) = own.catalog.glob("*.json")
        item = json.loads(path.read_text())
        del item["assets"]["B04_10m"]
        path.write_text(json.dumps(item))
        _refused(machine, NOTHING, "B04", order=machine.order(own))

    def test_a_catalogue_without_items(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        _refused(
            machine, NOTHING, "neither STAC items nor", order=machine.order(place, "--catalog", str(tmp_path / "empty"))
        )

    def test_an_item_that_is_none(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        own = place.copied(tmp_path / "own")
        (path,) = own.catalog.glob("*.json")
        path.write_text(path.read_text()[:200])
        _refused(machine, CORRUPT, path.name, order=machine.order(own))

    def test_a_dem_without_any_elevation_there(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        own = place.copied(tmp_path / "own")
        with rasterio.open(own.dem, "r+") as dem:
            dem.write(np.full(dem.shape, np.nan, np.float32), 1)
        complaint = _refused(machine, NOTHING, "dem.tif has no elevation", order=machine.order(own))
        assert "another dem" in complaint
        # Nothing of it is kept: with elevation in the file, the same command finds it.
        shutil.copy(place.dem, own.dem)
        assert machine.run("run", *machine.order(own)).code == 0

    def test_a_dem_that_is_elsewhere(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        own = place.copied(tmp_path / "own")
        with rasterio.open(own.dem, "r+") as dem:
            a, b, c, d, e, f, *_ = dem.transform
            dem.transform = rasterio.Affine(a, b, c + 40, d, e, f - 30)
        _refused(machine, NOTHING, "the DEM does not reach", order=machine.order(own))

    def test_a_dem_that_is_text(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        own = place.copied(tmp_path / "own")
        _text(own.dem)
        _refused(machine, CORRUPT, "dem.tif", order=machine.order(own))


class TestFolders:
    @pytest.mark.parametrize("deeper", ["", "deeper/still"])
    def test_out_that_is_a_file(self, place: Place, machine: Machine, deeper: str) -> None:
        machine.out.write_text("mine")
        run = machine.run("run", *machine.order(place, out=machine.out / deeper))
        assert run.code == INVALID
        assert f"{machine.out} is not a folder" in run.complaint
        assert machine.out.read_text() == "mine"
        assert not machine.home.exists()

    def test_home_that_is_a_file(self, place: Place, machine: Machine) -> None:
        machine.home.write_text("mine")
        complaint = _refused(machine, INVALID, str(machine.home), order=machine.order(place))
        assert "EO_SHARDS_HOME" in complaint

    @pytest.mark.parametrize("which", ["home", "out"])
    def test_a_folder_that_cannot_be_written(self, place: Place, tmp_path: Path, which: str) -> None:
        locked = tmp_path / "locked"
        locked.mkdir()
        if os.geteuid() == 0:
            mount = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", locked], capture_output=True, check=False
            )
            if mount.returncode:
                pytest.skip(f"root cannot mount here, and no permission stops it: {mount.stderr.decode().strip()}")
        else:
            locked.chmod(0o500)
        try:
            machine = Machine(tmp_path, {"EO_SHARDS_HOME": str(locked / "home")} if which == "home" else {})
            run = machine.run("run", *machine.order(place, out=locked / "out" if which == "out" else machine.out))
            assert run.code == INVALID, run.err
            assert str(locked) in run.complaint
            assert not machine.out.exists()
        finally:
            subprocess.run(["umount", locked], capture_output=True, check=False)
            locked.chmod(0o700)

    def test_a_result_that_cannot_be_replaced(self, place: Place, machine: Machine) -> None:
        (machine.out / "point_cloud.ply").mkdir(parents=True)
        run = machine.run("run", *machine.order(place))
        assert run.code == INVALID
        assert "point_cloud.ply" in run.complaint
        assert [path.name for path in machine.out.iterdir()] == ["point_cloud.ply"]

    def test_a_failure_leaves_an_earlier_result_alone(
        self, place: Place, machine: Machine, tmp_path: Path, undisturbed: dict[str, bytes]
    ) -> None:
        assert machine.run("run", *machine.order(place)).code == 0
        own = place.copied(tmp_path / "own")
        with rasterio.open(own.dem, "r+") as dem:
            dem.write(np.full(dem.shape, np.nan, np.float32), 1)
        before = {path.name: path.read_bytes() for path in machine.out.iterdir()}
        assert machine.run("run", *machine.order(own)).code == NOTHING
        assert {path.name: path.read_bytes() for path in machine.out.iterdir()} == before
        assert before["point_cloud.ply"] == undisturbed["point_cloud.ply"]


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("EO_SHARDS_WORKERS", "0"),
            ("EO_SHARDS_WORKERS", "many"),
            ("EO_SHARDS_CHUNK", "-1"),
            ("EO_SHARDS_WORKER_MEMORY", "1e99"),
        ],
    )
    def test_a_variable_out_of_bounds(self, place: Place, machine: Machine, name: str, value: str) -> None:
        machine.environment[name] = value
        _refused(machine, INVALID, f"{name}={value!r}", order=machine.order(place))

    def test_half_of_the_credentials(self, place: Place, machine: Machine) -> None:
        machine.environment["CDSE_KEY"] = "abc"
        _refused(machine, INVALID, "CDSE_SECRET is not set", order=machine.order(place))


def test_interrupted_imports_are_no_traceback(machine: Machine) -> None:
    """Ctrl-C within the first moments, which are spent on imports."""
    for delay in ("0.08", "0.15", "0.3"):
        run = subprocess.run(
            ["timeout", "--foreground", "-s", "INT", delay, COMMAND, "describe", "point-cloud"],
            env=machine.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "eo/" not in run.stderr
        assert "cli/commands" not in run.stderr
