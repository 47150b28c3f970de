"""One upload: looked at, ordered or refused, and answered beside itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from botocore.exceptions import ClientError

from eo.errors import CorruptData, EoShardsError, InvalidInput, NothingFound, TooLarge
from eo.s3_client import client, is_absent, told
from eo.service import Service
from registry import process
from upload.content import Content, Replaced
from upload.events import ERROR, JOBS, Upload
from upload.wanted import Wanted, wanted

BAD = (InvalidInput, TooLarge, CorruptData, NothingFound)
"""What is wrong with an upload itself; everything else passes, so that the event comes again."""
MAX_KEY = 1024
"""Bytes of a key (S3)."""
JSON = "application/json"
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Outcome:
    """What became of an upload."""

    key: str
    state: Literal["ordered", "refused", "ignored"]
    jobs: tuple[str, ...] = ()
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, without what is empty."""
        told = {"key": self.key, "state": self.state, "jobs": list(self.jobs), "reason": self.reason}
        return {name: value for name, value in told.items() if value}


class Incoming:
    """Uploads, ordered of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def take(self, upload: Upload) -> Outcome:
        """Order what an upload asks for, all of it or nothing, and say so beside it.

        Only what still is what the event tells of counts: who has replaced it gets an event of its own, and who has
        deleted it wants nothing. Raises what a later try may cure.
        """
        try:
            content = Content(upload)
        except KeyError:
            return Outcome(upload.key, "ignored", reason="it was deleted")
        if not content.is_of(upload):
            return Outcome(upload.key, "ignored", reason="it was replaced")
        if len(upload.key.encode()) + len(ERROR) > MAX_KEY:
            return Outcome(upload.key, "refused", reason="its key is too long for an answer beside it")
        try:
            service = process(upload.process)
            orders = wanted(service, upload.key, content)
            jobs = [self._order(service.id, upload, order, content) for order in orders]
        except Replaced:
            return Outcome(upload.key, "ignored", reason="it was replaced while it was read")
        except BAD as error:
            answer(upload, ERROR, JOBS, problem(content, error), PROBLEM)
            return Outcome(upload.key, "refused", reason=str(error))
        told_jobs = [{"job": job, **order.about, **places(job)} for job, order in zip(jobs, orders, strict=True)]
        answer(upload, JOBS, ERROR, {"process": service.id, "etag": content.etag, "jobs": told_jobs}, JSON)
        return Outcome(upload.key, "ordered", jobs=tuple(jobs))

    def _order(self, name: str, upload: Upload, order: Wanted, content: Content) -> str:
        """Id of the job of one order."""
        origin = {"kind": "s3", "bucket": upload.bucket, "key": upload.key, "sequencer": upload.sequencer}
        # Inputs of a product lie in its metadata, which no ETag covers.
        words = [upload.bucket, upload.key, content.version or content.etag, content.metadata.get("inputs", "")]
        status = self._service.order(
            name,
            order.inputs,
            owner=f"s3:{upload.bucket}",
            key=json.dumps([*words, order.about.get("feature", 0)]),
            origin=origin | ({"product": order.product} if order.product else {}),
        )
        return status.job


def answer(upload: Upload, kind: str, stale: str, document: Mapping[str, Any], media_type: str) -> None:
    """Write an answer, and take back one of the other kind that an earlier upload under this key has got."""
    key, old = f"{upload.key}{kind}", f"{upload.key}{stale}"
    body = (json.dumps(document, indent=1) + "\n").encode()
    with told(key):
        client().put_object(Bucket=upload.bucket, Key=key, Body=body, ContentType=media_type)
    with told(old):
        try:
            client().head_object(Bucket=upload.bucket, Key=old)
        except ClientError as error:
            if is_absent(error):
                return
            raise
        client().delete_object(Bucket=upload.bucket, Key=old)


def problem(content: Content, error: EoShardsError) -> dict[str, Any]:
    """Why an upload was refused, as problem details (RFC 9457)."""
    status = HTTPStatus(error.http_status)
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": str(error),
        "error": type(error).__name__,
        "etag": content.etag,
    }


def places(job: str) -> dict[str, str]:
    """Where in the bucket to look for what becomes of a job."""
    return {"status": f"jobs/{job}/status.json", "result": f"jobs/{job}/result/"}
