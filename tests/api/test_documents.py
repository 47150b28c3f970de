"""What can be read before anything is ordered: landing page, conformance, description, processes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from api import web
from api.app import ROUTES
from http_api import BASE, Client, MemoryService, app_of, event, user
from registry import PROCESSES

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


class TestLandingPage:
    def test_it_links_to_everything(self, alice: Client) -> None:
        page = alice.get("/").json
        links = {link["rel"].rpartition("/")[2]: link["href"] for link in page["links"]}
        assert links["processes"] == f"{BASE}/processes"
        assert links["job-list"] == f"{BASE}/jobs"
        for link in page["links"]:
            path = link["href"].removeprefix(BASE)
            assert alice.get(path, accept=link["type"]).status == 200, link

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            (None, "application/json"),
            ("*/*", "application/json"),
            ("text/html", "text/html"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
            ("application/json, text/html", "application/json"),
            ("text/html;q=0.5, application/json;q=0.4", "text/html"),
            ("text/*", "text/html"),
            ("text/html;q=0, */*", "application/json"),
            ("", "application/json"),
        ],
    )
    def test_it_is_html_only_where_that_is_wanted(self, alice: Client, accept: str | None, kind: str) -> None:
        answer = alice.get("/", **({} if accept is None else {"accept": accept}))
        assert (answer.status, answer.kind, answer.headers["vary"]) == (200, kind, "Accept")

    def test_as_html_without_the_pages_it_has_no_script_and_says_how_to_order(
        self, alice: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(web, "WEB", tmp_path)
        answer = alice.get("/", accept="text/html")
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert f'href="{BASE}/processes/point-cloud"' in answer.text
        assert "Idempotency-Key" in answer.text

    def test_a_stage_is_a_part_of_all_addresses(self, service: MemoryService) -> None:
        asked = event("GET", "/prod/processes", authorizer=user("alice"))
        asked["requestContext"]["stage"] = "prod"
        answer = app_of(service)(asked, None)
        assert answer["statusCode"] == 200
        assert json.loads(answer["body"])["links"][0]["href"] == f"{BASE}/prod/processes"


def test_conformance_names_classes_that_there_are(alice: Client) -> None:
    classes = alice.get("/conformance").json["conformsTo"]
    names = {each.rpartition("/conf/")[2] for each in classes}
    assert names == {"core", "ogc-process-description", "json", "oas30", "job-list", "dismiss"}
    assert all(each.startswith("http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/") for each in classes)


class TestProcesses:
    def test_a_process_is_described_with_all_its_inputs(self, alice: Client) -> None:
        found = alice.get("/processes/point-cloud").json
        assert found["jobControlOptions"] == ["async-execute", "dismiss"]
        assert found["outputTransmission"] == ["reference"]
        assert found["inputs"]["bbox"]["minOccurs"] == 1
        assert found["inputs"]["sampled_fraction"]["minOccurs"] == 0
        fraction = {"type": "number", "default": 0.2, "minimum": 0, "exclusiveMinimum": True, "maximum": 1}
        assert found["inputs"]["sampled_fraction"]["schema"] == fraction
        assert found["inputs"]["max_points"]["schema"] == {"type": "integer", "minimum": 1, "nullable": True}
        assert found["inputs"]["coordinates"]["schema"]["enum"] == ["local", "absolute"]
        assert found["outputs"]["point_cloud"]["schema"]["contentMediaType"] == "application/ply"

    def test_a_correction_says_by_which_models_and_what_it_makes(self, alice: Client) -> None:
        found = alice.get("/processes/atmospheric-correction").json
        model = found["inputs"]["model"]["schema"]
        assert {"atmosphere-field", "physics"} <= set(model["enum"])
        assert model["default"] in model["enum"]
        bands = found["inputs"]["bands"]["schema"]
        assert (bands["type"], set(bands["items"]["enum"])) == ("array", {"B02", "B03", "B04", "B08"})
        assert found["inputs"]["collection"]["schema"]["enum"] == ["sentinel-2-l1c"]
        made = found["outputs"]["surface_reflectance"]["schema"]["contentMediaType"]
        assert made == "image/tiff; application=geotiff; profile=cloud-optimized"

    @pytest.mark.parametrize("process", PROCESSES)
    def test_inputs_that_name_files_of_the_server_are_not_offered(self, alice: Client, process: str) -> None:
        inputs = alice.get(f"/processes/{process}").json["inputs"]
        assert not {"catalog", "dem_path"} & set(inputs)
        assert inputs["source"]["schema"]["enum"] == ["cdse", "earth-search"]
        assert ("dem" in inputs) == (process != "land-cover")
        if "dem" in inputs:
            assert inputs["dem"]["schema"]["enum"] == ["earth-data-hub", "cop-dem-glo-30"]

    @pytest.mark.parametrize("grid", ["", "/opt/proj"])
    def test_a_deployment_speaks_of_what_it_has(
        self, alice: Client, monkeypatch: pytest.MonkeyPatch, grid: str
    ) -> None:
        monkeypatch.setenv("PROJ_USER_WRITABLE_DIRECTORY", grid)
        inputs = alice.get("/processes/point-cloud").json["inputs"]
        words = " ".join(each["description"] for each in inputs.values())
        assert not re.search(r"\b(local|folder|files?)\b", words.replace("the file's own", ""))
        assert inputs["source"]["description"] == "catalogue: Copernicus Data Space or earth-search on AWS"
        vertical = inputs["vertical"]
        assert ("ellipsoid" in vertical["description"]) == ("ellipsoidal" in vertical["schema"]["enum"]) == bool(grid)

    def test_where_they_may_be_used_they_are(self, service: MemoryService) -> None:
        inputs = Client(app_of(service, local_files=True), user("a")).get("/processes/point-cloud").json["inputs"]
        assert {"catalog", "dem_path"} <= set(inputs)
        assert "local" in inputs["source"]["schema"]["enum"]
        assert inputs["source"]["description"].endswith("or a folder")
        assert inputs["vertical"]["schema"]["enum"] == ["orthometric", "ellipsoidal"]

    def test_an_unknown_one_is_ogcs_exception(self, alice: Client) -> None:
        answer = alice.get("/processes/point-clouds")
        assert answer.status == 404
        assert answer.json["type"] == "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/no-such-process"
        assert "point-cloud" in answer.json["detail"]

    def test_a_list_has_pages(self, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(3):
            monkeypatch.setitem(PROCESSES, f"another-{number}", PROCESSES["point-cloud"])
        first = alice.get(f"/processes?limit={len(PROCESSES) - 1}").json
        assert len(first["processes"]) == len(PROCESSES) - 1
        following = next(link["href"] for link in first["links"] if link["rel"] == "next")
        last = alice.get(following.removeprefix(BASE)).json
        assert len(last["processes"]) == 1
        assert {link["rel"] for link in last["links"]} == {"self", "prev"}

    @pytest.mark.parametrize("limit", ["0", "-1", "x", "", "1.5", "9" * 5000, "%D9%A1"])
    def test_a_limit_that_is_none_is_refused(self, alice: Client, limit: str) -> None:
        assert alice.get(f"/processes?limit={limit}").status == 400

    def test_a_large_limit_is_what_there_is(self, alice: Client) -> None:
        assert alice.get("/processes?limit=999999").status == 200


class TestOpenApi:
    @pytest.mark.parametrize("local_files", [True, False])
    def test_it_is_valid(self, service: MemoryService, local_files: bool) -> None:
        OpenAPIV30SpecValidator(described(Client(app_of(service, local_files=local_files), user("a")))).validate()

    def test_it_is_given_as_openapi_and_as_json(self, alice: Client) -> None:
        assert alice.get("/api").headers["content-type"] == OPENAPI
        assert alice.get("/api", accept="application/json").headers["content-type"] == "application/json"
        assert alice.get("/api", accept=OPENAPI).headers["content-type"] == OPENAPI

    def test_it_has_every_route_and_no_other(self, alice: Client) -> None:
        document = described(alice)
        names = {"process_id": "processID", "job_id": "jobID"}
        routes = set()
        for method, rule, _ in ROUTES:
            path = rule
            for ours, theirs in names.items():
                path = path.replace(f"<{ours}>", f"{{{theirs}}}")
            executed = [path.replace("{processID}/execution", f"{process}/execution") for process in PROCESSES]
            routes |= {(method.lower(), path) for path in executed}
        assert {(method, path) for path, item in document["paths"].items() for method in item} == routes

    def test_security_is_asked_for_where_there_is_some(self, alice: Client, service: MemoryService) -> None:
        assert described(alice)["security"] == [{"aws": []}, {"token": []}]
        assert (
            "those who share a role share its jobs"
            in described(alice)["components"]["securitySchemes"]["aws"]["description"]
        )
        assert "security" not in described(Client(app_of(service, local_files=True), user("a")))


def described(client: Client) -> dict[str, Any]:
    return dict(client.get("/api").json)
