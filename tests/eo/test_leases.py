"""Leases in the store: never more holders than connections, whatever happens to them."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from buckets import bucket_of, environment
from eo import leases
from eo.bucket_store import BucketStore
from eo.errors import InvalidInput, RateLimited, SourceUnavailable
from eo.leases import leased
from eo.settings import Settings
from eo.traffic import Traffic
from eo.transport import connect
from peers.faults import Reset, Status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from peers.s3 import S3Peer


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL", 0.03)
    monkeypatch.setattr(leases, "SKEW", 0.1)


@pytest.fixture
def store(s3_peer: S3Peer) -> Iterator[BucketStore]:
    with bucket_of(s3_peer, attempts=2) as found:
        yield found


def held(store: BucketStore) -> list[int]:
    """Numbers of the leases that somebody holds."""
    records = {key: json.loads(store.read(key)) for key in store.keys("leases/a/")}
    return [int(key.rpartition("/")[2]) for key, record in records.items() if record["until"] > time.time()]


def most(times: list[tuple[float, float]]) -> int:
    """The most that ever held one at the same time."""
    events = sorted([(begin, 1) for begin, _ in times] + [(end, -1) for _, end in times])
    count = top = 0
    for _, change in events:
        count += change
        top = max(top, count)
    return top


def test_each_holds_another_one_and_gives_it_back(store: BucketStore) -> None:
    with leased(store, "a", 2, seconds=60) as one, leased(store, "a", 2, seconds=60) as two:
        assert {one, two} == {0, 1}
        assert sorted(held(store)) == [0, 1]
        with (
            pytest.raises(RateLimited, match=r"all 2 connections of the account are in use"),
            leased(store, "a", 2, seconds=60, patience=0.1),
        ):
            pass
        with leased(store, "b", 1, seconds=60):
            pass
    assert held(store) == []
    with leased(store, "a", 2, seconds=60, patience=0):
        pass


def test_work_that_fails_gives_its_lease_back(store: BucketStore) -> None:
    with pytest.raises(RuntimeError, match="work"), leased(store, "a", 1, seconds=60):
        raise RuntimeError("work")
    assert held(store) == []


def test_who_waits_gets_it_when_it_is_given_back(store: BucketStore) -> None:
    free = threading.Event()

    def hold() -> None:
        with leased(store, "a", 1, seconds=60):
            free.set()
            time.sleep(0.5)

    thread = threading.Thread(target=hold)
    thread.start()
    assert free.wait(30)
    with leased(store, "a", 1, seconds=60, patience=20):
        pass
    thread.join()


def _work(pipe: Connection, threads: int, rounds: int, limit: int) -> None:
    """In a process of its own: hold and let go, and say when."""
    leases.POLL, leases.SKEW = 0.03, 0.1
    store = BucketStore("eo-shards-data")

    def hold(_: int) -> list[tuple[float, float]]:
        times = []
        for _ in range(rounds):
            with leased(store, "a", limit, seconds=60, patience=60):
                begin = time.monotonic()
                time.sleep(0.05)
                times.append((begin, time.monotonic()))
        return times

    with ThreadPoolExecutor(threads) as pool:
        pipe.send([entry for times in pool.map(hold, range(threads)) for entry in times])


def test_never_more_than_the_limit_over_threads_and_processes(s3_peer: S3Peer, store: BucketStore) -> None:
    del store
    started = [_spawned(_work, 3, 4, 3) for _ in range(3)]
    times = [entry for _, pipe in started for entry in pipe.recv()]
    for process, _ in started:
        process.join()
    assert len(times) == 36
    assert 1 < most(times) <= 3
    assert s3_peer.keys("eo-shards-data", "leases/") == ["leases/a/0", "leases/a/1", "leases/a/2"]


def _spawned(target: Any, *args: Any) -> tuple[BaseProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(theirs, *args))
    process.start()
    theirs.close()
    return process, ours


def _hold(pipe: Connection, seconds: float) -> None:
    with leased(BucketStore("eo-shards-data"), "a", 1, seconds=seconds):
        pipe.send(os.getpid())
        time.sleep(60)


def test_the_lease_of_a_killed_holder_is_free_when_its_time_is_over(store: BucketStore) -> None:
    process, pipe = _spawned(_hold, 3.0)
    assert pipe.recv() == process.pid
    begin = time.monotonic()
    process.kill()
    process.join()
    with pytest.raises(RateLimited), leased(store, "a", 1, seconds=60, patience=0.5):
        pass
    with leased(store, "a", 1, seconds=60, patience=10):
        assert 2.5 < time.monotonic() - begin < 8


def test_of_many_who_find_an_expired_lease_one_gets_it(store: BucketStore) -> None:
    barrier = threading.Barrier(8)

    def take(_: int) -> bool:
        barrier.wait()
        try:
            with leased(store, "a", 1, seconds=60, patience=0):
                time.sleep(1)
        except RateLimited:
            return False
        return True

    for round_number in range(3):
        store.write("leases/a/0", [leases._record(f"dead{round_number}", time.time() - 10)])
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1


def test_clocks_may_differ_a_little(store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SKEW", 5)
    store.write("leases/a/0", [leases._record("other", time.time() - 3)])
    with pytest.raises(RateLimited), leased(store, "a", 1, seconds=60, patience=0):
        pass


def test_a_holder_that_is_late_does_not_free_the_lease_of_the_next(store: BucketStore) -> None:
    with leased(store, "a", 1, seconds=0.2):
        time.sleep(0.4)
        late = leased(store, "a", 1, seconds=60, patience=5)
        late.__enter__()
    assert held(store) == [0]
    late.__exit__(None, None, None)
    assert held(store) == []


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", b'{"until": "x"}', b"\xff", b'{"until": null}'])
def test_what_is_no_lease_is_free(store: BucketStore, record: bytes) -> None:
    store.write("leases/a/0", [record])
    with leased(store, "a", 1, seconds=60, patience=0):
        assert held(store) == [0]


def test_an_answer_that_is_lost_loses_no_lease(s3_peer: S3Peer, store: BucketStore) -> None:
    s3_peer.script.add(lambda method, _: method == "PUT", [Reset()] * 1)
    with leased(store, "a", 1, seconds=60, patience=0):
        s3_peer.script.add(lambda method, _: method == "PUT", [Reset()])
    assert held(store) == []


def test_a_lease_that_cannot_be_given_back_does_not_fail_the_work(s3_peer: S3Peer, store: BucketStore) -> None:
    with leased(store, "a", 1, seconds=0.5):
        s3_peer.script.add("leases/", [Status(500)] * 100)
    s3_peer.script.clear()
    with leased(store, "a", 1, seconds=60, patience=5):
        pass


def test_a_store_that_does_not_answer_is_told(s3_peer: S3Peer, store: BucketStore) -> None:
    s3_peer.script.add("leases/", [Status(500)] * 100)
    with pytest.raises(SourceUnavailable), leased(store, "a", 1, seconds=60):
        pass


def test_functions_of_a_bundle_share_the_connections_of_an_account(s3_peer: S3Peer, store: BucketStore) -> None:
    environ = {
        **environment(s3_peer),
        "CDSE_KEY": "key-of-account",
        "CDSE_SECRET": "secret",
        "EO_SHARDS_BUCKET": store.bucket,
    }
    settings = Settings.from_environment(environ)
    with connect("cdse", settings, Traffic()), connect("cdse", settings, Traffic()):
        keys = list(store.keys("leases/"))
        assert len(keys) == 2
        assert "key-of-account" not in " ".join([*keys, *(store.read(key).decode() for key in keys)])
    records = [json.loads(store.read(key)) for key in store.keys("leases/")]
    assert [record["until"] for record in records] == [0, 0]


def test_without_a_bucket_nobody_asks_one(s3_peer: S3Peer, store: BucketStore, tmp_path: Any) -> None:
    del store
    s3_peer.forget()
    settings = Settings.from_environment({"CDSE_KEY": "key", "CDSE_SECRET": "secret"})
    with connect("cdse", settings, Traffic(), slots=tmp_path / "slots"):
        assert s3_peer.requests == 0


def test_a_bucket_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"EO_SHARDS_BUCKET='No_Bucket'"):
        Settings.from_environment({"EO_SHARDS_BUCKET": "No_Bucket"})
    with pytest.raises(InvalidInput, match="EO_SHARDS_LEASE_SECONDS"):
        Settings.from_environment({"EO_SHARDS_LEASE_SECONDS": "0"})
