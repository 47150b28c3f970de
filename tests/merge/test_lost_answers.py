"""Requests that S3 has done while its answer was lost: the next try must find what the first has made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from moto.s3 import models

from buckets import body, bucket_of, uploads
from eo import life, multipart
from eo.assembly import Limits, assemble, groups
from eo.bbox import BBox
from peers import s3_rules
from peers.faults import After, Disguised, Drop, Lose, Status, Twice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eo.bucket_store import BucketStore
    from peers.faults import Fault
    from peers.s3 import S3Peer

SMALLEST = 4 << 10
RESULT = "jobs/j/result/cloud.ply"


@pytest.fixture
def store(s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketStore]:
    """A bucket in which objects of a few KiB are joined in parts, over several levels."""
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", SMALLEST)
    monkeypatch.setattr(s3_rules, "RANGED_SOURCE", SMALLEST)
    limits = Limits(smallest=SMALLEST)
    monkeypatch.setattr(multipart, "assemble", lambda head, sizes: assemble(head, sizes, limits))
    monkeypatch.setattr(multipart, "groups", lambda parts: groups(parts, limits))
    with bucket_of(s3_peer, attempts=3) as found:
        yield found


ONCE: list[Fault] = [Status(500), Drop(), Lose(), After(500), Twice()]


STEPS = {
    "begun": lambda method, target: method == "POST" and target.endswith("?uploads"),
    "copied": lambda method, target: method == "PUT" and "partNumber=2" in target,
    "completed": lambda method, target: method == "POST" and "uploadId=" in target,
}
ANSWERS_LATE = {"copied", "completed"}
"""Steps whose answer S3 begins before it knows how they end."""
FAULTS = [(step, fault) for step in STEPS for fault in [*ONCE, *([Disguised()] if step in ANSWERS_LATE else [])]]


@pytest.mark.parametrize(("step", "fault"), FAULTS, ids=str)
def test_an_object_is_joined_whatever_happens_once(
    s3_peer: S3Peer, store: BucketStore, step: str, fault: Fault
) -> None:
    data = [os.urandom(SMALLEST + number) for number in range(3)]
    bodies = [body(store, f"scratch/j/parts/{number}", piece) for number, piece in enumerate(data)]
    rule = s3_peer.script.add(STEPS[step], [fault])
    store.concatenate(RESULT, b"head", bodies)
    assert rule.left == 0, "nothing was disturbed"
    assert store.read(RESULT) == b"head" + b"".join(data)
    assert uploads() == []


@pytest.mark.parametrize("fault", ONCE, ids=str)
def test_a_status_changes_once_whatever_happens_once(s3_peer: S3Peer, store: BucketStore, fault: Fault) -> None:
    rule = s3_peer.script.add(lambda method, target: method == "PUT" and "status.json" in target, [fault])
    assert life.first(store, "j", "point-cloud", BBox(11.2, 46.4, 11.6, 46.7)).state == "accepted"
    assert rule.left == 0
    rule = s3_peer.script.add(lambda method, target: method == "PUT" and "status.json" in target, [fault])
    assert life.begin(store, "j", 1).state == "running"
    assert rule.left == 0


@pytest.mark.parametrize("fault", ONCE, ids=str)
def test_who_writes_first_is_told_so_whatever_happens_once(s3_peer: S3Peer, store: BucketStore, fault: Fault) -> None:
    s3_peer.script.add(lambda method, target: method == "PUT" and "a/b" in target, [fault])
    assert store.create("a/b", b"ours")
    assert not store.create("a/b", b"theirs")
    _, tag = store.read_tagged("a/b")
    s3_peer.script.add(lambda method, target: method == "PUT" and "a/b" in target, [fault])
    assert store.replace("a/b", b"changed", tag)
    assert not store.replace("a/b", b"late", tag)
    assert store.read("a/b") == b"changed"
