"""HTTP on an address of this machine that no other can reach: what its servers have in common."""

import base64
import ipaddress
import re
import socket
import socketserver
import sys
from abc import abstractmethod
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aws_lambda_powertools.event_handler import Response

import eo
from api.asked import MAX_BODY, too_large
from api.problem import Refusal, explained, refused, unexpected
from cli.ranges import piece
from eo.errors import EoShardsError, InvalidInput
from eo.settings import Settings

IDLE_SECONDS = 60
MAX_DISCARDED = 10 * MAX_BODY


def _family(host: str) -> socket.AddressFamily:
    """The family of an address of this machine that no other can reach. Raises InvalidInput."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise InvalidInput(
            f"--host {host}: there is no authentication, so this serves 127.0.0.1, ::1 or localhost alone; "
            "for others, deploy the bundle"
        )
    return socket.AF_INET6 if address.version == 6 else socket.AF_INET


class Loopback(ThreadingHTTPServer):
    """A server that answers to its own name alone."""

    daemon_threads = True

    def __init__(self, place: tuple[str, int], kind: "type[Connection]", settings: Settings) -> None:
        """Listen at (host, port); port 0 is any that is free.

        Raises InvalidInput where the address is not free, or not this machine's own.
        """
        self.address_family = _family(place[0])
        try:
            super().__init__(place, kind)
        except OSError as error:
            raise InvalidInput(
                f"--port {place[1]}: {error.strerror}; choose another one (0 takes any that is free)"
            ) from None
        self.settings = settings

    def server_bind(self) -> None:
        """Bind, without asking DNS for a name that nobody needs."""
        socketserver.TCPServer.server_bind(self)

    def until_interrupted(self, last: str) -> None:
        """Answer until Ctrl-C, then say a last word."""
        try:
            self.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print(last)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Say nothing of connections that break; of anything else a line."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"eo-shards: unexpected {type(error).__name__} while answering", file=sys.stderr)

    @cached_property
    def names(self) -> frozenset[str]:
        """What a Host header may say: a name that an attacker's DNS points here is none of these."""
        port = self.server_address[1]
        names = {"localhost", "127.0.0.1", "[::1]", self._host}
        return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))

    @cached_property
    def address(self) -> str:
        """The URL of the service, without a slash at its end."""
        return f"http://{self._host}:{self.server_address[1]}"

    @property
    def _host(self) -> str:
        host = str(self.server_address[0])
        return f"[{host}]" if ":" in host else host


class Connection(BaseHTTPRequestHandler):
    """One connection. Requests that other sites' pages make a browser send are refused."""

    server: Loopback
    protocol_version = "HTTP/1.1"
    server_version = f"eo-shards/{eo.__version__}"
    sys_version = ""
    timeout = IDLE_SECONDS
    # Head and body in one piece: in two, each answer waits 40 ms for the client's delayed ACK (Nagle's algorithm).
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def answer(self) -> None:
        """Answer one request, whatever its method."""
        try:
            self._check_sender()
            body = self._body()
            self.respond(body)
        except Refusal as refusal:
            self._refuse(refused(refusal))
        except EoShardsError as error:
            self._refuse(explained(error, self.server.settings))
        except (ConnectionError, TimeoutError):
            raise  # there is nobody to be told
        except Exception as error:  # noqa: BLE001 - the last resort: an answer instead of a connection that breaks
            self._refuse(unexpected(error, self.server.settings, ""))

    @abstractmethod
    def respond(self, body: bytes) -> None:
        """Answer one request. Raises Refusal and EoShardsError."""

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer  # noqa: N815

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """What the server itself refuses, as a problem instead of a page."""
        # A request line that is not understood counts as HTTP/0.9, which would be answered without a head.
        self.request_version = self.protocol_version
        status = HTTPStatus(code)
        self._refuse(refused(Refusal(status, f"{message or status.phrase}; see RFC 9110")))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Say nothing: what matters is in the answers and in the jobs."""

    def _check_sender(self) -> None:
        """Refuse what a page of another site makes a browser send. Raises Refusal."""
        if self.headers.get("Host", "").lower() not in self.server.names:
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, f"this is {self.server.address}; ask it by that name")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{name}" for name in self.server.names}:
            raise Refusal(HTTPStatus.FORBIDDEN, "requests of other sites' pages are not answered")

    def _body(self) -> bytes:
        """The body. Raises Refusal where its length is not told, or too large."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,18}", length):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "send the length of the body in Content-Length")
        if int(length) > MAX_BODY:
            self._discard(int(length))
            raise too_large(int(length))
        return self.rfile.read(int(length))

    def _discard(self, length: int) -> None:
        """Read what is refused, up to a point: a client that still sends would see a reset instead of the answer."""
        left = min(length, MAX_DISCARDED)
        while left > 0 and (data := self.rfile.read(min(left, 1 << 16))):
            left -= len(data)

    def _refuse(self, response: Response[str]) -> None:
        """Send a problem, and close: what is left of the request is not read."""
        self.close_connection = True
        headers = {**response.headers, "Connection": "close"}
        self.send({"statusCode": response.status_code, "headers": headers, "body": response.body})

    def send(self, answered: dict[str, Any]) -> None:
        """Send an answer that has the form of a function's."""
        body = answered.get("body") or ""
        data = base64.b64decode(body) if answered.get("isBase64Encoded") else body.encode()
        self.send_response(answered["statusCode"])
        for name, value in answered["headers"].items():
            self.send_header(name, value)
        if self.command != "HEAD" and answered["statusCode"] != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def send_file(self, path: Path, kind: str, etag: str) -> None:
        """Send a file of a media type, or the piece of it that is asked for. Raises Refusal."""
        with path.open("rb") as file:
            size = file.seek(0, 2)
            resumed = self.headers.get("If-Range") in {None, etag}
            wanted = piece(self.headers.get("Range") if resumed else None, size)
            if wanted is None:
                headers = {"Content-Range": f"bytes */{size}"}
                raise Refusal(
                    HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"the file has {size:,} bytes", headers=headers
                )
            self.send_response(HTTPStatus.OK if wanted.whole else HTTPStatus.PARTIAL_CONTENT)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Disposition", "attachment")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("ETag", etag)
            self.send_header("X-Content-Type-Options", "nosniff")
            if not wanted.whole:
                self.send_header("Content-Range", wanted.content_range(size))
            self.send_header("Content-Length", str(wanted.length))
            self.end_headers()
            if self.command == "GET" and wanted.length:
                self.wfile.flush()
                self.connection.sendfile(file, wanted.first, wanted.length)
