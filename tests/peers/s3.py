"""An S3 endpoint: moto's server, behind a proxy that checks signatures, counts and plays scripted faults."""

from __future__ import annotations

import functools
import io
import logging
import threading
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import boto3
import rasterio
import requests
from botocore.config import Config
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler
from moto.server import ThreadedMotoServer
from rasterio.session import AWSSession

from peers import s3_rules
from peers.sigv4 import refusal
from peers.web import Peer, Request, Response

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from werkzeug.serving import BaseWSGIServer

KEY = "TESTKEYEXAMPLE"
SECRET = "testsecretexample"

_CODES = {
    400: "InvalidRequest",
    403: "AccessDenied",
    404: "NoSuchKey",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})
# moto takes the region from here, and does not know `default`, the region of the Copernicus Data Space; it also wants
# some authorization before it looks at a bucket's policy. The client's own was checked before.
_TO_MOTO = f"AWS4-HMAC-SHA256 Credential={KEY}/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"

# For every request moto lists its own folder and looks at each entry, and holds a lock meanwhile: more work than the
# request itself, and always with the same outcome for the same host.
DomainDispatcherApplication.get_backend_for_host = functools.cache(  # type: ignore[method-assign]
    DomainDispatcherApplication.get_backend_for_host
)


class _Moto:
    """The one moto server of this process, shared by all peers: its buckets are global to the process anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._server: ThreadedMotoServer | None = None
        self.address = ("127.0.0.1", 0)

    @property
    def server(self) -> BaseWSGIServer | None:
        return self._server and self._server._server

    @functools.cached_property
    def client(self) -> S3Client:
        """A client past all proxies; made once, since making one takes 50 ms."""
        host, port = self.address
        return _client(f"http://{host}:{port}", KEY, SECRET)

    def acquire(self) -> None:
        with self._lock:
            if self._server is None:
                logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line per request in every report
                self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
                self._server.start()
                self.address = self._server.get_host_and_port()
            self._users += 1

    def release(self) -> None:
        """Empty all buckets once the last peer is gone; the server stays for the next one."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                host, port = self.address
                requests.post(f"http://{host}:{port}/moto-api/reset", timeout=30)


_MOTO = _Moto()


class _Handed(MotoRequestHandler):
    """A request as moto's own server makes it of what comes in, header by header, with nothing normalised on the way."""

    def __init__(self, request: Request, server: BaseWSGIServer) -> None:
        self.server = server
        self.client_address = ("127.0.0.1", 0)
        self.connection = None
        self.command, self.path, self.request_version = request.method, request.target, "HTTP/1.1"
        self.rfile = io.BytesIO(request.body)
        self.headers = Message()
        for name, value in request.headers.items():
            if name.lower() not in {"authorization", "connection", "expect"}:
                self.headers[name] = value
        self.headers["Authorization"] = _TO_MOTO


class S3Peer(Peer):
    """An S3 endpoint (path-style) for one account, at `url`, with the rules of multipart uploads that moto lacks.

    Peers that run at the same time in one process share their buckets (as two accounts of one S3 do), each with its
    own credentials, counters and script. moto reads an object whole for every range of it: keep objects small.

    >>> with S3Peer() as peer:
    ...     peer.put("eodata", "a/b.bin", b"0123456789")
    ...     rule = peer.script.add("b.bin", [Status(503), Reset()])
    ...     body = peer.client().get_object(Bucket="eodata", Key="a/b.bin")["Body"].read()
    ...     assert rule.calls == 3
    """

    def __init__(self, key: str = KEY, secret: str = SECRET, *, anonymous: bool = False) -> None:
        """Set the credentials to ask for; `anonymous` also lets unsigned requests in, as public buckets do."""
        super().__init__()
        self.key = key
        self.secret = secret
        self.anonymous = anonymous

    def start(self) -> None:
        """Listen, with no buckets unless another peer has made some."""
        _MOTO.acquire()
        super().start()

    def stop(self) -> None:
        """Stop; the last peer to stop takes the buckets along."""
        if self._server is not None:
            super().stop()
            _MOTO.release()

    def put(self, bucket: str, key: str, content: Path | str | bytes) -> None:
        """Store a file, or bytes; makes the bucket. Goes past the proxy: no counting, no faults."""
        body = content if isinstance(content, bytes) else Path(content).read_bytes()
        _MOTO.client.create_bucket(Bucket=bucket)
        _MOTO.client.put_object(Bucket=bucket, Key=key, Body=body)

    def put_tree(self, bucket: str, prefix: str, folder: Path) -> None:
        """Store every file below a folder under its relative path."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.put(bucket, f"{prefix}{path.relative_to(folder).as_posix()}", path)

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object past the proxy."""
        return _MOTO.client.get_object(Bucket=bucket, Key=key)["Body"].read()

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """List a bucket past the proxy."""
        pages = _MOTO.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def client(self, **config: Any) -> S3Client:
        """Make a boto3 client with the right credentials, path-style; `config` goes to botocore's `Config`."""
        return _client(self.url, self.key, self.secret, **config)

    @property
    def gdal_options(self) -> dict[str, str]:
        """GDAL configuration for /vsis3, without the credentials: rasterio takes those from a session only."""
        return {"AWS_S3_ENDPOINT": self.host, "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE"}

    def gdal_env(self, *, secret: str | None = None, unsigned: bool = False, **options: str) -> rasterio.Env:
        """Make an environment in which rasterio reads `/vsis3/bucket/key` from here; `secret` to try a wrong one."""
        session = AWSSession(
            aws_unsigned=unsigned,
            aws_access_key_id=self.key,
            aws_secret_access_key=secret or self.secret,
            region_name="default",
        )
        return rasterio.Env(session, **{**self.gdal_options, **options})

    @property
    def storage_options(self) -> dict[str, Any]:
        """Arguments for `s3fs.S3FileSystem(**peer.storage_options)`."""
        config = {"s3": {"addressing_style": "path"}}
        return {"key": self.key, "secret": self.secret, "endpoint_url": self.url, "config_kwargs": config}

    def respond(self, request: Request) -> Response:
        """Check the signature, then hand the request to moto and its answer back."""
        refused = refusal(request, key=self.key, secret=self.secret, anonymous=self.anonymous)
        if refused is not None:
            return _error(refused.status, refused.code, refused.message, request.path)
        with s3_rules.alone(request):
            broken = s3_rules.broken(request)
            if broken is not None:
                return _error(broken.status, broken.code, broken.message, request.path)
            return s3_rules.completed(request, self._moto(request))

    def _moto(self, request: Request) -> Response:
        """Call moto's application in this thread: a connection of its own would take longer than the answer."""
        assert _MOTO.server is not None
        status, headers = "", [("", "")]

        def start(code: str, given: list[tuple[str, str]], _error: Any = None) -> Any:
            nonlocal status, headers
            status, headers = code, given

        pieces = _MOTO.server.app(_Handed(request, _MOTO.server).make_environ(), start)
        try:
            body = b"".join(pieces)
        finally:
            pieces.close()
        kept = {name: value for name, value in headers if name.lower() not in _HOP_BY_HOP}
        announced = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
        return Response(int(status[:3]), kept, body, announced)

    def refuse(self, status: int, path: str) -> Response:
        """Make an S3 error document."""
        return _error(status, _CODES.get(status, "InternalError"), HTTPStatus(status).phrase, path)


def _client(url: str, key: str, secret: str, **config: Any) -> S3Client:
    # s3v4 by name: without it boto3 still presigns by version 2, which newer regions refuse.
    settings = {"s3": {"addressing_style": "path"}, "signature_version": "s3v4", **config}
    client: S3Client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(**settings),
    )
    return client


def _error(status: int, code: str, message: str, path: str) -> Response:
    document = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{escape(message)}</Message>'
        f"<Resource>{escape(path)}</Resource><RequestId>0000000000000000</RequestId></Error>"
    )
    return Response(status, {"Content-Type": "application/xml"}, document.encode())
