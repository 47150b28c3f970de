"""Jobs while invocations, the store and the sources fail: what is reported successful is right, all else goes on later."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatch
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from aws.faults import Chaos, Crowded
from aws.storm import OWNERS, Order, Stormy, assert_right, assert_told, assert_whole, kinds_of, storm, tell
from eo.errors import RateLimited, UnknownJob
from eo.executions import StepFunctions
from eo.orders import BucketService
from peers.web import Status as Denied
from routes.loopback import key_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from eo.job import Status
    from routes.conftest import Pair

SHARE = {"invocation": 0.22, "store": 0.05, "source": 0.3}
"""Of how many calls a burst of faults begins."""


def weather(stormy: Stormy, offered: Sequence[Order], *, at_once: int, until: int) -> Counter[str]:
    """Do jobs in a storm until so many faults were played, look at what it left, then go on with those that failed.

    Counts what became of the jobs in the storm. How many jobs that takes depends on when which request comes.
    """
    found: dict[str, Status] = {}
    orders: list[Order] = []
    while len(orders) < len(offered) and sum(stormy.chaos.played.values()) < until:
        some = offered[len(orders) : len(orders) + at_once]
        for order in some:
            stormy.order(order)
        found |= stormy.ended(some)
        orders += some
    stormy.quiet()
    stormy.chaos.on = False
    states = Counter(status.state for status in found.values())
    causes = Counter(status.error for status in found.values() if status.state == "failed")
    tell(f"{stormy.chaos.table()}\n{dict(states)}, failed by {dict(causes)}")
    assert_whole(stormy, orders, {job: status.attempt for job, status in found.items()})
    for order in orders:
        if found[order.job].state == "successful":
            assert_right(stormy, order)
        else:
            assert_told(found[order.job])
    again = [order for order in orders if found[order.job].state == "failed"]
    for order in again:
        stormy.order(order)
    resumed = stormy.ended(again)
    assert {job: status for job, status in resumed.items() if status.state != "successful"} == {}
    stormy.quiet()
    for order in again:
        assert_right(stormy, order)
    assert_whole(stormy, orders, {job: status.attempt for job, status in (found | resumed).items()})
    assert stormy.sources.s3.connections.peak <= 4
    return states


def test_a_squall(pair: Pair, tmp_path: Path) -> None:
    """Some thirty faults, for every day."""
    chaos = Chaos(4, SHARE)
    with storm(tmp_path, pair, chaos, kinds_of(pair)) as stormy:
        weather(stormy, stormy.orders(6), at_once=3, until=30)
    assert sum(chaos.played.values()) >= 30
    assert min(chaos.count(layer) for layer in SHARE) >= 2


@pytest.mark.chaos
@pytest.mark.timeout(1800)
def test_a_thousand_faults_neither_spoil_nor_lose_a_job(pair: Pair, tmp_path: Path) -> None:
    chaos = Chaos(2026, SHARE)
    with storm(tmp_path, pair, chaos, kinds_of(pair)) as stormy:
        states = weather(stormy, stormy.orders(96), at_once=12, until=1000)
    assert sum(chaos.played.values()) >= 1000
    assert min(chaos.count(layer) for layer in SHARE) >= 100
    assert states["successful"] >= 10
    assert states["failed"] >= 5


CHUNKS = {
    "scenes/*/B04": "fetch",
    "scenes/*/SCL": "fetch",
    "dem/0": "fetch",
    "bands/B03": "point-cloud",
    "valid": "point-cloud",
    "elevation": "point-cloud",
}
"""Arrays of the cube, with the function that reads them."""


@pytest.mark.chaos
def test_a_chunk_lost_after_its_write_is_noticed_and_never_no_data(pair: Pair, tmp_path: Path) -> None:
    chaos = Chaos(7, SHARE, on=False)
    with storm(tmp_path, pair, chaos, kinds_of(pair)[:1]) as stormy:
        store, seeds = stormy.cloud.store, Random(7)
        wanted = {order: seeds.random() for order in stormy.orders(len(CHUNKS), "chunk")}
        arrays = {order.job: array for order, array in zip(wanted, CHUNKS, strict=True)}
        chances = {order.job: chance for order, chance in wanted.items()}
        lost: dict[str, str] = {}

        def lose(function: str, event: Mapping[str, Any], _before: int) -> None:
            job = str(event["job"])
            if job in lost or CHUNKS[arrays[job]] != function:
                return
            chunks = [
                key
                for key in store.keys(f"scratch/{job}/")
                if fnmatch(key.partition("cube.zarr/")[2], f"{arrays[job]}/c/*")
            ]
            lost[job] = chunks[int(chances[job] * len(chunks))]
            store.delete(lost[job])

        stormy.cloud.lambdas.faults = lose
        for order in wanted:
            stormy.order(order)
        for job, status in stormy.ended(list(wanted)).items():
            assert (status.state, status.error) == ("failed", "LostWork"), (arrays[job], lost[job], status)
            assert lost[job].partition("cube.zarr/")[2] in status.message
            assert f"jobs/{job}/result.json" not in set(store.keys(f"jobs/{job}/"))
        for order in wanted:
            stormy.order(order)
        for status in stormy.ended(list(wanted)).values():
            assert (status.state, status.attempt) == ("successful", 2), status
        for order in wanted:
            assert_right(stormy, order)


QUEUED = 200
EXECUTIONS = 16
"""At the same time: moto does all their work in one thread's worth of a processor, and more of them only wait longer."""


def started(stormy: Stormy, queue: Crowded, order: Order) -> bool:
    """Order as a client does that is told to come back later, with the same key."""
    try:
        BucketService(stormy.cloud.store, queue).order("point-cloud", order.inputs, owner=order.owner, key=order.key)
    except RateLimited:
        return False
    return True


@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("reserved", [{"fetch-cdse": 4}, {}], ids=["reserved concurrency", "leases alone"])
def test_a_poisoned_job_in_a_queue_harms_no_other(pair: Pair, tmp_path: Path, reserved: dict[str, int]) -> None:
    """Two users at once. The account has few executions at a time and fewer connections; all come in turn."""
    west, _, east, north = pair.inputs["bbox"]
    share = (east - west) / 24
    small = pair.inputs | {"mask_clouds": False, "bbox": [west, north - share / 2, west + share, north]}
    poisoned = small | {"bbox": [east - share, north - share / 2, east, north]}
    chaos = Chaos(3, SHARE, on=False)
    with storm(tmp_path, pair, chaos, [small], calm=True) as stormy:
        stormy.cloud.lambdas.reserved.update(reserved)
        stormy.sources.s3.forget()
        stormy.sources.s3.script.add(key_of(pair.scenes[1], "B04"), [Denied(403)] * 10_000)
        orders = stormy.orders(QUEUED, "queued")
        bad = replace(orders[QUEUED // 2], inputs=poisoned)
        orders[QUEUED // 2] = bad
        began = time.monotonic()
        queue = Crowded(StepFunctions(stormy.cloud.machine), most=0)
        waiting = [order for order in orders if not started(stormy, queue, order)]
        for owner in OWNERS:  # all are taken, and wait for their turn
            assert [status.state for status in stormy.service.jobs(owner=owner)] == ["accepted"] * (QUEUED // 2)
        queue.most = EXECUTIONS
        while waiting:
            time.sleep(0.5)
            while waiting and started(stormy, queue, waiting[0]):
                del waiting[0]
            assert time.monotonic() - began < 1000, f"{len(waiting)} of {QUEUED} jobs were never started"
        found = stormy.ended(orders)
        took = (time.monotonic() - began) / QUEUED
        stormy.quiet()
        told = found.pop(bad.job)
        assert (told.state, told.error) == ("failed", "AccessDenied")
        assert "CDSE_KEY" in told.message
        assert {job: status for job, status in found.items() if status.state != "successful"} == {}
        for order in orders:
            if order is not bad:
                assert stormy.cloud.products(order.job) == order.result
        for owner in OWNERS:
            theirs = {order.job for order in orders if order.owner == owner}
            assert {status.job for status in stormy.service.jobs(owner=owner)} == theirs
            with pytest.raises(UnknownJob):
                stormy.service.status(next(order.job for order in orders if order.owner != owner), owner=owner)
        assert stormy.sources.s3.connections.peak <= 4
        assert_whole(stormy, orders, {order.job: 1 for order in orders})
        late = Counter(call.error for call in stormy.cloud.lambdas.calls if call.error)
        most = stormy.cloud.lambdas.most["fetch-cdse"]
        tell(f"{took:.2f} s a job, at most {most} fetching at once, calls that failed: {dict(late)}")
        if reserved:
            assert most == 4
            assert late["throttled"] > QUEUED / 10
        else:
            assert most > 4, "nobody had to wait for a connection"
