from pathlib import Path

import pytest

from command import Machine, Place, make_place


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Read-only: tests that spoil it copy it."""
    return make_place(tmp_path_factory.mktemp("place") / "files")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="session")
def undisturbed(place: Place, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of the usual order, run without disturbance."""
    machine = Machine(tmp_path_factory.mktemp("undisturbed"))
    done = machine.run("run", *machine.order(place))
    assert done.code == 0, done.err
    return machine.files()
