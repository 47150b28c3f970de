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
from upload.content import MARK, Content, Ignored
from upload.events import ERROR, JOBS, Upload
from upload.wanted import Wanted, wanted

BAD = (InvalidInput, TooLarge, CorruptData, NothingFound)
"""What is wrong with an upload itself; everything else passes, so that the event comes again."""
MAX_KEY = 1024
"""Bytes of a key (S3)."""
ANSWERS = {"ordered": (JOBS, ERROR, "application/json"), "refused": (ERROR, JOBS, "application/problem+json")}
"""By what became of an upload: how the answer's name ends, and that of the other one; its media type."""


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
        if len(upload.key.encode()) + len(ERROR) > MAX_KEY:
            return Outcome(upload.key, "refused", reason="its key is too long for an answer beside it")
        try:
            content = Content(upload)
        except Ignored as reason:
            return Outcome(upload.key, "ignored", reason=str(reason))
        except InvalidInput as error:
            answer(upload, "refused", problem(upload.etag, error))
            return Outcome(upload.key, "refused", reason=str(error))
        try:
            outcome, document = self._taken(upload, content)
        except Ignored as reason:
            return Outcome(upload.key, "ignored", reason=str(reason))
        # What takes long may be overtaken by the upload that replaces it, and by the answer to that.
        if not content.is_current(upload):
            return Outcome(upload.key, "ignored", jobs=outcome.jobs, reason="it was replaced before its answer")
        answer(upload, outcome.state, document)
        return outcome

    def _taken(self, upload: Upload, content: Content) -> tuple[Outcome, dict[str, Any]]:
        """What becomes of an upload, and the document that says so."""
        try:
            service = process(upload.process)
            orders = wanted(service, upload.key, content)
            jobs = [self._order(service.id, upload, order, content) for order in orders]
        except BAD as error:
            return Outcome(upload.key, "refused", reason=str(error)), problem(content.etag, error)
        told_jobs = [{"job": job, **order.about, **places(job)} for job, order in zip(jobs, orders, strict=True)]
        document = {"process": service.id, "etag": content.etag, "jobs": told_jobs}
        return Outcome(upload.key, "ordered", jobs=tuple(jobs)), document

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


def answer(upload: Upload, state: str, document: Mapping[str, Any]) -> None:
    """Write an answer, and take back one of the other kind that an earlier upload under this key has got."""
    kind, stale, media_type = ANSWERS[state]
    key, old = f"{upload.key}{kind}", f"{upload.key}{stale}"
    body = (json.dumps(document, indent=1) + "\n").encode()
    with told(key):
        client().put_object(Bucket=upload.bucket, Key=key, Body=body, ContentType=media_type, Metadata=MARK)
    with told(old):
        try:
            client().head_object(Bucket=upload.bucket, Key=old)
        except ClientError as error:
            if is_absent(error):
                return
            raise
        client().delete_object(Bucket=upload.bucket, Key=old)


def problem(etag: str, error: EoShardsError) -> dict[str, Any]:
    """Why an upload was refused, as problem details (RFC 9457)."""
    status = HTTPStatus(error.http_status)
    return {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": str(error),
        "error": type(error).__name__,
        "etag": etag,
    }


def places(job: str) -> dict[str, str]:
    """Where in the bucket to look for what becomes of a job."""
    return {"status": f"jobs/{job}/status.json", "result": f"jobs/{job}/result/"}
