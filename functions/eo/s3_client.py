"""Clients of the bundle's own S3, and what its failures mean.

`AWS_ENDPOINT_URL_S3` (or `AWS_ENDPOINT_URL`) points them at another S3, as it does all of botocore.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from eo.errors import AccessDenied, InvalidInput, RateLimited, SourceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Credential, S3Store

T = TypeVar("T")

ATTEMPTS = 6
"""How often a request is sent in all; botocore waits up to 1, 2, 4 ... 20 seconds between them, with jitter."""
CONNECTIONS = 32
"""Open connections of a process, at most."""
CONNECT_SECONDS, READ_SECONDS = 5, 60
"""Time for a connection, and between two pieces of an answer."""
CREDENTIAL_SECONDS = 300
"""How long obstore keeps credentials before it asks again. botocore renews its own 10 minutes before they end."""
BODY_TRIES = 4
"""How often a body is asked for that breaks while it arrives: botocore repeats a request only until its head is there."""

THROTTLED = frozenset(
    # The last is what is left of SlowDown where an answer has no body, as those to HEAD.
    {"SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests", "503"}
)
TRANSIENT = frozenset(
    # A 400 that another call, with another connection, clock or credentials, does not meet.
    {
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ExpiredToken",
        "ConditionalRequestConflict",
        "OperationAborted",
        "IncompleteBody",
        "BadDigest",
        "XAmzContentSHA256Mismatch",
    }
)
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})

_lock = threading.Lock()


def endpoint() -> str | None:
    """Address of another S3 than Amazon's, where the environment names one."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def client() -> "S3Client":
    """The client of this process; it may be used by all its threads."""
    with _lock:  # making one is not thread-safe, and two would be two pools of connections
        return _client(os.getpid(), endpoint())


@lru_cache(maxsize=4)
def _client(_process: int, address: str | None) -> "S3Client":
    config = Config(
        # By name and by host, so that presigned links hold in every region: https://github.com/boto/boto3/issues/2989
        signature_version="s3v4",
        s3={"addressing_style": "path" if address else "virtual"},
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        max_pool_connections=CONNECTIONS,
        tcp_keepalive=True,
    )
    return cast("S3Client", _session().create_client("s3", endpoint_url=address, config=config))


@lru_cache(maxsize=1)
def _session() -> botocore.session.Session:
    return botocore.session.Session()


def obstore_store(bucket: str, prefix: str) -> "S3Store":
    """The objects below a prefix, for zarr; with the credentials of the same chain."""
    from obstore.store import S3Store  # noqa: PLC0415 - only who opens a cube needs it

    address = endpoint()
    place: Any = {"endpoint": address} if address else {}
    return S3Store(
        bucket,
        prefix=prefix,
        region=_session().get_config_variable("region") or os.environ.get("AWS_REGION") or "us-east-1",
        virtual_hosted_style_request=not address,
        credential_provider=_credentials,
        client_options={
            "allow_http": bool(address and address.startswith("http://")),
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(minutes=5),
        },
        retry_config={
            "max_retries": ATTEMPTS - 1,
            "retry_timeout": timedelta(minutes=2),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=10),
                "base": 2,
            },
        },
        **place,
    )


def _credentials() -> "S3Credential":
    found = _session().get_credentials()
    if found is None:
        raise AccessDenied("there are no AWS credentials: give the function a role, or set AWS_ACCESS_KEY_ID")
    frozen = found.get_frozen_credentials()
    return {
        "access_key_id": str(frozen.access_key),
        "secret_access_key": str(frozen.secret_key),
        "token": frozen.token,
        "expires_at": datetime.now(UTC) + timedelta(seconds=CREDENTIAL_SECONDS),
    }


def code_of(error: ClientError) -> tuple[int, str]:
    """HTTP status and code of an answer."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(status), str(error.response.get("Error", {}).get("Code", ""))


def is_absent(error: ClientError) -> bool:
    """Whether it says that there is no such object."""
    return code_of(error)[1] in ABSENT


def failed(target: str, status: int, code: str) -> Exception:
    """What an answer means that says no. `target` is a bucket and a key, or what else was asked for."""
    said = str(status) if code in {"", str(status)} else f"{status} {code}"
    if code in THROTTLED or status == 429:
        return RateLimited(f"{target}: S3 asks for fewer requests ({said}): the work goes on by itself, later")
    if code == "NoSuchBucket":
        return InvalidInput(f"{target}: there is no such bucket: check EO_SHARDS_BUCKET and the region")
    if code in TRANSIENT or status in {0, 408} or status >= 500:
        return SourceUnavailable(f"{target}: S3 answered {said} after {ATTEMPTS} attempts: try again later")
    return AccessDenied(
        f"{target}: S3 refused it ({said}): check the role of this function, its region and the bucket's policy"
    )


@contextmanager
def told(target: str) -> Iterator[None]:
    """Turn failures of a request into ours: AccessDenied, RateLimited, SourceUnavailable, InvalidInput (no bucket)."""
    try:
        yield
    except ClientError as error:
        raise failed(target, *code_of(error)) from None
    except NoCredentialsError:
        raise AccessDenied(f"{target}: there are no AWS credentials: give the function a role") from None
    except (BotoCoreError, OSError) as error:
        # Only the kind: the text of these errors holds the URL, which may be a signed one.
        raise SourceUnavailable(
            f"{target}: no answer from S3 ({type(error).__name__}) after {ATTEMPTS} attempts: try again later"
        ) from None


def fetched(ask: Callable[[], T]) -> tuple[bytes, T]:
    """The body of an object whole, and the answer that it came with. What the head of an answer says passes at once."""
    for left in range(BODY_TRIES, 0, -1):
        answer = ask()
        try:
            with closing(cast("Any", answer)["Body"]) as body:
                return cast("bytes", body.read()), answer
        except (BotoCoreError, OSError):
            if left == 1:
                raise
    raise AssertionError
