"""The HTTP/1.1 server under every peer: loopback only, keep-alive, one thread per connection.

It counts connections and requests, keeps a log, and plays the scripted faults. A peer says only what it answers.
"""

from __future__ import annotations

import contextlib
import json
import socketserver
import sys
import threading
import time
import traceback
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from peers.connections import Connections, abort
from peers.faults import After, Disguised, Drop, Fault, Hang, Lose, Reset, Script, Status, Twice, cut, spoilt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

_BODYLESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@dataclass(frozen=True)
class Request:
    """What a client asked for."""

    method: str
    path: str
    """Decoded, without the query."""
    query: str
    """As sent."""
    target: str
    """Path and query as sent: what signatures are made of."""
    headers: Message
    body: bytes


@dataclass
class Call:
    """A line of the log, written when the request has been read; status and sent bytes follow as they are sent."""

    method: str
    path: str
    query: str
    range: str | None
    fault: Fault
    connection: int
    """Number of the TCP connection it came over, from 1."""
    at: float
    """`time.monotonic()` when it was read."""
    status: int = 0
    """0 until the answer's head is sent, and for good if the connection was reset before."""
    sent: int = 0
    """Body bytes handed to the socket."""


@dataclass
class Response:
    """An answer. `length` is needed where the body is an iterator, and for HEAD."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Iterator[bytes] = b""
    length: int | None = None

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        if self.length is not None:
            return self.length
        return len(self.body) if isinstance(self.body, bytes) else 0

    @classmethod
    def json(cls, document: object, status: int = 200, media_type: str = "application/json") -> Response:
        """Encode a document."""
        return cls(status, {"Content-Type": media_type}, json.dumps(document, separators=(",", ":")).encode())


class Peer(ABC):
    """A server on a free port of 127.0.0.1 for the length of a `with` block."""

    def __init__(self) -> None:
        self.script = Script()
        self.connections = Connections()
        self._calls: list[Call] = []
        self._stopping = threading.Event()
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def respond(self, request: Request) -> Response:
        """Answer a request that no fault keeps from being answered; runs in the connection's thread."""

    def refuse(self, status: int, path: str) -> Response:
        """Make an error answer in the peer's format."""
        return Response.json({"code": status, "description": f"{HTTPStatus(status).phrase}: {path}"}, status)

    def start(self) -> None:
        """Listen."""
        self._stopping.clear()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, cut what is still connected and wait for its threads."""
        if self._server is None or self._thread is None:
            return
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.connections.close_all()
        self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The port that was free."""
        if self._server is None:
            raise RuntimeError(f"{type(self).__name__} is not running: use it in a with block")
        return int(self._server.server_address[1])

    @property
    def host(self) -> str:
        """`127.0.0.1:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Base address, without a slash at the end."""
        return f"http://{self.host}"

    @property
    def calls(self) -> list[Call]:
        """The log so far, in the order in which requests were read."""
        return list(self._calls)

    @property
    def requests(self) -> int:
        """How many requests were read."""
        return len(self._calls)

    @property
    def bytes_sent(self) -> int:
        """Body bytes sent, over all requests."""
        return sum(call.sent for call in self._calls)

    def forget(self) -> None:
        """Empty the log and take the present number of connections as peak; the script stays."""
        self._calls.clear()
        self.connections.forget()

    def wait(self, seconds: float) -> None:
        """Sleep in a connection's thread, no longer than the peer runs."""
        self._stopping.wait(seconds)

    def record(self, call: Call) -> Call:
        """Add a line to the log."""
        self._calls.append(call)
        return call


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # Threads are daemons and the end of their connections is waited for in close_all(): a handler stuck in a broken
    # client must not keep the test run alive.
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.peer.connections.opened(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.peer.connections.closed(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that go away are part of the tests; anything else is a bug of the peer and must be seen.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def _serve(self) -> None:
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True  # the body was not read, so the next request cannot be found
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return
        peer = self.server.peer
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, unquote(path), query, self.path, self.headers, body)
        target = request.path + ("?" + unquote(query) if query else "")
        fault = peer.script.take(self.command, target, dict(self.headers.items()))
        number = peer.connections.number(self.connection)
        call = peer.record(
            Call(self.command, request.path, query, self.headers.get("Range"), fault, number, time.monotonic())
        )
        if not isinstance(fault, Drop):
            answer = self._answer(request, fault)
            if not isinstance(fault, Lose):
                self._write(call, answer)
                return
            _drain(answer)
        abort(self.connection)
        self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = _serve  # noqa: N815 - http.server's names

    def _answer(self, request: Request, fault: Fault) -> Response:
        peer = self.server.peer
        if isinstance(fault, Status):
            response = peer.refuse(fault.code, request.path)
            if fault.retry_after is not None:
                response.headers["Retry-After"] = f"{fault.retry_after:g}"
            return response
        if isinstance(fault, Disguised):
            refused = peer.refuse(500, request.path)
            return Response(200, refused.headers, refused.body)
        if isinstance(fault, Hang):
            peer.wait(fault.seconds)
        try:
            answer = peer.respond(request)
            if isinstance(fault, Twice | After):
                _drain(answer)
                answer = peer.refuse(fault.code, request.path) if isinstance(fault, After) else peer.respond(request)
        except Exception:  # noqa: BLE001 - a bug of the peer: shown here, and a 500 for the client
            traceback.print_exc()
            return peer.refuse(500, request.path)
        return answer

    def _write(self, call: Call, response: Response) -> None:
        size, silent = response.size, self.command == "HEAD" or response.status in _BODYLESS
        limit = cut(call.fault, 0 if silent else size)
        chunks = iter([response.body]) if isinstance(response.body, bytes) else response.body
        with contextlib.closing(_closable(chunks)) as body:
            if limit is not None and isinstance(call.fault, Reset) and (silent or size == 0):
                abort(self.connection)
                self.close_connection = True
                return
            call.status = response.status  # before it is sent: a client that has it may look at the log
            self._head(response, size, last=limit is not None)
            if not silent:
                for chunk in spoilt(body, call.fault, size, limit):
                    call.sent += len(chunk)
                    self.wfile.write(chunk)
        if limit is not None:
            self.close_connection = True
            if isinstance(call.fault, Reset):
                abort(self.connection)

    def _head(self, response: Response, size: int, *, last: bool) -> None:
        self.send_response_only(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status not in _BODYLESS:
            self.send_header("Content-Length", str(size))
        self.send_header("Date", self.date_time_string())
        if self.server.peer._stopping.is_set():
            last = True
        self.close_connection = self.close_connection or last
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet: the log is `Peer.calls`."""


def _drain(response: Response) -> None:
    """Take an answer to its end, for nobody."""
    if not isinstance(response.body, bytes):
        for _ in response.body:
            pass


def _closable(chunks: Iterator[bytes]) -> Any:
    """Return the iterator itself where it can be closed (a generator), else a generator around it."""
    return chunks if hasattr(chunks, "close") else (chunk for chunk in chunks)
