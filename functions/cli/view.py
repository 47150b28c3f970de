"""`eo-shards view`: the page of a result, in the browser."""

import re
import webbrowser
from contextlib import suppress
from pathlib import Path

from api import web
from cli.deployed import Deployed
from cli.folder_result import FolderResult
from cli.jobs import Jobs
from cli.one_result import OneResultServer, Result
from eo.errors import InvalidInput
from eo.records import read_result
from eo.settings import Settings
from registry import process

HOST = "127.0.0.1"


def view(settings: Settings, what: str, port: int, *, region: str | None, browser: bool) -> None:
    """Serve the page of a result until interrupted, and open it.

    `what` is a job, where its result lies, or its address on AWS. Raises InvalidInput where there is nothing to view,
    or the page is not built, and what asking for results raises.
    """
    if not web.built():
        raise InvalidInput(
            "the page is not built here: run `make view` (it needs Node.js 20 or newer), or open the files in QGIS or CloudCompare"
        )
    result = _result(settings, what, region)
    result.results("")
    with OneResultServer((HOST, port), result, settings) as server:
        print(f"{server.page} (Ctrl-C ends it)", flush=True)
        if browser:
            webbrowser.open(server.page)
        server.until_interrupted("stopped")


def _result(settings: Settings, what: str, region: str | None) -> Result:
    if re.match("https?://", what):
        return Deployed.at(what, region)
    place = Path(what)
    with suppress(OSError):  # a name that is too long
        if place.exists():
            return FolderResult.at(place)
    if "/" in what or "." in what:
        raise InvalidInput(f"{what[:200]} does not exist; name a result's folder, its STAC item, a COPC file or a job")
    jobs = Jobs(settings)
    status = jobs.status(jobs.order(what).job)
    assert status is not None  # else there is no order
    read_result(jobs.store, status)
    jobs.check_replaced(status)
    return FolderResult.at(Path(status.out) / process(status.process).outputs["item"].file, job=status.job)
