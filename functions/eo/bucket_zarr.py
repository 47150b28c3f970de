"""The cube on S3: zarr's store over obstore, with failures that say what they are.

zarr takes an absent object for "no data" and passes everything else through as it came, with addresses in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from zarr.storage import ObjectStore

from eo.errors import AccessDenied, RateLimited, SourceUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Store
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype


class BucketZarr(ObjectStore["S3Store"]):
    """Objects below a prefix of a bucket. All raise AccessDenied, RateLimited and SourceUnavailable."""

    async def get(
        self, key: str, prototype: "BufferPrototype", byte_range: "ByteRequest | None" = None
    ) -> "Buffer | None":
        """Read an object, None where there is none."""
        with _told(self.store, key):
            return await super().get(key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with _told(self.store, key):
            return await super().exists(key)

    async def set(self, key: str, value: "Buffer") -> None:
        """Write an object."""
        with _told(self.store, key):
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: "Buffer") -> None:
        """Write an object where there is none."""
        with _told(self.store, key):
            await super().set_if_not_exists(key, value)


@contextmanager
def _told(store: "S3Store", key: str) -> Iterator[None]:
    """Turn failures into ours. Only their kind is told: their text holds addresses, and answers with access keys."""
    try:
        yield
    except BaseError as error:
        target = f"s3://{store.config.get('bucket', '')}/{store.prefix or ''}/{key}"
        if isinstance(error, (PermissionDeniedError, UnauthenticatedError)):
            raise AccessDenied(
                f"{target}: S3 refused it: check the role of this function, its region and the bucket's policy"
            ) from None
        if "SlowDown" in str(error):
            raise RateLimited(f"{target}: S3 asks for fewer requests: the work goes on by itself, later") from None
        raise SourceUnavailable(f"{target}: no answer from S3 ({type(error).__name__}): try again later") from None
