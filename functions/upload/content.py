"""The content of an upload: read range by range, and the same from first to last byte."""

from typing import TYPE_CHECKING, Any, BinaryIO, cast

from botocore.exceptions import ClientError

from eo.errors import InvalidInput
from eo.range_file import Blocks, RangeFile
from eo.s3_client import client, code_of, fetched, is_absent, told
from upload.events import Upload

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = {"eo-shards": "answer"}
"""Metadata of our answers."""
ANOTHER_KEY = (
    "it is encrypted with a key that this deployment may not use: upload it again with the bucket's own encryption, or let "
    "the roles of the upload, plan and fetch functions use the key (kms:Decrypt)"
)
UNREADABLE = {
    "InvalidObjectState": "it lies in an archive: upload it again in a storage class that is read at once, such as STANDARD",
    "InvalidRequest": "it is encrypted with a key that S3 does not keep (SSE-C): upload it again with the bucket's own encryption",
    "AccessDenied": ANOTHER_KEY,
    "KMS.DisabledException": ANOTHER_KEY,
    "KMS.NotFoundException": ANOTHER_KEY,
}
"""Why S3 gives the content of an object that there is to nobody, or not to us, by its code."""


class Ignored(Exception):
    """There is no upload to answer; the text says why."""


class Content:
    """The object of an event, as it is now. Raises Ignored where it is another one, an answer of ours, or none.

    All methods raise what `eo.s3_client.told` raises, and InvalidInput where the object is kept so that it cannot be read.
    """

    def __init__(self, upload: Upload) -> None:
        self._bucket, self._key = upload.bucket, upload.key
        with told(upload.key):
            try:
                about = client().head_object(Bucket=upload.bucket, Key=upload.key)
            except ClientError as error:
                if is_absent(error):
                    raise Ignored("it was deleted") from None
                if code_of(error)[0] == 400:
                    self._ask(Range="bytes=0-0")  # raises what is wrong: an answer to HEAD has no body that says it
                raise
        self.size = about["ContentLength"]
        """Bytes."""
        self.etag = about["ETag"].strip('"')
        version = about.get("VersionId", "")
        self.version = "" if version == "null" else version
        """Empty where the bucket keeps no versions."""
        self.metadata: Mapping[str, str] = {name.lower(): value for name, value in about.get("Metadata", {}).items()}
        """The user's own, by lower-case name."""
        if MARK.items() <= self.metadata.items():
            raise Ignored("it is an answer")
        # As far as the event says what it tells of.
        if (upload.etag or self.etag, upload.version or self.version) != (self.etag, self.version):
            raise Ignored("it was replaced")

    def is_current(self, upload: Upload) -> bool:
        """Whether it still is what lies there."""
        try:
            now = Content(upload)
        except Ignored:
            return False
        return (now.etag, now.version, now.metadata) == (self.etag, self.version, self.metadata)

    def read(self) -> bytes:
        """All of it. Raises Ignored where it has become something else."""
        return self._range(0, self.size)

    def open(self) -> BinaryIO:
        """It as a file that seeks; its reads raise as `read`."""
        return cast("BinaryIO", RangeFile(Blocks(self._range, lambda: self.size), self._key))

    def _range(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        return self._ask(Range=f"bytes={offset}-{end - 1}", IfMatch=f'"{self.etag}"')

    def _ask(self, **asked: str) -> bytes:
        """What is asked for of the content."""
        with told(self._key):
            try:
                return fetched(lambda: client().get_object(Bucket=self._bucket, Key=self._key, **cast("Any", asked)))[0]
            except ClientError as error:
                status, code = code_of(error)
                if is_absent(error) or status == 412:
                    raise Ignored("it was replaced while it was read") from None
                if code in UNREADABLE:
                    raise InvalidInput(f"{self._key} cannot be read ({code}): {UNREADABLE[code]}") from None
                raise
