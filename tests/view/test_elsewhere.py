"""The page of a deployed API: its files lie in a bucket, at another address, and its rules are those of the template."""

import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser

from api.app import make_app
from chromium import PATIENCE, ROOT, Shown
from cli.application import Application
from cli.loopback import Connection
from cli.one_result import OneResultServer
from cli.ranges import piece
from command import Machine
from eo.settings import Settings
from serving import running

JOB = "0123456789abcdef"


class _Loader(yaml.SafeLoader):
    """Knows what the template's own tags stand for well enough: their arguments."""


_Loader.add_multi_constructor("!", lambda _loader, _tag, node: getattr(node, "value", None))


def cors() -> dict[str, Any]:
    """The rule of the bucket."""
    template = yaml.load((ROOT / "template.yaml").read_text(), _Loader)
    (rule,) = template["Resources"]["DataBucket"]["Properties"]["CorsConfiguration"]["CorsRules"]
    return dict(rule)


class Bucket(ThreadingHTTPServer):
    """Files behind TLS, as S3 gives them to a page of another origin: by the rule of the template, or not at all."""

    daemon_threads = True

    def __init__(self, folder: Path, rule: dict[str, Any], certificate: Path) -> None:
        super().__init__(("127.0.0.1", 0), BucketHandler)
        self.folder, self.rule = folder, rule
        self.asked: list[tuple[str, str]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def address(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"


class BucketHandler(BaseHTTPRequestHandler):
    server: Bucket
    protocol_version = "HTTP/1.1"

    def do_OPTIONS(self) -> None:
        wanted = self.headers.get("Access-Control-Request-Headers", "").replace(" ", "").split(",")
        allowed = {name.lower() for name in self.server.rule["AllowedHeaders"]}
        method = self.headers["Access-Control-Request-Method"]
        refused = not set(filter(None, wanted)) <= allowed or method not in self.server.rule["AllowedMethods"]
        self.answer(403 if refused else 200, b"", {"Access-Control-Allow-Headers": ", ".join(wanted)})

    def do_GET(self) -> None:
        data = (self.server.folder / Path(urlsplit(self.path).path).name).read_bytes()
        self.server.asked.append((self.path, self.headers.get("Range", "")))
        wanted = piece(self.headers.get("Range"), len(data))
        assert wanted is not None
        headers = {"ETag": '"e"', "Accept-Ranges": "bytes"}
        if not wanted.whole:
            headers["Content-Range"] = wanted.content_range(len(data))
        self.answer(200 if wanted.whole else 206, data[wanted.first : wanted.first + wanted.length], headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        exposed = ", ".join(self.server.rule["ExposedHeaders"])
        every = {"Access-Control-Expose-Headers": exposed, **headers, "Content-Length": str(len(body))}
        if self.command == "OPTIONS" or self.command in self.server.rule["AllowedMethods"]:
            every["Access-Control-Allow-Origin"] = "*"
        for name, value in every.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: Any) -> None:
        pass


class Linked:
    """Results that lie in a bucket, by links with a secret in them."""

    job = JOB

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def results(self, _address: str) -> dict[str, dict[str, str]]:
        files = {
            "copc": ("point_cloud.copc.laz", "application/vnd.laszip+copc"),
            "item": ("point_cloud.json", "application/geo+json"),
        }
        link = "X-Amz-Signature=secret"
        return {name: {"href": f"{self._bucket}/{file}?{link}", "type": kind} for name, (file, kind) in files.items()}

    def send(self, name: str, connection: Connection) -> None:
        raise AssertionError(f"{name} of {connection} is not here")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and what it says of itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bucket")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def bucket(machine: Machine, job: str, certificate: Path) -> Iterator[Bucket]:
    assert job
    server = Bucket(machine.out, cors(), certificate)
    with running(server):
        yield server


@pytest.fixture
def shown(browser: Browser, bucket: Bucket, tmp_path: Path) -> Iterator[Shown]:
    """The deployed page, which may read other addresses by HTTPS, and nothing else."""
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(tmp_path)})
    server = OneResultServer(("127.0.0.1", 0), Linked(bucket.address), settings)
    app = make_app(cast("Any", None), settings=settings, owner=lambda _event: "", local_files=False)
    server.application = Application(app)
    context = browser.new_context(viewport={"width": 500, "height": 400}, ignore_https_errors=True)
    with running(server):
        found = Shown.of(context.new_page())
        found.page.set_default_timeout(PATIENCE)
        found.page.goto(server.page)
        yield found
        context.close()


def test_a_cloud_in_a_bucket_streams_by_the_rule_of_the_template(shown: Shown, bucket: Bucket) -> None:
    assert shown.ready().points > 0
    pieces = [asked for path, asked in bucket.asked if ".copc.laz" in path]
    assert len(pieces) > 2
    assert all(asked.startswith("bytes=") for asked in pieces)
    assert shown.page.inner_text("#notice").startswith("contains modified Copernicus Sentinel data")
    assert shown.said == []


def test_addresses_with_secrets_are_told_to_nobody(shown: Shown) -> None:
    shown.ready()
    assert not [each.headers["referer"] for each in shown.requests if "secret" in each.headers.get("referer", "")]
    assert "secret" not in json.dumps(
        shown.page.evaluate("() => [document.title, document.body.innerText, location.href]")
    )
