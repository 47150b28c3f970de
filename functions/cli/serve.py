"""`eo-shards serve`: the bundle's HTTP API on this machine, over the local engine."""

import base64
import re
import socket
import threading
import uuid
from collections.abc import Callable
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl, unquote

from api.app import App, make_app
from cli.local_service import LocalService
from cli.loopback import Connection, Loopback, loopback
from cli.planned import Planner
from eo.errors import InvalidInput
from eo.settings import Settings

OWNER = "local"
"""Who everybody is here: there is no authentication, and therefore no way in from other machines."""
FILE = re.compile(r"/jobs/([0-9a-f]{16})/results/([^/]+)")
PLAN = re.compile(r"/processes/([a-z-]+)/plan")


def serve(settings: Settings, host: str, port: int, *, begin: Callable[[str], None] | None = None) -> None:
    """Answer until interrupted; `begin` is told the address when it does.

    Raises InvalidInput where the address is not free, or not this machine's own.
    """
    family = loopback(host)
    try:
        server = Server((host, port), family, settings)
    except OSError as error:
        raise InvalidInput(f"--port {port}: {error.strerror}; choose another one (0 takes any that is free)") from None
    with server, server.service:
        print(f"listening at {server.address}/ (Ctrl-C ends it)", flush=True)
        if begin is not None:
            begin(server.address)
        try:
            server.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            print("stopped; jobs that wait go on with the next server, others when they are ordered again")


class Server(Loopback):
    """The server with its service and its application."""

    def __init__(self, place: tuple[str, int], family: socket.AddressFamily, settings: Settings) -> None:
        super().__init__(place, family, Handler, settings)
        self.service = LocalService(settings, self.address)
        self.app: App = make_app(self.service, settings=settings, owner=lambda _event: OWNER, local_files=True)
        self.planner = Planner(settings)
        self.one_at_a_time = threading.Lock()


class Handler(Connection):
    """One connection: files, plans, and what the application answers."""

    server: Server

    def respond(self, body: bytes) -> None:
        """Answer one request. Raises Refusal and EoShardsError."""
        path = self.path.partition("?")[0]
        match, asked = FILE.fullmatch(path), PLAN.fullmatch(path)
        if match and self.command in {"GET", "HEAD"}:
            self._send_file(match[1], unquote(match[2]))
        elif asked and self.command == "POST":
            self.send(self.server.planner.answer(asked[1], body, self.headers["Content-Type"]))
        else:
            event = event_of(self.command, self.path, self.headers, body, self.headers["Host"])
            with self.server.one_at_a_time:
                answered = self.server.app(event, None)
            self.send(answered)

    def _send_file(self, job: str, name: str) -> None:
        """A result file, or the piece of it that is asked for."""
        path, digest, kind = self.server.service.file(job, name)
        self.send_file(path, kind, f'"{digest}"')


def event_of(method: str, target: str, headers: Message, body: bytes, host: str) -> dict[str, Any]:
    """A request as API Gateway hands it to a function (HTTP API, payload format 2.0)."""
    path, _, query = target.partition("?")
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": _joined((name.lower(), value) for name, value in headers.items()) | {"x-forwarded-proto": "http"},
        "queryStringParameters": _joined(parse_qsl(query, keep_blank_values=True)),
        "requestContext": {
            "domainName": host,
            "requestId": uuid.uuid4().hex,
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


def _joined(pairs: Any) -> dict[str, str]:  # noqa: ANN401 - what headers and queries give
    """Pairs of one name as one, their values with commas between them."""
    result: dict[str, str] = {}
    for name, value in pairs:
        result[name] = f"{result[name]},{value}" if name in result else value
    return result
