"""The bucket store: objects whole and checked, conditions that hold, failures that say what they are."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from buckets import BUCKET, body, bucket_of, environment, forget, uploads
from eo import bucket_store, s3_client
from eo.bucket_store import BucketStore
from eo.errors import AccessDenied, CorruptData, EoShardsError, InvalidInput, RateLimited, SourceUnavailable, TooLarge
from peers.faults import Corrupt, Hang, Ok, Reset, Status, Truncate
from peers.s3 import KEY, SECRET, S3Peer
from peers.web import Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(s3_peer: S3Peer) -> Iterator[BucketStore]:
    with bucket_of(s3_peer, attempts=2) as found:
        yield found


class TestObjects:
    def test_an_object_is_its_pieces_in_order(self, store: BucketStore) -> None:
        store.write("a/b.bin", [b"one", memoryview(b"two"), b""])
        assert store.read("a/b.bin") == b"onetwo"
        assert store.exists("a/b.bin")
        assert not store.exists("a")
        with pytest.raises(KeyError):
            store.read("a/c.bin")

    def test_keys_may_hold_whatever_scenes_are_called(self, store: BucketStore) -> None:
        for key in ("a b/c+d", "ä/%2F", "x/&<y>.json"):
            store.write(key, [key.encode()])
            assert store.read(key) == key.encode()
        assert sorted(store.keys("")) == ["a b/c+d", "x/&<y>.json", "ä/%2F"]

    def test_s3_keeps_the_digest_of_the_whole_object(self, s3_peer: S3Peer, store: BucketStore) -> None:
        made = body(store, "a", os.urandom(100_000))
        head = s3_peer.client().head_object(Bucket=BUCKET, Key="a", ChecksumMode="ENABLED")
        assert base64.b64decode(head["ChecksumSHA256"]).hex() == made.digest

    def test_a_failed_write_leaves_the_object_as_it_was(self, store: BucketStore) -> None:
        store.write("a", [b"old"])

        def broken() -> Iterator[bytes]:
            yield b"new"
            raise RuntimeError("torn")

        with pytest.raises(RuntimeError, match="torn"):
            store.write("a", broken())
        assert store.read("a") == b"old"

    def test_a_large_body_is_not_held(
        self, store: BucketStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(bucket_store, "SPOOL", 1000)
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        seen = []

        def pieces() -> Iterator[bytes]:
            for _ in range(30):
                yield b"x" * 100
                seen.append(sum(file.stat().st_size for file in _open_below(tmp_path)))

        store.write("a", pieces())
        assert max(seen) > 1000
        assert len(store.read("a")) == 3000
        assert list(tmp_path.iterdir()) == []

    def test_more_than_s3_takes_at_once_is_refused(self, store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bucket_store, "MAX_PUT", 10)
        with pytest.raises(TooLarge, match=r"more than 10 bytes.*choose a smaller bbox"):
            store.write("a", [b"x" * 11])
        assert not store.exists("a")

    def test_many_are_read_in_order(self, store: BucketStore) -> None:
        keys = [f"k/{number}" for number in range(150)]
        for key in keys:
            store.write(key, [key.encode()])
        assert [data.decode() for data in store.read_all(keys)] == keys
        assert list(store.read_all([])) == []

    def test_of_many_a_missing_one_is_told_at_its_turn(self, store: BucketStore) -> None:
        store.write("k/0", [b"0"])
        found = store.read_all(["k/0", "k/1", "k/0"])
        assert next(found) == b"0"
        with pytest.raises(KeyError):
            next(found)

    def test_reading_many_holds_few(self, s3_peer: S3Peer, store: BucketStore) -> None:
        store.write("k", [b"0"])
        s3_peer.forget()
        found = store.read_all(["k"] * 1000)
        next(found)
        found.close()  # type: ignore[attr-defined]
        assert s3_peer.requests <= bucket_store.AHEAD + 2

    def test_keys_come_from_all_pages(self, store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
        keys = [f"k/{number}" for number in range(8)]
        for key in [*keys, "kk", "k"]:
            store.write(key, [b""])
        assert list(store.keys("k/")) == keys
        assert list(store.keys("nothing/")) == []

    def test_stores_are_values(self, store: BucketStore) -> None:
        store.write("a", [b"1"])
        copy = pickle.loads(pickle.dumps(store))
        assert copy == store
        assert hash(copy) == hash(store)
        assert copy.read("a") == b"1"

    def test_temporary_files_lie_below_the_temporary_folder(self, store: BucketStore) -> None:
        assert store.temporary("scratch/j/files").is_relative_to(tempfile.gettempdir())


def _open_below(folder: Path) -> list[Path]:
    """Files without a name that this process has open."""
    found = []
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(file.readlink()).startswith(str(folder)):
                found.append(file)
    return found


class TestDeleting:
    def test_it_says_what_is_free_again(self, store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
        for key, data in {"a/b": b"123", "a/c/d": b"45", "a/e": b"6", "ab": b"789", "a": b"0"}.items():
            store.write(key, [data])
        assert store.delete("a/c/") == 2
        assert store.delete("a") == 5
        assert list(store.keys("")) == ["ab"]
        assert store.delete("a") == 0
        assert store.delete("ab") == 3

    def test_what_s3_did_not_delete_is_deleted_again(self) -> None:
        with _Undeleting(2, "InternalError") as peer, bucket_of(peer, attempts=2) as store:
            store.write("a/b", [b"123"])
            assert store.delete("a/") == 3
            assert not store.exists("a/b")

    @pytest.mark.parametrize(("code", "error"), [("AccessDenied", AccessDenied), ("InternalError", SourceUnavailable)])
    def test_what_s3_does_not_delete_is_told(self, code: str, error: type[EoShardsError]) -> None:
        with _Undeleting(99, code) as peer, bucket_of(peer, attempts=2) as store:
            store.write("a/b", [b"123"])
            with pytest.raises(error, match="a/b"):
                store.delete("a/")
            assert store.exists("a/b")


class _Undeleting(S3Peer):
    """Deletes nothing at first, and says so with status 200, as S3 does."""

    def __init__(self, times: int, code: str) -> None:
        super().__init__()
        self.times, self.code = times, code

    def respond(self, request: Request) -> Response:
        if request.method == "POST" and request.query.startswith("delete") and self.times:
            self.times -= 1
            fault = f"<Error><Key>a/b</Key><Code>{self.code}</Code><Message>no</Message></Error>"
            return Response(200, {"Content-Type": "application/xml"}, f"<DeleteResult>{fault}</DeleteResult>".encode())
        return super().respond(request)


class TestConditions:
    def test_an_object_is_created_once(self, store: BucketStore) -> None:
        assert store.create("a", b"1")
        assert not store.create("a", b"2")
        assert store.read("a") == b"1"

    def test_an_object_is_replaced_only_as_it_was_read(self, store: BucketStore) -> None:
        store.create("a", b"1")
        data, tag = store.read_tagged("a")
        assert data == b"1"
        assert store.replace("a", b"2", tag)
        assert not store.replace("a", b"3", tag)
        assert not store.replace("nothing", b"3", tag)
        assert store.read("a") == b"2"
        with pytest.raises(KeyError):
            store.read_tagged("nothing")

    def test_of_many_at_once_one_wins(self, store: BucketStore) -> None:
        barrier = threading.Barrier(12)

        def create(number: int) -> bool:
            barrier.wait()
            return store.create("a", str(number).encode())

        def replace(number: int) -> bool:
            tag = store.read_tagged("a")[1]
            barrier.wait()
            return store.replace("a", f"r{number}".encode(), tag)

        with ThreadPoolExecutor(12) as pool:
            assert sum(pool.map(create, range(12))) == 1
            assert sum(pool.map(replace, range(12))) == 1

    def test_an_answer_that_is_lost_is_not_a_race_that_is_lost(self, s3_peer: S3Peer, store: BucketStore) -> None:
        s3_peer.script.add(lambda method, _: method == "PUT", [Reset(), Ok(), Reset()])
        assert store.create("a", b"1")
        assert not store.create("a", b"1")  # the same bytes, and not this call's
        tag = store.read_tagged("a")[1]
        s3_peer.script.clear()
        s3_peer.script.add(lambda method, _: method == "PUT", [Reset()])
        assert store.replace("a", b"2", tag)
        s3_peer.script.add(lambda method, _: method == "PUT", [Reset()])
        assert not store.replace("a", b"3", tag)

    def test_a_conflict_is_tried_again(self) -> None:
        with _Conflicting(2) as peer, bucket_of(peer) as store:
            assert store.create("a", b"1")
            assert peer.times == 0
            tag = store.read_tagged("a")[1]
            peer.times = 1
            assert store.replace("a", b"2", tag)
            assert not store.replace("a", b"3", tag)
            peer.times = 99
            with pytest.raises(SourceUnavailable, match="s3://eo-shards-data/b is being written"):
                store.create("b", b"1")

    def test_what_a_write_has_done_is_its_own_also_after_a_conflict_with_itself(self) -> None:
        with _Conflicting(1, lost=True) as peer, bucket_of(peer) as store:
            assert store.create("a", b"1")
            tag = store.read_tagged("a")[1]
            peer.times, peer.lost = 1, True
            assert store.replace("a", b"2", tag)
            assert store.read("a") == b"2"


class _Conflicting(S3Peer):
    """Answers 409, as S3 does where two writes of a key meet; `lost`: after a write whose answer is lost."""

    def __init__(self, times: int, *, lost: bool = False) -> None:
        super().__init__()
        self.times = times
        self.lost = lost

    def respond(self, request: Request) -> Response:
        if request.method == "PUT" and self.lost and request.path.count("/") > 1:
            self.lost = False
            super().respond(request)
            return Response(500, {}, b"")
        if request.method == "PUT" and self.times and request.path.count("/") > 1:
            self.times -= 1
            fault = b"<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>"
            return Response(409, {"Content-Type": "application/xml"}, fault)
        return super().respond(request)


class TestFailures:
    @pytest.mark.parametrize("fault", [Reset(), Truncate(10), Corrupt(), Status(500), Status(503)])
    def test_a_read_that_breaks_is_done_again(self, s3_peer: S3Peer, store: BucketStore, fault: Any) -> None:
        data = os.urandom(200_000)
        store.write("a", [data])
        rule = s3_peer.script.add("/a", [fault])
        assert store.read("a") == data
        assert rule.calls == 2

    def test_what_always_arrives_damaged_is_never_given_out(self, s3_peer: S3Peer, store: BucketStore) -> None:
        store.write("a", [b"x" * 1000])
        s3_peer.script.add("/a", [Corrupt()] * 20)
        with pytest.raises(SourceUnavailable, match="FlexibleChecksumError"):
            store.read("a")

    @pytest.mark.parametrize("fault", [Reset(), Status(500)])
    def test_a_write_that_breaks_is_done_again(self, s3_peer: S3Peer, store: BucketStore, fault: Any) -> None:
        s3_peer.script.add(lambda method, _: method == "PUT", [fault])
        store.write("a", [b"x" * 100_000])
        assert store.read("a") == b"x" * 100_000

    @pytest.mark.parametrize(
        ("fault", "error"), [(Status(503), RateLimited), (Status(500), SourceUnavailable), (Status(403), AccessDenied)]
    )
    def test_what_goes_on_failing_says_what_it_is(
        self, s3_peer: S3Peer, store: BucketStore, fault: Any, error: type[EoShardsError]
    ) -> None:
        store.write("a", [b"1"])
        s3_peer.script.add("", [fault] * 1000)
        for attempt in (
            lambda: store.read("a"),
            lambda: store.exists("a"),
            lambda: store.write("a", [b"1"]),
            lambda: list(store.keys("a/")),
            lambda: store.create("a", b""),
            lambda: store.delete("a"),
            lambda: store.abort_uploads("a"),
        ):
            with pytest.raises(error, match="s3://eo-shards-data/a") as raised:
                attempt()
            assert type(raised.value) is error
            assert raised.value.__cause__ is None
            assert SECRET not in str(raised.value)
            assert KEY not in str(raised.value)

    def test_a_wrong_secret_is_access_denied(self, store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        forget()
        with pytest.raises(AccessDenied, match="SignatureDoesNotMatch") as raised:
            store.read("a")
        assert KEY not in str(raised.value)

    def test_no_credentials_are_access_denied(self, store: BucketStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
        forget()
        with pytest.raises(AccessDenied, match="no AWS credentials"):
            store.read("a")

    @pytest.mark.usefixtures("store")
    def test_a_bucket_that_is_not_there_is_named(self) -> None:
        for attempt in (
            lambda: BucketStore("no-such-bucket").read("a"),
            lambda: BucketStore("no-such-bucket").create("a", b""),
            lambda: list(BucketStore("no-such-bucket").keys("a/")),
        ):
            with pytest.raises(InvalidInput, match=r"s3://no-such-bucket/a.*EO_SHARDS_BUCKET"):
                attempt()

    def test_nobody_there_is_a_source_that_is_unavailable(self) -> None:
        with S3Peer() as peer, bucket_of(peer, attempts=1) as store:
            peer.stop()
            with pytest.raises(SourceUnavailable, match=r"EndpointConnectionError|ConnectionClosed|ReadTimeout"):
                store.read("a")

    def test_a_silent_server_is_left(self, s3_peer: S3Peer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(s3_client, "READ_SECONDS", 0.3)
        with bucket_of(s3_peer, attempts=1) as store:
            s3_peer.script.add("/a", [Hang(5)])
            with pytest.raises(SourceUnavailable, match="ReadTimeoutError"):
                store.read("a")

    def test_functions_sign_with_their_session_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with _Listening() as peer, bucket_of(peer) as store:
            monkeypatch.setenv("AWS_SESSION_TOKEN", "token-of-the-role")
            forget()
            store.write("a", [b"1"])
            assert peer.tokens == {"token-of-the-role"}


class _Listening(S3Peer):
    def __init__(self) -> None:
        super().__init__()
        self.tokens: set[str | None] = set()

    def respond(self, request: Request) -> Response:
        self.tokens.add(request.headers.get("x-amz-security-token"))
        return super().respond(request)


class TestLargeObjects:
    def test_a_reader_seeks(self, store: BucketStore) -> None:
        data = os.urandom(300_000)
        store.write("a", [data])
        with store.reader("a") as file:
            assert file.seek(-5, os.SEEK_END) == 299_995
            assert file.read() == data[-5:]
            file.seek(1000)
            assert file.read(10) == data[1000:1010]
            file.seek(0)
            assert file.read() == data
        with pytest.raises(KeyError):
            store.reader("nothing")

    def test_a_reader_notices_that_the_object_was_replaced(self, store: BucketStore) -> None:
        store.write("a", [b"a" * 300_000])
        file = store.reader("a")
        store.write("a", [b"b" * 300_000])
        with pytest.raises(CorruptData, match="replaced"):
            file.read(10)
        store.delete("a")
        with pytest.raises(CorruptData, match="replaced"):
            file.read(10)

    def test_a_link_gives_the_object_to_anybody_under_its_name(self, store: BucketStore) -> None:
        store.write("jobs/a/result/a b.ply", [b"ply"])
        link = store.presigned("jobs/a/result/a b.ply", seconds=60, file_name="a b.ply")
        answer = requests.get(link, timeout=10)
        assert answer.content == b"ply"
        assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''a%20b.ply"
        assert requests.get(link.replace("a%20b", "b"), timeout=10).status_code == 403

    def test_links_of_amazon_name_the_region(self, monkeypatch: pytest.MonkeyPatch, s3_peer: S3Peer) -> None:
        for name, value in environment(s3_peer).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        forget()
        link = BucketStore(BUCKET).presigned("a", seconds=60, file_name="a")
        forget()
        assert link.startswith(f"https://{BUCKET}.s3.eu-central-1.amazonaws.com/a?")
        assert SECRET not in link


def test_no_upload_is_left_below_a_prefix(s3_peer: S3Peer, store: BucketStore) -> None:
    for key in ("jobs/a/result/x", "jobs/a/result/y", "jobs/b/result/x"):
        s3_peer.client().create_multipart_upload(Bucket=BUCKET, Key=key)
    assert store.abort_uploads("jobs/a/") == 2
    assert uploads() == ["jobs/b/result/x"]
    assert store.abort_uploads("jobs/a/") == 0
