"""The one way to remote bytes: byte ranges and whole objects over S3 and HTTP, with retries and counted traffic."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeVar, cast

from eo.errors import AccessDenied, CorruptData, EoShardsError, InvalidInput, NothingFound
from eo.range_file import Blocks, RangeFile
from eo.retry import Policy, shown
from eo.settings import EARTH_DATA_HUB_USER, Settings
from eo.slots import connection_slots, slot_name
from eo.traffic import Traffic
from eo.wire import S3, Head, Http, Transport

if TYPE_CHECKING:
    import io

    from pydantic import SecretStr

T = TypeVar("T")

CDSE_REMEDY = (
    "set CDSE_KEY and CDSE_SECRET to the S3 keys of a Copernicus Data Space account "
    "(https://eodata-s3keysmanager.dataspace.copernicus.eu); L2A from source earth-search needs none"
)
EARTH_DATA_HUB_REMEDY = (
    "set EARTH_DATA_HUB_KEY to a personal token of the Earth Data Hub (https://earthdatahub.destine.eu); "
    "dem cop-dem-glo-30 needs none"
)
# Multihash code and length of the digests that catalogues use: https://github.com/multiformats/multicodec
_DIGESTS = {"d50110": "md5", "1220": "sha256", "1340": "sha512", "1620": "sha3_256", "1440": "sha3_512"}
# A path that climbs leaves its place, also where its dots are encoded.
_CLIMBS = re.compile(r"(^|/|\\)(\.|%2e){1,2}(/|\\|$)", re.IGNORECASE)


class ObjectReader:
    """One remote object."""

    def __init__(self, transport: Transport, target: str, *, policy: Policy, traffic: Traffic) -> None:
        self.name = shown(target).rpartition("/")[2]
        """Last component of its path."""
        self.failure: EoShardsError | None = None
        """What the last failed read raised, for callers whose library hides the exceptions of its files (GDAL)."""
        self._transport = transport
        self._target = target
        self._policy = policy
        self._traffic = traffic
        self._known: Head | None = None
        self._blocks = Blocks(self.read, lambda: self.size)

    @property
    def size(self) -> int:
        """Bytes of the object; known without a request once anything was read."""
        if self._known is None:
            self._run(lambda: self._learn(self._transport.head(self._target)))
        return cast("Head", self._known).size

    def read(self, offset: int, length: int) -> bytes:
        """Give `length` bytes from an offset, fewer only where the object ends before.

        Raises NothingFound, AccessDenied, RateLimited, SourceUnavailable, and CorruptData where the object has
        changed since its first read or is shorter than the offset.
        """
        if self._known is not None:
            length = min(length, self._known.size - offset)
        return self._run(lambda: self._fetch(offset, offset + length)) if length > 0 else b""

    def get(self) -> bytes:
        """Give the whole of a small object; raises as `read`."""
        return self._run(lambda: self._fetch(0, None))

    def find(self) -> bytes | None:
        """Give the whole of a small object, None where there is none; else raises as `read`."""
        try:
            return self.get()
        except NothingFound:
            self.failure = None
            return None

    def open(self) -> BinaryIO:
        """Open it as a file; all files of one reader share their read-ahead."""
        return cast("BinaryIO", RangeFile(self._blocks, self.name))

    def download(self, path: Path, *, checksum: str | None = None) -> Path:
        """Stream the whole object to a file, which appears under its name when it is complete.

        A broken connection is resumed where it broke. `checksum` is a multihash in hex, as STAC's `file:checksum`;
        kinds that are not known are not checked. Raises as `read`, and CorruptData where the checksum does not fit.
        """
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "w+b") as file:
                self._run(lambda: self._resume(file))
                self._verify(file, checksum)
            Path(temporary).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(temporary).unlink()
            raise
        return path

    def _fetch(self, start: int, end: int | None) -> bytes:
        pieces: list[bytes] = []

        def keep(head: Head, piece: bytes) -> None:
            self._expect(head, start)
            self._learn(head)
            pieces.append(piece)
            self._traffic.bytes += len(piece)

        head = self._transport.fetch(self._target, start=start, end=end, etag=None, sink=keep)
        self._expect(head, start)
        self._learn(head)
        data = b"".join(pieces)
        # A server may answer a range with the whole object, as long as it starts where the range does.
        return data if end is None else data[: end - start]

    def _resume(self, file: BinaryIO) -> None:
        """Go on where the file ends; start again where the source sends all of it, since it has changed."""
        have = file.seek(0, os.SEEK_END)
        if self._known is not None and have == self._known.size:
            return
        begun = False

        def write(head: Head, piece: bytes) -> None:
            nonlocal begun
            if not begun:
                # From 0 it is all of what the object is now, whether a range was ignored or refused (If-Range).
                if head.start == 0:
                    self._known = None
                else:
                    self._expect(head, have)
                self._learn(head)
                file.seek(head.start)
                file.truncate()
                begun = True
            file.write(piece)
            self._traffic.bytes += len(piece)

        etag = self._known.etag if self._known and have else None
        self._learn(self._transport.fetch(self._target, start=have, end=None, etag=etag, sink=write))
        file.flush()

    def _expect(self, head: Head, start: int) -> None:
        """Look at where an answer begins; raises CorruptData where that is not what was asked for."""
        if head.start != start:
            raise CorruptData(
                f"{shown(self._target)}: asked for bytes from {start}, the server sent those from {head.start}; it "
                "ignores byte ranges: use another source"
            )

    def _verify(self, file: BinaryIO, checksum: str | None) -> None:
        for prefix, kind in _DIGESTS.items():
            if checksum is not None and checksum.lower().startswith(prefix):
                file.seek(0)
                found = hashlib.file_digest(cast("io.BufferedRandom", file), kind).hexdigest()
                if found != checksum.lower().removeprefix(prefix):
                    raise CorruptData(
                        f"{shown(self._target)}: its {kind} is {found}, not {checksum.lower().removeprefix(prefix)} as the "
                        "catalogue says: run the job again, or choose another scene"
                    )

    def _learn(self, head: Head) -> None:
        """Note what the object is; raises CorruptData where it is no longer what it was."""
        if self._known is not None and (self._known.size, self._known.etag) != (
            head.size,
            head.etag or self._known.etag,
        ):
            raise CorruptData(
                f"{shown(self._target)}: it was replaced while it was read ({self._known.size}, now {head.size} bytes): "
                "run the job again"
            )
        self._known = self._known or head

    def _run(self, attempt: Callable[[], T]) -> T:
        def counted() -> T:
            self._traffic.requests += 1
            return attempt()

        try:
            return self._policy.run(counted, shown(self._target))
        except EoShardsError as error:
            self.failure = error
            raise


class Remote:
    """An open connection to one source; `reader` gives its objects, one after the other."""

    def __init__(self, transport: Transport, places: tuple[str, ...], policy: Policy, traffic: Traffic) -> None:
        self._transport = transport
        self._places = places
        self._policy = policy
        self._traffic = traffic

    def reader(self, href: str) -> ObjectReader:
        """Give the reader of an object; raises InvalidInput where it does not lie in a place of this source."""
        return ObjectReader(self._transport, allowed(href, self._places), policy=self._policy, traffic=self._traffic)


def allowed(href: str, places: tuple[str, ...]) -> str:
    """Give the href back if it lies below one of the places (URLs without a slash at the end), else raise InvalidInput.

    Catalogues are answers from outside: what they name is opened only where the operator's settings allow it.
    """
    if any(href.startswith(f"{place}/") for place in places) and not _CLIMBS.search(href):
        return href
    raise InvalidInput(
        f"{shown(href)} does not lie in {' or '.join(places)}, where this source keeps its data: use another source"
    )


def cdse_keys(settings: Settings) -> "tuple[SecretStr, SecretStr]":
    """Give access and secret key of the Copernicus Data Space; raises AccessDenied where they are not set."""
    if settings.cdse_key is None or settings.cdse_secret is None:
        raise AccessDenied(f"{settings.cdse_s3_endpoint} needs credentials: {CDSE_REMEDY}")
    return settings.cdse_key, settings.cdse_secret


def _connection(name: str, settings: Settings, slots: Path | None) -> AbstractContextManager[int]:
    """One of the account's connections: of the bundle, where this is part of one, else of this machine."""
    if settings.bucket is None:
        return connection_slots(name, settings.cdse_connections, slots)
    from eo.bucket_store import BucketStore  # noqa: PLC0415 - brings botocore, as does all below
    from eo.leases import leased  # noqa: PLC0415

    return leased(BucketStore(settings.bucket), name, settings.cdse_connections, seconds=settings.lease_seconds)


@contextmanager
def connect(
    source: Literal["cdse", "earth-search", "earth-data-hub", "cop-dem-glo-30"],
    settings: Settings,
    traffic: Traffic,
    *,
    slots: Path | None = None,
) -> Iterator[Remote]:
    """Connect to a source for the length of a `with` block, by one connection.

    For cdse it waits for one of the account's connections, of which all functions of the bundle, or all processes of
    this machine, together hold no more than `cdse_connections`; the connection is closed before it is given back. `slots` is the folder
    of the machine's locks. Raises AccessDenied where the credentials that the source needs are not set, and RateLimited
    where other functions hold all connections.
    """
    policy = Policy.of(settings)
    if source == "cdse":
        keys = cdse_keys(settings)
        places: tuple[str, ...] = (f"s3://{settings.cdse_s3_bucket}",)
        name = slot_name(settings.cdse_s3_endpoint, keys[0].get_secret_value())
        with _connection(name, settings, slots):
            wire: Transport = S3(settings.cdse_s3_endpoint, timeout=settings.timeout, access=CDSE_REMEDY, keys=keys)
            with closing(wire):
                yield Remote(wire, places, policy, traffic)
        return
    login, access = None, ""
    places = settings.earth_search_data_urls
    if source == "earth-data-hub":
        places, access = (settings.earth_data_hub_url,), EARTH_DATA_HUB_REMEDY
        login = None if settings.earth_data_hub_key is None else (EARTH_DATA_HUB_USER, settings.earth_data_hub_key)
    elif source == "cop-dem-glo-30":
        places = (settings.cop_dem_30_url, settings.cop_dem_90_url)
    wire = Http(timeout=settings.timeout, access=access, login=login, netrc=source == "earth-data-hub")
    with closing(wire):
        yield Remote(wire, places, policy, traffic)
