"""Joining objects on the server, by multipart uploads; `eo.assembly` says of which parts.

Nothing is under the key before all of it is, and no upload stays open: neither after a failure nor, once the next attempt
is done, after a kill.
"""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from eo.assembly import Copy, Part, Upload, assemble, groups, single
from eo.errors import AFRESH, EoShardsError, LostWork, SourceUnavailable
from eo.s3_client import client, code_of, fetched, is_absent, told

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

    from eo.store import Body

T = TypeVar("T")
R = TypeVar("R")

PRECONDITION_FAILED = 412
THREADS = 16
"""Requests that wait for S3 at the same time."""
PASSING = 5
"""Parts whose bytes pass through this process at the same time, each of less than 15 MiB."""


@dataclass(frozen=True, slots=True)
class Source:
    """An object to copy from, as it was when it was looked at."""

    key: str
    size: int
    tag: str
    digest: str
    """SHA-256 in base64."""


def concatenate(bucket: str, key: str, head: bytes, bodies: "Sequence[Body]") -> None:
    """Write head, then the bodies in order, as one object.

    Raises TooLarge before the first request, and LostWork where a body is not what its unit wrote.
    """
    parts = assemble(len(head), [body.size for body in bodies])
    join = _Join(bucket, head, _verified(bucket, bodies))
    if single(parts):
        join.put(key, parts)
        return
    runs = list(groups(parts))
    if len(runs) == 1:
        join.upload(key, parts)
        return
    steps = [f"{_scratch(key)}/{secrets.token_hex(4)}/{number}" for number in range(len(runs))]  # ours alone
    try:
        made = [join.upload(step, run) for step, run in zip(steps, runs, strict=True)]
        _Join(bucket, b"", made).upload(key, assemble(0, [source.size for source in made]))
        abort_uploads(bucket, f"{_scratch(key)}/")  # of an attempt that was killed over its steps
    finally:
        with suppress(EoShardsError), told(f"s3://{bucket}/{_scratch(key)}"):
            client().delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": step} for step in steps], "Quiet": True})


def abort_uploads(bucket: str, prefix: str) -> int:
    """Abort the multipart uploads of keys that begin so; says how many."""
    found = list(_open_uploads(bucket, prefix))
    for key, upload in found:
        _abort(bucket, key, upload)
    return len(found)


class _Join:
    """Making objects of one head and these sources."""

    def __init__(self, bucket: str, head: bytes, sources: Sequence[Source]) -> None:
        self._bucket = bucket
        self._head = head
        self._sources = sources
        self._passing = threading.BoundedSemaphore(PASSING)

    def put(self, key: str, parts: Sequence[Part]) -> None:
        """Write an object that is too small for an upload in parts."""
        data = b"".join(self._bytes(part) for part in parts if isinstance(part, Upload))
        with told(f"s3://{self._bucket}/{key}"):
            client().put_object(Bucket=self._bucket, Key=key, Body=data, **_checked(data))

    def upload(self, key: str, parts: Sequence[Part]) -> Source:
        """Make an object of parts, or leave nothing."""
        mark = secrets.token_hex(8)
        with told(f"s3://{self._bucket}/{key}"):
            upload = client().create_multipart_upload(
                Bucket=self._bucket, Key=key, ChecksumAlgorithm="SHA256", Metadata={"mark": mark}
            )["UploadId"]
        place = {"Bucket": self._bucket, "Key": key, "UploadId": upload}
        try:
            done = _all(lambda asked: self._part(place, *asked), list(enumerate(parts, start=1)))
            size = sum(part.size for part in parts)
            made = Source(key, size, self._complete(place, done, size, mark), "")
            # What is open still is of an attempt that was killed, or was begun by a request whose answer was lost.
            for old_key, old in _open_uploads(self._bucket, key):
                if old_key == key:
                    _abort(self._bucket, key, old)
            return made  # noqa: TRY300 - while uploads are open it is not done
        except BaseException:
            with suppress(EoShardsError):
                _abort(self._bucket, key, upload)
            raise

    def _part(self, place: dict[str, str], number: int, part: Part) -> "CompletedPartTypeDef":
        """Make one part."""
        if isinstance(part, Copy):
            return self._copied(place, number, part)
        with self._passing:
            data = self._bytes(part)
            asked: Any = {**place, "PartNumber": number, "Body": data}
            with told(_target(place)), _part_of_open_upload(place):
                answer = client().upload_part(**asked, **_checked(data))
        return {"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": _sha256(data)}

    def _copied(self, place: dict[str, str], number: int, part: Copy) -> "CompletedPartTypeDef":
        source = self._sources[part.source]
        asked: Any = {**place, "PartNumber": number, "CopySource": {"Bucket": self._bucket, "Key": source.key}}
        if not part.whole:
            asked["CopySourceRange"] = f"bytes={part.start}-{part.start + part.size - 1}"
        with told(_target(place)), _part_of_open_upload(place), _unchanged(source):
            answer = client().upload_part_copy(**asked, CopySourceIfMatch=source.tag)["CopyPartResult"]
        done: CompletedPartTypeDef = {"PartNumber": number, "ETag": answer["ETag"]}
        if found := answer.get("ChecksumSHA256"):
            if part.whole and source.digest and found != source.digest:
                raise _lost(source.key)
            done["ChecksumSHA256"] = found
        return done

    def _bytes(self, part: Upload) -> bytearray:
        """The bytes of a part that no copy can bring."""
        data = bytearray()
        for piece in part.ranges:
            if piece.source is None:
                data += self._head[piece.start : piece.start + piece.size]
                continue
            source = self._sources[piece.source]
            asked: Any = {"Bucket": self._bucket, "Key": source.key, "IfMatch": source.tag}
            if piece.size != source.size:
                asked["Range"] = f"bytes={piece.start}-{piece.start + piece.size - 1}"
            with told(f"s3://{self._bucket}/{source.key}"), _unchanged(source):
                data += fetched(partial(client().get_object, **asked))[0]
        return data

    def _complete(self, place: dict[str, str], done: "list[CompletedPartTypeDef]", size: int, mark: str) -> str:
        """Make the object of its parts; gives its tag.

        Where the answer was lost, a second request finds no upload any more: then the object itself says that it is made.
        """
        asked: Any = {**place, "MultipartUpload": {"Parts": done}, "MpuObjectSize": size}
        with told(_target(place)), _part_of_open_upload(place):
            try:
                return client().complete_multipart_upload(**asked)["ETag"]
            except (ClientError, BotoCoreError):
                with suppress(ClientError, BotoCoreError):
                    found = client().head_object(Bucket=place["Bucket"], Key=place["Key"])
                    if found["Metadata"].get("mark") == mark and found["ContentLength"] == size:
                        return found["ETag"]
                raise


def _verified(bucket: str, bodies: "Sequence[Body]") -> list[Source]:
    """The bodies as S3 has them. Raises LostWork where one is not what its unit wrote."""

    def verify(body: "Body") -> Source:
        with told(f"s3://{bucket}/{body.key}"):
            try:
                found = client().head_object(Bucket=bucket, Key=body.key, ChecksumMode="ENABLED")
            except ClientError as error:
                if is_absent(error):
                    raise _lost(body.key) from None
                raise
        digest = base64.b64encode(bytes.fromhex(body.digest)).decode()
        if (found["ContentLength"], found.get("ChecksumSHA256")) != (body.size, digest):
            raise _lost(body.key)
        return Source(body.key, body.size, found["ETag"], digest)

    once = list(dict.fromkeys(bodies))
    sources = dict(zip(once, _all(verify, once), strict=True))
    return [sources[body] for body in bodies]


def _open_uploads(bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    """(key, upload) of the uploads that are open."""
    after: Any = {}
    while True:
        with told(f"s3://{bucket}/{prefix}"):
            page = client().list_multipart_uploads(Bucket=bucket, Prefix=prefix, **after)
        yield from [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def _abort(bucket: str, key: str, upload: str) -> None:
    with told(f"s3://{bucket}/{key}"):
        try:
            client().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        except ClientError as error:
            if code_of(error)[1] != "NoSuchUpload":
                raise


def _all(do: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do something with each item, many at a time; when one fails, those that have not begun never do."""
    with ThreadPoolExecutor(THREADS, "multipart") as pool:
        asked = [pool.submit(do, item) for item in items]
        try:
            ended = wait(asked, return_when=FIRST_EXCEPTION).done
            for future in asked:
                if future in ended:
                    future.result()
            return [future.result() for future in asked]
        finally:
            # What has begun is waited for: a part that arrived after its upload was aborted would stay for ever.
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _unchanged(source: Source) -> Iterator[None]:
    """Raises LostWork where a source is not any more what it was when it was looked at."""
    try:
        yield
    except ClientError as error:
        if is_absent(error) or code_of(error)[0] == PRECONDITION_FAILED:
            raise _lost(source.key) from None
        raise


@contextmanager
def _part_of_open_upload(place: dict[str, str]) -> Iterator[None]:
    """Raises SourceUnavailable where somebody has aborted the upload."""
    try:
        yield
    except ClientError as error:
        if code_of(error)[1] == "NoSuchUpload":
            raise SourceUnavailable(
                f"{_target(place)}: its upload was aborted by another attempt at the same job; it is tried again"
            ) from None
        raise


def _lost(key: str) -> LostWork:
    return LostWork(f"{key} is gone or not what was written; {AFRESH}")


def _scratch(key: str) -> str:
    """Where the objects of an object of more than one level are kept while it is made."""
    job, _, rest = key.removeprefix("jobs/").partition("/")
    return f"scratch/{job}/joined/{rest}"


def _target(place: dict[str, str]) -> str:
    return f"s3://{place['Bucket']}/{place['Key']}"


def _sha256(data: bytes | bytearray) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _checked(data: bytes | bytearray) -> Any:  # noqa: ANN401 - keyword arguments of several requests
    """The checksum that S3 is to compare and to keep."""
    return {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": _sha256(data)}
