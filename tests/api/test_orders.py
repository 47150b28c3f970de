"""Orders over HTTP, and what becomes of them."""

import base64
import json
import logging
from typing import Any

import pytest

from api.app import make_app
from api.handler import caller
from eo.errors import AccessDenied, JobBusy, RateLimited, SourceUnavailable
from eo.settings import Settings
from http_api import BASE, BOX, EXECUTION, Client, MemoryService, app_of, event, user

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
JSON = {"content_type": "application/json"}


def job_of(client: Client, **headers: str) -> str:
    answer = client.order(**headers)
    assert answer.status == 201, answer
    return str(answer.json["jobID"])


class TestOrdering:
    def test_an_order_is_a_job_with_a_place(self, alice: Client, service: MemoryService) -> None:
        answer = alice.order()
        job = answer.json["jobID"]
        assert answer.status == 201
        assert answer.headers["location"] == f"{BASE}/jobs/{job}"
        assert answer.json["status"] == "accepted"
        assert answer.json["progress"] == 0
        assert service.inputs[job] == ("point-cloud", BOX)

    @pytest.mark.parametrize(
        "inputs",
        [
            {"bbox": {"bbox": BOX["bbox"], "crs": CRS84}},
            {"bbox": {"bbox": BOX["bbox"]}},
            {"bbox": {"value": BOX["bbox"]}},
            {"bbox": {"value": {"bbox": BOX["bbox"], "crs": CRS84}, "mediaType": "application/json"}},
        ],
    )
    def test_wrapped_values_are_the_values(self, alice: Client, service: MemoryService, inputs: Any) -> None:
        answer = alice.order(inputs)
        assert answer.status == 201
        assert service.inputs[answer.json["jobID"]][1] == BOX

    def test_other_values_may_be_wrapped_too(self, alice: Client, service: MemoryService) -> None:
        answer = alice.order({**BOX, "sampled_fraction": {"value": 0.5}})
        assert service.inputs[answer.json["jobID"]][1] == {**BOX, "sampled_fraction": 0.5}

    @pytest.mark.parametrize(
        ("inputs", "told"),
        [
            ({}, "bbox is required"),
            ({"bbox": [1, 2, 3]}, "3 numbers instead of four"),
            ({"bbox": [1, 2, 3, 4, 5, 6]}, "6 numbers"),
            ({"bbox": {"bbox": BOX["bbox"], "crs": "EPSG:4326"}}, CRS84),
            ({"bbox": {"bbox": BOX["bbox"], "epsg": 4326}}, CRS84),
            ({"bbox": {"href": "http://169.254.169.254/latest/meta-data"}}, "is not followed"),
            ({**BOX, "datetime": {"href": "file:///etc/passwd"}}, "is not followed"),
            ({**BOX, "sampled_fraction": 2}, "sampled_fraction '2'"),
            ({**BOX, "sampled_fraction": {"a": 1}}, "give the value itself"),
            ({**BOX, "samples": 2}, "samples is not an input"),
            ({**BOX, "source": "local", "catalog": "/etc"}, "catalog names files of the machine"),
            ({**BOX, "source": {"value": "local"}}, "source local names files"),
            ({**BOX, "dem": "local", "dem_path": "/etc/passwd"}, "dem_path names files"),
            ({**BOX, "resolution": 10**399}, "resolution"),
            ({"bbox": [10**399] * 4}, "bbox"),
            ([], "inputs"),
            (None, "bbox is required"),
        ],
    )
    def test_a_wrong_input_is_explained(self, alice: Client, inputs: Any, told: str) -> None:
        document = json.dumps({"inputs": {} if inputs is None else inputs})
        answer = alice.ask("POST", EXECUTION, document, **JSON)
        assert answer.status == 422
        assert told in answer.json["detail"]
        assert answer.json["error"] == "InvalidInput"

    def test_heights_that_need_a_grid_are_taken_where_the_deployment_has_it(
        self, alice: Client, service: MemoryService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        order = {**BOX, "vertical": "ellipsoidal"}
        monkeypatch.delenv("PROJ_USER_WRITABLE_DIRECTORY", raising=False)
        answer = alice.order(order)
        assert (answer.status, answer.json["error"]) == (422, "InvalidInput")
        assert "a layer with the grid" in answer.json["detail"]
        assert "pyproj sync" in answer.json["detail"]
        assert Client(app_of(service, local_files=True), user("alice")).order(order).status == 201
        monkeypatch.setenv("PROJ_USER_WRITABLE_DIRECTORY", "/opt/proj")
        assert alice.order(order).status == 201

    def test_files_of_the_server_may_be_named_where_that_is_allowed(self, service: MemoryService) -> None:
        client = Client(app_of(service, local_files=True), user("alice"))
        assert client.order({**BOX, "source": "local", "catalog": "/srv/catalog"}).status == 201

    @pytest.mark.parametrize(
        ("more", "told"),
        [
            ({"subscriber": {"successUri": "http://169.254.169.254/"}}, "no callbacks"),
            ({"response": "raw"}, "document of links"),
            ({"mode": "sync"}, "asynchronously"),
            ({"outputs": {"points": {}}}, "point_cloud"),
            ({"outputs": {"point_cloud": {"transmissionMode": "value"}}}, "by reference"),
            ({"output": {}}, "output is not a part"),
            ({"x" * 5000: 1}, "is not a part"),
        ],
    )
    def test_what_is_not_done_is_refused(self, alice: Client, more: dict[str, Any], told: str) -> None:
        answer = alice.order(more=more)
        assert answer.status == 422
        assert told in answer.json["detail"]

    @pytest.mark.parametrize(
        "more",
        [
            {"response": "document"},
            {"mode": "async"},
            {"mode": "auto"},
            {"outputs": {"point_cloud": {"transmissionMode": "reference", "format": {"mediaType": "application/ply"}}}},
        ],
    )
    def test_what_is_done_anyway_may_be_asked_for(self, alice: Client, more: dict[str, Any]) -> None:
        assert alice.order(more=more).status == 201

    def test_a_preference_for_waiting_is_not_followed(self, alice: Client) -> None:
        waiting, other = alice.order(prefer="respond-sync"), alice.order(prefer="respond-async")
        assert waiting.status == other.status == 201
        assert "preference-applied" not in waiting.headers
        assert other.headers["preference-applied"] == "respond-async"


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "told"),
        [
            (None, "not JSON"),
            ("", "not JSON"),
            ("{", "not JSON"),
            ('{"inputs": {"bbox": [NaN, 1, 2, 3]}}', "NaN"),
            ('{"inputs": {"bbox": [Infinity, 1, 2, 3]}}', "Infinity"),
            ('{"inputs": {"bbox": [1e999, 1, 2, 3]}}', "too large"),
            ('{"inputs": {"bbox": [' + "9" * 100_000 + "]}}", "digits"),
            ('{"inputs": {}, "inputs": {}}', "twice"),
            ('{"inputs": {"datetime": "\\ud800"}}', "half of a surrogate pair"),
            ("[" * 100_000, "levels"),
            ("[" * 100_000 + "]" * 100_000, "levels"),
            ('{"a":' * 500 + "1" + "}" * 500, "levels"),
        ],
    )
    def test_what_is_not_json_is_refused(self, alice: Client, body: str | None, told: str) -> None:
        answer = alice.ask("POST", EXECUTION, body, **JSON)
        assert answer.status == 400
        assert told in answer.json["detail"]

    def test_a_byte_order_mark_does_not_hurt(self, alice: Client) -> None:
        assert alice.ask("POST", EXECUTION, "\ufeff" + json.dumps({"inputs": BOX}), **JSON).status == 201

    @pytest.mark.parametrize("body", ["[]", "1", "null", '"inputs"', "true"])
    def test_what_is_no_object_is_refused(self, alice: Client, body: str) -> None:
        answer = alice.ask("POST", EXECUTION, body, **JSON)
        assert answer.status == 422
        assert "not an object" in answer.json["detail"]

    def test_base64_is_decoded(self, alice: Client) -> None:
        body = base64.b64encode(json.dumps({"inputs": BOX}).encode()).decode()
        assert alice.ask("POST", EXECUTION, body, encoded=True, **JSON).status == 201
        for wrong in ("%%%", base64.b64encode(b"\xff\xfe").decode(), "é"):
            assert alice.ask("POST", EXECUTION, wrong, encoded=True, **JSON).status == 400

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
    def test_other_media_types_are_refused(self, alice: Client, kind: str) -> None:
        answer = alice.order(content_type=kind)
        assert answer.status == 415
        assert answer.headers["accept"] == "application/json"

    @pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
    def test_json_may_have_parameters(self, alice: Client, kind: str) -> None:
        assert alice.order(content_type=kind).status == 201

    def test_too_much_is_refused(self, alice: Client) -> None:
        answer = alice.order({"bbox": "x" * 6_000_001})
        assert answer.status == 413
        assert "6,000,000" in answer.json["detail"]

    def test_a_long_value_is_not_sent_back_whole(self, alice: Client) -> None:
        answer = alice.order({**BOX, "crs": "x" * 5_000_000, "y" * 500_000: 1})
        assert answer.status == 422
        assert len(answer.text) < 10_000

    def test_names_outside_of_ascii_are_names(self, alice: Client) -> None:
        answer = alice.order({**BOX, "größe": "🗻"})
        assert answer.status == 422
        assert "größe" in answer.json["detail"]


class TestIdempotency:
    def test_the_same_key_is_the_same_job(self, alice: Client, service: MemoryService) -> None:
        assert job_of(alice, idempotency_key="k-1") == job_of(alice, idempotency_key="k-1")
        assert len(service.records) == 1

    def test_without_a_key_each_order_is_a_job(self, alice: Client) -> None:
        assert job_of(alice) != job_of(alice)

    def test_the_same_key_of_two_users_is_two_jobs(self, alice: Client, bob: Client) -> None:
        assert job_of(alice, idempotency_key="k-1") != job_of(bob, idempotency_key="k-1")

    def test_other_inputs_under_the_same_key_are_refused(self, alice: Client) -> None:
        job_of(alice, idempotency_key="k-1")
        answer = alice.order({"bbox": [1, 2, 3, 4]}, idempotency_key="k-1")
        assert answer.status == 422

    def test_a_failed_job_goes_on(self, alice: Client, service: MemoryService) -> None:
        job = job_of(alice, idempotency_key="k-1")
        service.move(job, state="failed", error="SourceUnavailable", message="the source was away")
        assert alice.order(idempotency_key="k-1").json["status"] == "accepted"
        assert service.records[job].attempt == 2

    @pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "é", "a\n", "\x00"])
    def test_a_key_is_visible_ascii(self, alice: Client, key: str) -> None:
        answer = alice.order(idempotency_key=key)
        assert answer.status == 400
        assert "Idempotency-Key" in answer.json["detail"]

    def test_a_job_that_cannot_be_started_yet_is_one_that_its_owner_can_find(
        self, alice: Client, service: MemoryService
    ) -> None:
        service.starts = RateLimited("the workflow service asks for fewer requests")
        answer = alice.order()
        assert (answer.status, answer.json["status"]) == (201, "accepted")
        assert alice.get(answer.headers["location"].removeprefix(BASE)).status == 200

    def test_with_a_key_it_is_told_to_come_again_which_starts_it(self, alice: Client, service: MemoryService) -> None:
        service.starts = RateLimited("the workflow service asks for fewer requests")
        answer = alice.order(idempotency_key="k-1")
        assert (answer.status, answer.headers["retry-after"]) == (429, "10")
        service.starts = None
        assert alice.order(idempotency_key="k-1").status == 201
        assert len(service.records) == 1


class TestJobs:
    def test_the_life_of_a_job(self, alice: Client, service: MemoryService) -> None:
        job = job_of(alice)
        service.move(job, state="running", started="2026-07-01T00:00:01Z")
        found = alice.get(f"/jobs/{job}").json
        assert (found["status"], found["progress"]) == ("running", 40)
        unready = alice.get(f"/jobs/{job}/results")
        assert (unready.status, unready.json["type"]) == (404, f"{OGC}/result-not-ready")
        service.move(job, state="successful", message="5 points", finished="2026-07-01T00:01:00Z")
        found = alice.get(f"/jobs/{job}").json
        assert (found["progress"], found["message"]) == (100, "5 points")
        place = next(link["href"] for link in found["links"] if link["rel"].endswith("/results"))
        results = alice.get(place.removeprefix(BASE))
        assert set(results.json) == {"point_cloud", "item", "other.txt"}
        assert results.json["point_cloud"]["type"] == "application/ply"
        assert "X-Amz-Signature" in results.json["point_cloud"]["href"]
        assert results.headers["cache-control"] == "no-store"

    def test_a_failed_job_says_why(self, alice: Client, service: MemoryService) -> None:
        job = job_of(alice)
        service.move(job, state="failed", error="NothingFound", message="no scene: widen datetime")
        found = alice.get(f"/jobs/{job}").json
        assert (found["status"], found["error"]) == ("failed", "NothingFound")
        assert found["message"] == "no scene: widen datetime"
        assert alice.get(f"/jobs/{job}/results").status == 404

    def test_a_job_is_dismissed(self, alice: Client, service: MemoryService) -> None:
        job = job_of(alice)
        answer = alice.ask("DELETE", f"/jobs/{job}")
        assert (answer.status, answer.json["status"]) == (200, "dismissed")
        assert alice.ask("DELETE", f"/jobs/{job}").status == 200
        assert alice.get(f"/jobs/{job}").json["status"] == "dismissed"
        assert service.records[job].state == "stopped"

    @pytest.mark.parametrize("state", ["successful", "failed"])
    def test_a_job_that_has_ended_is_not_dismissed(self, alice: Client, service: MemoryService, state: str) -> None:
        job = job_of(alice)
        service.move(job, state=state)
        answer = alice.ask("DELETE", f"/jobs/{job}")
        assert answer.status == 409
        assert state in answer.json["detail"]

    @pytest.mark.parametrize("job", ["0" * 16, "x", "0" * 300, "%2e%2e", "..", "A" * 16, "%00", "0" * 15 + "%0a", "é"])
    @pytest.mark.parametrize(("method", "under"), [("GET", ""), ("DELETE", ""), ("GET", "/results")])
    def test_an_unknown_job_is_ogcs_exception(self, alice: Client, job: str, method: str, under: str) -> None:
        answer = alice.ask(method, f"/jobs/{job}{under}")
        assert answer.status == 404
        assert answer.json["type"] in {f"{OGC}/no-such-job", "about:blank"}

    def test_nobody_sees_jobs_of_others(self, alice: Client, bob: Client, service: MemoryService) -> None:
        job = job_of(alice)
        service.move(job, state="running")
        mine, unknown = bob.get(f"/jobs/{job}"), bob.get(f"/jobs/{'0' * 16}")
        assert mine.status == 404
        assert mine.text.replace(job, "") == unknown.text.replace("0" * 16, "")
        assert bob.ask("DELETE", f"/jobs/{job}").status == 404
        assert bob.get("/jobs").json["jobs"] == []
        assert service.records[job].state == "running"
        service.move(job, state="successful")
        assert bob.get(f"/jobs/{job}/results").status == 404
        assert alice.get(f"/jobs/{job}/results").status == 200


class TestJobList:
    def test_the_newest_come_first_in_pages(self, alice: Client) -> None:
        jobs = [job_of(alice) for _ in range(5)][::-1]
        seen: list[str] = []
        target = "/jobs?limit=2"
        while target:
            page = alice.get(target).json
            seen += [job["jobID"] for job in page["jobs"]]
            target = next((link["href"].removeprefix(BASE) for link in page["links"] if link["rel"] == "next"), "")
        assert seen == jobs

    def test_links_keep_the_choice(self, alice: Client) -> None:
        for _ in range(3):
            job_of(alice)
        links = alice.get("/jobs?limit=1&offset=1&status=accepted,running").json["links"]
        found = {link["rel"]: link["href"] for link in links}
        assert found["next"] == f"{BASE}/jobs?status=accepted%2Crunning&limit=1&offset=2"
        assert found["prev"] == f"{BASE}/jobs?status=accepted%2Crunning&limit=1&offset=0"

    def test_a_page_names_itself(self, alice: Client) -> None:
        for target in ("/jobs", "/jobs?limit=1&offset=1&status=accepted%2Crunning", "/processes?limit=1"):
            links = {link["rel"]: link["href"] for link in alice.get(target).json["links"]}
            assert links["self"] == f"{BASE}{target}"

    def test_before_an_offset_behind_the_end_lies_the_last_page(self, alice: Client) -> None:
        jobs = [job_of(alice) for _ in range(3)][::-1]
        links = {link["rel"]: link["href"] for link in alice.get("/jobs?limit=2&offset=1000").json["links"]}
        found = alice.get(links["prev"].removeprefix(BASE)).json["jobs"]
        assert [job["jobID"] for job in found] == jobs[1:]

    def test_a_choice_of_jobs(self, alice: Client, service: MemoryService) -> None:
        waits, works, lasted = job_of(alice), job_of(alice), job_of(alice)
        service.move(works, state="running", started="2026-07-01T00:00:00Z")
        service.move(
            lasted,
            state="stopped",
            created="2026-05-05T12:00:00Z",
            started="2026-05-05T12:00:00Z",
            finished="2026-05-05T12:01:30Z",
        )

        def chosen(query: str) -> set[str]:
            return {job["jobID"] for job in alice.get(f"/jobs?{query}").json["jobs"]}

        assert chosen("status=dismissed") == {lasted}
        assert chosen("status=accepted,running") == {waits, works}
        assert chosen("type=process") == {waits, works, lasted}
        assert chosen("processID=point-cloud,other") == {waits, works, lasted}
        assert chosen("processID=other") == set()
        assert chosen("datetime=2026-05-05") == {lasted}
        assert chosen("datetime=2026-06-01/..") == {waits, works}
        assert chosen("datetime=/2026-06-01") == {lasted}
        assert chosen("minDuration=60&maxDuration=90") == {lasted}
        assert chosen("maxDuration=0") == {waits}
        assert works in chosen("minDuration=91")

    @pytest.mark.parametrize(
        "query",
        [
            "status=stopped",
            "status=",
            "type=workflow",
            "datetime=yesterday",
            "datetime=2026-02-02/2026-01-01",
            "datetime=../..",
            "datetime=0001-01-01T00:00:00+14:00",
            "datetime=",
            "minDuration=x",
            "maxDuration=-1",
            "limit=0",
            "offset=-1",
        ],
    )
    def test_a_parameter_that_is_not_readable_is_named(self, alice: Client, query: str) -> None:
        answer = alice.get(f"/jobs?{query}")
        assert answer.status == 400
        assert query.partition("=")[0] in answer.json["detail"]


class TestOwners:
    @pytest.mark.parametrize(
        "authorizer",
        [
            None,
            {},
            {"iam": None, "jwt": None},
            {"iam": {"userArn": None}},
            {"iam": {"userArn": ""}},
            {"jwt": {"claims": {"sub": "alice"}}},
            {"jwt": {"claims": {"iss": "https://id.example"}}},
            {"jwt": {"claims": None}},
            {"lambda": {"userArn": "x"}},
        ],
    )
    @pytest.mark.parametrize(
        ("method", "target"),
        [("GET", "/jobs"), ("GET", f"/jobs/{'0' * 16}"), ("POST", EXECUTION), ("DELETE", f"/jobs/{'0' * 16}")],
    )
    def test_who_is_not_named_has_no_jobs(
        self, service: MemoryService, authorizer: dict[str, Any] | None, method: str, target: str
    ) -> None:
        answer = Client(app_of(service), authorizer).ask(method, target, json.dumps({"inputs": BOX}), **JSON)
        assert answer.status == 401
        assert "Bearer" in answer.headers["www-authenticate"]
        assert not service.records

    def test_issuers_subjects_and_arns_are_kept_apart(self, service: MemoryService) -> None:
        def token(issuer: str, subject: str) -> Client:
            claims = {"iss": issuer, "sub": subject}
            return Client(app_of(service), {"jwt": {"claims": claims, "scopes": None}})

        clients = [token("https://a", "1"), token("https://b", "1"), token("https://a", "2")]
        clients.append(Client(app_of(service), user("1")))
        for client in clients:
            job_of(client, idempotency_key="k")
        assert [len(client.get("/jobs").json["jobs"]) for client in clients] == [1, 1, 1, 1]
        assert len(service.records) == 4

    def test_what_everybody_may_read_asks_for_nobody(self, nobody: Client) -> None:
        for target in ("/", "/conformance", "/api", "/processes", "/processes/point-cloud"):
            assert nobody.get(target).status == 200


class TestHttp:
    @pytest.mark.parametrize(
        ("method", "target", "allowed"),
        [
            ("POST", "/", "GET, HEAD, OPTIONS"),
            ("DELETE", "/processes", "GET, HEAD, OPTIONS"),
            ("GET", EXECUTION, "OPTIONS, POST"),
            ("PUT", f"/jobs/{'0' * 16}", "DELETE, GET, HEAD, OPTIONS"),
            ("BREW", "/jobs", "GET, HEAD, OPTIONS"),
        ],
    )
    def test_a_method_that_is_not_done_names_those_that_are(
        self, alice: Client, method: str, target: str, allowed: str
    ) -> None:
        answer = alice.ask(method, target)
        assert (answer.status, answer.headers["allow"]) == (405, allowed)

    @pytest.mark.parametrize(
        "target",
        ["/x", "//", "/jobs/", "/processes/point-cloud/", "/é", "/%00", "/../etc", "/jobs/0/results/x", "/" * 5000],
    )
    @pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
    def test_where_there_is_nothing_that_is_said(self, alice: Client, method: str, target: str) -> None:
        assert alice.ask(method, target).status == 404

    def test_options(self, alice: Client) -> None:
        answer = alice.ask("OPTIONS", "/jobs")
        assert (answer.status, answer.headers["allow"], answer.text) == (204, "GET, HEAD, OPTIONS", "")

    @pytest.mark.parametrize("target", ["/", "/api", "/jobs", "/nothing", f"/jobs/{'0' * 16}"])
    def test_head_is_get_without_the_body(self, alice: Client, target: str) -> None:
        head, get = alice.ask("HEAD", target), alice.get(target)
        assert head.text == ""
        assert (head.status, head.headers) == (get.status, get.headers)

    @pytest.mark.parametrize(
        ("target", "accept"),
        [
            ("/", "image/png"),
            ("/jobs", "text/html"),
            ("/api", "application/yaml"),
            ("/processes", "application/json;q=0"),
            ("/conformance", "application/json;q=x"),
            ("/processes/point-cloud", "nonsense"),
            ("/jobs", "application/json;q=0, */*;q=0.1"),
        ],
    )
    def test_what_is_not_there_is_not_acceptable(self, alice: Client, target: str, accept: str) -> None:
        answer = alice.get(target, accept=accept)
        assert answer.status == 406
        assert "application/json" in answer.json["detail"]

    @pytest.mark.parametrize("asked", [{}, {"requestContext": {}}, {"Records": []}, {"requestContext": {"http": None}}])
    def test_an_event_of_another_kind_is_a_problem(self, service: MemoryService, asked: dict[str, Any]) -> None:
        answer = app_of(service)(asked, None)
        assert answer["statusCode"] == 400
        assert json.loads(answer["body"])["status"] == 400


class TestFaults:
    @pytest.mark.parametrize(
        ("error", "status", "retry"),
        [
            (SourceUnavailable("the workflow did not answer"), 503, "10"),
            (RateLimited("too many orders"), 429, "10"),
            (JobBusy("it is being stopped"), 409, None),
            (AccessDenied("the bucket is closed"), 502, None),
        ],
    )
    def test_each_failure_has_its_status(
        self, alice: Client, service: MemoryService, error: Exception, status: int, retry: str | None
    ) -> None:
        service.fails = error
        answer = alice.order()
        assert (answer.status, answer.json["error"]) == (status, type(error).__name__)
        assert answer.json["detail"] == str(error)
        assert answer.headers.get("retry-after") == retry

    def test_a_fault_of_ours_shows_nothing_but_where_to_look(
        self, alice: Client, service: MemoryService, logged: list[logging.LogRecord]
    ) -> None:
        service.fails = RuntimeError("inside: /var/task/eo/orders.py")
        answer = alice.get("/jobs")
        assert answer.status == 500
        assert "inside" not in answer.text
        assert "request-1" in answer.json["detail"]
        (record,) = logged
        assert record.levelno == logging.ERROR
        assert "inside" in record.__dict__["trace"]

    def test_only_faults_are_logged(
        self, alice: Client, nobody: Client, service: MemoryService, logged: list[logging.LogRecord]
    ) -> None:
        nobody.get("/jobs")
        alice.get("/nothing")
        alice.order({})
        alice.ask("POST", EXECUTION, "{", **JSON)
        service.fails = RateLimited("later")
        alice.order()
        assert not logged
        service.fails = SourceUnavailable("away")
        alice.order()
        assert [record.__dict__["error"] for record in logged] == ["SourceUnavailable"]

    def test_secrets_are_in_neither_answers_nor_logs(
        self, service: MemoryService, logged: list[logging.LogRecord]
    ) -> None:
        secret = "s3cr3t-token"
        settings = Settings.from_environment({"EARTH_DATA_HUB_KEY": secret, "EO_SHARDS_HOME": "/nonexistent"})
        client = Client(make_app(service, settings=settings, owner=caller, local_files=False), user("alice"))
        for error in (SourceUnavailable(f"refused {secret}"), RuntimeError(f"refused {secret}")):
            service.fails = error
            assert secret not in client.order().text
        assert len(logged) == 2
        assert secret not in str([record.__dict__ for record in logged])


@pytest.fixture
def logged() -> Any:
    """What the API logs."""

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    records: list[logging.LogRecord] = []
    handler = Kept()
    logger = logging.getLogger("eo-shards-api")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def test_events_may_lack_what_is_optional(service: MemoryService) -> None:
    asked = event("GET", "/", authorizer=user("alice"))
    del asked["headers"]
    asked["queryStringParameters"] = None
    assert app_of(service)(asked, None)["statusCode"] == 200
