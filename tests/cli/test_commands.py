"""What a user does and sees, through the real command."""

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from command import COMMAND, Machine, Place

FILES = {
    "checksums.json",
    "index.html",
    "oblique.png",
    "point_cloud.copc.laz",
    "point_cloud.json",
    "point_cloud.ply",
    "preview.png",
}


@pytest.fixture(scope="module")
def done(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine on which the usual order is finished."""
    machine = Machine(tmp_path_factory.mktemp("done"))
    assert machine.run("run", *machine.order(place)).code == 0
    return machine


def _parts(machine: Machine) -> list[Path]:
    return sorted((machine.home / "scratch").rglob("*.json"))


def _points(machine: Machine) -> int:
    found = re.search(rb"element vertex (\d+)\n", (machine.out / "point_cloud.ply").read_bytes()[:8192])
    assert found is not None
    return int(found[1])


class TestRun:
    def test_a_run_leaves_its_files_and_says_so(self, place: Place, machine: Machine) -> None:
        run = machine.run("run", *machine.order(place))
        assert run.code == 0, run.err
        assert set(machine.files()) == FILES
        item = json.loads((machine.out / "point_cloud.json").read_text())
        points = _points(machine)
        clouds = ("point_cloud.ply", "point_cloud.copc.laz")
        size = sum((machine.out / name).stat().st_size for name in clouds) / 1e6
        assert re.search(rf"^{points:,} points, {size:,.1f} MB in \d+\.\d s, EPSG:32632, 10 m$", run.out, re.MULTILINE)
        assert re.search(
            r"^CPU by stage: fetch \d+\.\d\d s, align \d+\.\d\d s, drape \d+\.\d\d s; ", run.out, re.MULTILINE
        )
        assert all(asset["href"].startswith("./") for asset in item["assets"].values())
        assert re.search(r"largest worker \d+ MB", run.out)
        assert re.search(
            r"^in all: \d+ calls, [\d.]+ CPU s, [\d.]+ GB-s, 0 source requests \(0\.0 MB\), \d+ store requests; "
            r"on AWS about 0\.\d+ USD, [\d.]+ Wh, [\d.]+ g CO2e \(a mean grid\)$",
            run.out,
            re.MULTILINE,
        )
        assert not (machine.home / "scratch").exists() or not list((machine.home / "scratch").iterdir())
        lines = run.err.splitlines()  # plain ones, where there is no terminal
        assert re.fullmatch(r"fetch: 0 of \d+ blocks", lines[0])
        assert re.fullmatch(r"drape: (\d+) of \1 shards, [\d,]+ points", lines[-1])
        assert not any("\x1b" in line or "\r" in line for line in lines)
        assert str(machine.folder) not in json.dumps(item)
        assert str(place.folder) not in json.dumps(item)

    def test_a_bar_on_a_terminal(self, place: Place, machine: Machine) -> None:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [COMMAND, "run", *machine.order(place)],
            env=machine.variables | {"TERM": "xterm"},
            stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:  # the end of a terminal
            pass
        assert process.wait(60) == 0
        assert b"\x1b[" in shown
        assert "━".encode() in shown
        assert b"points" in shown

    def test_again_checks_digests_and_does_nothing(self, place: Place, done: Machine) -> None:
        before = {path: path.stat().st_mtime_ns for path in done.out.iterdir()}
        again = done.run("run", *done.order(place))
        assert again.code == 0
        assert "was finished before" in again.out
        assert f"{len(FILES)} digests checked" in again.out
        assert again.err == ""
        assert {path: path.stat().st_mtime_ns for path in done.out.iterdir()} == before

    def test_it_needs_neither_catalogue_nor_decoder_again(self, place: Place, done: Machine, tmp_path: Path) -> None:
        heavy = ("rasterio", "zarr", "shapely", "pystac_client", "requests")
        for name in heavy:
            (tmp_path / f"{name}.py").write_text("raise ImportError('not needed here')")
        path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
        assert "was finished before" in done.run("run", *done.order(place), PYTHONPATH=path).out
        assert json.loads(done.run("describe", "point-cloud", PYTHONPATH=path).out)["id"] == "point-cloud"
        assert "successful" in done.run("jobs", PYTHONPATH=path).out

    def test_a_result_that_is_not_what_it_was_is_made_again(
        self, place: Place, machine: Machine, undisturbed: dict[str, bytes]
    ) -> None:
        assert machine.run("run", *machine.order(place)).code == 0
        ply = machine.out / "point_cloud.ply"
        ply.write_bytes(ply.read_bytes()[:-1] + b"?")
        assert "was finished before" not in machine.run("run", *machine.order(place)).out
        assert machine.files() == undisturbed
        shutil.rmtree(machine.out)
        assert "was finished before" not in machine.run("run", *machine.order(place)).out
        assert machine.files() == undisturbed
        new = machine.run("run", *machine.order(place, "--new"))
        assert new.code == 0
        assert "drape: 0 of" in new.err
        assert machine.files() == undisturbed

    @pytest.mark.chaos
    def test_with_the_cube_kept_only_the_merge_is_done_again(self, place: Place, machine: Machine) -> None:
        machine.run("run", *machine.order(place, "--keep-cube"))
        assert _parts(machine)
        (machine.out / "preview.png").unlink()
        again = machine.run("run", *machine.order(place))
        assert again.code == 0
        assert not re.search(r"(fetch|align|drape): 0 of", again.err)
        assert set(machine.files()) == FILES

    def test_relative_paths_mean_the_same_job_from_anywhere(
        self, place: Place, machine: Machine, tmp_path: Path
    ) -> None:
        order = machine.order(place)
        order[order.index("--catalog") + 1] = "catalog"
        order[order.index("--dem-path") + 1] = "dem.tif"
        assert machine.run("run", *order, cwd=place.folder).code == 0
        job = machine.run("jobs").out.split()[0]
        (machine.out / "preview.png").unlink()
        assert machine.run("resume", job, cwd=tmp_path).code == 0
        assert "was finished before" in machine.run("run", *order, cwd=place.folder).out

    @pytest.mark.parametrize("made", ["ply", "copc"])
    def test_without_masking_classes_are_for_copc_alone(self, place: Place, machine: Machine, made: str) -> None:
        run = machine.run("plan", *machine.order(place, "--no-mask-clouds", "--format", made), "--json")
        plan = json.loads(run.out)
        assert (plan["inputs"]["mask_clouds"], plan["inputs"]["format"]) == (False, [made])
        assert any("SCL" in name for name in plan["sources"]) is (made == "copc")


class TestOptions:
    def test_every_input_is_an_option_with_its_meaning(self, machine: Machine) -> None:
        text = machine.run("run", "point-cloud", "--help").out
        schema = json.loads(machine.run("describe", "point-cloud").out)["inputs"]
        for name in schema["properties"]:
            assert f"--{name.replace('_', '-')}" in text
        assert "--no-mask-clouds" in text
        assert "sentinel-2-l2a|sentinel-2-l1c" in text

    def test_every_kind_of_input_arrives(self, place: Place, machine: Machine) -> None:
        # fmt: off
        options = {
            "datetime": "2026-06-01/..", "max-cloud-cover": "50.5", "sampled-fraction": "0.25", "max-points": "1000000",
            "resolution": "20", "crs": "EPSG:32632", "max-reflectance": "0.4", "coordinates": "absolute",
            "vertical": "orthometric", "collection": "sentinel-2-l2a",
        }
        # fmt: on
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        made = json.loads(machine.run("plan", *machine.order(place, *words), "--json").out)["inputs"]
        assert {name: str(made[name.replace("-", "_")]) for name in options} == options

    def test_western_longitudes_need_no_equals_sign(self, place: Place, machine: Machine) -> None:
        refused = machine.run("run", *machine.order(place, bbox="-3.5,40,-3.4,40.1"))
        assert refused.complaint.startswith("NothingFound")
        assert "-3.5" in refused.complaint


class TestLooking:
    def test_plan_shows_and_leaves_nothing(self, place: Place, machine: Machine) -> None:
        plan = machine.run("plan", *machine.order(place))
        assert plan.code == 0
        for word in ("grid", "EPSG:32632", place.scene.id, "points", "requests", "memory of a worker", "USD"):
            assert word in plan.out
        assert not machine.home.exists()
        assert not machine.out.exists()

    def test_a_plan_as_json_is_the_plan(self, place: Place, machine: Machine) -> None:
        made = json.loads(machine.run("plan", *machine.order(place), "--json").out)
        assert made["scenes"][0]["id"] == place.scene.id

    def test_processes(self, machine: Machine) -> None:
        assert machine.run("processes").out.startswith("point-cloud  1.")

    def test_describe_is_a_json_schema(self, machine: Machine) -> None:
        validator = pytest.importorskip("jsonschema").Draft202012Validator
        described = json.loads(machine.run("describe", "point-cloud").out)
        schema: dict[str, Any] = described["inputs"]
        validator.check_schema(schema)
        assert schema["required"] == ["bbox"]
        assert not list(validator(schema).iter_errors({"bbox": [11.2, 46.4, 11.6, 46.7], "sampled_fraction": 0.5}))
        assert list(validator(schema).iter_errors({"bbox": [11.2, 46.4, 11.6, 46.7], "sampled_fraction": 2}))


class TestJobs:
    def test_jobs_resume_and_clean(self, place: Place, machine: Machine) -> None:
        assert machine.run("jobs").out == ""
        assert machine.run("clean").out == ""
        machine.run("run", *machine.order(place, "--keep-cube"))
        listed = machine.run("jobs").out
        assert re.fullmatch(r"[0-9a-f]{16}  \S+Z  successful  point-cloud  \S+  [\d,]+ points\n", listed)
        job = listed.split()[0]
        assert "was finished before" in machine.run("resume", job[:6]).out
        assert re.fullmatch(rf"{job}  \d+\.\d MB freed\n", machine.run("clean", job[:6]).out)
        assert not _parts(machine)
        assert "was finished before" in machine.run("resume", job).out
        assert machine.run("clean").out == ""

    def test_what_a_killed_clean_has_left(self, place: Place, machine: Machine) -> None:
        machine.run("run", *machine.order(place, "--keep-cube"))
        (scratch,) = (machine.home / "scratch").iterdir()
        rest = scratch.rename(scratch.with_name(f".deleted-0123abcd-{scratch.name}"))
        shutil.rmtree(next(rest.glob("1/cube.zarr/*/")))
        (machine.out / "preview.png").unlink()
        assert machine.run("run", *machine.order(place, "--keep-cube")).code == 0
        assert re.fullmatch(rf"{scratch.name}  \d+\.\d MB freed\n", machine.run("clean").out)
        assert not list((machine.home / "scratch").iterdir())
        assert [path.name for path in (machine.home / "jobs").iterdir()] == [scratch.name]

    def test_an_unknown_job_is_refused(self, machine: Machine) -> None:
        for command in ("resume", "clean"):
            refused = machine.run(command, "abc")
            assert refused.code == 2
            assert refused.complaint == "InvalidInput: job 'abc': there is none; `eo-shards jobs` lists them"

    def test_records_that_are_not_readable(self, place: Place, machine: Machine, undisturbed: dict[str, bytes]) -> None:
        machine.run("run", *machine.order(place))
        (folder,) = (machine.home / "jobs").iterdir()
        (folder / "request.json").write_text("{")
        assert "order it again" in machine.run("resume", folder.name).complaint
        (folder / "status.json").write_text("")
        assert machine.run("jobs").out == ""
        (folder / "plan.json").write_text("{}")
        # A plan that cannot be read is made anew: nothing else of the job could be trusted either.
        again = machine.run("run", *machine.order(place))
        assert again.code == 0, again.err
        assert "fetch: 0 of" in again.err
        assert machine.files() == undisturbed

    def test_a_reader_that_goes_is_no_error(self, place: Place, done: Machine) -> None:
        shell = f"{COMMAND} plan {' '.join(done.order(place))} --json | head -c 1"
        run = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {shell}"], env=done.variables, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout, run.stderr) == (0, "{", "")
