"""Fan-in on S3: what joining parts costs the function that does it, against fetching and sending them."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.meter import PYTHON, ROOT, BenchmarkCrashed
from bench.s3_server import BUCKET, KINDS, contents, key
from bench.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTS = 1000
NAIVE = 40
"""Parts that are joined by fetching and sending them, too: a thousand would only take longer."""
SIZE = 8 << 20
HEAD = b"ply\n" * 200
RESULT = "jobs/bench/result/cloud.ply"


@dataclass(frozen=True)
class Joined:
    """What a joining took."""

    through: int
    """Bytes that went to and from the function, with all headers."""
    rss: int
    cpu: float
    calls: int
    digest: str


def rows() -> list[Row]:
    """A thousand parts, and fewer both ways."""
    with _server(PARTS) as server:
        large = server.join("concatenate", PARTS)
    with _server(NAIVE) as server:
        ours, naive = server.join("concatenate", NAIVE), server.join("naive", NAIVE)
    assert large.digest == composite(PARTS)
    assert ours.digest == composite(NAIVE)
    name = f"fan-in of {PARTS:,} parts of 8 MiB on S3"
    return [
        Row(f"{name}: bytes through the function", large.through / 1e6, "MB"),
        Row(f"{name}: of the result's bytes", 100 * large.through / (PARTS * SIZE), "%"),
        Row(f"{name}: peak memory of the function", large.rss / 1e6, "MB", 256),
        Row(f"{name}: requests", large.calls, ""),
        Row(f"{name}: CPU of the function", large.cpu, "CPU s"),
        Row(f"fan-in of {NAIVE} parts: less bytes than fetching and sending", naive.through / ours.through, "x"),
        Row(f"fan-in of {NAIVE} parts: less CPU than fetching and sending", naive.cpu / ours.cpu, "x"),
    ]


def composite(count: int) -> str:
    """The checksum that S3 should have of the result: SHA-256 over those of its parts, of which the first has the head."""
    bodies = [hashlib.sha256(contents(kind, SIZE)).digest() for kind in range(KINDS)]
    digests = [bodies[number % KINDS] for number in range(count)]
    digests[0] = hashlib.sha256(HEAD + contents(0, SIZE)).digest()
    return base64.b64encode(hashlib.sha256(b"".join(digests)).digest()).decode()


class _Server:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._url = self._read()["url"]

    def join(self, how: str, count: int) -> Joined:
        """Join in a fresh process."""
        self._counted()
        code = f"from bench.fan_in import run; run({how!r}, {count})"
        done = subprocess.run(
            [PYTHON, "-c", code],
            env={
                "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
                "AWS_ENDPOINT_URL_S3": self._url,
                "AWS_ACCESS_KEY_ID": "bench",
                "AWS_SECRET_ACCESS_KEY": "bench",
                "AWS_DEFAULT_REGION": "us-east-1",
            },
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkCrashed(f"{how} of {count} parts ended with {done.returncode}")
        told = json.loads(done.stdout)
        through = self._counted()
        return Joined(through=through["sent"] + through["received"], **told)

    def _counted(self) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def _server(count: int) -> Iterator[_Server]:
    command = [PYTHON, "-m", "bench.s3_server", str(count), str(SIZE)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Server(process)
        finally:
            process.kill()


def run(how: str, count: int) -> None:
    """Join, in this process, and tell what it took."""
    import time  # noqa: PLC0415 - in the measured process: no more than a function has

    from eo import s3_client  # noqa: PLC0415
    from eo.bucket_store import BucketStore  # noqa: PLC0415
    from eo.store import Body  # noqa: PLC0415
    from eo.usage import peak_rss  # noqa: PLC0415

    # Amazon says something now and then while it joins parts; moto is silent until all are.
    s3_client.READ_SECONDS = 900
    calls: Counter[str] = Counter()
    client: Any = s3_client.client()
    client.meta.events.register("before-send.s3", lambda event_name, **_: calls.update([event_name]))
    digests = [hashlib.sha256(contents(kind, SIZE)).hexdigest() for kind in range(KINDS)]
    bodies = [Body(key(number), SIZE, digests[number % KINDS]) for number in range(count)]
    before = time.process_time()
    if how == "naive":
        _naive(client, bodies)
    else:
        BucketStore(BUCKET).concatenate(RESULT, HEAD, bodies)
    cpu, requests = time.process_time() - before, sum(calls.values())
    found = client.head_object(Bucket=BUCKET, Key=RESULT, ChecksumMode="ENABLED")
    assert found["ContentLength"] == len(HEAD) + count * SIZE
    told = {
        "rss": peak_rss(),
        "cpu": cpu,
        "calls": requests,
        "digest": found.get("ChecksumSHA256", "").partition("-")[0],
    }
    json.dump(told, sys.stdout)


def _naive(client: Any, bodies: list[Any]) -> None:  # noqa: ANN401 - botocore's, as it is made
    """Fetch every body and send it as a part."""
    place = {"Bucket": BUCKET, "Key": RESULT}
    place["UploadId"] = client.create_multipart_upload(**place)["UploadId"]
    parts = []
    for number, body in enumerate(bodies, start=1):
        data = client.get_object(Bucket=BUCKET, Key=body.key)["Body"].read()
        data = HEAD + data if number == 1 else data
        parts.append({"PartNumber": number, "ETag": client.upload_part(**place, PartNumber=number, Body=data)["ETag"]})
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
