"""`eo-shards serve`: the bundle's HTTP API on this machine, over the local engine."""

import re
from urllib.parse import unquote

from api.app import make_app
from cli.application import Application
from cli.local_service import LocalService
from cli.loopback import Connection, Loopback
from cli.planned import Planner
from eo.settings import Settings

OWNER = "local"
"""Who everybody is here: there is no authentication, and therefore no way in from other machines."""
FILE = re.compile(r"/jobs/([0-9a-f]{16})/results/([^/]+)")
PLAN = re.compile(r"/processes/([a-z-]+)/plan")


def serve(settings: Settings, host: str, port: int) -> None:
    """Answer until interrupted. Raises InvalidInput where the address is not free, or not this machine's own."""
    server = Server((host, port), settings)
    with server, server.service:
        print(f"listening at {server.address}/ (Ctrl-C ends it)", flush=True)
        server.until_interrupted(
            "stopped; jobs that wait go on with the next server, others when they are ordered again"
        )


class Server(Loopback):
    """The server with its service and its application."""

    def __init__(self, place: tuple[str, int], settings: Settings) -> None:
        super().__init__(place, Handler, settings)
        self.service = LocalService(settings, self.address)
        app = make_app(self.service, settings=settings, owner=lambda _event: OWNER, local_files=True)
        self.application = Application(app)
        self.planner = Planner(settings)


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
            self.send(self.server.application.answer(self.command, self.path, self.headers, body))

    def _send_file(self, job: str, name: str) -> None:
        """A result file, or the piece of it that is asked for."""
        path, digest, kind = self.server.service.file(job, name)
        self.send_file(path, kind, f'"{digest}"')
