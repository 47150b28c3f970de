"""Killed, stopped, doubled: the same command goes on, and the result is that of an undisturbed run."""

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from command import COMMAND, DEM_BOUNDS, Machine, Place, after, eventually, finished, group, kill_group
from scenes.edh import write_edh_zarr
from scenes.world import World

LINES = ("fetch: ", "align: ", "drape: ")
STOPPED = "eo-shards: stopped; the same command goes on where it was\n"


def _killed_again_and_again(machine: Machine, order: list[str], random_: random.Random, kills: int) -> None:
    """Kill the whole group somewhere within a run, some times, then let the command end."""
    for _ in range(kills):
        with machine.started("run", *order) as process:
            # Wait for a stage, or for none (imports, planning), then for a moment.
            word = random_.choice(("", *LINES))
            if word:
                after(process, [word])
            time.sleep(random_.uniform(0, 0.4) if word else random_.uniform(0, 1.5))
            kill_group(process.pid)
    last = machine.run("run", *order)
    assert last.code == 0, last.err


class TestKilled:
    @pytest.mark.parametrize("seed", [5])
    def test_the_result_is_that_of_an_undisturbed_run(
        self, place: Place, machine: Machine, undisturbed: dict[str, bytes], seed: int
    ) -> None:
        _killed_again_and_again(machine, machine.order(place), random.Random(seed), kills=5)
        assert machine.files() == undisturbed

    @pytest.mark.chaos
    @pytest.mark.parametrize("seed", range(100, 130))
    def test_the_result_is_that_of_an_undisturbed_run_wherever_it_is_killed(
        self, place: Place, machine: Machine, undisturbed: dict[str, bytes], seed: int
    ) -> None:
        _killed_again_and_again(machine, machine.order(place), random.Random(seed), kills=6)
        assert machine.files() == undisturbed

    def test_finished_parts_are_not_made_again(self, place: Place, machine: Machine) -> None:
        with machine.started("run", *machine.order(place)) as process:
            after(process, ["align: 0"])
            kill_group(process.pid)
        assert "stopped" in machine.run("jobs").out
        fetched = {path: path.stat().st_mtime_ns for path in (machine.home / "scratch").glob("*/1/parts/fetch/*.json")}
        assert fetched
        run = machine.run("run", *machine.order(place, "--keep-cube"))
        assert "fetch: 0 of" not in run.err
        assert {path: path.stat().st_mtime_ns for path in fetched} == fetched

    def test_no_process_outlives_its_parent(self, place: Place, machine: Machine) -> None:
        with machine.started("run", *machine.order(place)) as process:
            after(process, LINES)
            assert eventually(lambda: len(group(process.pid)) >= 3)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            assert eventually(lambda: not group(process.pid)), group(process.pid)

    def test_a_worker_that_is_killed_is_replaced(
        self, place: Place, machine: Machine, undisturbed: dict[str, bytes]
    ) -> None:
        with machine.started("run", *machine.order(place)) as process:
            killed, most = 0, 2  # all of them may do the same unit, which is given up when three have died over it
            while process.poll() is None and killed < most:
                for worker in _workers(process.pid)[: most - killed]:
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
                        killed += 1
                # Often until the first is seen: a small job's workers do not live long.
                time.sleep(0.3 if killed else 0.02)
            ended = finished(process)
        assert killed
        assert ended.code == 0, ended.err
        assert machine.files() == undisturbed

    def test_workers_that_are_always_killed_are_named(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        dem = write_edh_zarr(tmp_path / "dem.zarr", world=World(seed=3), bounds=DEM_BOUNDS).path
        _never_answering(dem / "dsm" / "c")
        order = machine.order(place, "--dem-path", str(dem))
        with machine.started("run", *order, EO_SHARDS_WORKER_MEMORY="400") as process:
            while process.poll() is None:
                for worker in _workers(process.pid):
                    with suppress(psutil.NoSuchProcess):
                        worker.kill()
                time.sleep(0.02)
            ended = finished(process)
        assert ended.code == 9
        assert ended.complaint.startswith("WorkerLost: workers were killed 3 times over unit ")
        assert "EO_SHARDS_WORKERS" in ended.complaint
        assert not machine.out.exists()


def _never_answering(folder: Path) -> None:
    """Make files such that whoever reads one waits, so that no unit is done between two looks at the workers."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for file in files:
        file.unlink()
        os.mkfifo(file)


def _workers(parent: int) -> list[psutil.Process]:
    """Children of the command's fork server, which is a child of the command.

    From the kernel's own lists: psutil looks through all processes, and a small job's workers do not live that long.
    """
    found = []
    for child in _children(parent):
        with suppress(OSError, psutil.NoSuchProcess):
            if b"forkserver" in Path(f"/proc/{child}/cmdline").read_bytes():
                found += [psutil.Process(worker) for worker in _children(child)]
    return found


def _children(parent: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return []


class TestStopped:
    @pytest.mark.parametrize("moment", [pytest.param("", marks=pytest.mark.chaos), "fetch: ", "drape: "])
    def test_ctrl_c(self, place: Place, machine: Machine, undisturbed: dict[str, bytes], moment: str) -> None:
        with machine.started("run", *machine.order(place)) as process:
            if moment:
                after(process, [moment])
            else:
                time.sleep(1)
            kill_group(process.pid, signal.SIGINT)
            ended = finished(process, timeout=10)
            assert eventually(lambda: not group(process.pid))
        assert ended.code == 130
        assert ended.err.endswith(STOPPED)
        assert "Traceback" not in ended.err
        assert ended.err.count("\n") < 10
        assert not machine.out.exists()
        assert "  stopped     point-cloud" in machine.run("jobs").out
        if moment == "drape: ":
            job = machine.run("jobs").out.split()[0]
            assert machine.run("resume", job).code == 0
            assert machine.files() == undisturbed

    @pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.chaos)])
    def test_termination_of_the_command_alone(self, place: Place, machine: Machine, number: int) -> None:
        with machine.started("run", *machine.order(place)) as process:
            after(process, ["fetch: "])
            os.kill(process.pid, number)
            ended = finished(process, timeout=10)
            assert eventually(lambda: not group(process.pid))
        assert (ended.code, ended.complaint) == (130, STOPPED.removeprefix("eo-shards: ").strip())
        assert "stopped by the user" in machine.run("jobs").out

    @pytest.mark.chaos
    def test_nohup_is_heeded(self, place: Place, machine: Machine) -> None:
        # fmt: off
        process = subprocess.Popen(
            ["bash", "-c", f"trap '' HUP; exec {COMMAND} run {' '.join(machine.order(place))}"],
            env=machine.variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        # fmt: on
        after(process, LINES)
        process.send_signal(signal.SIGHUP)
        assert finished(process).code == 0


class TestTwoAtOnce:
    def test_one_works_and_the_other_says_so(self, place: Place, machine: Machine) -> None:
        with machine.started("run", *machine.order(place)) as one:
            after(one, LINES)
            os.kill(one.pid, signal.SIGSTOP)
            other = machine.run("run", *machine.order(place))
            assert other.code == 10
            assert other.complaint.startswith(f"JobBusy: process {one.pid} is working on this job")
            assert "  running   " in machine.run("jobs").out
            assert machine.run("clean").out == ""
            os.kill(one.pid, signal.SIGCONT)
            assert finished(one).code == 0

    @pytest.mark.chaos
    def test_started_in_the_same_moment(self, place: Place, machine: Machine) -> None:
        with machine.started("run", *machine.order(place)) as one, machine.started("run", *machine.order(place)) as two:
            codes = sorted(finished(process).code for process in (one, two))
        assert codes in ([0, 10], [0, 0])  # the second may come when all is done
        assert len(list(machine.out.iterdir())) == 5

    def test_other_orders_do_not_mind(self, place: Place, machine: Machine, tmp_path: Path) -> None:
        elsewhere = machine.order(place, out=tmp_path / "deep" / "elsewhere")
        finer = machine.order(place, "--sampled-fraction", "0.5", out=tmp_path / "finer")
        with (
            machine.started("run", *machine.order(place)) as one,
            machine.started("run", *elsewhere) as two,
            machine.started("run", *finer) as three,
        ):
            assert [finished(process).code for process in (one, two, three)] == [0, 0, 0]
        plys = [(folder / "point_cloud.ply").read_bytes() for folder in (machine.out, tmp_path / "deep" / "elsewhere")]
        assert plys[0] == plys[1]
        assert machine.run("jobs").out.count("successful") == 3
