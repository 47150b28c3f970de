"""A bucket of a loopback S3, where all of AWS's clients of this process find it."""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

import pytest

from eo import s3_client
from eo.bucket_store import BucketStore
from eo.store import Body
from peers.s3 import _MOTO, S3Peer

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "eo-shards-data"


def environment(peer: S3Peer) -> dict[str, str]:
    """What a function has in its environment."""
    return {
        "AWS_ENDPOINT_URL_S3": peer.url,
        "AWS_ACCESS_KEY_ID": peer.key,
        "AWS_SECRET_ACCESS_KEY": peer.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def bucket_of(peer: S3Peer, *, attempts: int | None = None) -> Iterator[BucketStore]:
    """The store over an empty bucket of a peer; `attempts` where a test has no time for all of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(peer).items():
            patch.setenv(name, value)
        if attempts is not None:
            patch.setattr(s3_client, "ATTEMPTS", attempts)
        s3_client._client.cache_clear()
        if not _is_ours(peer):
            forget()
        _MOTO.client.create_bucket(Bucket=BUCKET)
        yield BucketStore(BUCKET)
        if not _is_ours(peer):
            forget()


def _is_ours(peer: S3Peer) -> bool:
    """Whether clients sign as the peer wants it: a session takes half a second to make."""
    found = s3_client._session().get_credentials()
    return found is not None and (found.access_key, found.secret_key, found.token) == (peer.key, peer.secret, None)


def forget() -> None:
    """Make clients anew, as a process does that has just begun."""
    s3_client._client.cache_clear()
    s3_client._session.cache_clear()


def body(store: BucketStore, key: str, data: bytes) -> Body:
    """Write an object as a unit does."""
    store.write(key, [data])
    return Body(key, len(data), hashlib.sha256(data).hexdigest())


def uploads() -> list[str]:
    """Keys of multipart uploads that are open."""
    return [upload["Key"] for upload in _MOTO.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]
