"""What Amazon S3 insists on and moto lets pass: conditions, parts of multipart uploads, checksums.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html and API_CompleteMultipartUpload.html
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree as ET

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from peers.web import Response

if TYPE_CHECKING:
    from peers.web import Request

PARTS = 10_000
RANGED_SOURCE = 5 << 20
"""Smallest object of which a range may be copied. (The documents say "greater than 5 MB".)"""

_WRITES = frozenset({"PUT", "POST", "DELETE"})
_ALONE = threading.RLock()


@dataclass(frozen=True)
class Broken:
    """A rule that a request breaks, as S3 says it."""

    status: int
    code: str
    message: str


def alone(request: Request) -> contextlib.AbstractContextManager[Any]:
    """Keep conditional writes apart: moto looks at the condition, then writes, and others come between."""
    conditional = request.headers.get("If-Match") or request.headers.get("If-None-Match")
    return _ALONE if conditional and request.method in _WRITES else contextlib.nullcontext()


def broken(request: Request) -> Broken | None:
    """The rule that a request breaks."""
    given = request.headers.get("x-amz-checksum-sha256")
    if request.method == "PUT" and given and given != _sha256(request.body):
        return Broken(400, "BadDigest", "The SHA256 you specified did not match the calculated checksum.")
    query = parse_qs(request.query, keep_blank_values=True)
    if request.method not in {"PUT", "POST"} or "uploadId" not in query:
        return None
    return _bad_part(request, query["uploadId"][0], int(query.get("partNumber", ["0"])[0]))


def _bad_part(request: Request, name: str, number: int) -> Broken | None:
    upload = _bucket(request).multiparts.get(name)
    if upload is None:
        made = _object(request.path)
        if request.method == "POST" and made is not None and made.multipart and made.multipart.id == name:
            return None  # completing twice is completing once
        return Broken(404, "NoSuchUpload", "The specified multipart upload does not exist.")
    if request.method == "POST":
        return _incomplete(request, upload)
    if not 1 <= number <= PARTS:
        return Broken(400, "InvalidArgument", f"Part number must be an integer between 1 and {PARTS}, inclusive")
    return _bad_copy(request) if "x-amz-copy-source" in request.headers else None


def completed(request: Request, response: Response) -> Response:
    """Add to the answer of a copied part the checksum that S3 makes of it."""
    query = parse_qs(request.query)
    if response.status != 200 or "uploadId" not in query or "x-amz-copy-source" not in request.headers:
        return response
    upload = _bucket(request).multiparts.get(query["uploadId"][0])
    if upload is None or upload.metadata.get("x-amz-checksum-algorithm") != "SHA256":
        return response
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    digest = _sha256(upload.parts[int(query["partNumber"][0])].value)
    body = body.replace(b"</ETag>", f"</ETag><ChecksumSHA256>{digest}</ChecksumSHA256>".encode())
    return Response(response.status, response.headers, body)


def _incomplete(request: Request, upload: Any) -> Broken | None:
    listed = [
        {child.tag.rpartition("}")[2]: child.text for child in part}
        for part in ET.fromstring(request.body).iter()
        if part.tag.rpartition("}")[2] == "Part"
    ]
    parts = [upload.parts.get(int(part["PartNumber"] or 0)) for part in listed]
    if None in parts:
        return None  # moto says InvalidPart
    size = request.headers.get("x-amz-mp-object-size")
    if size is not None and int(size) != sum(part.contentsize for part in parts):
        return Broken(400, "InvalidRequest", "The provided 'x-amz-mp-object-size' header does not match")
    if upload.metadata.get("x-amz-checksum-algorithm") == "SHA256":
        for told, part in zip(listed, parts, strict=True):
            if told.get("ChecksumSHA256") is None:
                return Broken(
                    400,
                    "InvalidRequest",
                    "The upload was created using a sha256 checksum. The complete request must include the checksum for "
                    f"each part. It was missing for part {told['PartNumber']} in the request.",
                )
            if told["ChecksumSHA256"] != _sha256(part.value):
                return Broken(400, "InvalidPart", "One or more of the specified parts could not be found.")
    return None


def _bad_copy(request: Request) -> Broken | None:
    source = _object("/" + unquote(str(request.headers["x-amz-copy-source"]).lstrip("/")))
    if source is None:
        return Broken(404, "NoSuchKey", "The specified key does not exist.")
    wanted = request.headers.get("x-amz-copy-source-if-match")
    if wanted and wanted.strip('"') != source.etag.strip('"'):
        return Broken(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    asked = request.headers.get("x-amz-copy-source-range")
    if asked:
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
        if match is None or not int(match[1]) <= int(match[2]) < source.size:
            return Broken(
                400, "InvalidArgument", f"Range specified is not valid for source object of size: {source.size}"
            )
        if source.size < RANGED_SOURCE:
            return Broken(400, "InvalidRequest", "The specified copy source is not larger than 5 MB")
    return None


def _bucket(request: Request) -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(request.path.split("/")[1]) or _NONE


def _object(path: str) -> Any:
    _, bucket, key = path.split("/", 2)
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    return backend.get_object(bucket, key) if bucket in backend.buckets else None


def _sha256(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class _NoBucket:
    multiparts: dict[str, Any] = {}  # noqa: RUF012 - never written


_NONE = _NoBucket()
