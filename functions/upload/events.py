"""What S3 says of a new object: by EventBridge, or as a notification of the bucket itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote_plus

from eo.errors import InvalidInput

PREFIX = "incoming/"
"""Where uploads lie."""
JOBS, ERROR = ".job.json", ".error.json"
"""What the names of the answers end with; they lie beside the upload. An upload's own name may end so too: answers are
known by their metadata (`upload.content`)."""
_TWICE = re.compile(r"(\.(job|error)\.json){2}$")


@dataclass(frozen=True)
class Upload:
    """A new object."""

    bucket: str
    key: str
    etag: str
    """Without quotes; of the content that the event is about."""
    version: str
    """Empty where the bucket keeps no versions."""
    sequencer: str
    """Tells two uploads of one key apart; of two hexadecimal ones of equal length the larger is the later."""

    @classmethod
    def of(cls, bucket: Mapping[str, Any], found: Mapping[str, Any], *, key: str) -> Self:
        """Read what both kinds of events say in the same words, or nearly."""
        version = str(found.get("version-id") or found.get("versionId") or "")
        return cls(
            bucket=str(bucket["name"]),
            key=key,
            etag=str(found.get("etag") or found.get("eTag") or "").strip('"'),
            version="" if version == "null" else version,
            sequencer=str(found.get("sequencer") or ""),
        )

    @property
    def wanted(self) -> bool:
        """Whether it may be an order: below the prefix, no folder marker, and no answer to what has an answer's name.

        The last is what keeps answers from being answered without end, even where a copy has lost its metadata.
        """
        name = self.key.removeprefix(PREFIX)
        return self.key.startswith(PREFIX) and name != "" and not name.endswith("/") and not _TWICE.search(name)

    @property
    def process(self) -> str:
        """Id of the process that the key names. Raises InvalidInput where it names none."""
        process, slash, name = self.key.removeprefix(PREFIX).partition("/")
        if not slash or not name:
            raise InvalidInput(
                f"{self.key} names no process: uploads go to {PREFIX}<process>/, such as {PREFIX}point-cloud/{process}"
            )
        return process


def uploads(event: Mapping[str, Any]) -> list[Upload]:
    """The new objects that an event tells of. Raises InvalidInput where it is no event of S3."""
    try:
        if "Records" in event:
            return [
                Upload.of(record["s3"]["bucket"], found, key=unquote_plus(found["key"]))
                for record in event["Records"]
                if str(record["eventName"]).startswith(("ObjectCreated:", "s3:ObjectCreated:"))
                for found in [record["s3"]["object"]]
            ]
        if event.get("Event") == "s3:TestEvent":
            return []
        if event.get("detail-type", "Object Created") != "Object Created":
            return []
        detail = event["detail"]
        return [Upload.of(detail["bucket"], detail["object"], key=str(detail["object"]["key"]))]
    except (KeyError, TypeError, AttributeError):
        raise InvalidInput("the event is none that S3 or EventBridge sends for a new object") from None
