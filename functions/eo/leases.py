"""Leases in the store: at most so many holders at a time, over all functions of the bundle.

What a lock file is on one machine is an object here, `leases/<name>/<number>`, that says who holds it and until when. It
changes hands by conditional writes only, so that of two who want it one gets it. Nobody notices when a function is killed:
its lease is free once its time is over, which must be later than the function can live.
"""

import json
import os
import random
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from eo.errors import EoShardsError, RateLimited

if TYPE_CHECKING:
    from eo.bucket_store import BucketStore

PATIENCE = 10.0
"""Seconds to wait for a lease: after that it costs less to let the workflow call the function again."""
POLL = 0.5
"""Seconds between two looks at the leases, on average."""
SKEW = 5.0
"""Seconds by which the clocks of two functions may differ."""


@contextmanager
def leased(store: "BucketStore", name: str, limit: int, *, seconds: float, patience: float = PATIENCE) -> Iterator[int]:
    """Hold one of `limit` leases of this name; gives its number.

    The holder must be done, or dead, within `seconds`. Raises RateLimited where none is free within `patience` seconds.
    """
    holder = secrets.token_hex(8)
    number = _taken(store, name, limit, holder, seconds, patience)
    try:
        yield number
    finally:
        # One that cannot be given back is free when its time is over.
        with suppress(EoShardsError):
            _give_back(store, _key(name, number), holder)


def _taken(  # noqa: PLR0917 - one caller
    store: "BucketStore", name: str, limit: int, holder: str, seconds: float, patience: float
) -> int:
    end = time.monotonic() + patience
    while True:
        # From anywhere on, so that those who look at the same time do not all want the same one.
        first = random.randrange(limit)  # noqa: S311 - no secret depends on it
        for number in range(first, first + limit):
            if _take(store, _key(name, number % limit), holder, seconds):
                return number % limit
        pause = POLL * random.uniform(0.5, 1.5)  # noqa: S311
        if time.monotonic() + pause > end:
            raise RateLimited(
                f"all {limit} connections of the account are in use by other functions, for {patience:g} s now: the "
                "workflow tries again until one is free"
            )
        time.sleep(pause)


def _take(store: "BucketStore", key: str, holder: str, seconds: float) -> bool:
    """Take a lease that nobody holds; says whether this call did."""
    try:
        data, tag = store.read_tagged(key)
    except KeyError:
        return store.create(key, _record(holder, time.time() + seconds))
    if _until(data) + SKEW > time.time():
        return False
    return store.replace(key, _record(holder, time.time() + seconds), tag)


def _give_back(store: "BucketStore", key: str, holder: str) -> None:
    """Free a lease, unless its time is over and somebody else has it."""
    with suppress(KeyError):
        data, tag = store.read_tagged(key)
        if _read(data).get("holder") == holder:
            store.replace(key, _record(holder, 0), tag)


def _record(holder: str, until: float) -> bytes:
    """Each is different from all others, and so is its tag."""
    who = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME") or f"{socket.gethostname()}:{os.getpid()}"
    return json.dumps({"holder": holder, "who": who, "until": until}).encode()


def _until(data: bytes) -> float:
    """Until when a lease is held, in seconds since 1970."""
    try:
        return float(_read(data).get("until", 0))
    except (TypeError, ValueError):
        return 0


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _key(name: str, number: int) -> str:
    return f"leases/{name}/{number}"
