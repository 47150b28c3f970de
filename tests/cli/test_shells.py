"""What shells and their habits do to the command."""

import os
import subprocess

from command import COMMAND, Machine, Place


def test_a_reader_of_the_progress_may_go_away(place: Place, machine: Machine) -> None:
    """As `2>&1 | head -1` does it."""
    reading, writing = os.pipe()
    process = subprocess.Popen(
        [COMMAND, "run", *machine.order(place)], env=machine.variables, stdout=subprocess.PIPE, stderr=writing
    )
    os.close(writing)
    os.close(reading)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    assert b" points, " in out
    assert "point_cloud.ply" in machine.files()


def test_an_empty_folder_name_is_refused(place: Place, machine: Machine) -> None:
    order = machine.order(place)
    order[order.index("--out") + 1] = ""
    ended = machine.run("run", *order, cwd=machine.folder)
    assert ended.code == 2
    assert "--out" in ended.err
    assert "empty" in ended.err


def test_a_folder_has_one_name(place: Place, machine: Machine) -> None:
    assert machine.run("run", *machine.order(place)).code == 0
    roundabout = machine.order(place, out=machine.out / ".." / machine.out.name)
    assert "was finished before" in machine.run("run", *roundabout).out


def test_missing_keys_are_named_before_any_catalogue_is_asked(machine: Machine) -> None:
    ended = machine.run("plan", "point-cloud", "--bbox", "11.2,46.4,11.3,46.5", CDSE_STAC_URL="http://127.0.0.1:9/v1")
    assert ended.code == 6
    assert "CDSE_KEY and CDSE_SECRET" in ended.err


def test_a_plan_never_promises_more_points_than_pixels(place: Place, machine: Machine) -> None:
    order = machine.order(place, bbox="11.246,46.643,11.24601,46.64301")
    ended = machine.run("plan", *order, "--sampled-fraction", "1")
    assert ended.code == 0, ended.err
    assert "up to 1 of 1 pixels" in ended.out
