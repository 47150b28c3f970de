"""The upload function over a real S3 protocol: what becomes a job, what is refused, and what is left beside an upload."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from eo import s3_client
from eo.errors import AccessDenied, EoShardsError, RateLimited, SourceUnavailable
from eo.job import Status
from eo.order import job_id, validated
from peers.faults import Status as Answer
from peers.s3 import KEY, SECRET, S3Peer
from registry import process
from safe_pairs import drawn, write_product
from support import bounds_of
from upload import handler, incoming
from upload.events import uploads
from uploads import safe_scene, zipped

BUCKET = "data"
BOX = [11.24, 46.64, 11.25, 46.65]
JOB = {"inputs": {"bbox": BOX, "source": "earth-search"}}
LOCAL = [{"source": "local", "catalog": "/x"}, {"catalog": "/x"}, {"dem": "local", "dem_path": "/etc/passwd"}]


class Orders:
    """A service that remembers what it was asked for."""

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.fails: Callable[[int], EoShardsError | None] = lambda _: None

    def order(
        self, name: str, inputs: Mapping[str, Any], *, owner: str, key: str, origin: Mapping[str, Any] | None = None
    ) -> Status:
        self.calls += 1
        if error := self.fails(self.calls):
            raise error
        validated(process(name), inputs)
        job = job_id(owner, key)
        self.taken.setdefault(job, {"process": name, "inputs": dict(inputs), "owner": owner, "origin": origin})
        return Status(job=job, process=name, attempt=1, state="accepted", created="", updated="")


class Place:
    """A bucket with the upload function behind it."""

    def __init__(self, peer: S3Peer, orders: Orders) -> None:
        self.peer = peer
        self.orders = orders
        self.sequence = 0

    def put(self, key: str, body: bytes, **more: Any) -> dict[str, Any]:
        """Upload; gives the event."""
        answer = self.peer.client().put_object(Bucket=BUCKET, Key=key, Body=body, **more)
        self.sequence += 1
        found = {
            "key": key,
            "size": len(body),
            "etag": answer["ETag"].strip('"'),
            "sequencer": f"{self.sequence:016X}",
        }
        if "VersionId" in answer:
            found["version-id"] = answer["VersionId"]
        return {"detail-type": "Object Created", "detail": {"bucket": {"name": BUCKET}, "object": found}}

    def send(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = handler.upload(event, None)["uploads"]  # type: ignore[arg-type]
        return told

    def taken(self, key: str, content: object, **more: Any) -> list[dict[str, Any]]:
        """Upload JSON that is taken; gives the jobs of the answer."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        (outcome,) = self.send(self.put(key, body, **more))
        assert outcome["state"] == "ordered", outcome
        answer = self.read(f"{key}.job.json")
        assert [job["job"] for job in answer["jobs"]] == outcome["jobs"]
        jobs: list[dict[str, Any]] = answer["jobs"]
        return jobs

    def refused(self, key: str, content: object, **more: Any) -> dict[str, Any]:
        """Upload what is refused; gives the answer, the only thing that is there."""
        before = set(self.peer.keys(BUCKET))
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        calls = self.orders.calls
        (outcome,) = self.send(self.put(key, body, **more))
        assert outcome["state"] == "refused", outcome
        assert self.orders.calls == calls
        assert set(self.peer.keys(BUCKET)) - before == {key, f"{key}.error.json"}
        answer = self.read(f"{key}.error.json")
        assert {"type", "title", "status", "detail", "error"} <= set(answer)
        return answer

    def read(self, key: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.peer.get(BUCKET, key))
        return document


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Orders:
    orders = Orders()
    monkeypatch.setattr(handler, "bucket_service", lambda _: orders)
    return orders


@pytest.fixture
def place(s3_peer: S3Peer, orders: Orders, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in {
        "EO_SHARDS_BUCKET": BUCKET,
        "AWS_ENDPOINT_URL_S3": s3_peer.url,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3_peer.client().create_bucket(Bucket=BUCKET)
    return Place(s3_peer, orders)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("zip")
    safe_scene(folder / "product", size=64)
    return zipped(folder / "product", folder / "product.zip", method=zipfile.ZIP_DEFLATED).read_bytes()


def feature(west: float, **properties: Any) -> dict[str, Any]:
    ring = [[west, 46.0], [west + 0.1, 46.0], [west + 0.1, 46.1], [west, 46.1], [west, 46.0]]
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }


def collection(*features: Any, **more: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features), **more}


class TestJobs:
    @pytest.mark.parametrize(
        "document",
        [
            JOB,
            JOB["inputs"],
            {"process": "point-cloud", **JOB},
            {"process": "point-cloud", **JOB["inputs"]},
            b"\xef\xbb\xbf" + json.dumps(JOB).encode(),
        ],
    )
    def test_a_job_is_ordered_with_its_inputs(self, place: Place, orders: Orders, document: object) -> None:
        (job,) = place.taken("incoming/point-cloud/my area/é.json", document)
        order = orders.taken[job["job"]]
        assert order["process"] == "point-cloud"
        assert order["inputs"] == JOB["inputs"]
        assert order["owner"] == "s3:data"
        assert order["origin"] == {
            "kind": "s3",
            "bucket": "data",
            "key": "incoming/point-cloud/my area/é.json",
            "sequencer": "0000000000000001",
        }
        assert job["status"] == f"jobs/{job['job']}/status.json"
        assert job["result"] == f"jobs/{job['job']}/result/"

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (b"", "not JSON"),
            (b"{", "not JSON"),
            (b'{"bbox": "\xff"}', "not UTF-8"),
            (json.dumps(JOB).encode("utf-16"), "not UTF-8"),
            (b'{"bbox": [NaN, 1, 2, 3]}', "NaN is not a JSON number"),
            (b'{"bbox": [1e999, 1, 2, 3]}', "too large"),
            (b'{"bbox": [%s, 1, 2, 3]}' % (b"9" * 5000), "5000 digits"),
            (b'{"bbox": [1, 2, 3, 4], "bbox": [5, 6, 7, 8]}', "'bbox' stands twice"),
            (b"[" * 100_000 + b"]" * 100_000, "more than 32 levels"),
            (b'{"a":' * 100 + b"1" + b"}" * 100, "more than 32 levels"),
            (b"[1, 2]", "is not a job"),
            (b"null", "is not a job"),
            (b'{"bbox": [1, 2, 3, 4], "crs": "\\ud800"}', "half of a surrogate pair"),
            (b"{}", "bbox is required"),
            (b'{"inputs": []}', "they are not an object"),
            ({**JOB, "outputs": {}}, "'outputs' beside them"),
            ({**JOB, "process": "land-cover"}, "names the process 'land-cover'"),
            ({"inputs": {"bbox": BOX, "colour": 1}}, "colour is not an input"),
            ({"inputs": {"bbox": [0, 0, 100, 1]}}, "100 degrees of longitude"),
            *(({"inputs": {"bbox": BOX, **more}}, "names files of the machine") for more in LOCAL),
        ],
    )
    def test_a_bad_job_is_explained_beside_itself_and_nothing_else(
        self, place: Place, document: object, reason: str
    ) -> None:
        answer = place.refused("incoming/point-cloud/a.json", document)
        assert reason in answer["detail"]
        assert (answer["status"], answer["error"]) == (422, "InvalidInput")

    def test_a_document_that_is_too_large_is_not_read(self, place: Place) -> None:
        answer = place.refused("incoming/point-cloud/a.json", b" " * 10_000_001)
        assert not [call for call in place.peer.calls if call.method == "GET" and call.path.endswith("a.json")]
        assert (answer["status"], answer["error"]) == (413, "TooLarge")
        assert "10,000,001 bytes, more than the 10,000,000" in answer["detail"]

    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("incoming/a.json", "names no process"),
            ("incoming/no-such/a.json", "process 'no-such' is not known"),
            ("incoming/point-cloud/a.txt", "neither a job"),
            ("incoming/point-cloud/a", "neither a job"),
        ],
    )
    def test_what_cannot_be_an_order_is_refused(self, place: Place, key: str, reason: str) -> None:
        assert reason in place.refused(key, JOB)["detail"]

    @pytest.mark.parametrize("key", ["incoming/point-cloud/", "other/a.json", "incoming/"])
    def test_what_is_no_upload_is_left_alone(self, place: Place, orders: Orders, key: str) -> None:
        assert place.send(place.put(key, b"{}")) == []
        assert place.peer.keys(BUCKET) == [key]
        assert orders.calls == 0

    @pytest.mark.parametrize("name", ["my.job.json", "x.error.json"])
    def test_a_job_may_be_called_like_an_answer(self, place: Place, orders: Orders, name: str) -> None:
        place.taken(f"incoming/point-cloud/{name}", JOB)
        place.refused(f"incoming/point-cloud/bad-{name}", {})
        assert len(orders.taken) == 1

    @pytest.mark.parametrize("document", [JOB, {}])
    def test_answers_are_not_answered(self, place: Place, orders: Orders, document: object) -> None:
        place.send(place.put("incoming/point-cloud/my.job.json", json.dumps(document).encode()))
        place.send(place.put("incoming/point-cloud/a.json", json.dumps(document).encode()))
        before, calls = place.peer.keys(BUCKET), orders.calls
        assert len(before) == 4
        for key in before:
            if key.endswith((".json.job.json", ".json.error.json")):
                said = place.send({"detail": {"bucket": {"name": BUCKET}, "object": {"key": key}}})
                assert said in ([], [{"key": key, "state": "ignored", "reason": "it is an answer"}])
        assert place.peer.keys(BUCKET) == before
        assert orders.calls == calls

    def test_an_answer_that_has_lost_its_mark_is_answered_once(self, place: Place) -> None:
        key = "incoming/point-cloud/a.json.job.json"
        place.refused(key, {"process": "point-cloud", "etag": "0", "jobs": []})
        before = place.peer.keys(BUCKET)
        copied = place.peer.get(BUCKET, f"{key}.error.json")
        assert place.send(place.put(f"{key}.error.json", copied)) == []
        assert place.peer.keys(BUCKET) == before

    def test_heights_that_need_a_grid_are_refused_where_there_is_none(
        self, place: Place, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("PROJ_USER_WRITABLE_DIRECTORY", raising=False)
        document = {"bbox": BOX, "vertical": "ellipsoidal"}
        assert "a layer with the grid" in place.refused("incoming/point-cloud/a.json", document)["detail"]
        monkeypatch.setenv("PROJ_USER_WRITABLE_DIRECTORY", "/opt/proj")
        place.taken("incoming/point-cloud/a.json", document)

    def test_an_event_of_another_bucket_is_left_alone(self, place: Place, orders: Orders) -> None:
        event = place.put("incoming/point-cloud/a.json", json.dumps(JOB).encode())
        event["detail"]["bucket"]["name"] = "other"
        assert place.send(event) == []
        assert orders.calls == 0


class TestDeliveries:
    key = "incoming/point-cloud/a.json"

    def test_the_same_event_twice_is_one_job_and_equal_bytes(self, place: Place, orders: Orders) -> None:
        event = place.put(self.key, json.dumps(JOB).encode())
        first = place.send(event)
        answer = place.peer.get(BUCKET, f"{self.key}.job.json")
        assert place.send(event) == first
        assert place.peer.get(BUCKET, f"{self.key}.job.json") == answer
        assert len(orders.taken) == 1

    def test_a_late_event_of_what_was_replaced_is_ignored(self, place: Place, orders: Orders) -> None:
        old = place.put(self.key, b"bad")
        new = place.put(self.key, json.dumps(JOB).encode())
        assert place.send(new)[0]["state"] == "ordered"
        assert place.send(old) == [{"key": self.key, "state": "ignored", "reason": "it was replaced"}]
        assert place.peer.keys(BUCKET) == [self.key, f"{self.key}.job.json"]
        assert len(orders.taken) == 1

    @pytest.mark.parametrize("slow", [JOB, {}])
    @pytest.mark.parametrize("versions", [False, True])
    def test_a_slow_upload_does_not_answer_for_what_has_replaced_it(
        self, place: Place, monkeypatch: pytest.MonkeyPatch, slow: dict[str, Any], versions: bool
    ) -> None:
        if versions:
            place.peer.client().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        old, read = place.put(self.key, json.dumps(slow).encode()), incoming.wanted

        def overtaken(*arguments: Any) -> Any:
            monkeypatch.setattr(incoming, "wanted", read)
            try:
                return read(*arguments)
            finally:
                place.taken(self.key, {"bbox": BOX})

        monkeypatch.setattr(incoming, "wanted", overtaken)
        (said,) = place.send(old)
        assert (said["state"], said["reason"]) == ("ignored", "it was replaced before its answer")
        assert place.peer.keys(BUCKET) == [self.key, f"{self.key}.job.json"]
        jobs = place.read(f"{self.key}.job.json")["jobs"]
        assert [place.orders.taken[job["job"]]["inputs"] for job in jobs] == [{"bbox": BOX}]

    @pytest.mark.parametrize("method", ["HEAD", "GET"])
    def test_what_nobody_can_read_is_explained(self, place: Place, method: str) -> None:
        """HEAD of what is encrypted with a key that S3 does not keep is refused without a reason, GET with one."""
        codes = {"HEAD": 400, "GET": 403}
        script = place.peer.script
        script.add(lambda asked, target: asked == method and target.endswith("/a.json"), [Answer(codes[method])])
        if method == "HEAD":
            script.add(lambda asked, target: asked == "GET" and target.endswith("/a.json"), [Answer(400)])
        detail = place.refused(self.key, JOB)["detail"]
        assert {"HEAD": "(SSE-C): upload it again", "GET": "kms:Decrypt"}[method] in detail

    def test_what_lies_in_an_archive_is_explained(self, place: Place) -> None:
        answer = place.refused(self.key, JOB, StorageClass="GLACIER")
        assert "it lies in an archive: upload it again in a storage class" in answer["detail"]
        assert answer["error"] == "InvalidInput"

    def test_a_refusal_of_all_requests_is_no_fault_of_the_upload(self, place: Place) -> None:
        event = place.put(self.key, json.dumps(JOB).encode())
        place.peer.script.add(lambda asked, target: asked == "HEAD" and target.endswith("/a.json"), [Answer(403)])
        with pytest.raises(AccessDenied):
            place.send(event)
        assert place.peer.keys(BUCKET) == [self.key]

    def test_in_a_bucket_with_versions_each_has_its_own_job(self, place: Place, orders: Orders) -> None:
        place.peer.client().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        old = place.put(self.key, json.dumps(JOB).encode())
        place.send(old)
        new = place.put(self.key, json.dumps(JOB).encode())
        assert place.send(old)[0]["reason"] == "it was replaced"
        place.send(new)
        assert len(orders.taken) == 2

    def test_what_is_deleted_before_its_event_comes_leaves_nothing(self, place: Place, orders: Orders) -> None:
        event = place.put(self.key, json.dumps(JOB).encode())
        place.peer.client().delete_object(Bucket=BUCKET, Key=self.key)
        assert place.send(event) == [{"key": self.key, "state": "ignored", "reason": "it was deleted"}]
        assert place.peer.keys(BUCKET) == []
        assert orders.calls == 0

    def test_the_answer_is_that_to_the_last_upload(self, place: Place) -> None:
        place.refused(self.key, b"bad")
        place.taken(self.key, JOB)
        assert place.peer.keys(BUCKET) == [self.key, f"{self.key}.job.json"]
        place.send(place.put(self.key, b"bad"))
        assert place.peer.keys(BUCKET) == [self.key, f"{self.key}.error.json"]

    def test_one_bad_record_does_not_stop_the_others(self, place: Place, orders: Orders) -> None:
        bodies = {"1.json": JOB, "2+b.json": [], "3 c.json": {"bbox": BOX}}
        events = [place.put(f"incoming/point-cloud/{name}", json.dumps(body).encode()) for name, body in bodies.items()]
        records = [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": BUCKET},
                    "object": {
                        "key": event["detail"]["object"]["key"].replace("+", "%2B").replace(" ", "+"),
                        "eTag": event["detail"]["object"]["etag"],
                    },
                },
            }
            for event in events
        ]
        assert [each["state"] for each in place.send({"Records": records})] == ["ordered", "refused", "ordered"]
        assert len(orders.taken) == 2

    def test_what_may_pass_is_raised_after_the_others_were_taken(self, place: Place, orders: Orders) -> None:
        orders.fails = lambda call: RateLimited("later") if call == 1 else None
        found = [uploads(place.put(f"incoming/point-cloud/{name}.json", json.dumps(JOB).encode()))[0] for name in "ab"]
        records = [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": BUCKET}, "object": {"key": each.key, "eTag": each.etag}},
            }
            for each in found
        ]
        with pytest.raises(RateLimited):
            place.send({"Records": records})
        assert place.peer.keys(BUCKET) == [
            "incoming/point-cloud/a.json",
            "incoming/point-cloud/b.json",
            "incoming/point-cloud/b.json.job.json",
        ]
        place.send({"Records": records})
        assert len(orders.taken) == 2

    def test_an_s3_that_is_down_is_no_fault_of_the_upload(
        self, place: Place, orders: Orders, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(s3_client, "ATTEMPTS", 1)
        s3_client._client.cache_clear()
        event = place.put(self.key, json.dumps(JOB).encode())
        place.peer.script.add("a.json", [Answer(503)] * 20)
        with pytest.raises(SourceUnavailable):
            place.send(event)
        s3_client._client.cache_clear()
        assert place.peer.keys(BUCKET) == [self.key]
        assert orders.calls == 0


class TestPolygons:
    key = "incoming/point-cloud/fields.geojson"

    def test_each_feature_is_a_job(self, place: Place, orders: Orders) -> None:
        document = collection(
            feature(11, sampled_fraction=0.5, name="field 7", resolution=None) | {"id": "f7"},
            feature(12, source="earth-search", dem="cop-dem-glo-30"),
        )
        jobs = place.taken(self.key, document)
        assert [job["feature"] for job in jobs] == [0, 1]
        assert [job.get("id") for job in jobs] == ["f7", None]
        inputs = [orders.taken[job["job"]]["inputs"] for job in jobs]
        assert inputs == [
            {"bbox": [11, 46.0, 11.1, 46.1], "sampled_fraction": 0.5},
            {"bbox": [12, 46.0, 12.1, 46.1], "source": "earth-search", "dem": "cop-dem-glo-30"},
        ]

    def test_equal_features_are_jobs_of_their_own(self, place: Place) -> None:
        jobs = place.taken(self.key, collection(feature(11), feature(11)))
        assert len({job["job"] for job in jobs}) == 2

    @pytest.mark.parametrize("key", ["incoming/point-cloud/a.json", "incoming/point-cloud/A.GEOJSON"])
    @pytest.mark.parametrize("document", [feature(11), feature(11)["geometry"], collection(feature(11))])
    def test_any_kind_of_geojson_will_do(self, place: Place, orders: Orders, key: str, document: object) -> None:
        (job,) = place.taken(key, document)
        assert orders.taken[job["job"]]["inputs"] == {"bbox": [11, 46.0, 11.1, 46.1]}

    def test_a_feature_in_parts_is_one_job(self, place: Place, orders: Orders) -> None:
        rings = [feature(west)["geometry"]["coordinates"] for west in (11, 11.5)]
        (job,) = place.taken(
            self.key,
            {"type": "Feature", "properties": None, "geometry": {"type": "MultiPolygon", "coordinates": rings}},
        )
        assert orders.taken[job["job"]]["inputs"]["bbox"] == [11, 46.0, 11.6, 46.1]

    @pytest.mark.parametrize(
        ("document", "reason"),
        [
            (collection(), "no features"),
            (collection(feature(1), {"type": "Feature", "geometry": None}), "feature 1: its geometry is 'None'"),
            (collection(feature(1), "x"), "feature 1: it is not a Feature"),
            (collection(feature(1), feature(2, sampled_fraction=7)), "feature 1: sampled_fraction"),
            (collection(feature(1, bbox=[1, 2, 3, 4])), "it has a property bbox"),
            (collection(feature(1, dem="local", dem_path="/etc/passwd")), "names files of the machine"),
            (collection(feature(1) | {"properties": [1]}), "its properties are not an object"),
            (collection(*(feature(1, crs="x") for _ in range(8))), "feature 4: crs 'x'"),
            (collection(*(feature(1, crs="x") for _ in range(8))), "and 3 more"),
            ({"type": "Topology"}, "'Topology', which is none of GeoJSON"),
            (JOB, "none of GeoJSON"),
            (collection(feature(1), crs={"properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}), "25832"),
            (collection(feature(1), crs="EPSG:3857"), "reproject it"),
        ],
    )
    def test_one_bad_feature_is_no_job_at_all(self, place: Place, document: object, reason: str) -> None:
        assert reason in place.refused(self.key, document)["detail"]

    @pytest.mark.parametrize(
        "name",
        ["urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "EPSG:4326", "urn:ogc:def:crs:EPSG::4326"],
    )
    def test_the_crs_that_tools_still_write_is_known(self, place: Place, name: str) -> None:
        place.taken(self.key, collection(feature(1), crs={"type": "name", "properties": {"name": name}}))

    def test_a_crowd_is_refused_as_a_whole(self, place: Place) -> None:
        answer = place.refused(self.key, collection(*(feature(1) for _ in range(501))))
        assert "501 features, more than the 500" in answer["detail"]
        assert answer["error"] == "TooLarge"

    def test_a_collection_whose_delivery_broke_off_goes_on(self, place: Place, orders: Orders) -> None:
        orders.fails = lambda call: SourceUnavailable("gone") if call == 2 else None
        event = place.put(self.key, json.dumps(collection(feature(1), feature(2), feature(3))).encode())
        with pytest.raises(SourceUnavailable):
            place.send(event)
        assert place.peer.keys(BUCKET) == [self.key]
        place.send(event)
        assert len(orders.taken) == 3


class TestProducts:
    key = "incoming/point-cloud/S2.zip"

    def test_a_product_is_its_own_job(self, place: Place, orders: Orders, archive: bytes, tmp_path: Path) -> None:
        (job,) = place.taken(self.key, archive)
        order = orders.taken[job["job"]]
        assert job["product"].endswith(".SAFE")
        assert order["inputs"]["collection"] == "sentinel-2-l2a"
        assert order["inputs"]["max_cloud_cover"] == 100
        assert len(order["origin"]["product"]) == 64
        whole = bounds_of(safe_scene(tmp_path, size=64))
        assert order["inputs"]["bbox"] == pytest.approx(whole, abs=1e-9)

    def test_its_metadata_has_more_inputs(self, place: Place, orders: Orders, archive: bytes) -> None:
        inputs = {"bbox": [11.24, 46.64, 11.245, 46.645], "sampled_fraction": 1, "dem": "cop-dem-glo-30"}
        (job,) = place.taken(self.key, archive, Metadata={"inputs": json.dumps(inputs)})
        assert orders.taken[job["job"]]["inputs"] == inputs | {
            "collection": "sentinel-2-l2a",
            "max_cloud_cover": 100,
        }

    def test_the_same_bytes_with_other_inputs_are_another_job(
        self, place: Place, orders: Orders, archive: bytes
    ) -> None:
        place.taken(self.key, archive)
        place.taken(self.key, archive, Metadata={"inputs": '{"sampled_fraction": 1}'})
        assert len(orders.taken) == 2

    @pytest.mark.parametrize(
        ("inputs", "reason"),
        [
            ("{", "the metadata inputs is not JSON"),
            ("[]", "not a JSON object"),
            ('{"source": "cdse"}', "source looks for scenes"),
            ('{"datetime": "2026-07-01"}', "datetime looks for scenes"),
            ('{"catalog": "/x"}', "catalog looks for scenes"),
            ('{"dem": "local", "dem_path": "/x"}', "names files of the machine"),
            ('{"collection": "sentinel-2-l1c"}', "the product is sentinel-2-l2a"),
            ('{"bbox": [1, 2, 3, 4]}', "lies outside of the product"),
            ('{"sampled_fraction": 2}', "sampled_fraction"),
        ],
    )
    def test_inputs_that_do_not_fit_are_refused(self, place: Place, archive: bytes, inputs: str, reason: str) -> None:
        answer = place.refused(self.key, archive, Metadata={"inputs": inputs})
        assert reason in answer["detail"]

    def test_top_of_atmosphere_products_are_known(self, place: Place, orders: Orders, tmp_path: Path) -> None:
        safe_scene(tmp_path / "l1c", size=64, level="L1C")
        (job,) = place.taken(self.key, zipped(tmp_path / "l1c", tmp_path / "l1c.zip").read_bytes())
        assert orders.taken[job["job"]]["inputs"]["collection"] == "sentinel-2-l1c"

    def test_they_are_corrected_where_that_is_ordered(
        self, place: Place, orders: Orders, archive: bytes, tmp_path: Path
    ) -> None:
        key = self.key.replace("point-cloud", "atmospheric-correction")
        bands = ("B01", "B02", "B03", "B04", "B8A", "B12")
        write_product(tmp_path / "l1c", "L1C", drawn(bands, size=192, seed=1), size=192, file_format="jp2")
        (job,) = place.taken(key, zipped(tmp_path / "l1c", tmp_path / "l1c.zip").read_bytes())
        assert orders.taken[job["job"]]["process"] == "atmospheric-correction"
        assert orders.taken[job["job"]]["inputs"]["collection"] == "sentinel-2-l1c"
        # It looks at more bands than it corrects.
        safe_scene(tmp_path / "less", size=64, level="L1C")
        less = place.refused(key.replace("S2", "less"), zipped(tmp_path / "less", tmp_path / "less.zip").read_bytes())
        assert "has no band B01" in less["detail"]
        # The archive is surface reflectance already.
        assert "sentinel-2-l1c" in place.refused(key.replace("S2", "L2A"), archive)["detail"]

    def test_a_product_without_a_band_is_refused(self, place: Place, archive: bytes, tmp_path: Path) -> None:
        del archive
        safe_scene(tmp_path / "less", size=64, bands=("B02", "B03"))
        answer = place.refused(self.key, zipped(tmp_path / "less", tmp_path / "less.zip").read_bytes())
        assert "has no band B04" in answer["detail"]
        assert answer["status"] == 404

    @pytest.mark.parametrize("share", [0, 0.3, 0.999])
    def test_a_truncated_product_is_refused(self, place: Place, archive: bytes, share: float) -> None:
        assert "may be truncated" in place.refused(self.key, archive[: int(share * len(archive))])["detail"]

    def test_only_what_is_needed_of_it_is_read(self, place: Place, archive: bytes) -> None:
        """Of a large zip no more comes than its list of members and its metadata."""
        file = io.BytesIO(archive)
        with zipfile.ZipFile(file, "a") as target:
            target.writestr("ballast.bin", bytes(8_000_000))
        place.taken(self.key, file.getvalue())
        assert sum(call.sent for call in place.peer.calls if call.method == "GET") < 2_000_000
