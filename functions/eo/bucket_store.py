"""The store of the bundle: objects of one S3 bucket.

S3 writes an object whole or not at all. Each carries the SHA-256 of its bytes, which S3 checks when it arrives and this
process when it comes back.
"""

import base64
import hashlib
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import quote

from botocore.exceptions import ClientError

from eo import multipart
from eo.disk import explained
from eo.errors import CorruptData, SourceUnavailable, TooLarge
from eo.range_file import Blocks, RangeFile
from eo.s3_client import client, code_of, failed, fetched, is_absent, obstore_store, told

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef, ObjectTypeDef
    from zarr.abc.store import Store as ZarrStore

    from eo.store import Body

SPOOL = 8 << 20
"""Bytes of an object that is being written that stay in memory; the rest waits in a temporary file."""
MAX_PUT = 5 << 30
"""Bytes that S3 takes in one request (https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html)."""
BLOCK, CACHE = 512 << 10, 16 << 20
"""Smallest request of a reader in bytes, and the bytes that it keeps: S3 takes as long for a byte as for half a MiB."""
READERS, AHEAD = 16, 64
"""Objects that `read_all` asks for at once, and that it holds before they are wanted."""
BATCH_TRIES = 4
"""How often objects are deleted that S3 did not delete with the others."""
CONFLICTS, CONFLICT_SECONDS = 6, 0.1
"""How often, and how many seconds apart, an object is created that somebody else is just writing or deleting."""
CONFLICT = 409
LOST = frozenset({404, CONFLICT, 412})
"""What S3 answers to a conditional write that is too late; a conflict means that another one is under way."""


@dataclass(frozen=True)
class BucketStore:
    """Objects of a bucket. All methods raise AccessDenied, RateLimited and SourceUnavailable."""

    bucket: str

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises KeyError where there is none."""
        return self.read_tagged(key)[0]

    def read_tagged(self, key: str) -> tuple[bytes, str]:
        """The object's bytes, and the tag that `replace` wants. Raises KeyError where there is none."""
        with told(self._target(key)):
            try:
                data, answer = fetched(lambda: client().get_object(Bucket=self.bucket, Key=key))
            except ClientError as error:
                if is_absent(error):
                    raise KeyError(key) from None
                raise
        return data, answer["ETag"]

    def reader(self, key: str) -> BinaryIO:
        """A large object as a file that seeks. Raises KeyError where there is none.

        Reads raise CorruptData where it has been replaced since it was opened.
        """
        head = self._head(key)
        if head is None:
            raise KeyError(key)
        size, tag = int(head["ContentLength"]), str(head["ETag"])

        def read(offset: int, length: int) -> bytes:
            end = min(offset + length, size)
            if end <= offset:
                return b""
            asked = f"bytes={offset}-{end - 1}"
            with told(self._target(key)):
                try:
                    return fetched(lambda: client().get_object(Bucket=self.bucket, Key=key, Range=asked, IfMatch=tag))[
                        0
                    ]
                except ClientError as error:
                    if is_absent(error) or code_of(error)[0] == 412:
                        raise CorruptData(
                            f"{self._target(key)} was replaced while it was read; upload it once"
                        ) from None
                    raise

        return cast("BinaryIO", RangeFile(Blocks(read, lambda: size, block=BLOCK, cache=CACHE), key))

    def read_all(self, keys: Sequence[str]) -> Iterator[bytes]:
        """The bytes of many small objects, in the order of their keys. Raises KeyError where there is none."""
        pool = ThreadPoolExecutor(READERS, "read_all")
        try:
            left = iter(keys)
            asked: deque[Future[bytes]] = deque(pool.submit(self.read, key) for key in islice(left, AHEAD))
            while asked:
                data = asked.popleft().result()
                asked.extend(pool.submit(self.read, key) for key in islice(left, 1))
                yield data
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def write(self, key: str, pieces: Iterable[memoryview | bytes]) -> None:
        """Write an object whole. Raises TooLarge where S3 does not take that much at once."""
        digest = hashlib.sha256()
        size = 0
        with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spool:
            for piece in pieces:
                size += len(piece)
                if size > MAX_PUT:
                    raise TooLarge(
                        f"{self._target(key)} has more than {MAX_PUT:,} bytes, the most that S3 takes in one request: "
                        "choose a smaller bbox or a coarser resolution, or lower EO_SHARDS_WORKER_MEMORY for smaller shards"
                    )
                digest.update(piece)
                with explained(Path(tempfile.gettempdir()) / Path(key).name):
                    spool.write(piece)
            spool.seek(0)
            with told(self._target(key)):
                client().put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=spool,
                    ContentLength=size,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                )

    def create(self, key: str, data: bytes) -> bool:
        """Write a small object unless there is one; says whether this call did."""
        return self._write_if(key, data, IfNoneMatch="*")

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Write a small object where it still is what `read_tagged` gave; says whether this call did."""
        return self._write_if(key, data, IfMatch=tag)

    def _write_if(self, key: str, data: bytes, **condition: str) -> bool:
        """Write an object on a condition.

        A request may be done and its answer be lost, or come in twice: the next one then fails on what the first has
        written. So every write carries a mark of its own. S3 answers 409 while another write is under way, maybe our own.
        """
        mark = secrets.token_hex(8)
        put: Any = client().put_object
        for _ in range(CONFLICTS):
            with told(self._target(key)):
                try:
                    put(Bucket=self.bucket, Key=key, Body=data, Metadata={"mark": mark}, **_checked(data), **condition)
                except ClientError as error:
                    status, code = code_of(error)
                    if status not in LOST or code == "NoSuchBucket":
                        raise
                    if status != CONFLICT:
                        return self._has_mark(key, mark)
                else:
                    return True
            time.sleep(CONFLICT_SECONDS)
        raise SourceUnavailable(f"{self._target(key)} is being written by others all the time: try again later")

    def _has_mark(self, key: str, mark: str) -> bool:
        head = self._head(key)
        return head is not None and head.get("Metadata", {}).get("mark") == mark

    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        return self._head(key) is not None

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys of the objects below a prefix, which ends with a slash; sorted."""
        for page in self._pages(prefix):
            yield from (found["Key"] for found in page)

    def delete(self, prefix: str) -> int:
        """Delete an object or all objects below a prefix; returns the bytes that are free again."""
        name = prefix.rstrip("/")
        freed = 0
        if name == prefix:  # the first key that begins so is the name itself, where there is such an object
            with told(self._target(name)):
                first = client().list_objects_v2(Bucket=self.bucket, Prefix=name, MaxKeys=1).get("Contents", [])
            freed += self._delete([found for found in first if found["Key"] == name])
        return freed + sum(self._delete(page) for page in self._pages(f"{name}/"))

    def abort_uploads(self, prefix: str) -> int:
        """Abort the multipart uploads below a prefix that are open; says how many."""
        return multipart.abort_uploads(self.bucket, prefix)

    def concatenate(self, key: str, head: bytes, bodies: "Sequence[Body]") -> None:
        """Join objects on the server (see `eo.multipart`)."""
        multipart.concatenate(self.bucket, key, head, bodies)

    def presigned(self, key: str, *, seconds: int, file_name: str) -> str:
        """A link by which anybody may fetch an object under a file name, for so long."""
        with told(self._target(key)):
            return client().generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": key,
                    "ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(file_name)}",
                },
                ExpiresIn=seconds,
            )

    def zarr(self, prefix: str) -> "ZarrStore":
        """The objects below a prefix as a Zarr store."""
        from eo.bucket_zarr import BucketZarr  # noqa: PLC0415 - heavy: only who opens a cube needs it

        return BucketZarr(obstore_store(self.bucket, prefix))

    def temporary(self, prefix: str) -> Path:
        """A folder of this machine that belongs to the work below a prefix."""
        return Path(tempfile.gettempdir()) / "eo-shards" / prefix

    def _target(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def _head(self, key: str) -> "HeadObjectOutputTypeDef | None":
        with told(self._target(key)):
            try:
                return client().head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if is_absent(error):
                    return None
                raise

    def _pages(self, prefix: str) -> "Iterator[Sequence[ObjectTypeDef]]":
        """The objects below a prefix, a thousand at a time."""
        after: Any = {}
        while True:
            with told(self._target(prefix)):
                page = client().list_objects_v2(Bucket=self.bucket, Prefix=prefix, **after)
            yield page.get("Contents", [])
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _delete(self, found: "Sequence[ObjectTypeDef]") -> int:
        """Delete at most a thousand objects; returns their bytes."""
        left = {entry["Key"]: entry["Size"] for entry in found}
        failures: dict[str, str] = {}
        for _ in range(BATCH_TRIES if left else 0):
            with told(self._target(next(iter(left)))):
                answer = client().delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in left], "Quiet": True}
                )
            failures = {
                fault["Key"]: fault["Code"] for fault in answer.get("Errors", []) if fault["Code"] != "NoSuchKey"
            }
            if not failures:
                return sum(entry["Size"] for entry in found)
            left = {key: size for key, size in left.items() if key in failures}
            time.sleep(CONFLICT_SECONDS)
        for key, code in failures.items():
            raise failed(self._target(key), 403 if code == "AccessDenied" else 503, code)
        return 0


def _checked(data: bytes) -> dict[str, str]:
    """The checksum of an object that S3 is to compare and to keep."""
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": base64.b64encode(hashlib.sha256(data).digest()).decode()}
