"""Calls of the functions inside AWS's Runtime Interface Emulator: cold and warm, and what a unit costs beside its work."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench.data import ROOT, folder
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aws.rie.account import Account
    from aws.rie.emulator import Container

COLD, WARM = 3, 15
"""Calls of which the median is told."""
PLANNED = "00000000000000be"
IDLE = ROOT / "tests" / "aws" / "rie" / "handlers"


@dataclass(frozen=True)
class Called:
    """Milliseconds of a call, as its caller sees it."""

    cold: float
    """The first of a container: the runtime starts, imports and answers."""
    init: float
    """Of that, the start of the runtime and the imports of the handler, as the emulator says."""
    warm: float


@dataclass(frozen=True)
class Case:
    """A call that does real work each time."""

    function: str
    what: str
    event: dict[str, Any]
    undo: Callable[[], object] = lambda: None
    """What makes the next call do it again."""


def rows() -> list[Row]:
    """One warm and one cold figure for each function, and the overhead of a unit."""
    # Imported here: bench.data has put the tests' folder on the path.
    from aws.rie.account import account  # noqa: PLC0415
    from aws.rie.driven import drive  # noqa: PLC0415
    from aws.rie.emulator import MISSING, emulator  # noqa: PLC0415
    from routes.loopback import cdse  # noqa: PLC0415

    if emulator() is None:
        print(f"invoke: not measured, {MISSING}", file=sys.stderr)
        return []
    as_built = _is_built()
    folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder()) as place:
        catalog, dem = _scene(Path(place))
        with cdse(Path(place) / "machine", catalog, dem) as sources, account(sources, as_built=as_built) as made:
            drive(made)
            idle = _called(partial(_idle, as_built=as_built), Case("", "", {}))
            found = [(case, _called(partial(made.container, case.function), case)) for case in _cases(made)]
            unit, empty = _overhead(made)
    name = f"emulator, {'as built' if as_built else 'from source'}"
    table = [
        Row(f"{name}: a handler that does nothing, cold", idle.cold, "ms"),
        Row(f"{name}: a handler that does nothing, warm", idle.warm, "ms"),
    ]
    for case, called in found:
        table += [
            Row(f"{name}: {case.what}, cold", called.cold, "ms"),
            Row(f"{name}: {case.what}, cold, of that start and imports", called.init, "ms"),
            Row(f"{name}: {case.what}, warm", called.warm, "ms"),
            Row(f"{name}: {case.what}, warm / a handler that does nothing", called.warm / idle.warm, "x"),
        ]
    return [
        *table,
        Row(f"{name}: a unit, beside what its usage record counts", unit, "ms"),
        Row(f"{name}: a unit whose part is there", empty, "ms"),
    ]


def _idle(*, as_built: bool) -> Container:
    """A container of a handler that does nothing, in the same Python as the others."""
    from aws.infra.built import python313  # noqa: PLC0415 - see rows()
    from aws.rie.deployed import CLIENT  # noqa: PLC0415
    from aws.rie.emulator import Container  # noqa: PLC0415

    if as_built:
        return Container("echo.handler", {}, path=[IDLE, CLIENT], python=python313())
    return Container("echo.handler", {}, path=[IDLE])


def _called(make: Callable[[], Container], case: Case) -> Called:
    cold, init, warm = [], [], []
    for turn in range(COLD):
        case.undo()
        with make() as container:
            cold.append(_milliseconds(container, case))
            init.append(container.init_milliseconds)
            for _ in range(WARM if turn == COLD - 1 else 0):
                case.undo()
                warm.append(_milliseconds(container, case))
    return Called(median(cold), median(init), median(warm))


def _milliseconds(container: Container, case: Case) -> float:
    answer = container.invoke(case.event)
    assert answer.status == 200, answer
    assert not answer.error, answer
    return 1000 * answer.seconds


def _cases(made: Account) -> Iterator[Case]:
    from aws.rie.account import event  # noqa: PLC0415 - see rows()
    from aws.rie.driven import COMMANDS, EVENT_OF, JOB, inputs  # noqa: PLC0415

    made.accept(PLANNED, inputs())
    yield Case("ApiFunction", "status of a job over HTTP", event("api_job"))
    yield Case("UploadFunction", "an upload that comes again", event("upload_job"))
    planned = {"job": PLANNED, "attempt": 1}
    yield Case("PlanFunction", "a plan", planned, partial(_gone, made, f"jobs/{PLANNED}/plan.json"))
    for stage, name in EVENT_OF.items():
        asked = event(name)
        key = f"scratch/{JOB}/1/parts/{stage}/{asked['unit']['id']}.json"
        yield Case(COMMANDS[name], f"a unit of {stage}", asked, partial(_gone, made, key))
    yield Case("MergeFunction", "a merge", event("merge"))


def _gone(made: Account, key: str) -> None:
    if key in made.keys(key):
        made.delete(key)


def _overhead(made: Account) -> tuple[float, float]:
    """Milliseconds of a warm unit: (beside its own record's, with nothing to do)."""
    from aws.rie.account import event  # noqa: PLC0415 - see rows()
    from aws.rie.driven import JOB  # noqa: PLC0415

    asked = event("point_cloud")
    unit = asked["unit"]["id"]
    usage = f"scratch/{JOB}/usage/drape/"
    beside, nothing = [], []
    for _ in range(WARM):
        _gone(made, f"scratch/{JOB}/1/parts/drape/{unit}.json")
        before = set(made.keys(usage))
        worked = made.call("PointCloudFunction", asked).seconds
        (record,) = set(made.keys(usage)) - before
        beside.append(1000 * (worked - json.loads(made.get(record))["seconds"]))
        nothing.append(1000 * made.call("PointCloudFunction", asked).seconds)
    return median(beside), median(nothing)


def _is_built() -> bool:
    """Whether what `sam build` makes can be measured; it is built first."""
    from aws.infra.built import Unavailable, built  # noqa: PLC0415 - see rows()
    from aws.rie.deployed import CLIENT  # noqa: PLC0415

    try:
        built()
    except Unavailable as reason:
        print(f"invoke: measured from source, {reason}", file=sys.stderr)
        return False
    return (CLIENT / "awslambdaric").is_dir()


def _scene(place: Path) -> tuple[list[Any], Path]:
    """The scene that events/ tell of, and the elevation under it."""
    from routes.loopback import STORE  # noqa: PLC0415 - see rows()
    from routes.places import WORLD  # noqa: PLC0415
    from scenes.edh import write_edh_zarr  # noqa: PLC0415
    from scenes.sentinel2 import write_scene  # noqa: PLC0415
    from support import bounds_of  # noqa: PLC0415

    scene = write_scene(
        place / "catalog",
        world=WORLD,
        epsg=32632,
        ulx=671_240,
        uly=5_168_180,
        tile="32TPS",
        size=256,
        block=64,
        tlm=True,
    )
    return [scene], write_edh_zarr(place / STORE, world=WORLD, bounds=bounds_of(scene), chunks=(256, 256)).path
