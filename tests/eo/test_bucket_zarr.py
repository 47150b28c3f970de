"""The cube on S3: what was lost or cannot be read is told, and never reads as no data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from buckets import bucket_of, forget
from eo import s3_client
from eo.cube import Cube
from eo.errors import AccessDenied, EoShardsError, LostWork, RateLimited, SourceUnavailable
from eo.grid import Window
from eo.job import ArraySpec
from peers.faults import Corrupt, Hang, Reset, Status, Truncate
from peers.s3 import KEY, SECRET, S3Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from eo.bucket_store import BucketStore

PREFIX = "scratch/j/cube.zarr"
WINDOW = Window(0, 0, 32, 32)
SPEC = ArraySpec(name="bands/B02", shape=(32, 32), chunks=(16, 16), dtype="uint16", fill=0)


@contextmanager
def cube_of(peer: S3Peer) -> Iterator[tuple[BucketStore, Cube]]:
    with bucket_of(peer, attempts=3) as store:
        cube = Cube(store.zarr(PREFIX), {})
        cube.create([SPEC])
        cube.write("bands/B02", WINDOW, values())
        yield store, Cube(store.zarr(PREFIX), {})


def values() -> NDArray[Any]:
    return np.arange(1024, dtype=np.uint16).reshape(32, 32) + 1


def test_a_cube_is_what_was_written(s3_peer: S3Peer) -> None:
    with cube_of(s3_peer) as (store, cube):
        assert np.array_equal(cube.read("bands/B02", WINDOW), values())
        chunks = list(store.keys(f"{PREFIX}/bands/B02/c/"))
        assert len(chunks) == 4
        cube.create([SPEC])
        assert np.array_equal(cube.read("bands/B02", WINDOW), values())


def test_a_lost_chunk_is_not_read_as_no_data(s3_peer: S3Peer) -> None:
    with cube_of(s3_peer) as (store, cube):
        store.delete(f"{PREFIX}/bands/B02/c/1/0")
        with pytest.raises(LostWork, match="bands/B02/c/1/0 was lost"):
            cube.read("bands/B02", WINDOW)
        assert cube.read("bands/B02", Window(16, 0, 16, 16)).min() > 0


def test_lost_metadata_is_a_lost_array(s3_peer: S3Peer) -> None:
    with cube_of(s3_peer) as (store, cube):
        store.delete(f"{PREFIX}/bands")
        with pytest.raises(LostWork, match="bands/B02 is gone"):
            cube.read("bands/B02", WINDOW)


def test_a_chunk_that_is_not_what_was_written_is_noticed(s3_peer: S3Peer) -> None:
    with cube_of(s3_peer) as (_, cube):
        cube.read("bands/B02", WINDOW)
        s3_peer.script.add("/c/0/0", [Corrupt()] * 20)
        with pytest.raises(LostWork, match="bands/B02 cannot be read"):
            cube.read("bands/B02", WINDOW)


@pytest.mark.parametrize("fault", [Status(500), Status(503), Reset(), Reset(after=0), Truncate(10)])
def test_what_fails_once_is_asked_for_again(s3_peer: S3Peer, fault: Any) -> None:
    with cube_of(s3_peer) as (_, cube):
        rule = s3_peer.script.add("/c/0/0", [fault])
        assert np.array_equal(cube.read("bands/B02", WINDOW), values())
        assert rule.left == 0
        s3_peer.script.add(lambda method, target: method == "PUT" and "/c/" in target, [fault])
        cube.write("bands/B02", WINDOW, values())
        assert s3_peer.script.left == 0


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Status(500), SourceUnavailable),
        (Status(503), RateLimited),
        (Status(403), AccessDenied),
        (Status(400), SourceUnavailable),
        (Truncate(10), SourceUnavailable),
        (Reset(after=0), SourceUnavailable),
    ],
)
def test_what_goes_on_failing_says_what_it_is(s3_peer: S3Peer, fault: Any, error: type[EoShardsError]) -> None:
    with cube_of(s3_peer) as (_, cube):
        cube.read("bands/B02", WINDOW)
        s3_peer.script.add("/c/0/0", [fault] * 1000)
        with pytest.raises(error, match=r"s3://eo-shards-data/scratch/j/cube\.zarr/bands/B02/c/0/0") as raised:
            cube.read("bands/B02", WINDOW)
        assert type(raised.value) is error
        if not isinstance(fault, (Truncate, Reset)):
            with pytest.raises(error) as raised:
                cube.write("bands/B02", WINDOW, values())
        assert SECRET not in str(raised.value)
        assert KEY not in str(raised.value)


def test_a_wrong_secret_shows_neither_key(s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with cube_of(s3_peer) as (store, _):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        forget()
        with pytest.raises(AccessDenied, match="S3 refused it") as raised:
            Cube(store.zarr(PREFIX), {}).read("bands/B02", WINDOW)
        assert KEY not in str(raised.value)


def test_a_silent_server_is_left(s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with cube_of(s3_peer) as (store, _):
        monkeypatch.setattr(s3_client, "READ_SECONDS", 0.3)
        monkeypatch.setattr(s3_client, "ATTEMPTS", 2)
        cube = Cube(store.zarr(PREFIX), {})
        cube.read("bands/B02", WINDOW)
        s3_peer.script.add("/c/0/0", [Hang(5)] * 10)
        with pytest.raises(SourceUnavailable, match="/c/0/0"):
            cube.read("bands/B02", WINDOW)


def test_functions_sign_with_their_session_token(s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with cube_of(s3_peer):
        monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-role")
        forget()
        assert s3_client._credentials()["token"] == "token-of-the-role"
