"""The S3 peer, seen by boto3, s3fs and GDAL."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import numpy as np
import pytest
import rasterio
import rasterio.errors
import requests
import s3fs
from botocore import UNSIGNED
from botocore.config import Config
from botocore.httpchecksum import FlexibleChecksumError

from peers.faults import Corrupt, Hang, Ok, Reset, Status, Truncate
from peers.s3 import S3Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BODY = bytes(range(256)) * 1000
KEY = "Sentinel-2/a b+c/Ü (1).bin"  # what has to be encoded, and is so differently by the three clients
ONCE = {"retries": {"total_max_attempts": 1, "mode": "standard"}}


@pytest.fixture
def peer(s3_peer: S3Peer) -> S3Peer:
    s3_peer.put("eodata", KEY, BODY)
    return s3_peer


def _status(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


class TestBoto3:
    def test_reads_objects_and_ranges(self, peer: S3Peer) -> None:
        client = peer.client()
        whole = client.get_object(Bucket="eodata", Key=KEY)
        assert whole["Body"].read() == BODY
        for asked, content in (
            ("bytes=0-9", BODY[:10]),
            ("bytes=255990-", BODY[-10:]),
            ("bytes=-10", BODY[-10:]),
            ("bytes=255990-300000", BODY[-10:]),
        ):
            part = client.get_object(Bucket="eodata", Key=KEY, Range=asked)
            assert (part["ResponseMetadata"]["HTTPStatusCode"], part["Body"].read()) == (206, content)
            assert part["ContentRange"].endswith("/256000")
        assert _status(client.get_object, Bucket="eodata", Key=KEY, Range="bytes=256000-") == (416, "InvalidRange")
        head = client.head_object(Bucket="eodata", Key=KEY)
        assert (head["ContentLength"], head["ETag"]) == (256_000, whole["ETag"])
        assert _status(client.get_object, Bucket="eodata", Key="absent") == (404, "NoSuchKey")
        assert peer.calls[1].range == "bytes=0-9"
        assert peer.calls[1].path == f"/eodata/{KEY}"

    def test_lists_by_prefix_and_pages(self, peer: S3Peer) -> None:
        for number in range(5):
            peer.put("eodata", f"many/{number}/x", b"")
        client = peer.client()
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket="eodata", Prefix="many/", PaginationConfig={"PageSize": 2}
        )
        keys = [entry["Key"] for page in pages for entry in page["Contents"]]
        assert keys == [f"many/{number}/x" for number in range(5)] == peer.keys("eodata", "many/")
        folders = client.list_objects_v2(Bucket="eodata", Prefix="many/", Delimiter="/")["CommonPrefixes"]
        assert [entry["Prefix"] for entry in folders] == [f"many/{number}/" for number in range(5)]

    def test_writes_once_in_parts_and_by_copy(self, peer: S3Peer) -> None:
        client = peer.client()
        client.put_object(Bucket="eodata", Key="put", Body=BODY, IfNoneMatch="*")
        refused = _status(client.put_object, Bucket="eodata", Key="put", Body=b"", IfNoneMatch="*")
        assert refused == (412, "PreconditionFailed")
        part = BODY * 24  # just above the smallest part of 5 MiB
        client.put_object(Bucket="eodata", Key="body", Body=part)
        upload = client.create_multipart_upload(Bucket="eodata", Key="joined")["UploadId"]
        target: Any = {"Bucket": "eodata", "Key": "joined", "UploadId": upload}
        first = client.upload_part(**target, PartNumber=1, Body=part)["ETag"]
        copied = client.upload_part_copy(**target, PartNumber=2, CopySource="eodata/body")["CopyPartResult"]["ETag"]
        parts: Any = [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": copied}]
        client.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
        assert peer.get("eodata", "joined") == part + part
        client.delete_object(Bucket="eodata", Key="joined")
        assert "joined" not in peer.keys("eodata")

    def test_presigned_links_are_checked(self, peer: S3Peer) -> None:
        link = peer.client().generate_presigned_url("get_object", Params={"Bucket": "eodata", "Key": KEY})
        assert requests.get(link, timeout=5).content == BODY
        assert requests.get(link[:-1] + ("0" if link[-1] != "0" else "1"), timeout=5).status_code == 403

    def test_region_default_of_the_data_space(self, peer: S3Peer) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=peer.url,
            region_name="default",
            aws_access_key_id=peer.key,
            aws_secret_access_key=peer.secret,
        )
        assert client.head_object(Bucket="eodata", Key=KEY)["ContentLength"] == len(BODY)


class TestCredentials:
    def test_wrong_ones_are_refused(self, peer: S3Peer) -> None:
        for key, secret, code in (
            ("OTHER", peer.secret, "InvalidAccessKeyId"),
            (peer.key, "other", "SignatureDoesNotMatch"),
        ):
            client = boto3.client(
                "s3", endpoint_url=peer.url, region_name="x", aws_access_key_id=key, aws_secret_access_key=secret
            )
            assert _status(client.get_object, Bucket="eodata", Key=KEY) == (403, code)
            assert _status(client.put_object, Bucket="eodata", Key="new", Body=b"x") == (403, code)
        assert peer.keys("eodata") == [KEY]

    def test_none_pass_only_where_the_bucket_is_public(self, peer: S3Peer, public_s3_peer: S3Peer) -> None:
        for server, status in ((peer, 403), (public_s3_peer, 200)):
            assert requests.get(f"{server.url}/eodata/{KEY}", timeout=5).status_code == status
        config = Config(signature_version=UNSIGNED, s3={"addressing_style": "path"})
        client = boto3.client("s3", endpoint_url=public_s3_peer.url, region_name="us-west-2", config=config)
        assert client.get_object(Bucket="eodata", Key=KEY)["Body"].read() == BODY
        assert client.list_objects_v2(Bucket="eodata")["KeyCount"] == 1

    def test_a_changed_body_is_noticed(self, peer: S3Peer) -> None:
        link = peer.client().generate_presigned_url("put_object", Params={"Bucket": "eodata", "Key": "x"})
        assert requests.put(link, data=b"presigned bodies are not signed", timeout=5).status_code == 200
        signed: dict[str, Any] = {}
        client = peer.client()
        client.meta.events.register("before-send.s3.PutObject", lambda request, **_: signed.update(request=request))
        client.put_object(Bucket="eodata", Key="x", Body=b"1")
        request = signed["request"]
        headers = {name: _text(value) for name, value in request.headers.items() if name.lower() != "expect"}
        answers = [requests.put(request.url, data=body, headers=headers, timeout=5) for body in (b"1", b"2")]
        assert [answer.status_code for answer in answers] == [200, 400]
        assert "XAmzContentSHA256Mismatch" in answers[1].text

    def test_a_folder_is_stored_as_it_is(self, s3_peer: S3Peer, tmp_path: Path) -> None:
        (tmp_path / "x.SAFE" / "GRANULE").mkdir(parents=True)
        (tmp_path / "x.SAFE" / "GRANULE" / "a.jp2").write_bytes(b"1")
        (tmp_path / "x.SAFE" / "MTD.xml").write_bytes(b"2")
        s3_peer.put_tree("eodata", "Sentinel-2/", tmp_path)
        assert s3_peer.keys("eodata") == ["Sentinel-2/x.SAFE/GRANULE/a.jp2", "Sentinel-2/x.SAFE/MTD.xml"]
        assert s3_peer.requests == 0

    def test_buckets_are_gone_with_the_last_peer(self) -> None:
        with S3Peer() as first:
            first.put("eodata", "x", b"")
            with S3Peer() as second:
                assert second.keys("eodata") == ["x"]
            assert first.keys("eodata") == ["x"]
        with S3Peer() as third:
            assert third.client().list_buckets()["Buckets"] == []


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


class TestFaults:
    def test_boto3_retries_what_can_be_retried(self, peer: S3Peer) -> None:
        rule = peer.script.add(KEY, [Status(503), Reset(after=0), Ok()])
        client = peer.client(retries={"max_attempts": 4, "mode": "standard"})
        client.head_object(Bucket="eodata", Key=KEY)
        assert (rule.calls, rule.left) == (3, 0)

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (Status(403), (403, "AccessDenied")),
            (Status(404), (404, "NoSuchKey")),
            (Status(429, retry_after=1), (429, "TooManyRequests")),
            (Status(503), (503, "SlowDown")),
        ],
    )
    def test_statuses_come_as_s3_errors(self, peer: S3Peer, fault: Status, expected: tuple[int, str]) -> None:
        rule = peer.script.add("eodata", [fault])
        assert _status(peer.client(**ONCE).get_object, Bucket="eodata", Key=KEY) == expected
        assert rule.calls == 1

    def test_a_body_cut_or_reset_is_an_error(self, peer: S3Peer) -> None:
        peer.script.add("eodata", [Truncate(1000), Reset()])
        client = peer.client(**ONCE)
        for _ in range(2):
            body = client.get_object(Bucket="eodata", Key=KEY)["Body"]
            with pytest.raises((botocore.exceptions.IncompleteReadError, botocore.exceptions.ResponseStreamingError)):
                body.read()
        assert [call.sent for call in peer.calls] == [1000, 128_000]

    def test_a_corrupt_body_has_the_length_and_etag_of_the_true_one(self, peer: S3Peer) -> None:
        peer.script.add("eodata", [Corrupt(), Corrupt()])
        with pytest.raises(FlexibleChecksumError):  # the checksum moto keeps is the true one
            peer.client().get_object(Bucket="eodata", Key=KEY)["Body"].read()
        answer = peer.client(response_checksum_validation="when_required").get_object(Bucket="eodata", Key=KEY)
        body = answer["Body"].read()
        assert (len(body), sum(one != two for one, two in zip(body, BODY, strict=True))) == (len(BODY), 16)

    def test_a_hang_is_a_timeout(self, peer: S3Peer) -> None:
        peer.script.add("eodata", [Hang(30)])
        with pytest.raises(botocore.exceptions.ReadTimeoutError):
            peer.client(read_timeout=0.2, **ONCE).head_object(Bucket="eodata", Key=KEY)

    def test_connections_are_counted_over_clients(self, peer: S3Peer) -> None:
        peer.script.add("eodata", [Hang(0.3)] * 8)
        client = peer.client(max_pool_connections=3)
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: client.head_object(Bucket="eodata", Key=KEY), range(8)))
        assert (peer.connections.peak, peer.connections.total, peer.requests) == (3, 3, 8)


class TestS3fs:
    def test_reads_ranges_lists_and_writes(self, peer: S3Peer) -> None:
        fs = s3fs.S3FileSystem(**peer.storage_options, skip_instance_cache=True)
        name = f"eodata/{KEY}"
        assert fs.cat_file(name) == BODY
        assert fs.cat_file(name, start=10, end=20) == BODY[10:20]
        assert fs.cat_file(name, start=-10) == BODY[-10:]
        assert fs.info(name)["size"] == len(BODY)
        assert fs.ls("eodata/Sentinel-2/a b+c") == [name]
        fs.pipe_file("eodata/new/x", b"written")
        assert peer.get("eodata", "new/x") == b"written"
        assert not fs.exists("eodata/absent")

    def test_wrong_secret_is_a_permission_error(self, peer: S3Peer) -> None:
        options = {**peer.storage_options, "secret": "other"}
        with pytest.raises(PermissionError):
            s3fs.S3FileSystem(**options, skip_instance_cache=True).cat_file(f"eodata/{KEY}")

    def test_anonymous(self, public_s3_peer: S3Peer) -> None:
        public_s3_peer.put("dem", "x", b"1")
        fs = s3fs.S3FileSystem(anon=True, endpoint_url=public_s3_peer.url, skip_instance_cache=True)
        assert fs.cat_file("dem/x") == b"1"


class TestGdal:
    NAME = f"/vsis3/eodata/{KEY}.tif"

    @pytest.fixture
    def pixels(self, peer: S3Peer, tmp_path: Path) -> np.ndarray:
        pixels = np.random.default_rng(1).integers(0, 9999, (1024, 1024), "uint16")
        profile = {"driver": "GTiff", "width": 1024, "height": 1024, "count": 1, "dtype": "uint16", "tiled": True}
        with rasterio.open(tmp_path / "x.tif", "w", **profile, transform=rasterio.Affine(10, 0, 0, 0, -10, 0)) as out:
            out.write(pixels, 1)
        peer.put("eodata", f"{KEY}.tif", tmp_path / "x.tif")
        return pixels

    def _read(self, peer: S3Peer, **options: Any) -> np.ndarray:
        env = peer.gdal_env(**{"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", **options})
        with env, rasterio.open(self.NAME) as source:
            window: np.ndarray = source.read(1, window=((256, 512), (512, 768)))
            return window

    def test_reads_a_window_by_ranges(self, peer: S3Peer, pixels: np.ndarray) -> None:
        assert np.array_equal(self._read(peer), pixels[256:512, 512:768])
        assert 0 < peer.bytes_sent < pixels.nbytes
        assert {call.status for call in peer.calls} <= {200, 206}
        assert all(call.range for call in peer.calls if call.method == "GET")

    def test_lists_the_folder_where_it_may(self, peer: S3Peer, pixels: np.ndarray) -> None:
        read = self._read(peer, GDAL_DISABLE_READDIR_ON_OPEN="FALSE")
        assert np.array_equal(read, pixels[256:512, 512:768])
        assert any("prefix=" in call.query for call in peer.calls)

    @pytest.mark.usefixtures("pixels")
    @pytest.mark.parametrize("wrong", [{"secret": "other"}, {"unsigned": True}])
    def test_wrong_credentials(self, peer: S3Peer, wrong: dict[str, Any]) -> None:
        with pytest.raises(rasterio.errors.RasterioIOError):
            self._read(peer, **wrong)
        assert {call.status for call in peer.calls} == {403}

    def test_unsigned(self, pixels: np.ndarray, public_s3_peer: S3Peer) -> None:
        assert np.array_equal(self._read(public_s3_peer, unsigned=True), pixels[256:512, 512:768])

    def test_retries_503_when_asked_to(self, peer: S3Peer, pixels: np.ndarray) -> None:
        rule = peer.script.add(".tif", [Status(503), Ok(), Status(503)])
        read = self._read(peer, GDAL_HTTP_MAX_RETRY="3", GDAL_HTTP_RETRY_DELAY="0.05")
        assert np.array_equal(read, pixels[256:512, 512:768])
        assert rule.left == 0

    def test_whole_file_in_parallel_threads(self, peer: S3Peer, pixels: np.ndarray) -> None:
        # The proxy answers from threads of this process: it would stand still if rasterio kept the GIL.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            reads = list(pool.map(lambda _: self._read(peer), range(4)))
        assert all(np.array_equal(read, pixels[256:512, 512:768]) for read in reads)
