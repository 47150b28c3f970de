"""A running `eo-shards serve`, and a client of it."""

import http.client
import re
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from command import Machine, eventually
from http_api import EXECUTION, Answer, checked

if TYPE_CHECKING:
    import subprocess


class Served:
    """A running server."""

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        self.process = process
        self.address = address
        self.port = int(urlsplit(address).port or 0)

    def ask(self, method: str, target: str, document: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = requests.request(method, self.address + target, json=document, headers=named, timeout=30)
        found = Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.text)
        return checked(target.partition("?")[0], found)

    def order(self, inputs: dict[str, Any], key: str, status: int = 201) -> str:
        answer = self.ask("POST", EXECUTION, {"inputs": inputs}, Idempotency_Key=key)
        assert answer.status == status, answer
        return str(answer.json.get("jobID", answer.json.get("detail")))

    def state(self, job: str) -> str:
        return str(self.ask("GET", f"/jobs/{job}").json["status"])

    def until(self, job: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        assert eventually(lambda: self.state(job) in states, seconds), self.ask("GET", f"/jobs/{job}").json
        return dict(self.ask("GET", f"/jobs/{job}").json)

    def raw(self, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes, str]:
        """A request with exactly these headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        found = response.status, response.read(), response.headers.get("Content-Type", "")
        connection.close()
        return found


@contextmanager
def serving(machine: Machine, *arguments: str) -> Iterator[Served]:
    with machine.started("serve", "--port", "0", *arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+[^/\s]", line)
        assert match, (line, process.stderr.read() if process.stderr else "")
        yield Served(process, match[0])


@contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    """A server of this process, in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
