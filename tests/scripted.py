"""Stages that do what a script says, call by call, and count their calls. Workers import this module by its name."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from eo.errors import EoShardsError, NothingFound, SourceUnavailable
from eo.job import Part, Unit
from eo.unit_io import UnitIO

ERRORS: dict[str, type[EoShardsError]] = {"nothing": NothingFound, "unavailable": SourceUnavailable}


class OddError(Exception):
    """Cannot be read back once it is pickled, like the exceptions of many libraries."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def calls(folder: Path, unit: str) -> int:
    path = folder / f"{unit}.calls"
    return len(path.read_text()) if path.exists() else 0


def script(folder: Path, unit: str, *actions: str) -> None:
    """What the calls of a unit do, in turn; later ones succeed. `once u0: act` waits until unit u0 has been called."""
    (folder / f"{unit}.script").write_text(json.dumps(actions))


def first(unit: Unit, state: Any, io: UnitIO) -> Part:
    """Follow the script."""
    assert state is None
    folder = Path(io.plan.inputs["folder"])
    count = calls(folder, unit.id)
    with (folder / f"{unit.id}.calls").open("a") as file:
        file.write("x")
    path = folder / f"{unit.id}.script"
    actions = json.loads(path.read_text()) if path.exists() else []
    action = actions[count] if count < len(actions) else ""
    if action.startswith("once "):
        other, action = action.removeprefix("once ").split(": ")
        while not calls(folder, other):
            time.sleep(0.01)
    act(action, unit)
    return Part(unit=unit.id, counts={"points": unit.window.width})


def act(action: str, unit: Unit) -> None:
    if action in ERRORS:
        raise ERRORS[action](f"{unit.id} is scripted to fail")
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "hang":
        time.sleep(3600)
    elif action == "slow":
        time.sleep(0.3)
    elif action == "odd":
        raise OddError("an odd", "fault")
    elif action == "memory":
        _ = [b"x" * 50_000_000 for _ in range(100)]
    elif action == "disk":
        raise OSError(28, "No space left on device")


def total(parts: list[Part]) -> dict[str, int]:
    return {"width": sum(part.counts["points"] for part in parts)}


def second(unit: Unit, state: Any, io: UnitIO) -> Part:
    """Leave what the reduce of the stage before gave."""
    io.put("body", [memoryview(json.dumps(state).encode())])
    return Part(unit=unit.id, keys=io.left.keys, sizes=io.left.sizes, digests=io.left.digests)
