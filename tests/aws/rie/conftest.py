"""An account with warm functions for each module of tests, and what a job in it was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from aws import granules
from aws.infra.built import Unavailable, built
from aws.rie.account import Account, account
from aws.rie.deployed import CLIENT
from aws.rie.driven import Driven, drive, inputs
from aws.rie.emulator import MISSING, emulator
from routes.conftest import pair  # noqa: F401 - a fixture
from routes.loopback import Cdse, cdse, options, remote_item

if TYPE_CHECKING:
    from collections.abc import Iterator

    from routes.conftest import Pair


@pytest.fixture(scope="module")
def sources(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdse]:  # noqa: F811
    if emulator() is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("rie")
    surface = granules.SURFACE, granules.SURFACE_PLACE
    items = [*map(remote_item, pair.scenes), granules.written(folder / "c"), granules.written(folder / "c", *surface)]
    with cdse(folder, pair.scenes, pair.dem.path, items) as running:
        granules.put(running, folder / "c")
        granules.put(running, folder / "c", *surface)
        yield running


@pytest.fixture(scope="module")
def shared(sources: Cdse) -> Iterator[Account]:
    with account(sources) as made:
        yield made


@pytest.fixture
def here(shared: Account) -> Iterator[Account]:
    """The account with sources that work, and empty logs of them."""
    shared.sources.forget()
    shared.data.script.clear()
    shared.data.forget()
    yield shared
    shared.sources.forget()
    shared.restore()


@pytest.fixture(scope="module")
def driven(shared: Account) -> Driven:
    """A whole job, ordered and done by files of events/."""
    return drive(shared)


@pytest.fixture(scope="module")
def driven_as_built(sources: Cdse) -> Iterator[Driven]:
    """The same by what `sam build` has made."""
    try:
        built()
    except Unavailable as reason:
        pytest.skip(str(reason))
    if not (CLIENT / "awslambdaric").is_dir():
        pytest.skip("no runtime client for Python 3.13: make sam installs it")
    with account(sources, as_built=True) as made:
        yield drive(made)


@pytest.fixture(scope="module")
def locally(sources: Cdse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the command makes of the same order: every file of the result."""
    sources.forget()
    out = tmp_path_factory.mktemp("locally") / "out"
    sources.machine.order("run", inputs(), out=str(out)).fine()
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture(scope="module")
def corrected_locally(sources: Cdse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same of the order of a correction."""
    return _made(sources, tmp_path_factory, "atmospheric-correction", "api_execution_correction")


@pytest.fixture(scope="module")
def judged_locally(sources: Cdse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same of the order of a land-cover map."""
    return _made(sources, tmp_path_factory, "land-cover", "api_execution_land_cover")


def _made(sources: Cdse, folders: pytest.TempPathFactory, process: str, ordered: str) -> dict[str, bytes]:
    sources.forget()
    out = folders.mktemp(process) / "out"
    sources.machine.command("run", process, *options(**inputs(ordered)), f"--out={out}").fine()
    return {path.name: path.read_bytes() for path in out.iterdir()}
