"""The result of a deployed job, asked for from this machine: browsers cannot sign requests as IAM asks for, this can.

The job's results are asked for with this machine's AWS credentials, and pieces of files go through here, so that the
bucket needs no CORS rule for this address.
"""

import re
import threading
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter

from api.asked import JSON
from api.problem import Refusal
from cli.loopback import Connection
from cli.ranges import RANGE
from eo.errors import InvalidInput, SourceUnavailable, UnknownJob
from eo.wire import anonymous

ADDRESS = re.compile(
    r"(https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[^/?#\s]+)?)/jobs/([0-9a-f]{16})(?:/(?:view|results))?/?"
)
"""Of a job of a deployed API, with or without a stage."""
AWS = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")
TIMEOUT = (10, 60)
"""Seconds to connect, and between bytes."""
CONNECTIONS = 8
"""To one host, kept open: the page asks for six pieces at a time."""
PASSED = ("Content-Type", "Content-Length", "Content-Range", "ETag", "Accept-Ranges")
BLOCK = 1 << 18


class Link(NamedTuple):
    """A file of the result."""

    output: str
    name: str
    href: str
    told: dict[str, str]
    """Its media type and title."""


class Deployed:
    """The results of one job, by file name."""

    def __init__(self, base: str, job: str, region: str) -> None:
        self.job = job
        self._base = base
        self._region = region
        self._links: tuple[Link, ...] = ()
        self._one_at_a_time = threading.Lock()
        self._http = requests.Session()
        self._http.auth = anonymous
        for scheme in ("https://", "http://"):
            self._http.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS))

    @classmethod
    def at(cls, address: str, region: str | None) -> "Deployed":
        """The job of an address.

        Raises InvalidInput where that is none, or where nobody says that its host may get a signature: with it go the
        id of this machine's key and its session token.
        """
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise InvalidInput(
                f"{address[:200]!r} is no job's address; that is https://HOST/jobs/ID, or .../STAGE/jobs/ID"
            )
        host = urlsplit(found[1]).hostname or ""
        told = AWS.search(host)
        if told is None and region is None:
            raise InvalidInput(
                f"{host} is no address of AWS's own: give --region if it is a domain of yours, since a signature by "
                "this machine's AWS credentials is sent there"
            )
        return cls(found[1], found[2], region or (told[1] if told else ""))

    def results(self, address: str) -> dict[str, dict[str, str]]:
        """By output what the API gives, with links to this machine's `address`. Raises UnknownJob, SourceUnavailable."""
        with self._one_at_a_time:
            self._links = self._asked()
            base = f"{address}/jobs/{self.job}/results"
            return {link.output: {"href": f"{base}/{quote(link.name, safe='')}", **link.told} for link in self._links}

    def send(self, name: str, connection: Connection) -> None:
        """Pass on a file of the bucket, or a piece of it. Raises Refusal, and what asking for results raises."""
        with self._piece(name, connection.headers.get("Range")) as answer:
            connection.send_response(answer.status_code)
            for header in PASSED:
                if header in answer.headers:
                    connection.send_header(header, answer.headers[header])
            if "Content-Length" not in answer.headers:
                connection.close_connection = True
                connection.send_header("Connection", "close")
            connection.send_header("Content-Disposition", "attachment")
            connection.send_header("X-Content-Type-Options", "nosniff")
            connection.end_headers()
            if connection.command == "GET":
                try:
                    for block in answer.iter_content(BLOCK):
                        connection.wfile.write(block)
                except requests.RequestException as error:
                    # The head is on its way: only a connection that breaks says that the rest is missing.
                    raise ConnectionAbortedError from error

    def _piece(self, name: str, wanted: str | None) -> requests.Response:
        """A file, or the bytes of it that a Range header asks for: once more where the link has expired meanwhile."""
        links = self._links
        answer = self._asked_for(links, name, wanted)
        if answer.status_code != HTTPStatus.FORBIDDEN:
            return answer
        answer.close()
        with self._one_at_a_time:
            if self._links is links:  # else another connection has asked in the meantime
                self._links = self._asked()
        return self._asked_for(self._links, name, wanted)

    def _asked_for(self, links: tuple[Link, ...], name: str, wanted: str | None) -> requests.Response:
        found = [link.href for link in links if link.name == name]
        if not found:
            raise Refusal(
                HTTPStatus.NOT_FOUND, f"job {self.job} has no file {name[:80]!r}; its results say what it has"
            )
        # As it lies there: a piece of something compressed on the way would be of other bytes.
        headers = {"Accept-Encoding": "identity"}
        if wanted is not None and RANGE.fullmatch(wanted):
            headers["Range"] = wanted
        return self._got(found[0], headers, stream=True)

    def _asked(self) -> tuple[Link, ...]:
        url = f"{self._base}/jobs/{self.job}/results"
        answer = self._got(url, {"Accept": JSON, **self._signature(url)})
        if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise InvalidInput(
                f"{_host(url)} refuses this machine's AWS credentials; see `aws sts get-caller-identity`, or open the "
                "address itself in a browser where the API takes tokens"
            )
        try:
            document = answer.json()
            if answer.status_code == HTTPStatus.NOT_FOUND:
                raise UnknownJob(str(document.get("detail") or f"there is no job {self.job}"))
            return tuple(self._link(output, link) for output, link in document.items())
        except (ValueError, AttributeError, KeyError, TypeError):
            raise SourceUnavailable(
                f"{_host(url)} gave no results of job {self.job} (status {answer.status_code}); try again in a while"
            ) from None

    def _link(self, output: str, link: dict[str, Any]) -> Link:
        """Raises ValueError, KeyError and the like where it is none."""
        parts = urlsplit(link["href"])
        if parts.scheme != urlsplit(self._base).scheme or not parts.hostname:
            raise ValueError
        told: dict[str, str] = {key: str(link[key]) for key in ("type", "title") if key in link}
        return Link(output, unquote(parts.path.rpartition("/")[2]), link["href"], told)

    def _signature(self, url: str) -> dict[str, str]:
        """Headers of AWS Signature Version 4. Raises InvalidInput where this machine has no credentials."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - only a deployed job needs AWS
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        request = AWSRequest(method="GET", url=url)
        try:
            credentials = Session().get_credentials()
            if credentials is not None:
                SigV4Auth(credentials, "execute-api", self._region).add_auth(request)
        except BotoCoreError as error:
            raise InvalidInput(f"AWS credentials of this machine: {error}; `aws configure` sets them") from None
        if credentials is None:
            raise InvalidInput("a deployed job needs AWS credentials on this machine; `aws configure` sets them")
        return {name: str(value) for name, value in request.headers.items()}

    def _got(self, url: str, headers: dict[str, str], *, stream: bool = False) -> requests.Response:
        try:
            return self._http.get(url, headers=headers, timeout=TIMEOUT, stream=stream, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:
            told = f"{_host(url)} does not answer ({type(error).__name__})"
            raise SourceUnavailable(f"{told}; try again in a while") from None


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the service"
