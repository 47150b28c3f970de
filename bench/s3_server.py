"""An S3 server with bodies to join, and a count of all bytes between it and its client: run as a process of its own.

It is moto, but for the one step in which moto holds an object twice in memory: parts are joined in a file.
Prints its address as JSON; every line that it reads is answered by the bytes counted since the last.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import socket
import sys
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.exceptions import EntityTooSmall, InvalidPart
from moto.s3.models import S3_UPLOAD_PART_MIN_SIZE, FakeMultipart, S3Backend, s3_backends
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "bench"
KINDS = 10
"""Different bodies; each has as many names as it takes. Joined in another order, they are another object."""
_count = {"sent": 0, "received": 0}
_lock = threading.Lock()


def contents(kind: int, size: int) -> bytes:
    """The bytes of a body."""
    return hashlib.shake_128(bytes([kind])).digest(size)


def key(number: int) -> str:
    """Where a body is kept."""
    return f"scratch/bench/parts/drape/{number:05}.body"


def main() -> None:
    """Serve `count` bodies of `size` bytes."""
    count, size = map(int, sys.argv[1:])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    FakeMultipart.complete = _complete
    S3Backend.complete_multipart_upload = _completed(S3Backend.complete_multipart_upload)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    backend.create_bucket(BUCKET, "us-east-1")
    for kind in range(min(KINDS, count)):
        data = contents(kind, size)
        digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
        made = backend.put_object(BUCKET, key(kind), data, checksum_value=digest)
        made.checksum_algorithm = "SHA256"
        for number in range(kind, count, KINDS):
            backend.get_bucket(BUCKET).keys[key(number)] = made
    address = _forwarding(server.get_host_and_port())
    print(json.dumps({"url": f"http://127.0.0.1:{address[1]}"}), flush=True)
    for _ in sys.stdin:
        with _lock:
            print(json.dumps(_count), flush=True)
            _count.update(sent=0, received=0)
    os._exit(0)  # moto's threads and thousands of its files are nothing to wait for


def _complete(self: Any, body: Iterator[tuple[int, str]]) -> tuple[bytes, str, tuple[str, str, int]]:  # noqa: ANN401 - moto has no types
    """As moto's, with its checks: the parts become a file."""
    joined = tempfile.TemporaryFile()  # noqa: SIM115 - it is the object from now on
    md5s, digests, last, count = b"", b"", None, 0
    for number, etag in body:
        part = self.parts.get(number)
        if part is None or part.etag.strip('"') != etag.strip('"'):
            raise InvalidPart
        if last is not None and last < S3_UPLOAD_PART_MIN_SIZE:
            raise EntityTooSmall
        value = part.value
        part.dispose()
        joined.write(value)
        md5s += bytes.fromhex(etag.strip('"'))
        digests += hashlib.sha256(value).digest()
        last, count = len(value), count + 1
    self.joined = joined
    composite = base64.b64encode(hashlib.sha256(digests).digest()).decode()
    return b"", f"{hashlib.md5(md5s).hexdigest()}-{count}", ("COMPOSITE", composite, count)


def _completed(original: Any) -> Any:  # noqa: ANN401 - moto has no types
    def complete_multipart_upload(self: Any, bucket: str, upload: str, body: Any) -> Any:  # noqa: ANN401 - moto has no types
        multipart = self.get_bucket(bucket).multiparts[upload]
        made = original(self, bucket, upload, body)
        made._value_buffer, made.contentsize = multipart.joined, multipart.joined.tell()  # noqa: SLF001 - where moto keeps it
        return made

    return complete_multipart_upload


def _forwarding(target: tuple[str, int]) -> tuple[str, int]:
    """A port behind which the server is, whose bytes are counted."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        while True:
            client, _ = listening.accept()
            server = socket.create_connection(target)
            for pair in ((client, server, "received"), (server, client, "sent")):
                threading.Thread(target=_pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listening.getsockname()


def _pump(source: socket.socket, target: socket.socket, counter: str) -> None:
    try:
        while data := source.recv(1 << 18):
            with _lock:
                _count[counter] += len(data)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        source.close()
        target.close()


if __name__ == "__main__":
    main()
