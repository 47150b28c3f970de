"""Ctrl-C: a command and all of its processes end at once, with one line that says what to do."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from eo.errors import InvalidInput, WorkerLost
from training.command import INTERRUPTED, command
from training.parallel import mapped

BEGUN = "import os, sys, time\nfrom pathlib import Path\nfrom training.command import command\nfrom training.parallel import mapped\n"
SLEEPING = f"""{BEGUN}
def work(number):
    Path(sys.argv[1], str(os.getpid())).touch()
    time.sleep(0.02 if number % 7 else 60)

@command
def main():
    mapped(work, range(1000), workers=3, what="naps", quiet=True)
    return 0

if __name__ == "__main__":
    sys.exit(main())
"""
"""Three processes, some of which wait for a task when they are stopped, and some of which do one."""


def square(number: int) -> int:
    return number * number


def dying(folder: Path, number: int) -> int:
    """Work over which a worker is killed once."""
    if number == 3 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def killed(_number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_their_tasks(workers: int) -> None:
    assert mapped(square, range(9), workers=workers, what="squares", quiet=True) == [square(each) for each in range(9)]
    assert mapped(square, [], workers=workers, what="squares", quiet=True) == []


def test_a_worker_that_is_killed_is_replaced_and_one_that_always_is_told_of(tmp_path: Path) -> None:
    assert mapped(partial(dying, tmp_path), range(6), workers=2, what="lives", quiet=True) == list(range(6))
    with pytest.raises(WorkerLost, match=r"over the same lives.* give fewer than 2 \(--workers\)"):
        mapped(killed, range(2), workers=2, what="lives", quiet=True)


@pytest.mark.parametrize("wait", [0.0, 0.3])
def test_the_whole_group_of_processes_can_be_stopped(wait: float, tmp_path: Path) -> None:
    (tmp_path / "nap.py").write_text(SLEEPING)
    (tmp_path / "begun").mkdir()
    # As a terminal does it, the signal goes to each process.
    process = subprocess.Popen(
        [sys.executable, tmp_path / "nap.py", tmp_path / "begun"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not any((tmp_path / "begun").iterdir()):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        for each in psutil.process_iter():
            if each.pid != process.pid and _group(each) == process.pid:
                each.kill()
        process.kill()
    assert (process.returncode, out, err) == (INTERRUPTED, "", "stopped: run the same command again\n")
    assert not [each for each in (tmp_path / "begun").iterdir() if psutil.pid_exists(int(each.name))]


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "stopped: run the same command again\n"),
        (KeyboardInterrupt("begin anew"), 130, "stopped: begin anew\n"),
        (InvalidInput("no such thing"), InvalidInput.exit_code, "error: no such thing\n"),
    ],
)
def test_a_command_says_what_it_could_not_do(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    @command
    def main() -> int:
        raise error

    assert main() == code
    assert capsys.readouterr().err == said
