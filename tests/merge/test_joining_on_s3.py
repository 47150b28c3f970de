"""Fan-in on S3: the bytes of head and bodies in order, copied by the server, or nothing at all.

Here S3 counts in KiB what it counts in MiB elsewhere, so that there is time for many cases; `make bench` and one test
join parts of true size.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from moto.s3 import models

from buckets import BUCKET, body, bucket_of, uploads
from eo import assembly, multipart
from eo.assembly import Limits, assemble, requests
from eo.bucket_store import BucketStore
from eo.errors import AccessDenied, EoShardsError, LostWork, SourceUnavailable, TooLarge
from eo.store import Body
from peers import s3_rules
from peers.faults import Ok, Reset, Status
from peers.s3 import S3Peer
from peers.web import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from peers.faults import Fault, Match
    from peers.web import Request


KIB = 1024
RESULT = "jobs/j/result/cloud.ply"
HEAD = b"ply\n" * 10


@pytest.fixture(autouse=True)
def small_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part has 5 KiB at least."""
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", 5 * KIB)
    monkeypatch.setattr(s3_rules, "RANGED_SOURCE", 5 * KIB)
    limit(monkeypatch)


def limit(monkeypatch: pytest.MonkeyPatch, **given: int) -> None:
    limits = Limits(**{"smallest": 5 * KIB, **given})
    monkeypatch.setattr(multipart, "assemble", lambda head, sizes: assemble(head, sizes, limits))
    monkeypatch.setattr(multipart, "groups", lambda parts: assembly.groups(parts, limits))


@pytest.fixture
def store(s3_peer: S3Peer) -> Iterator[BucketStore]:
    with bucket_of(s3_peer, attempts=2) as found:
        yield found


@pytest.fixture(scope="module")
def data() -> bytes:
    return os.urandom(24 * KIB)


def bodies_of(store: BucketStore, data: bytes, sizes: Sequence[float]) -> tuple[list[Body], bytes]:
    """Bodies of so many KiB, and all of their bytes."""
    bodies, joined = [], []
    for number, size in enumerate(sizes):
        piece = data[number : number + int(size * KIB)]
        bodies.append(body(store, f"scratch/j/parts/drape/{number}.body", piece))
        joined.append(piece)
    return bodies, b"".join(joined)


def through(peer: S3Peer) -> int:
    """Bytes of bodies that came out of S3."""
    return sum(call.sent for call in peer.calls if call.method == "GET" and "/scratch/" in call.path)


def counted(peer: S3Peer) -> tuple[int, int]:
    """(reads, writes) as Amazon S3 counts them: lists are writes."""
    reads = [
        call for call in peer.calls if call.method == "HEAD" or (call.method == "GET" and "/scratch/" in call.path)
    ]
    return len(reads), len(peer.calls) - len(reads)


@pytest.mark.parametrize("head", [HEAD, b""])
@pytest.mark.parametrize(
    ("sizes", "fetched"),
    [
        ([8, 8, 8], 8),
        ([12, 8], 5),
        ([6, 6, 1, 1, 12, 8, 0.5], 6 + 1 + 1 + 3),
        ([0, 6, 0, 6, 0], 6),
        ([0.1] * 5, 0.5),
        ([1] * 12, 12),
        ([4, 20], 5),
        ([14, 1, 6, 6, 3], 5 + 4 + 1),
    ],
)
@pytest.mark.usefixtures("store")
def test_the_object_is_head_and_bodies(
    s3_peer: S3Peer, data: bytes, sizes: list[float], fetched: float, head: bytes
) -> None:
    store = BucketStore(BUCKET)
    bodies, joined = bodies_of(store, data, sizes)
    s3_peer.forget()
    store.concatenate(RESULT, head, bodies)
    passed, asked = through(s3_peer), counted(s3_peer)
    took = requests(len(head), [body.size for body in bodies], Limits(smallest=5 * KIB))
    assert (asked, took.passing) == ((took.reads, took.writes), passed)
    assert store.read(RESULT) == head + joined
    assert uploads() == []
    assert passed <= fetched * KIB + 1
    assert list(store.keys("scratch/j/joined/")) == []
    store.concatenate(RESULT, head, bodies)
    assert store.read(RESULT) == head + joined


def test_nothing_but_a_head(store: BucketStore) -> None:
    store.concatenate(RESULT, HEAD, [])
    assert store.read(RESULT) == HEAD
    store.concatenate(RESULT, b"", [body(store, "scratch/empty", b"")])
    assert store.read(RESULT) == b""


def test_s3_keeps_the_digest_of_all_parts(s3_peer: S3Peer, store: BucketStore, data: bytes) -> None:
    bodies, joined = bodies_of(store, data, [8, 8])
    store.concatenate(RESULT, b"", bodies)
    found = s3_peer.client().head_object(Bucket=BUCKET, Key=RESULT, ChecksumMode="ENABLED")
    assert found["ContentLength"] == len(joined)
    assert found["ChecksumSHA256"]


class TestBodies:
    def damage(self, store: BucketStore, bodies: list[Body], how: str, data: bytes) -> list[Body]:
        """Make a body other than its unit left it."""
        victim = bodies[1]
        if how == "gone":
            store.delete(victim.key)
        elif how == "other bytes":
            store.write(victim.key, [data[100 : 100 + victim.size]])
        elif how == "shorter":
            store.write(victim.key, [data[: victim.size - 1]])
        elif how == "other digest":
            bodies[1] = Body(victim.key, victim.size, hashlib.sha256(b"").hexdigest())
        return bodies

    @pytest.mark.parametrize("how", ["gone", "other bytes", "shorter", "other digest"])
    @pytest.mark.parametrize("sizes", [[8, 8, 8], [0.1, 0.1]])
    def test_a_body_that_is_not_what_its_unit_wrote_stops_it(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes, how: str, sizes: list[float]
    ) -> None:
        bodies = self.damage(store, bodies_of(store, data, sizes)[0], how, data)
        with pytest.raises(LostWork, match=r"scratch/j/parts/drape/1\.body is gone or not what was written"):
            store.concatenate(RESULT, HEAD, bodies)
        assert not store.exists(RESULT)
        assert uploads() == []
        assert not any(call.method in {"POST", "PUT"} and "/jobs/" in call.path for call in s3_peer.calls)

    @pytest.mark.parametrize("replaced", [0, 1])
    def test_a_body_that_is_replaced_meanwhile_stops_it(self, data: bytes, replaced: int) -> None:
        with (
            _Replacing(f"scratch/j/parts/drape/{replaced}.body", data[5 : 5 + 8 * KIB]) as peer,
            bucket_of(peer) as store,
        ):
            bodies, _ = bodies_of(store, data, [8, 8])
            peer.armed = True
            with pytest.raises(LostWork, match=rf"drape/{replaced}\.body is gone or not"):
                store.concatenate(RESULT, HEAD, bodies)
            assert not store.exists(RESULT)
            assert uploads() == []

    def test_a_body_that_s3_does_not_copy_truly_is_noticed(self, data: bytes) -> None:
        with _Miscopying() as peer, bucket_of(peer) as store:
            bodies, _ = bodies_of(store, data, [8, 8])
            with pytest.raises(LostWork, match=r"1\.body"):
                store.concatenate(RESULT, HEAD, bodies)
            assert not store.exists(RESULT)
            assert uploads() == []


class _Miscopying(S3Peer):
    """Copies other bytes than it was asked for."""

    def respond(self, request: Request) -> Response:
        answer = super().respond(request)
        if isinstance(answer.body, bytes):
            answer.body = re.sub(rb"<ChecksumSHA256>.{4}", b"<ChecksumSHA256>AAAA", answer.body)
        return answer


class _Replacing(S3Peer):
    """Puts another object in the place of a body when the upload has begun."""

    def __init__(self, key: str, other: bytes) -> None:
        super().__init__()
        self.body, self.other, self.armed = key, other, False

    def respond(self, request: Request) -> Response:
        if self.armed and request.method == "POST":
            self.armed = False
            self.put(BUCKET, self.body, self.other)
        return super().respond(request)


class TestLimits:
    def test_too_large_a_result_is_refused_before_the_first_request(self, s3_peer: S3Peer, store: BucketStore) -> None:
        s3_peer.forget()
        with pytest.raises(TooLarge, match=r"5,497,558,138,881 bytes"):
            store.concatenate(RESULT, b"x", [Body("scratch/b", 5 << 40, "00")])
        assert s3_peer.requests == 0

    def test_more_parts_than_one_upload_takes_are_joined_in_two_levels(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit(monkeypatch, parts=3)
        bodies, joined = bodies_of(store, data, [6, 6, 6, 6, 6, 6, 6, 0.1])
        s3_peer.forget()
        store.concatenate(RESULT, HEAD, bodies)
        assert through(s3_peer) <= 6 * KIB + KIB // 8
        assert store.read(RESULT) == HEAD + joined
        assert list(store.keys("scratch/j/joined/")) == []
        assert uploads() == []

    @pytest.mark.parametrize("request_number", range(3))
    def test_a_failure_in_two_levels_leaves_nothing(
        self,
        s3_peer: S3Peer,
        store: BucketStore,
        data: bytes,
        monkeypatch: pytest.MonkeyPatch,
        request_number: int,
    ) -> None:
        limit(monkeypatch, parts=2)
        bodies, _ = bodies_of(store, data, [6, 6, 6, 6, 6])
        s3_peer.script.add(_complete, [Ok()] * request_number + [Status(403)])
        with pytest.raises(AccessDenied):
            store.concatenate(RESULT, HEAD, bodies)
        assert list(store.keys("scratch/j/joined/")) == []
        assert not store.exists(RESULT)
        assert uploads() == []

    def test_large_bodies_are_copied_in_pieces(
        self, store: BucketStore, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit(monkeypatch, largest=7 * KIB)
        bodies, joined = bodies_of(store, data, [20, 15])
        store.concatenate(RESULT, HEAD, bodies)
        assert store.read(RESULT) == HEAD + joined


def _part(method: str, target: str) -> bool:
    return method == "PUT" and "partNumber=" in target


def _complete(method: str, target: str) -> bool:
    return method == "POST" and "uploadId=" in target


def _begin(method: str, target: str) -> bool:
    return method == "POST" and target.endswith("?uploads")


def _get(method: str, target: str) -> bool:
    return method == "GET" and "/scratch/" in target


def _head(method: str, target: str) -> bool:
    return method == "HEAD" and "/scratch/" in target


class TestFailures:
    @pytest.mark.parametrize("fault", [Status(500), Status(503), Reset(), Reset(after=0)])
    @pytest.mark.parametrize("where", [_part, _complete, _begin, "drape/0.body", "?uploads&prefix"])
    def test_what_fails_once_is_done_again(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes, where: Any, fault: Any
    ) -> None:
        bodies, joined = bodies_of(store, data, [8, 6, 1])
        rule = s3_peer.script.add(where, [fault])
        store.concatenate(RESULT, HEAD, bodies)
        assert rule.left == 0
        assert store.read(RESULT) == HEAD + joined
        # An upload whose beginning was never answered is not known to anybody; the next attempt finds it.
        if where is _begin and isinstance(fault, Reset):
            store.concatenate(RESULT, HEAD, bodies)
        assert uploads() == []

    @pytest.mark.parametrize(
        "failure", [(Status(403), AccessDenied), (Status(500), SourceUnavailable), (Reset(), SourceUnavailable)]
    )
    @pytest.mark.parametrize("where", [_part, _complete, _get, _head])
    def test_what_goes_on_failing_leaves_nothing(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes, where: Match, failure: tuple[Fault, type[EoShardsError]]
    ) -> None:
        fault, error = failure
        bodies, _ = bodies_of(store, data, [8, 6, 1])
        s3_peer.script.add(where, [fault] * 100)
        if where is _complete and isinstance(fault, Reset):
            store.concatenate(RESULT, HEAD, bodies)  # it was completed each time, only nobody was told
        else:
            with pytest.raises(error, match="s3://"):
                store.concatenate(RESULT, HEAD, bodies)
            assert not store.exists(RESULT)
        assert uploads() == []

    @pytest.mark.parametrize("where", [_part, _complete])
    def test_a_failure_with_status_200_is_one(self, data: bytes, where: Callable[[str, str], bool]) -> None:
        """S3 says 200 before it copies and joins, and what came of it in the body."""
        with _Changing(where, times=1) as peer, bucket_of(peer, attempts=2) as store:
            bodies, joined = bodies_of(store, data, [8, 6])
            store.concatenate(RESULT, HEAD, bodies)
            assert store.read(RESULT) == HEAD + joined
            peer.times = 100
            with pytest.raises(SourceUnavailable, match="InternalError"):
                store.concatenate(RESULT, HEAD, bodies)
            assert uploads() == []

    def test_an_old_result_stays_until_the_new_one_is_whole(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes
    ) -> None:
        store.write(RESULT, [b"old"])
        bodies, _ = bodies_of(store, data, [8, 6])
        s3_peer.script.add(_complete, [Status(403)])
        with pytest.raises(AccessDenied):
            store.concatenate(RESULT, HEAD, bodies)
        assert store.read(RESULT) == b"old"

    def test_completing_fails_where_the_object_is_of_another_attempt(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes
    ) -> None:
        bodies, _ = bodies_of(store, data, [8, 6])
        store.concatenate(RESULT, HEAD, bodies)
        s3_peer.script.add(_complete, [Status(500)] * 10)
        with pytest.raises(SourceUnavailable):
            store.concatenate(RESULT, HEAD, bodies)
        assert uploads() == []

    def test_uploads_of_a_killed_attempt_are_aborted_first(
        self, s3_peer: S3Peer, store: BucketStore, data: bytes
    ) -> None:
        for key in (RESULT, RESULT, f"{RESULT}.other"):
            s3_peer.client().create_multipart_upload(Bucket=BUCKET, Key=key)
        bodies, joined = bodies_of(store, data, [8, 6])
        store.concatenate(RESULT, HEAD, bodies)
        assert uploads() == [f"{RESULT}.other"]
        assert store.read(RESULT) == HEAD + joined

    def test_an_upload_that_another_attempt_aborts_can_be_tried_again(self, data: bytes) -> None:
        with _Aborting() as peer, bucket_of(peer, attempts=2) as store:
            bodies, _ = bodies_of(store, data, [8, 6])
            with pytest.raises(SourceUnavailable, match="aborted by another attempt"):
                store.concatenate(RESULT, HEAD, bodies)
            assert not store.exists(RESULT)

    def test_an_interrupt_leaves_no_upload(
        self, store: BucketStore, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bodies, _ = bodies_of(store, data, [8, 6])

        def interrupted(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(multipart, "wait", interrupted)
            patched.setattr(multipart, "_verified", _unverified)
            with pytest.raises(KeyboardInterrupt):
                store.concatenate(RESULT, HEAD, bodies)
        assert uploads() == []
        assert not store.exists(RESULT)

    def test_the_first_failure_ends_the_others(self, s3_peer: S3Peer, store: BucketStore, data: bytes) -> None:
        bodies, _ = bodies_of(store, data, [5] * 2)
        many = [bodies[0], *[bodies[1]] * 300]
        rule = s3_peer.script.add(_part, [Status(403)])
        with pytest.raises(AccessDenied):
            store.concatenate(RESULT, HEAD, many)
        assert rule.calls < 100
        assert uploads() == []


def _unverified(bucket: str, bodies: Sequence[Body]) -> list[multipart.Source]:
    from eo.s3_client import client  # noqa: PLC0415

    return [
        multipart.Source(body.key, body.size, client().head_object(Bucket=bucket, Key=body.key)["ETag"], "")
        for body in bodies
    ]


class _Changing(S3Peer):
    """Fails with status 200."""

    def __init__(self, where: Callable[[str, str], bool], times: int) -> None:
        super().__init__()
        self.where, self.times = where, times

    def respond(self, request: Request) -> Response:
        copied = request.method == "POST" or "x-amz-copy-source" in request.headers
        if self.times and copied and self.where(request.method, f"{request.path}?{request.query}"):
            self.times -= 1
            fault = b"<?xml version='1.0'?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>"
            return Response(200, {"Content-Type": "application/xml"}, fault)
        return super().respond(request)


class _Aborting(S3Peer):
    """Another attempt begins when the first part is there."""

    def __init__(self) -> None:
        super().__init__()
        self._once = threading.Lock()

    def respond(self, request: Request) -> Response:
        answer = super().respond(request)
        if request.method == "PUT" and "partNumber=" in request.query and self._once.acquire(blocking=False):
            for upload in self.client().list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
                self.client().abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
        return answer


def test_parts_of_true_size(s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with bucket_of(s3_peer) as store:
        bodies, joined = bodies_of(store, os.urandom(13 << 20), [8 * 1024, 6 * 1024, 1, 12 * 1024])
        s3_peer.forget()
        store.concatenate(RESULT, HEAD, bodies)
        assert through(s3_peer) <= 13 << 20
        assert store.read(RESULT) == HEAD + joined


def test_s3_says_no_where_moto_would_not(s3_peer: S3Peer, store: BucketStore, data: bytes) -> None:
    """The rules that the joining relies on are those of the peer."""
    client = s3_peer.client()
    store.write("large", [data[: 6 * KIB]])
    store.write("small", [data[:KIB]])
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="made")["UploadId"]
    place: dict[str, Any] = {"Bucket": BUCKET, "Key": "made", "UploadId": upload}

    def refused(**asked: Any) -> str:
        with pytest.raises(client.exceptions.ClientError) as raised:
            client.upload_part_copy(**{**place, "PartNumber": 1, **asked})
        return str(raised.value.response["Error"]["Code"])

    large, small = ({"Bucket": BUCKET, "Key": key} for key in ("large", "small"))
    assert refused(CopySource=large, PartNumber=10_001) == "InvalidArgument"
    assert refused(CopySource=large, CopySourceRange=f"bytes=0-{6 * KIB}") == "InvalidArgument"
    assert refused(CopySource=small, CopySourceRange="bytes=0-10") == "InvalidRequest"
    assert refused(CopySource=large, CopySourceIfMatch='"other"') == "PreconditionFailed"
    assert refused(CopySource={"Bucket": BUCKET, "Key": "no"}) == "NoSuchKey"
    assert refused(CopySource=large, UploadId="no") == "NoSuchUpload"
    with pytest.raises(client.exceptions.ClientError, match="BadDigest"):
        client.put_object(Bucket=BUCKET, Key="x", Body=b"1", ChecksumSHA256="A" * 43 + "=")
    part = client.upload_part_copy(**place, PartNumber=1, CopySource=large)["CopyPartResult"]
    parts: Any = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    with pytest.raises(client.exceptions.ClientError, match="mp-object-size"):
        client.complete_multipart_upload(**place, MultipartUpload=parts, MpuObjectSize=1)
    checked = client.create_multipart_upload(Bucket=BUCKET, Key="made", ChecksumAlgorithm="SHA256")["UploadId"]
    place["UploadId"] = checked
    part = client.upload_part_copy(**place, PartNumber=1, CopySource=large)["CopyPartResult"]
    assert part["ChecksumSHA256"]
    with pytest.raises(client.exceptions.ClientError, match="must include the checksum"):
        client.complete_multipart_upload(**place, MultipartUpload=parts)
