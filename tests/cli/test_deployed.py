"""`eo-shards view https://...`: a deployed job, through this machine, with its credentials."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from api import web
from cli.deployed import Deployed
from cli.one_result import OneResultServer
from eo.errors import InvalidInput, SourceUnavailable, UnknownJob
from eo.settings import Settings
from eo.wire import anonymous
from serving import running

JOB = "0123456789abcdef"
DATA = bytes(range(256)) * 40


class Api(ThreadingHTTPServer):
    """A deployed API and its bucket in one; each link it gives is good until the next is given."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ApiHandler)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.peers: set[tuple[str, int]] = set()
        self.given = 0
        self.good = 0
        self.status = 200
        self.links: Any = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class ApiHandler(BaseHTTPRequestHandler):
    server: Api
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.peers.add(self.client_address)
        if self.path == f"/prod/jobs/{JOB}/results":
            self.server.given += 1
            self.server.good = self.server.given
            href = f"{self.server.address}/bucket/point_cloud.copc.laz?X-Amz-Signature={self.server.given}"
            body = {"copc": {"href": href, "type": "application/vnd.laszip+copc", "title": "Cloud"}}
            body = body if self.server.links is None else self.server.links
            self.reply(self.server.status, json.dumps(body if self.server.status == 200 else {"detail": "none here"}))
        elif self.path.endswith(f"={self.server.good}"):
            if "Range" not in self.headers:
                self.reply(200, DATA)
                return
            first, last = (int(edge) for edge in self.headers["Range"].removeprefix("bytes=").split("-"))
            self.reply(
                206, DATA[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(DATA)}", "ETag": '"e"'}
            )
        else:
            self.reply(403, "<Error/>")

    def reply(self, status: int, body: str | bytes, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    server = Api()
    with running(server):
        yield server


@pytest.fixture
def page(api: Api, tmp_path: Path) -> Iterator[str]:
    """The address of the served job."""
    deployed = Deployed(f"{api.address}/prod", JOB, region="eu-central-1")
    server = OneResultServer(("127.0.0.1", 0), deployed, Settings.from_environment({"EO_SHARDS_HOME": str(tmp_path)}))
    with running(server):
        yield f"{server.address}/jobs/{JOB}"


def test_results_are_asked_for_signed_and_lead_through_here(api: Api, page: str) -> None:
    links = requests.get(f"{page}/results", timeout=30).json()
    assert links["copc"]["href"] == f"{page}/results/point_cloud.copc.laz"
    _, headers = api.asked[0]
    assert "/eu-central-1/execute-api/aws4_request" in headers["Authorization"]
    assert "secret-of-a-test" not in str(headers)


def test_pieces_are_the_buckets_and_get_no_credentials(api: Api, page: str) -> None:
    href = requests.get(f"{page}/results", timeout=30).json()["copc"]["href"]
    piece = requests.get(href, headers={"Range": "bytes=300-1299"}, timeout=30)
    assert (piece.status_code, piece.content) == (206, DATA[300:1300])
    assert piece.headers["Content-Range"] == f"bytes 300-1299/{len(DATA)}"
    assert piece.headers["ETag"] == '"e"'
    assert "Authorization" not in api.asked[-1][1]


def test_a_login_of_netrc_goes_nowhere(api: Api, page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take the place of the signature, and S3 refuses it."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret-of-netrc\n")
    monkeypatch.setenv("NETRC", str(netrc))
    href = requests.get(f"{page}/results", auth=anonymous, timeout=30).json()["copc"]["href"]
    requests.get(href, headers={"Range": "bytes=0-9"}, auth=anonymous, timeout=30)
    assert len(api.asked) == 2
    assert not any("Basic" in headers.get("Authorization", "") for _, headers in api.asked)


def test_an_expired_link_is_replaced_once(api: Api, page: str) -> None:
    href = requests.get(f"{page}/results", timeout=30).json()["copc"]["href"]
    api.good = -1
    with ThreadPoolExecutor(6) as six:
        pieces = list(
            six.map(lambda _: requests.get(href, headers={"Range": "bytes=0-9"}, timeout=30).content, range(6))
        )
    assert pieces == [DATA[:10]] * 6
    assert api.given == 2


def test_connections_stay_open(api: Api, page: str) -> None:
    href = requests.get(f"{page}/results", timeout=30).json()["copc"]["href"]
    for start in range(5):
        requests.get(href, headers={"Range": f"bytes={start}-9"}, timeout=30)
    assert len({port for _, port in api.peers}) == 1


@pytest.mark.parametrize("wanted", ["bytes=0-9,20-29", "bytes=x", "lines=1-2", "bytes=0-9\r\n X: y"])
def test_a_range_that_is_not_understood_is_not_passed_on(api: Api, page: str, wanted: str) -> None:
    href = requests.get(f"{page}/results", timeout=30).json()["copc"]["href"]
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(href).port or 0, timeout=30)
    connection.putrequest("GET", urlsplit(href).path)
    connection._buffer.append(f"Range: {wanted}".encode())  # type: ignore[attr-defined]
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, DATA)
    assert answer.headers["Content-Disposition"] == "attachment"
    assert "Range" not in api.asked[-1][1]
    connection.close()


@pytest.mark.parametrize("path", [f"/jobs/{JOB}", "/jobs", "/jobs/fedcba9876543210/results", "/processes"])
def test_nothing_else_is_served(page: str, path: str) -> None:
    base = page.removesuffix(f"/jobs/{JOB}")
    assert requests.get(base + path, timeout=30).status_code == 404
    assert requests.post(f"{page}/results", json={}, timeout=30).status_code == 405
    assert requests.get(f"{page}/results/other.txt", timeout=30).status_code == 404


def test_other_names_and_sites_are_refused(page: str) -> None:
    assert requests.get(f"{page}/results", headers={"Host": "evil.example"}, timeout=30).status_code == 421
    assert requests.get(f"{page}/results", headers={"Origin": "https://evil.example"}, timeout=30).status_code == 403


@pytest.mark.skipif(not web.built(), reason="the pages are not built; run `make view` (it needs Node.js)")
def test_the_page_itself_is_this_machines(api: Api, page: str) -> None:
    answer = requests.get(f"{page}/view", headers={"Accept": "text/html"}, timeout=30)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, web.HTML)
    assert api.asked == []


@pytest.mark.parametrize(("status", "error"), [(404, UnknownJob), (403, InvalidInput), (401, InvalidInput)])
def test_what_the_api_refuses_is_told(api: Api, status: int, error: type[Exception]) -> None:
    api.status = status
    with pytest.raises(error):
        Deployed(f"{api.address}/prod", JOB, region="eu-central-1").results("")


def test_an_api_that_does_not_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-a-test")
    with pytest.raises(SourceUnavailable, match="does not answer"):
        Deployed("http://127.0.0.1:9", JOB, region="eu-central-1").results("")


AWS = "https://a1.execute-api.eu-central-1.amazonaws.com"


@pytest.mark.parametrize(
    ("address", "region", "asked"),
    [
        (f"{AWS}/jobs/{JOB}", None, "eu-central-1"),
        (f"{AWS}/prod/jobs/{JOB}/view", None, "eu-central-1"),
        (f"https://eo.example:8443/prod/jobs/{JOB}/results", "eu-west-1", "eu-west-1"),
    ],
)
def test_addresses_of_jobs(
    address: str, region: str | None, asked: str, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked as they are, signed for the region of the host, or of whoever names one."""
    assert api
    sent: list[tuple[str, dict[str, str]]] = []

    def get(_self: Any, url: str, *, headers: dict[str, str], **_options: Any) -> Any:
        sent.append((url, headers))
        raise requests.ConnectionError

    monkeypatch.setattr(requests.Session, "get", get)
    with pytest.raises(SourceUnavailable):
        Deployed.at(address, region).results("")
    assert sent[0][0] == f"{address.partition('/jobs/')[0]}/jobs/{JOB}/results"
    assert f"/{asked}/execute-api/" in sent[0][1]["Authorization"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"http://eo.example/jobs/{JOB}", "is no job's address"),
        ("https://eo.example/jobs/short", "is no job's address"),
        (f"https://user:pw@eo.example/jobs/{JOB}", "is no job's address"),
        (f"https://[::1/jobs/{JOB}", "is no job's address"),
        (f"https://eo.example/jobs/{JOB}", "give --region"),
        (f"https://a1.execute-api.eu-central-1.amazonaws.com.evil.example/jobs/{JOB}", "give --region"),
    ],
)
def test_nobody_else_gets_a_signature(address: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Deployed.at(address, None)


def test_a_profile_that_is_not_there_is_told(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(InvalidInput, match="nope"):
        Deployed(f"{api.address}/prod", JOB, region="eu-central-1").results("")


@pytest.mark.parametrize(
    "links", [[], {"a": {"title": "x"}}, {"a": {"href": "http://[::1"}}, {"a": {"href": "file:///x"}}]
)
def test_results_that_are_none_are_told(api: Api, links: Any) -> None:
    api.links = links
    with pytest.raises(SourceUnavailable, match=f"gave no results of job {JOB}"):
        Deployed(f"{api.address}/prod", JOB, region="eu-central-1").results("")
