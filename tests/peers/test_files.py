"""The file server and the faults, seen by requests, GDAL, zarr and bare sockets."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import time
from typing import TYPE_CHECKING

import aiohttp
import numpy as np
import pytest
import rasterio
import requests
import zarr
from zarr.storage import FsspecStore

from peers.faults import Corrupt, Hang, Ok, Reset, Status, Truncate
from peers.fixtures import EDH_TOKEN, EDH_USER

if TYPE_CHECKING:
    from pathlib import Path

    from peers.files import FileServer

BODY = bytes(range(256)) * 1000


@pytest.fixture
def served(file_server: FileServer) -> FileServer:
    (file_server.root / "sub").mkdir()
    (file_server.root / "sub" / "a b.bin").write_bytes(BODY)
    return file_server


def _url(server: FileServer) -> str:
    return f"{server.url}/sub/a%20b.bin"


@pytest.mark.parametrize(
    ("asked", "status", "content_range", "body"),
    [
        ("bytes=0-9", 206, "bytes 0-9/256000", BODY[:10]),
        ("bytes=255990-", 206, "bytes 255990-255999/256000", BODY[-10:]),
        ("bytes=-10", 206, "bytes 255990-255999/256000", BODY[-10:]),
        ("bytes=-999999", 206, "bytes 0-255999/256000", BODY),
        ("bytes=255990-300000", 206, "bytes 255990-255999/256000", BODY[-10:]),
        ("bytes=256000-", 416, "bytes */256000", b""),
        ("bytes=-0", 416, "bytes */256000", b""),
        ("bytes=9-0", 200, None, BODY),
        ("bytes=-", 200, None, BODY),
        ("pages=1-2", 200, None, BODY),
    ],
)
def test_ranges_follow_rfc_9110(
    served: FileServer, asked: str, status: int, content_range: str | None, body: bytes
) -> None:
    answer = requests.get(_url(served), headers={"Range": asked}, timeout=5)
    assert (answer.status_code, answer.headers.get("Content-Range"), answer.content) == (status, content_range, body)
    assert served.calls[-1].range == asked


def test_if_range_with_another_etag_gives_the_whole_file(served: FileServer) -> None:
    etag = requests.head(_url(served), timeout=5).headers["ETag"]
    for given, status in ((etag, 206), ('"other"', 200)):
        headers = {"Range": "bytes=0-9", "If-Range": given}
        assert requests.get(_url(served), headers=headers, timeout=5).status_code == status


def test_head_announces_and_sends_nothing(served: FileServer) -> None:
    answer = requests.head(_url(served), timeout=5)
    assert (answer.status_code, answer.headers["Content-Length"], answer.content) == (200, "256000", b"")
    assert served.bytes_sent == 0


@pytest.mark.parametrize("path", ["/missing", "/sub", "/", "/../secret", "/sub/%2e%2e/%2e%2e/secret"])
def test_what_is_not_a_file_below_the_root_is_not_found(served: FileServer, path: str) -> None:
    (served.root.parent / "secret").write_text("no")
    with contextlib.closing(http.client.HTTPConnection(served.host, timeout=5)) as connection:
        connection.request("GET", path)  # as it is: requests would take the dots out
        assert connection.getresponse().status == 404


def test_one_session_is_one_connection(served: FileServer) -> None:
    with requests.Session() as session:
        for _ in range(5):
            assert session.get(_url(served), timeout=5).content == BODY
        assert (served.connections.open, served.connections.total, served.requests) == (1, 1, 5)
    assert served.connections.open == 0
    assert served.bytes_sent == 5 * len(BODY)
    assert {call.connection for call in served.calls} == {1}


def test_connections_one_after_another_never_count_as_two(served: FileServer) -> None:
    for _ in range(200):
        requests.get(_url(served), timeout=5)
    assert (served.connections.peak, served.connections.total) == (1, 200)


def test_connections_at_once_are_counted(served: FileServer) -> None:
    served.script.add("sub", [Hang(0.3)] * 6)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: requests.get(_url(served), timeout=5), range(6)))
    assert served.connections.peak == 6
    served.forget()
    assert (served.connections.peak, served.connections.total, served.requests) == (0, 0, 0)


def test_basic_auth(dem_server: FileServer) -> None:
    (dem_server.root / "x").write_bytes(b"1")
    url = f"{dem_server.url}/x"
    wrong = [None, (EDH_USER, "other"), ("other", EDH_TOKEN)]
    answers = [requests.get(url, auth=auth, timeout=5) for auth in wrong]
    assert [(answer.status_code, "Basic" in answer.headers["WWW-Authenticate"]) for answer in answers] == [
        (401, True)
    ] * 3
    assert requests.get(url, auth=(EDH_USER, EDH_TOKEN), timeout=5).content == b"1"
    assert requests.get(f"{dem_server.url}/y", auth=(EDH_USER, EDH_TOKEN), timeout=5).status_code == 404


def test_faults_are_played_in_order_and_counted(served: FileServer) -> None:
    rule = served.script.add("a b.bin", [Ok(), Status(503), Status(429, retry_after=1)])
    other = served.script.add(lambda method, _: method == "HEAD", [Status(403)])
    answers = [requests.get(_url(served), timeout=5) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 429, 200]
    assert answers[2].headers["Retry-After"] == "1"
    assert (rule.calls, rule.left, other.calls, served.script.left) == (4, 0, 0, 1)
    assert requests.head(_url(served), timeout=5).status_code == 403
    assert [call.status for call in served.calls] == [200, 503, 429, 200, 403]
    assert served.script.left == 0


@pytest.mark.parametrize("fault", [Reset(), Reset(after=0), Reset(after=70_000)])
def test_reset_is_a_reset_not_an_end(served: FileServer, fault: Reset) -> None:
    served.script.add("sub", [fault])
    with pytest.raises(requests.RequestException) as caught:
        requests.get(_url(served), timeout=5)
    assert "reset by peer" in str(caught.value)
    assert served.calls[0].sent == (len(BODY) // 2 if fault.after is None else fault.after)
    assert requests.get(_url(served), timeout=5).content == BODY


def test_reset_without_a_body_comes_before_the_head(served: FileServer) -> None:
    served.script.add("sub", [Reset()])
    with pytest.raises(requests.ConnectionError):
        requests.head(_url(served), timeout=5)
    assert served.calls[0].status == 0


def test_truncate_announces_all_and_ends_early(served: FileServer) -> None:
    served.script.add("sub", [Truncate(1000)])
    with contextlib.closing(http.client.HTTPConnection(served.host, timeout=5)) as connection:
        connection.request("GET", "/sub/a%20b.bin")
        answer = connection.getresponse()
        assert answer.getheader("Content-Length") == "256000"
        with pytest.raises(http.client.IncompleteRead) as caught:
            answer.read()
    assert caught.value.partial == BODY[:1000]


def test_corrupt_changes_bytes_and_nothing_else(served: FileServer) -> None:
    served.script.add("sub", [Corrupt(), Corrupt(at=65_530, count=20)])
    middle = requests.get(_url(served), timeout=5)
    across = requests.get(_url(served), timeout=5)
    for answer, at, count in ((middle, 128_000, 16), (across, 65_530, 20)):
        assert answer.headers["Content-Length"] == "256000"
        changed = [index for index, (one, two) in enumerate(zip(answer.content, BODY, strict=True)) if one != two]
        assert changed == list(range(at, at + count))


def test_hang_outlasts_a_client_and_delays_another(served: FileServer) -> None:
    served.script.add("sub", [Hang(30), Hang(0.3)])
    with pytest.raises(requests.ReadTimeout):
        requests.get(_url(served), timeout=0.2)
    begin = time.monotonic()
    assert requests.get(_url(served), timeout=5).content == BODY
    assert time.monotonic() - begin >= 0.3
    begin = time.monotonic()
    served.stop()  # the first is still hanging
    assert time.monotonic() - begin < 2


def test_gdal_reads_a_tiff_by_ranges(file_server: FileServer) -> None:
    pixels = np.random.default_rng(1).integers(0, 9999, (1024, 1024), "uint16")
    profile = {
        "driver": "GTiff",
        "width": 1024,
        "height": 1024,
        "count": 1,
        "dtype": "uint16",
        "tiled": True,
        "transform": rasterio.Affine(10, 0, 0, 0, -10, 0),
    }
    with rasterio.open(file_server.root / "x.tif", "w", **profile) as out:
        out.write(pixels, 1)
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif"}
    with rasterio.Env(**options), rasterio.open(f"/vsicurl/{file_server.url}/x.tif") as source:
        assert np.array_equal(source.read(1, window=((256, 512), (512, 768))), pixels[256:512, 512:768])
    assert file_server.bytes_sent < pixels.nbytes
    assert 206 in {call.status for call in file_server.calls}


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_reads_a_store_behind_the_login(dem_server: FileServer, version: int) -> None:
    heights = np.arange(64, dtype="float32").reshape(8, 8)
    group = zarr.open_group(dem_server.root / "x.zarr", mode="w", zarr_format=version)  # type: ignore[arg-type]
    group.create_array("dsm", shape=(8, 8), chunks=(4, 4), dtype="float32")[...] = heights
    url = f"{dem_server.url}/x.zarr"
    login = {"headers": {"Authorization": aiohttp.encode_basic_auth(EDH_USER, EDH_TOKEN)}}
    opened = zarr.open_group(FsspecStore.from_url(url, storage_options=login, read_only=True), mode="r")
    array = opened["dsm"]
    assert isinstance(array, zarr.Array)
    assert np.array_equal(np.asarray(array[...]), heights)


def test_a_fixture_folder_is_served_as_it_changes(file_server: FileServer, tmp_path: Path) -> None:
    assert file_server.root.parent == tmp_path
    assert requests.get(f"{file_server.url}/late", timeout=5).status_code == 404
    (file_server.root / "late").write_bytes(b"now")
    assert requests.get(f"{file_server.url}/late", timeout=5).content == b"now"
