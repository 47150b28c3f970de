"""The pages' own routes: what they give to whom, and what the pages may do."""

import base64
import gzip
from pathlib import Path
from typing import Any

import pytest

from api import web
from http_api import Client, MemoryService, app_of, event

JOB = "0123456789abcdef"
SCRIPT = "main-Ab_1.js"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pages as Vite builds them, in small."""
    (tmp_path / "static").mkdir()
    (tmp_path / "jobs" / "job").mkdir(parents=True)
    (tmp_path / web.LANDING).write_text("<title>Jobs</title>")
    (tmp_path / web.VIEW).write_text("<title>Result</title>")
    (tmp_path / "static" / SCRIPT).write_text("1;" * 1000)
    (tmp_path / "static" / "land.json").write_text("{}")
    (tmp_path / "static" / "laz.wasm").write_bytes(b"\0asm\xff")
    (tmp_path / "static" / "secret.txt").write_text("no kind of the pages")
    monkeypatch.setattr(web, "WEB", tmp_path)
    return tmp_path


def asked(path: str, *, local_files: bool = False, **headers: str) -> dict[str, Any]:
    """The raw answer to somebody without credentials."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return dict(app_of(MemoryService(), local_files=local_files)(event("GET", path, headers=named), None))


@pytest.mark.usefixtures("built")
class TestPages:
    def test_they_are_given_to_everybody_for_a_browser_sends_no_credentials(self, nobody: Client) -> None:
        assert nobody.get(f"/jobs/{JOB}/view").text == "<title>Result</title>"
        assert nobody.get("/", accept="text/html").text == "<title>Jobs</title>"
        assert nobody.get("/", accept="application/json").kind == "application/json"
        assert nobody.get(f"/jobs/{JOB}").status == 401, "what they show is not"

    def test_they_run_their_own_scripts_alone(self, nobody: Client) -> None:
        answer = nobody.get(f"/jobs/{JOB}/view")
        policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        assert policy["frame-ancestors"] == "'none'"
        assert answer.headers["referrer-policy"] == "no-referrer", "a presigned link is a secret"
        assert answer.headers["cache-control"] == "no-cache"

    @pytest.mark.parametrize(("local_files", "sources"), [(True, "'self'"), (False, "'self' https:")])
    def test_they_read_other_servers_only_where_results_lie_there(self, local_files: bool, sources: str) -> None:
        policy = asked(f"/jobs/{JOB}/view", local_files=local_files)["headers"]["Content-Security-Policy"]
        assert f"connect-src {sources};" in policy
        assert f"img-src {sources};" in policy

    @pytest.mark.parametrize("job", ["nonsense", "0123456789ABCDEF", "..", "0123456789abcdef0"])
    def test_of_what_is_no_job_the_page_says_so(self, nobody: Client, job: str) -> None:
        answer = nobody.get(f"/jobs/{job}/view")
        assert (answer.status, answer.text) == (404, "<title>Result</title>")

    def test_they_are_html_alone(self, nobody: Client) -> None:
        assert nobody.get(f"/jobs/{JOB}/view", accept="application/json").status == 406


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "kind"), [(SCRIPT, "text/javascript"), ("laz.wasm", "application/wasm"), ("land.json", "text/json")]
    )
    def test_they_are_given_as_they_are(self, built: Path, name: str, kind: str) -> None:
        answer = asked(f"/static/{name}")
        assert answer["statusCode"] == 200
        assert answer["headers"]["Content-Type"].startswith(kind)
        assert answer["headers"]["X-Content-Type-Options"] == "nosniff"
        assert "immutable" in answer["headers"]["Cache-Control"]
        assert base64.b64decode(answer["body"]) == (built / "static" / name).read_bytes()

    def test_they_are_compressed_where_that_is_taken(self, built: Path) -> None:
        answer = asked(f"/static/{SCRIPT}", accept_encoding="gzip, deflate, br")
        data = base64.b64decode(answer["body"])
        assert answer["headers"]["Content-Encoding"] == "gzip"
        assert answer["headers"]["Vary"] == "Accept-Encoding"
        assert gzip.decompress(data) == (built / "static" / SCRIPT).read_bytes()
        assert len(data) < 100

    @pytest.mark.usefixtures("built")
    @pytest.mark.parametrize("name", ["other.js", "secret.txt", "..", ".", "..%2Findex.html", "%2e%2e", "a b.js"])
    def test_no_other_file_is_given(self, name: str) -> None:
        assert asked(f"/static/{name}")["statusCode"] == 404


class TestWithoutThem:
    @pytest.fixture(autouse=True)
    def _unbuilt(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "WEB", tmp_path)

    def test_a_job_has_no_page_and_the_answer_says_how_to_make_it(self, nobody: Client) -> None:
        answer = nobody.get(f"/jobs/{JOB}/view", accept="text/html")
        assert answer.status == 404
        assert "make view" in answer.json["detail"]

    def test_the_landing_page_is_a_plain_one(self, nobody: Client) -> None:
        answer = nobody.get("/", accept="text/html")
        assert answer.status == 200
        assert "<script" not in answer.text
        assert "Idempotency-Key" in answer.text
