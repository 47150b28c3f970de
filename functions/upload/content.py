"""The content of an upload: read range by range, and the same from first to last byte."""

from typing import TYPE_CHECKING, BinaryIO, cast

from botocore.exceptions import ClientError

from eo.range_file import Blocks, RangeFile
from eo.s3_client import client, code_of, fetched, is_absent, told
from upload.events import Upload

if TYPE_CHECKING:
    from collections.abc import Mapping


class Replaced(Exception):
    """An upload is no longer what it was when it was looked at."""


class Content:
    """An object as it is now. Raises KeyError where there is none; all methods raise what `eo.s3_client.told` raises."""

    def __init__(self, upload: Upload) -> None:
        self._bucket, self._key = upload.bucket, upload.key
        with told(upload.key):
            try:
                about = client().head_object(Bucket=upload.bucket, Key=upload.key)
            except ClientError as error:
                if is_absent(error):
                    raise KeyError(upload.key) from None
                raise
        self.size = about["ContentLength"]
        """Bytes."""
        self.etag = about["ETag"].strip('"')
        version = about.get("VersionId", "")
        self.version = "" if version == "null" else version
        """Empty where the bucket keeps no versions."""
        self.metadata: Mapping[str, str] = {name.lower(): value for name, value in about.get("Metadata", {}).items()}
        """The user's own, by lower-case name."""

    def is_of(self, upload: Upload) -> bool:
        """Whether it is what an event tells of, as far as the event says."""
        same = (upload.etag or self.etag, upload.version or self.version)
        return same == (self.etag, self.version)

    def read(self) -> bytes:
        """All of it. Raises Replaced where it has become something else."""
        return self._range(0, self.size)

    def open(self) -> BinaryIO:
        """It as a file that seeks; its reads raise as `read`."""
        return cast("BinaryIO", RangeFile(Blocks(self._range, lambda: self.size), self._key))

    def _range(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        if end <= offset:
            return b""
        asked, tag = f"bytes={offset}-{end - 1}", f'"{self.etag}"'
        with told(self._key):
            try:
                return fetched(
                    lambda: client().get_object(Bucket=self._bucket, Key=self._key, Range=asked, IfMatch=tag)
                )[0]
            except ClientError as error:
                if is_absent(error) or code_of(error)[0] == 412:
                    raise Replaced(self._key) from None
                raise
