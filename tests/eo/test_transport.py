"""Remote bytes through real clients against loopback peers that fail as scripted."""

import hashlib
import multiprocessing
import random
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from eo.errors import AccessDenied, CorruptData, InvalidInput, NothingFound, RateLimited, SourceUnavailable
from eo.range_file import Blocks, RangeFile
from eo.retry import Policy, Transient, retry_after
from eo.settings import Settings
from eo.slots import connection_slots
from eo.traffic import Traffic
from eo.transport import ObjectReader, connect
from peers.faults import Corrupt, Hang, Reset, Status, Truncate
from peers.files import FileServer
from peers.s3 import KEY, SECRET, S3Peer

BODY = bytes(range(256)) * 8000
TOKEN = "edh_pat_loopback"
FAULTS = [
    Status(429, 0),
    Status(500),
    Status(502),
    Status(503),
    Status(504),
    Reset(),
    Reset(0),
    Truncate(1000),
    Hang(9),
]


class Served:
    """One object on one kind of peer."""

    def __init__(self, peer: Any, source: Any, settings: Settings, href: str, slots: Path) -> None:
        self.peer, self.source, self.settings, self.href, self.slots = peer, source, settings, href, slots
        self.traffic = Traffic()

    @contextmanager
    def reader(self, href: str | None = None, **changed: Any) -> Iterator[ObjectReader]:
        settings = self.settings.model_copy(update=changed)
        with connect(self.source, settings, self.traffic, slots=self.slots) as remote:
            yield remote.reader(href or self.href)


def _settings(**values: Any) -> Settings:
    return Settings(retry_attempts=3, retry_delay=0.001, retry_max_delay=0.5, timeout=0.7, **values)


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Served]:
    with S3Peer() as peer:
        peer.put("eodata", "Sentinel-2/B02.jp2", BODY)
        settings = _settings(cdse_s3_endpoint=peer.url, cdse_key=SecretStr(KEY), cdse_secret=SecretStr(SECRET))
        yield Served(peer, "cdse", settings, "s3://eodata/Sentinel-2/B02.jp2", tmp_path / "slots")


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Served]:
    root = tmp_path / "served"
    (root / "dem.zarr").mkdir(parents=True)
    (root / "dem.zarr" / "c0").write_bytes(BODY)
    with FileServer(root, user="edh", password=TOKEN) as peer:
        settings = _settings(earth_data_hub_url=f"{peer.url}/dem.zarr", earth_data_hub_key=SecretStr(TOKEN))
        yield Served(peer, "earth-data-hub", settings, f"{peer.url}/dem.zarr/c0", tmp_path / "slots")


@pytest.fixture(params=["s3", "http"])
def served(request: pytest.FixtureRequest) -> Served:
    found: Served = request.getfixturevalue(request.param)
    return found


def _gone(peer: Any) -> bool:
    deadline = time.monotonic() + 2
    while peer.connections.open and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(peer.connections.open == 0)


class TestReading:
    def test_ranges_sizes_and_whole_objects(self, served: Served) -> None:
        with served.reader() as reader:
            assert reader.read(5, 10) == BODY[5:15]
            assert reader.size == len(BODY)
            assert served.peer.requests == 1  # the size came with the range
            assert reader.read(len(BODY) - 3, 100) == BODY[-3:]
            assert reader.read(len(BODY), 1) == b""
            assert reader.get() == BODY
        assert served.traffic == Traffic(requests=3, bytes=13 + len(BODY))
        assert served.peer.connections.peak == 1
        assert _gone(served.peer)

    def test_a_size_alone_costs_a_head(self, served: Served) -> None:
        with served.reader() as reader:
            assert (reader.size, reader.size) == (len(BODY), len(BODY))
        assert [call.method for call in served.peer.calls] == ["HEAD"]

    def test_a_missing_object_is_not_asked_for_again(self, served: Served) -> None:
        with served.reader(served.href + "x") as reader:
            assert reader.find() is None
            assert reader.failure is None
            with pytest.raises(NothingFound, match="404"):
                reader.read(0, 1)
        assert served.peer.requests == 2

    @pytest.mark.parametrize("fault", FAULTS, ids=str)
    def test_what_may_pass_is_tried_again(self, served: Served, fault: Any) -> None:
        rule = served.peer.script.add("", [fault, fault])
        with served.reader() as reader:
            assert reader.read(1000, 200_000) == BODY[1000:201_000]
        assert rule.calls == 3
        assert served.traffic.requests == 3
        assert served.peer.connections.peak == 1

    @pytest.mark.parametrize("fault", FAULTS[1:], ids=str)
    def test_what_does_not_pass_is_named(self, served: Served, fault: Any) -> None:
        served.peer.script.add("", [fault] * 9)
        with served.reader() as reader, pytest.raises(SourceUnavailable, match="after 3 attempts: try again") as caught:
            reader.read(0, 200_000)
        assert not isinstance(caught.value, RateLimited)
        assert served.href in str(caught.value)
        assert reader.failure is caught.value
        assert served.peer.requests == 3

    def test_too_many_requests_are_their_own_error(self, served: Served) -> None:
        served.peer.script.add("", [Status(429)] * 9)
        with served.reader() as reader, pytest.raises(RateLimited, match=r"\(429\) after 3 attempts"):
            reader.get()

    def test_retry_after_is_waited_for_but_capped(self, served: Served) -> None:
        served.peer.script.add("", [Status(503, 0.3), Status(429, 9000)])
        started = time.monotonic()
        with served.reader() as reader:
            assert reader.read(0, 1) == BODY[:1]
        assert 0.8 <= time.monotonic() - started < 3


class TestAccess:
    def test_refused_keys_say_what_to_set(self, s3: Served) -> None:
        with s3.reader(cdse_secret=SecretStr("wrong-secret")) as reader, pytest.raises(AccessDenied) as caught:
            reader.read(0, 1)
        assert "CDSE_KEY and CDSE_SECRET" in str(caught.value)
        assert "SignatureDoesNotMatch" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("wrong-secret", KEY, SECRET))
        assert s3.peer.requests == 1

    def test_without_keys_nothing_is_asked(self, s3: Served) -> None:
        with pytest.raises(AccessDenied, match="CDSE_KEY"), s3.reader(cdse_key=None, cdse_secret=None):
            pass
        assert s3.peer.requests == 0

    @pytest.mark.parametrize("token", [None, SecretStr("edh_pat_wrong")])
    def test_a_refused_token_says_what_to_set(
        self, http: Served, token: SecretStr | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("NETRC", str(tmp_path / "none"))
        with http.reader(earth_data_hub_key=token) as reader, pytest.raises(AccessDenied) as caught:
            reader.find()
        assert "EARTH_DATA_HUB_KEY" in str(caught.value)
        assert "edh_pat_wrong" not in str(caught.value)
        assert http.peer.requests == 1

    def test_netrc_counts_only_without_a_key(
        self, http: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login edh password {TOKEN}\n")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        with http.reader(earth_data_hub_key=None) as reader:
            assert reader.get() == BODY
        with http.reader(earth_data_hub_key=SecretStr("wrong")) as reader, pytest.raises(AccessDenied):
            reader.get()

    def test_a_redirect_to_another_host_does_not_carry_the_token(self, http: Served) -> None:
        seen: list[str | None] = []

        class Redirects(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.headers.get("Authorization"))
                if self.server.server_address == first.server_address:
                    self.send_response(302)
                    self.send_header("Location", f"http://localhost:{second.server_address[1]}/x")
                else:
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        with (
            ThreadingHTTPServer(("127.0.0.1", 0), Redirects) as first,
            ThreadingHTTPServer(("127.0.0.1", 0), Redirects) as second,
        ):
            for server in (first, second):
                threading.Thread(target=server.serve_forever, daemon=True).start()
            base = f"http://127.0.0.1:{first.server_address[1]}"
            with http.reader(f"{base}/x", earth_data_hub_url=base) as reader:
                assert reader.get() == b""
            first.shutdown()
            second.shutdown()
        assert seen[0] is not None
        assert seen[1] is None

    @pytest.mark.parametrize(
        "href",
        ["s3://other/B02.jp2", "s3://eodata", "http://127.0.0.1:1/x", "s3://eodata/a/../../b", "file:///etc/passwd"],
    )
    def test_other_places_are_not_opened(self, s3: Served, href: str) -> None:
        with pytest.raises(InvalidInput, match="does not lie in s3://eodata"), s3.reader(href):
            pass


class TestDownload:
    def test_it_appears_whole_under_its_name(self, served: Served, tmp_path: Path) -> None:
        with served.reader() as reader:
            assert reader.download(tmp_path / "B02.jp2").read_bytes() == BODY
        assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["B02.jp2"]
        assert served.traffic == Traffic(requests=1, bytes=len(BODY))

    @pytest.mark.parametrize("fault", [Truncate(1_500_000), Reset(1_500_000)], ids=str)
    def test_it_goes_on_where_the_connection_broke(self, served: Served, fault: Any, tmp_path: Path) -> None:
        served.peer.script.add("", [fault])
        with served.reader() as reader:
            assert reader.download(tmp_path / "B02.jp2").read_bytes() == BODY
        assert served.traffic.bytes == len(BODY)
        # A reset may discard all that the kernel had not yet handed over; an orderly end does not.
        assert isinstance(fault, Reset) or served.peer.calls[1].range is not None

    def test_a_file_that_changes_meanwhile_is_not_mixed(self, served: Served, tmp_path: Path) -> None:
        served.peer.script.add("", [Truncate(1_500_000)])
        other = BODY[::-1]
        with served.reader() as reader:
            fetch = reader._transport.fetch

            def changing(*args: Any, **options: Any) -> Any:
                try:
                    return fetch(*args, **options)
                except Transient:
                    if served.source == "cdse":
                        served.peer.put("eodata", "Sentinel-2/B02.jp2", other)
                    else:
                        (served.peer.root / "dem.zarr" / "c0").write_bytes(other)
                    raise

            reader._transport.fetch = changing  # type: ignore[method-assign]
            if served.source == "cdse":
                with pytest.raises(CorruptData, match="replaced while it was read"):
                    reader.download(tmp_path / "B02.jp2")
                assert not (tmp_path / "B02.jp2").exists()
            else:
                assert reader.download(tmp_path / "B02.jp2").read_bytes() == other

    def test_a_checksum_is_checked(self, served: Served, tmp_path: Path) -> None:
        right = "1620" + hashlib.sha3_256(BODY).hexdigest()
        with served.reader() as reader:
            reader.download(tmp_path / "B02.jp2", checksum=right)
            served.peer.script.add("", [Corrupt()])
        with served.reader() as reader, pytest.raises(CorruptData, match="sha3_256"):
            reader.download(tmp_path / "bad.jp2", checksum=right)
        assert not (tmp_path / "bad.jp2").exists()

    def test_a_full_disk_is_no_fault_of_the_connection(self, served: Served, tmp_path: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        with served.reader() as reader:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
            try:
                with pytest.raises(OSError, match="File too large"):
                    reader.download(tmp_path / "B02.jp2")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert served.peer.requests == 1
        assert not list(tmp_path.glob(".B02*"))


class TestRangeFile:
    def test_it_reads_as_a_file(self, served: Served) -> None:
        with served.reader() as reader, reader.open() as file, reader.open() as again:
            assert file.read(12) == BODY[:12]
            assert file.seek(-5, 2) == len(BODY) - 5
            assert file.read() == BODY[-5:]
            assert file.read(10) == b""
            assert again.seek(100_000) == 100_000
            assert again.read(1_500_000) == BODY[100_000:1_600_000]
            assert (again.seek(-4, 1), again.tell()) == (1_599_996, 1_599_996)

    def test_small_reads_share_requests(self, http: Served) -> None:
        with http.reader() as reader, reader.open() as file:
            for start in range(0, 60_000, 100):
                file.seek(start)
                assert file.read(8) == BODY[start : start + 8]
        assert http.peer.requests == 1

    def test_reading_on_and_on_reads_ahead(self, http: Served) -> None:
        with http.reader() as reader, reader.open() as file:
            assert b"".join(iter(lambda: file.read(30_000), b"")) == BODY
        assert http.peer.requests < 10

    def test_any_order_of_reads_gives_the_bytes(self) -> None:
        data = bytes(random.Random(1).randbytes(100_000))
        blocks = Blocks(lambda start, length: data[start : start + length], lambda: len(data), block=64, cache=1024)
        file, draw = RangeFile(blocks, "x"), random.Random(2)
        for _ in range(5000):
            start, length = draw.randrange(101_000), draw.choice([1, 10, 64, 65, 500, 3000])
            file.seek(start)
            assert file.read(length) == data[start : start + length]


def _hold(folder: Path, start: Any, held: Any, most: Any, times: int) -> None:
    start.wait(60)
    for _ in range(times):
        with connection_slots("account", 2, folder):
            with held.get_lock():
                held.value += 1
                most.value = max(most.value, held.value)
            time.sleep(0.01)
            with held.get_lock():
                held.value -= 1


def _hold_for_ever(folder: Path, ready: Any) -> None:
    with connection_slots("account", 1, folder):
        ready.set()
        time.sleep(60)


class TestSlots:
    def test_no_more_than_the_limit_over_all_processes(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        held, most = context.Value("i", 0), context.Value("i", 0)
        start = context.Barrier(4)
        workers = [context.Process(target=_hold, args=(tmp_path / "slots", start, held, most, 10)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 4
        assert most.value == 2

    def test_a_killed_process_gives_its_slot_back(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        worker = context.Process(target=_hold_for_ever, args=(tmp_path / "slots", ready))
        worker.start()
        assert ready.wait(30)
        worker.kill()
        with connection_slots("account", 1, tmp_path / "slots") as slot:
            assert slot == 0
        worker.join(10)

    def test_the_folder_is_private_and_names_no_key(self, tmp_path: Path) -> None:
        with connection_slots("https://endpoint AKEXAMPLE", 2, tmp_path / "slots"):
            assert (tmp_path / "slots").stat().st_mode & 0o777 == 0o700
            assert not any("AKEX" in path.name or path.stat().st_size for path in (tmp_path / "slots").iterdir())
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        with pytest.raises(InvalidInput, match="private"), connection_slots("x", 1, tmp_path / "open"):
            pass
        (tmp_path / "link").symlink_to(tmp_path / "slots")
        with pytest.raises(InvalidInput, match="private"), connection_slots("x", 1, tmp_path / "link"):
            pass

    def test_one_account_never_has_more_than_four_connections(self, s3: Served) -> None:
        s3.peer.script.add("", [Hang(0.05)] * 40)

        def work() -> None:
            for _ in range(3):
                with s3.reader(timeout=30) as reader:
                    assert reader.read(0, 100) == BODY[:100]

        threads = [threading.Thread(target=work) for _ in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert s3.peer.requests == 27
        assert 2 <= s3.peer.connections.peak <= 4


class TestPolicy:
    def test_delays_double_with_jitter_up_to_the_longest(self) -> None:
        slept: list[float] = []
        policy = Policy(attempts=6, delay=1, max_delay=5, sleep=slept.append)

        def fail() -> None:
            raise Transient("no")

        with pytest.raises(SourceUnavailable):
            policy.run(fail, "x")
        assert all(high / 2 <= delay <= high for delay, high in zip(slept, [1, 2, 4, 5, 5], strict=True))

    def test_retry_after_is_seconds_or_a_date(self) -> None:
        assert retry_after("7") == 7
        assert 55 < (retry_after(formatdate(time.time() + 60, usegmt=True)) or 0) <= 60
        assert retry_after(formatdate(time.time() - 60, usegmt=True)) == 0
        assert (retry_after("soon"), retry_after(""), retry_after(None)) == (None, None, None)
