"""`eo-shards serve` from outside: a real client over loopback, real jobs, the same bytes as the command line's."""

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from owslib.ogcapi.processes import Processes

from command import COMMAND, Machine, Place, eventually, make_place
from http_api import EXECUTION, valid
from serving import Served, serving


@contextmanager
def caught(served: Served, place: Place) -> Iterator[tuple[str, tuple[dict[str, Any], str], list[psutil.Process]]]:
    """(a job that runs, its order, its processes), which stand still until the block ends.

    A job of a small scene is over in a second, perhaps before its state has been asked for: then another one is tried.
    """
    for attempt in range(20):
        order = inputs_of(place, sampled_fraction=1 - attempt / 100), f"caught-{attempt}"
        job = served.order(*order)
        served.until(job, "running", "successful")
        family = psutil.Process(served.process.pid).children(recursive=True)
        with standing_still(family):
            if served.state(job) == "running":
                yield job, order, family
                return
    pytest.fail("20 jobs ended before they could be stopped")


@contextmanager
def standing_still(family: list[psutil.Process]) -> Iterator[None]:
    def tell(number: signal.Signals) -> None:
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    tell(signal.SIGSTOP)
    try:
        yield
    finally:
        tell(signal.SIGCONT)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("place") / "files")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def inputs_of(place: Place, **more: Any) -> dict[str, Any]:
    return {
        "bbox": [11.24, 46.625, 11.27, 46.64],
        "source": "local",
        "catalog": str(place.catalog),
        "dem": "local",
        "dem_path": str(place.dem),
        **more,
    }


def test_a_standard_client_orders_waits_and_downloads_what_the_command_line_makes(
    machine: Machine, place: Place, tmp_path: Path
) -> None:
    done = Machine(tmp_path / "cli")
    done.folder.mkdir()
    assert done.run("run", *done.order(place)).code == 0
    with serving(machine) as served:
        client = Processes(served.address)
        valid(client.conformance(), "confClasses")
        valid(client.response, "landingPage")
        assert "/processes" in client.api()["paths"]
        (offered,) = (found for found in client.processes() if found["id"] == "point-cloud")
        valid(client.process(offered["id"]), "process")
        ordered = client.execute(offered["id"], inputs_of(place), async_=True)
        job = ordered["jobID"]
        assert client.response_headers["Location"] == f"{served.address}/jobs/{job}"
        info = served.until(job, "successful", "failed")
        assert (info["status"], info["progress"]) == ("successful", 100), info
        assert info["started"] <= info["finished"]
        results = served.ask("GET", f"/jobs/{job}/results").json
        described = client.process(offered["id"])["outputs"]
        assert set(results) == set(described)
        found = {}
        for name, link in results.items():
            answer = requests.get(link["href"], timeout=30)
            assert answer.headers["Content-Length"] == str(len(answer.content))
            assert link["type"] == described[name]["schema"]["contentMediaType"]
            found[link["href"].rpartition("/")[2]] = answer.content.replace(job.encode(), b"JOB")
        assert found == {name: data for name, data in done.files().items() if name in found}
        assert set(found) == set(done.files())
        listed = served.ask("GET", "/jobs").json["jobs"]
        assert [each["jobID"] for each in listed] == [job]


class TestQueue:
    def test_one_job_runs_and_the_next_waits(self, machine: Machine, place: Place) -> None:
        with serving(machine) as served:
            first = served.order(inputs_of(place, sampled_fraction=1), "a")
            second = served.order(inputs_of(place, sampled_fraction=0.5), "b")
            third = served.order(inputs_of(place, sampled_fraction=0.4), "c")
            served.until(first, "running", "successful")
            assert served.state(third) == "accepted"
            assert served.ask("DELETE", f"/jobs/{third}").json["status"] == "dismissed"
            progress = []
            while served.state(second) not in {"successful", "failed"}:
                progress.append(served.ask("GET", f"/jobs/{second}").json["progress"])
                time.sleep(0.05)
            assert progress == sorted(progress)
            assert served.state(first) == served.state(second) == "successful"
            assert served.state(third) == "dismissed"
            # The dismissed one goes on when it is ordered again.
            assert served.order(inputs_of(place, sampled_fraction=0.4), "c") == third
            served.until(third, "successful")

    def test_the_same_key_is_the_same_job_and_no_other(self, machine: Machine, place: Place) -> None:
        with serving(machine) as served:
            job = served.order(inputs_of(place), "a")
            assert served.order(inputs_of(place), "a") == job
            assert served.order(inputs_of(place), "b") != job
            assert job in served.order(inputs_of(place, sampled_fraction=0.1), "a", status=422)
            served.until(job, "successful")
            assert served.order(inputs_of(place), "a") == job
            assert served.state(job) == "successful"

    def test_a_running_job_is_dismissed(self, machine: Machine, place: Place) -> None:
        with serving(machine) as served:
            with caught(served, place) as (job, order, _):
                assert served.ask("DELETE", f"/jobs/{job}").json["status"] == "dismissed"
                assert served.state(job) == "dismissed"
            children = psutil.Process(served.process.pid)
            assert eventually(lambda: not children.children(recursive=True), 20)
            assert served.ask("GET", f"/jobs/{job}/results").status == 404
            served.order(*order)
            served.until(job, "successful")

    def test_a_job_that_fails_says_why(self, machine: Machine, place: Place) -> None:
        with serving(machine) as served:
            job = served.order(inputs_of(place, bbox=[0, 0, 0.1, 0.1]), "a")
            info = served.until(job, "failed")
            assert info["error"] == "NothingFound"
            assert info["message"]
            assert "NothingFound" not in served.ask("GET", f"/jobs/{job}/results").json.get("error", "")

    def test_a_job_of_the_command_line_is_seen_too(self, machine: Machine, place: Place) -> None:
        assert machine.run("run", *machine.order(place)).code == 0
        with serving(machine) as served:
            (info,) = served.ask("GET", "/jobs").json["jobs"]
            results = served.ask("GET", f"/jobs/{info['jobID']}/results").json
            data = requests.get(results["point_cloud"]["href"], timeout=30).content
            assert data == (machine.out / "point_cloud.ply").read_bytes()


class TestRestart:
    def test_results_outlive_the_server(self, machine: Machine, place: Place) -> None:
        with serving(machine) as served:
            job = served.order(inputs_of(place), "a")
            served.until(job, "successful")
        with serving(machine) as served:
            assert served.state(job) == "successful"
            results = served.ask("GET", f"/jobs/{job}/results").json
            assert requests.get(results["item"]["href"], timeout=30).json()["type"] == "Feature"

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
    def test_a_job_of_a_server_that_ended_goes_on_when_it_is_ordered_again(
        self, machine: Machine, place: Place, number: int
    ) -> None:
        with serving(machine) as served:
            with caught(served, place) as (job, order, family):
                waiting = served.order(inputs_of(place, sampled_fraction=0.3), "b")
                # The server alone, as a terminal or a supervisor would.
                os.kill(served.process.pid, number)
            served.process.wait(40)
            assert eventually(lambda: not any(each.is_running() and each.status() != "zombie" for each in family), 20)
            if number != signal.SIGKILL:
                assert served.process.returncode == 0
                assert served.process.stderr is not None
                assert served.process.stderr.read() == ""
        with serving(machine) as served:
            assert served.state(job) == "dismissed"
            served.until(waiting, "successful")
            served.order(*order)
            served.until(job, "successful")


@pytest.fixture(scope="module")
def running(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str, bytes]]:
    """A server with a finished job: (server, address of the point cloud, what is there)."""
    machine = Machine(tmp_path_factory.mktemp("files"))
    with serving(machine) as served:
        job = served.order(inputs_of(place), "a")
        served.until(job, "successful")
        href = served.ask("GET", f"/jobs/{job}/results").json["point_cloud"]["href"]
        yield served, href, requests.get(href, timeout=30).content


class TestFiles:
    @pytest.mark.parametrize(
        ("asked", "first", "last"),
        [("0-9", 0, 10), ("10-19", 10, 20), ("100-", 100, None), ("-7", -7, None), ("5-99999999999", 5, None)],
    )
    def test_a_piece(self, running: tuple[Served, str, bytes], asked: str, first: int, last: int | None) -> None:
        _, href, whole = running
        answer = requests.get(href, headers={"Range": f"bytes={asked}"}, timeout=30)
        assert answer.status_code == 206
        assert answer.content == whole[first:last]
        start = first % len(whole)
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.content) - 1}/{len(whole)}"

    @pytest.mark.parametrize("asked", ["bytes=1-2,4-5", "lines=1-2", "bytes=9-1", "bytes=-", "bytes=a-b"])
    def test_what_is_not_understood_is_the_whole(self, running: tuple[Served, str, bytes], asked: str) -> None:
        answer = requests.get(running[1], headers={"Range": asked}, timeout=30)
        assert (answer.status_code, answer.content) == (200, running[2])

    def test_a_piece_of_another_file_is_the_whole(self, running: tuple[Served, str, bytes]) -> None:
        asked = {"Range": "bytes=0-9", "If-Range": '"other"'}
        assert requests.get(running[1], headers=asked, timeout=30).content == running[2]
        etag = requests.head(running[1], timeout=30).headers["ETag"]
        assert requests.get(running[1], headers=asked | {"If-Range": etag}, timeout=30).status_code == 206

    def test_beyond_the_end_there_is_nothing(self, running: tuple[Served, str, bytes]) -> None:
        for beyond in (f"bytes={len(running[2])}-", "bytes=-0"):
            answer = requests.get(running[1], headers={"Range": beyond}, timeout=30)
            assert answer.status_code == 416
            assert answer.headers["Content-Range"] == f"bytes */{len(running[2])}"

    def test_head(self, running: tuple[Served, str, bytes]) -> None:
        answer = requests.head(running[1], timeout=30)
        assert answer.headers["Content-Length"] == str(len(running[2]))
        assert answer.headers["Content-Type"] == "application/ply"
        assert answer.content == b""

    @pytest.mark.parametrize(
        "name",
        [
            "../status.json",
            "..%2fstatus.json",
            "%2e%2e/%2e%2e/status.json",
            "..",
            ".",
            "%2Fetc%2Fpasswd",
            "point_cloud.ply%00",
            "point_cloud.ply/",
            "POINT_CLOUD.PLY",
            "no.txt",
            "a" * 3000,
            "%ff",
        ],
    )
    def test_no_other_file_is_given(self, running: tuple[Served, str, bytes], name: str) -> None:
        served, href, _ = running
        folder = href.removeprefix(served.address).rpartition("/")[0]
        status, body, kind = served.raw("GET", f"{folder}/{name}", {"Host": f"127.0.0.1:{served.port}"})
        assert (status, kind) == (404, "application/problem+json")
        assert b"root:" not in body


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(Machine(tmp_path_factory.mktemp("who"))) as served:
        yield served


class TestWhoMayAsk:
    @pytest.mark.parametrize("host", ["attacker.example", "127.0.0.1", "127.0.0.1:1", "", "localhost.attacker.example"])
    def test_names_that_are_not_ours_are_refused(self, served: Served, host: str) -> None:
        status, _, kind = served.raw("GET", "/", {"Host": host})
        assert (status, kind) == (421, "application/problem+json")

    def test_our_names_are_taken(self, served: Served) -> None:
        for host in ("127.0.0.1", "localhost", "LOCALHOST", "[::1]"):
            assert served.raw("GET", "/", {"Host": f"{host}:{served.port}"})[0] == 200

    @pytest.mark.parametrize("origin", ["https://attacker.example", "null", "http://127.0.0.1", "file://"])
    def test_pages_of_other_sites_are_refused(self, served: Served, origin: str) -> None:
        headers = {"Host": f"127.0.0.1:{served.port}", "Origin": origin, "Content-Type": "application/json"}
        for method in ("GET", "POST", "DELETE"):
            assert served.raw(method, "/jobs", headers)[0] == 403

    def test_a_form_of_another_site_cannot_order(self, served: Served) -> None:
        headers = {"Host": f"127.0.0.1:{served.port}", "Content-Type": "text/plain", "Content-Length": "2"}
        assert served.raw("POST", EXECUTION, headers, b"{}")[0] == 415

    def test_a_body_needs_a_length_within_limits(self, served: Served) -> None:
        host = {"Host": f"127.0.0.1:{served.port}", "Content-Type": "application/json"}
        assert served.raw("POST", EXECUTION, host | {"Content-Length": "x"})[0] == 411
        assert served.raw("POST", EXECUTION, host | {"Content-Length": "-1"})[0] == 411
        assert served.raw("POST", EXECUTION, host | {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n")[0] == 411
        large = b" " * 6_000_001
        assert served.raw("POST", EXECUTION, host | {"Content-Length": str(len(large))}, large)[0] == 413

    @pytest.mark.parametrize(
        ("request_line", "status"),
        [
            (b"BREW / HTTP/1.1", 501),
            (b"GET / HTTP/9.9", 505),
            (b"nonsense", 400),
            (b"GET /" + b"x" * 70_000 + b" HTTP/1.1", 414),
            (b"GET /\xff HTTP/1.1", 404),
            (b"TRACE / HTTP/1.1", 405),
        ],
    )
    def test_what_is_hardly_http_is_a_problem_too(self, served: Served, request_line: bytes, status: int) -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
            host = f"\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n\r\n".encode()
            connection.sendall(request_line + host)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status

    def test_many_at_once(self, served: Served) -> None:
        targets = ["/", "/processes", "/jobs", "/api", "/nothing", f"/jobs/{'0' * 16}"] * 20
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda target: (target, served.ask("GET", target)), targets))
        for target, answer in found:
            assert answer.status == (404 if target.startswith(("/nothing", "/jobs/")) else 200)
            if target == "/jobs":
                assert answer.json["jobs"] == []

    def test_connections_that_break_are_not_told(self, served: Served) -> None:
        for sent in (
            b"",
            b"GET / HT",
            f"POST {EXECUTION} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: 9\r\n\r\n{{".encode(),
        ):
            with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
                connection.sendall(sent)
        assert served.ask("GET", "/").status == 200


class TestStarting:
    @pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::", ""])
    def test_other_machines_are_kept_out(self, machine: Machine, host: str) -> None:
        done = machine.run("serve", "--host", host)
        assert done.code == 2
        assert "there is no authentication" in done.complaint

    def test_a_port_in_use_is_named(self, machine: Machine) -> None:
        with serving(machine) as served:
            done = machine.run("serve", "--port", str(served.port))
            assert done.code == 2
            assert f"--port {served.port}" in done.complaint

    @pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
    def test_ipv6(self, machine: Machine) -> None:
        with serving(machine, "--host", "::1") as served:
            assert served.address.startswith("http://[::1]:")
            assert served.ask("GET", "/").json["links"][0]["href"] == f"{served.address}/"

    def test_nothing_is_said_of_requests(self, machine: Machine) -> None:
        with serving(machine) as served:
            served.ask("GET", "/nothing")
            served.process.send_signal(signal.SIGINT)
            out, err = served.process.communicate(timeout=20)
            assert served.process.returncode == 0
            assert err == ""
            assert out.startswith("stopped")


def test_the_command_is_known(machine: Machine) -> None:
    assert COMMAND
    assert "OGC API" in machine.run("serve", "--help").out + machine.run("--help").out
