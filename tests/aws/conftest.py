"""A bundle over loopback sources, one for a module's tests: each orders its own jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from aws.cloud import Cloud, cloud, keep_keys, reaching
from aws.faults import waiting
from routes.conftest import pair  # noqa: F401 - a fixture
from routes.loopback import Cdse, cdse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from routes.conftest import Pair


@pytest.fixture(scope="module")
def sources(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdse]:  # noqa: F811
    with cdse(tmp_path_factory.mktemp("machine"), pair.scenes, pair.dem.path) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(sources: Cdse) -> Iterator[Cloud]:
    """The bundle; keys of the sources come from Secrets Manager."""
    with pytest.MonkeyPatch.context() as patch, cloud(reaching(sources)) as running:
        patch.setattr(retrier_decl, "time", waiting(0.1))
        keep_keys(sources)
        yield running


@pytest.fixture
def bundle(deployed: Cloud, sources: Cdse) -> Iterator[Cloud]:
    """The bundle with nothing scripted and an empty log."""
    sources.forget()
    deployed.s3.forget()
    deployed.s3.script.clear()
    deployed.lambdas.calls.clear()
    deployed.lambdas.most.clear()
    deployed.lambdas.faults = lambda _function, _event, _before: None
    yield deployed
    assert sources.s3.connections.peak <= 4
    assert deployed.uploads() == []


@pytest.fixture(scope="module")
def undisturbed(pair: Pair, sources: Cdse, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:  # noqa: F811
    """What the command makes of the same order on this machine: every file of the result."""
    out: Path = tmp_path_factory.mktemp("undisturbed") / "out"
    sources.machine.order("run", pair.inputs, out=str(out)).fine()
    return {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.fixture
def inputs(pair: Pair) -> dict[str, Any]:  # noqa: F811
    return dict(pair.inputs)
