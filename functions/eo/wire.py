"""One attempt to get bytes of a remote object, over HTTP or S3, with failures told apart by what they mean."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
import urllib3

from eo.errors import CorruptData
from eo.retry import Transient, check, shown

if TYPE_CHECKING:
    from pydantic import SecretStr

PIECE = 1 << 18
"""Bytes that are held of a body at a time, and the most that a broken connection costs again."""
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer says about the object."""

    size: int
    """Bytes of the whole object."""
    etag: str | None
    start: int = 0
    """Offset of the answer's first byte: 0 where the source sent all of it instead of the range."""


Sink = Callable[[Head, bytes], None]


class Transport(Protocol):
    """One attempt at a time, over one connection."""

    def fetch(self, target: str, *, start: int, end: int | None, etag: str | None, sink: Sink) -> Head:
        """Send bytes [start, end) of an object to the sink, piece by piece, and say what the object is.

        `end` None is its end; `etag` is what it must still be, else all of it comes, from 0. Raises Transient,
        AccessDenied, NothingFound, CorruptData or SourceUnavailable.
        """
        ...

    def head(self, target: str) -> Head:
        """Say what the object is, without its bytes; raises as `fetch`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


ERROR_BODY = 64 * 1024
"""Bytes of an error's body that are read, at most."""


class Http:
    """Objects at http(s) URLs."""

    def __init__(self, *, timeout: float, access: str, login: "tuple[str, SecretStr] | None", netrc: bool) -> None:
        """Log in by basic authentication, else by what .netrc has for the host (where allowed), else not at all.

        `access` is the remedy that an AccessDenied names; `timeout` is in seconds.
        """
        self.session = requests.Session()
        self._timeout = timeout
        self._access = access
        if login is not None:
            # The session's own login stays away from .netrc, and requests drops it on a redirect to another host.
            self.session.auth = (login[0], login[1].get_secret_value())
        elif not netrc:
            self.session.auth = anonymous
        # Ranges and sizes are those of the object, not of a compressed copy.
        self.session.headers.update({"Accept-Encoding": "identity", "User-Agent": "eo-shards"})

    def fetch(self, target: str, *, start: int, end: int | None, etag: str | None, sink: Sink) -> Head:
        """Do as Transport says."""
        headers = {}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if etag and not etag.startswith("W/"):
                headers["If-Range"] = etag
        with self._answer("GET", target, headers) as answer:
            head = _head(answer.status_code, answer.headers, shown(target))
            stop = head.size if end is None or answer.status_code == 200 else min(end, head.size)
            _pour(answer.raw, head, stop - head.start, sink)
        return head

    def head(self, target: str) -> Head:
        """Do as Transport says."""
        with self._answer("HEAD", target, {}) as answer:
            return _head(answer.status_code, answer.headers, shown(target))

    def close(self) -> None:
        """Do as Transport says."""
        for adapter in self.session.adapters.values():
            if isinstance(adapter, requests.adapters.HTTPAdapter):
                _close_pools(adapter.poolmanager)
        self.session.close()

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> requests.Response:
        try:
            answer = self.session.request(
                method, target, headers=headers, timeout=self._timeout, stream=True, allow_redirects=True
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            # Only the kind: the text of these errors holds the URL with its query.
            raise Transient(f"connection failed ({type(error).__name__})") from None
        if answer.status_code >= 400:
            # Read to its end, a connection can be used again: Zarr asks for many objects that are not there.
            with suppress(urllib3.exceptions.HTTPError, OSError):
                answer.raw.read(ERROR_BODY)
            answer.close()
            status, after = answer.status_code, answer.headers.get("Retry-After")
            # What is raised keeps this frame, and a response keeps its pool of connections: they would outlive `close`.
            del answer
            check(status, shown(target), after=after, access=self._access)
        return answer


class S3:
    """Objects at s3://bucket/key of one endpoint, path style."""

    def __init__(
        self,
        endpoint: str,
        *,
        timeout: float,
        access: str,
        keys: "tuple[SecretStr, SecretStr] | None",
        region: str = "default",
    ) -> None:
        """Sign with (access key, secret key), or not at all."""
        from botocore import UNSIGNED  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        config = Config(
            signature_version=UNSIGNED if keys is None else "s3v4",
            s3={"addressing_style": "path"},
            # One client is one connection, and the only retries are those of the policy, which honours Retry-After.
            max_pool_connections=1,
            retries={"total_max_attempts": 1},
            connect_timeout=timeout,
            read_timeout=timeout,
            # The Copernicus Data Space does not know the checksums that newer clients ask for.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        self._client: Any = _session().create_client(
            "s3",
            endpoint_url=endpoint,
            config=config,
            region_name=region,
            aws_access_key_id="anonymous" if keys is None else keys[0].get_secret_value(),
            aws_secret_access_key="anonymous" if keys is None else keys[1].get_secret_value(),
        )
        self._access = access

    def fetch(self, target: str, *, start: int, end: int | None, etag: str | None, sink: Sink) -> Head:
        """Do as Transport says."""
        options = _bucket_and_key(target)
        if start or end is not None:
            options["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
            if etag:
                options["IfMatch"] = etag
        with self._told(target):
            answer = self._client.get_object(**options)
        # A body that was not read to its end would keep its connection, and the next request open another.
        with closing(answer["Body"]) as body:
            meta = answer["ResponseMetadata"]
            head = _head(meta["HTTPStatusCode"], meta["HTTPHeaders"], target)
            stop = head.size if end is None else min(end, head.size)
            _pour(body, head, stop - head.start, sink)
        return head

    def head(self, target: str) -> Head:
        """Do as Transport says."""
        with self._told(target):
            meta = self._client.head_object(**_bucket_and_key(target))["ResponseMetadata"]
            return _head(meta["HTTPStatusCode"], meta["HTTPHeaders"], target)

    def close(self) -> None:
        """Do as Transport says."""
        _close_pools(self._client._endpoint.http_session._manager)  # noqa: SLF001 - botocore has no public way to it
        self._client.close()

    @contextmanager
    def _told(self, target: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            yield
        except ClientError as error:
            meta = error.response.get("ResponseMetadata", {})
            status, headers = int(meta.get("HTTPStatusCode", 0)), meta.get("HTTPHeaders", {})
            code = str(error.response.get("Error", {}).get("Code", ""))
            if status == 412:
                raise CorruptData(f"{target}: it was replaced while it was read: run the job again") from None
            detail = "" if code == str(status) else code
            # 400 RequestTimeout is S3's word for a connection that was too slow.
            status = 408 if code == "RequestTimeout" else status
            check(status or 503, target, after=headers.get("retry-after"), access=self._access, detail=detail)
            raise Transient(f"answered {status} {detail}".strip()) from None
        except (BotoCoreError, urllib3.exceptions.HTTPError, OSError) as error:
            raise Transient(f"connection failed ({type(error).__name__})") from None


@lru_cache(maxsize=1)
def _session() -> Any:  # noqa: ANN401 - botocore's, which is imported late
    """One for all clients of a process: it holds the description of S3, which takes 0.12 CPU s to read, and no keys."""
    import botocore.session  # noqa: PLC0415 - 100 ms that jobs without S3 need not pay

    # Nothing of the user's AWS set-up is wanted here, and a profile that does not exist would be an error.
    nowhere = (None, None, None, None)
    return botocore.session.Session(
        session_vars={"profile": nowhere, "config_file": nowhere, "credentials_file": nowhere}
    )


def _close_pools(manager: urllib3.PoolManager) -> None:
    """Close idle connections now. `clear`, which is all that requests and botocore do, leaves that to the garbage collector."""
    for key in manager.pools.keys():  # noqa: SIM118 - the container refuses to be iterated over, for threads' sake
        manager.pools[key].close()


def _head(status: int, headers: Mapping[str, str], target: str) -> Head:
    etag = headers.get("ETag") or headers.get("etag")
    if status == 206:
        match = _RANGE.fullmatch(headers.get("Content-Range") or headers.get("content-range") or "")
        if match is None:
            raise CorruptData(f"{target}: answered a range without saying which: use another source")
        return Head(int(match[3]), etag, int(match[1]))
    length = headers.get("Content-Length") or headers.get("content-length")
    if length is None:
        raise CorruptData(f"{target}: the server does not tell the object's size: use another source")
    return Head(int(length), etag)


def _pour(body: Any, head: Head, expected: int, sink: Sink) -> None:  # noqa: ANN401 - urllib3's or botocore's body
    """Pass on a body in pieces; raises Transient where it ends early."""
    left = expected
    while left > 0:
        try:
            piece = body.read(min(PIECE, left))
        except Exception as error:  # noqa: BLE001 - of urllib3, botocore or the system; the sink's own errors pass
            raise Transient(f"connection broke ({type(error).__name__})") from None
        if not piece:
            break
        left -= len(piece)
        sink(head, piece)
    if left:
        raise Transient(f"connection closed {left} bytes before the end of {expected}")


def _bucket_and_key(target: str) -> dict[str, str]:
    parts = urlsplit(target)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}


def anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No login; requests would else look into .netrc, whose `default` entry fits every host."""
    return request
