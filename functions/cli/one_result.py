"""A server of the page of one result, wherever its files are: on this machine's disk, or behind a deployed API."""

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import unquote

from api.app import make_app
from api.asked import JSON
from api.problem import HEADERS, Refusal
from cli.application import Application
from cli.loopback import Connection, Loopback
from eo.settings import Settings

if TYPE_CHECKING:
    from eo.service import Service


class Result(Protocol):
    """What the page shows."""

    job: str
    """Its id, or what stands for it in the address."""

    def results(self, address: str) -> dict[str, dict[str, str]]:
        """By output href, type and title, with links to this server's `address`. Raises EoShardsError."""

    def send(self, name: str, connection: Connection) -> None:
        """Answer a request for a file by its name, or for a piece of it. Raises Refusal and EoShardsError."""


class OneResultServer(Loopback):
    """Serves a result, its page, and nothing else."""

    def __init__(self, place: tuple[str, int], result: Result, settings: Settings) -> None:
        super().__init__(place, Handler, settings)
        self.result = result
        # Its pages alone are asked for, and they need no jobs.
        app = make_app(cast("Service", None), settings=settings, owner=lambda _event: "", local_files=True)
        self.application = Application(app)

    @property
    def page(self) -> str:
        """The URL of the page."""
        return f"{self.address}/jobs/{self.result.job}/view"


class Handler(Connection):
    """One connection."""

    server: OneResultServer

    def respond(self, body: bytes) -> None:
        """Answer one request. Raises Refusal and EoShardsError."""
        path, result = self.path.partition("?")[0], self.server.result
        results = f"/jobs/{result.job}/results"
        if self.command not in {"GET", "HEAD"}:
            raise Refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, "here is one result to look at", headers={"Allow": "GET, HEAD"}
            )
        if path == "/":
            self.send({"statusCode": HTTPStatus.FOUND, "headers": {"Location": self.server.page}})
        elif path == results:
            links = json.dumps(result.results(self.server.address))
            self.send({"statusCode": HTTPStatus.OK, "headers": {"Content-Type": JSON, **HEADERS}, "body": links})
        elif path.startswith(f"{results}/"):
            result.send(unquote(path.removeprefix(f"{results}/")), self)
        elif path == f"/jobs/{result.job}/view" or path.startswith("/static/"):
            self.send(self.server.application.answer(self.command, self.path, self.headers, body))
        else:
            raise Refusal(HTTPStatus.NOT_FOUND, f"here is one result alone: {self.server.page}")
