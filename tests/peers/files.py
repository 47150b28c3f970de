"""A static file server: byte ranges, HEAD, keep-alive, HTTP basic auth. For COGs, DEMs and Zarr stores over HTTP."""

from __future__ import annotations

import base64
import hmac
import mimetypes
import re
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from peers.web import Peer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 16
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class FileServer(Peer):
    """The files below a folder, at `url`; with a user, only for those who send their name and password.

    >>> with FileServer(folder, user="edh", password="edh_pat_test") as server:
    ...     requests.get(f"{server.url}/GLO-30-v1.zarr/zarr.json", auth=("edh", "edh_pat_test"))
    """

    def __init__(self, root: Path, user: str | None = None, password: str | None = None) -> None:
        """Serve `root`; names outside it, and folders, do not exist."""
        super().__init__()
        self.root = Path(root).resolve()
        self._expected = None if user is None else b"Basic " + base64.b64encode(f"{user}:{password or ''}".encode())

    def respond(self, request: Request) -> Response:
        """Answer GET and HEAD."""
        if request.method not in {"GET", "HEAD"}:
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        given = request.headers.get("Authorization", "").encode()
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            # Earth Data Hub's answer to a missing or wrong token (never 404 or fill values).
            response = self.refuse(HTTPStatus.UNAUTHORIZED, request.path)
            response.headers["WWW-Authenticate"] = 'Basic realm="loopback", charset="UTF-8"'
            return response
        path = (self.root / request.path.lstrip("/")).resolve()
        if not path.is_relative_to(self.root) or not path.is_file():
            return self.refuse(HTTPStatus.NOT_FOUND, request.path)
        return self._file(path, request)

    def _file(self, path: Path, request: Request) -> Response:
        state = path.stat()
        headers = {
            "Content-Type": mimetypes.guess_type(path.name)[0] or "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{state.st_mtime_ns:x}-{state.st_size:x}"',
            "Last-Modified": formatdate(state.st_mtime, usegmt=True),
        }
        window = _window(request, state.st_size, headers["ETag"])
        if window is None:
            return Response(HTTPStatus.OK, headers, _read(path, 0, state.st_size), state.st_size)
        first, last = window
        if first > last:
            headers["Content-Range"] = f"bytes */{state.st_size}"
            return Response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{state.st_size}"
        size = last - first + 1
        return Response(HTTPStatus.PARTIAL_CONTENT, headers, _read(path, first, size), size)


def _window(request: Request, size: int, etag: str) -> tuple[int, int] | None:
    """Return first and last byte asked for (first > last: outside the file), None for the whole file.

    What is not one well-formed range is ignored, as RFC 9110 allows; `If-Range` with another ETag gives the whole.
    """
    match = _RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or match[0] == "bytes=-" or request.headers.get("If-Range", etag) != etag:
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size - 1
    first, last = int(match[1]), int(match[2]) if match[2] else size - 1
    if match[2] and last < first:
        return None
    # Past the end: clipped to an empty window, which is the 416.
    return first, min(last, size - 1)


def _read(path: Path, start: int, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(start)
        while size > 0 and (chunk := file.read(min(size, _CHUNK))):
            size -= len(chunk)
            yield chunk
