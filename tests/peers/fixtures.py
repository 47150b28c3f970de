"""The peers as pytest fixtures; the root conftest loads them with `pytest_plugins = ["peers.fixtures"]`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from peers.files import FileServer
    from peers.s3 import S3Peer
    from peers.stac import StacApi

# Imports inside the fixtures: moto alone takes half a second, which tests without an S3 peer need not pay.

EDH_USER = "edh"
EDH_TOKEN = "edh_pat_loopback"


@pytest.fixture
def s3_peer() -> Iterator[S3Peer]:
    """S3 for one account, as the Copernicus Data Space has it."""
    from peers.s3 import S3Peer  # noqa: PLC0415 - see above

    with S3Peer() as peer:
        yield peer


@pytest.fixture
def public_s3_peer() -> Iterator[S3Peer]:
    """S3 that also answers unsigned requests, as earth-search's and the Copernicus DEM's buckets do."""
    from peers.s3 import S3Peer  # noqa: PLC0415 - see above

    with S3Peer(anonymous=True) as peer:
        yield peer


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[FileServer]:
    """Files of `file_server.root`, for everyone."""
    from peers.files import FileServer  # noqa: PLC0415 - see above

    root = tmp_path / "served"
    root.mkdir()
    with FileServer(root) as server:
        yield server


@pytest.fixture
def dem_server(tmp_path: Path) -> Iterator[FileServer]:
    """Files of `dem_server.root` behind Earth Data Hub's login: `EDH_USER`, `EDH_TOKEN`."""
    from peers.files import FileServer  # noqa: PLC0415 - see above

    root = tmp_path / "dem_served"
    root.mkdir()
    with FileServer(root, user=EDH_USER, password=EDH_TOKEN) as server:
        yield server


@pytest.fixture
def stac_api() -> Iterator[Callable[..., StacApi]]:
    """A function that starts a STAC API over items; it takes `StacApi`'s arguments."""
    from peers.stac import StacApi  # noqa: PLC0415 - see above

    with contextlib.ExitStack() as running:

        def serve(*args: Any, **options: Any) -> StacApi:
            return running.enter_context(StacApi(*args, **options))

        yield serve
