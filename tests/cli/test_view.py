"""`eo-shards view`: which job, and where."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from api import web
from cli.folder_result import FolderResult
from cli.one_result import OneResultServer
from command import Machine, Place, make_place
from eo.errors import CorruptData
from eo.settings import Settings
from serving import running, serving

needs_pages = pytest.mark.skipif(not web.built(), reason="the pages are not built; run `make view` (it needs Node.js)")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, Place, str]:
    """A machine that has done a job, and its id."""
    place, machine = make_place(tmp_path_factory.mktemp("place") / "files"), Machine(tmp_path_factory.mktemp("machine"))
    ended = machine.run("run", *machine.order(place))
    assert ended.code == 0, ended.err
    return machine, place, machine.run("jobs").out.split()[0]


def page_of(machine: Machine, named: str) -> str:
    """The address of the page that `view` tells, looked at: the page, and the beginning of the point cloud."""
    with machine.started("view", named, "--no-browser") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+/jobs/[0-9a-f]{16})/view \(Ctrl-C ends it\)\n", line)
        assert found, line
        page = requests.get(f"{found[1]}/view", headers={"Accept": "text/html"}, timeout=30)
        assert (page.status_code, page.headers["Content-Type"]) == (200, web.HTML)
        links = requests.get(f"{found[1]}/results", timeout=30).json()
        piece = requests.get(links["copc"]["href"], headers={"Range": "bytes=0-3"}, timeout=30)
        assert (piece.status_code, piece.content) == (206, b"LASF")
        return found[1]


@needs_pages
@pytest.mark.parametrize("length", [16, 6])
def test_the_page_of_a_job_is_served_where_it_says(done: tuple[Machine, Place, str], length: int) -> None:
    machine, _, job = done
    assert page_of(machine, job[:length]).endswith(f"/jobs/{job}")


@needs_pages
@pytest.mark.parametrize("named", ["", "point_cloud.json", "point_cloud.copc.laz"])
def test_a_result_is_served_wherever_it_was_made(done: tuple[Machine, Place, str], tmp_path: Path, named: str) -> None:
    machine, _, _ = done
    shutil.copytree(machine.out, tmp_path / "copied")
    (tmp_path / "another").mkdir()
    page_of(Machine(tmp_path / "another"), str(tmp_path / "copied" / named))


@needs_pages
def test_a_copc_brings_the_item_beside_it_along(done: tuple[Machine, Place, str], tmp_path: Path) -> None:
    """Which says whose data it is."""
    machine, _, _ = done
    copc = machine.out / "point_cloud.copc.laz"
    assert set(FolderResult.at(copc).results("")) == set(FolderResult.at(machine.out).results(""))
    shutil.copy(copc, tmp_path)
    (tmp_path / "other.json").write_text('{"type": "Feature", "stac_version": "1.1.0", "assets": [1]}')
    assert set(FolderResult.at(tmp_path / copc.name).results("")) == {"copc"}


@needs_pages
def test_what_is_no_result_is_refused(done: tuple[Machine, Place, str], tmp_path: Path) -> None:
    machine, _, _ = done
    assert "there is none" in machine.run("view", "ffff").complaint
    assert "there is none" in machine.run("view", "f" * 300).complaint
    assert f"{tmp_path / 'nope'} does not exist" in machine.run("view", str(tmp_path / "nope")).complaint
    assert "is no job's address" in machine.run("view", "https://[::1/jobs/0").complaint
    assert "holds no STAC item of a result" in machine.run("view", str(tmp_path)).complaint
    assert "is nothing to view" in machine.run("view", str(machine.out / "checksums.json")).complaint
    assert "is nothing to view" in machine.run("view", str(machine.out / "preview.png")).complaint
    for name in ("one.json", "two.json"):
        shutil.copy(machine.out / "point_cloud.json", tmp_path / name)
    assert "holds 2 results; name one of one.json, two.json" in machine.run("view", str(tmp_path)).complaint


@needs_pages
def test_a_later_result_in_the_folder_is_not_shown_as_an_earlier_one(tmp_path: Path) -> None:
    place, machine = make_place(tmp_path / "files"), Machine(tmp_path)
    assert machine.run("run", *machine.order(place)).code == 0
    first = machine.run("jobs").out.split()[0]
    assert machine.run("run", *machine.order(place, "--sampled-fraction", "0.1", "--format", "ply")).code == 0
    second = machine.run("jobs").out.splitlines()[-1].split()[0]
    assert not (machine.out / "point_cloud.copc.laz").exists(), "it would be of the first"
    assert f"job {second} has put its result into" in machine.run("view", first).complaint
    with serving(machine) as served:
        assert served.ask("GET", f"/jobs/{first}/results").status == 404
        assert requests.get(f"{served.address}/jobs/{first}/results/preview.png", timeout=30).status_code == 404
        assert served.ask("GET", f"/jobs/{second}/results").status == 200


@needs_pages
def test_looking_at_a_result_starts_and_stops_no_job(done: tuple[Machine, Place, str]) -> None:
    """Orders of `serve` wait in the same store."""
    machine, _, job = done
    waits = machine.home / "jobs" / "0123456789abcdef"
    shutil.copytree(machine.home / "jobs" / job, waits, symlinks=True)
    status = json.loads((waits / "status.json").read_text())
    accepted = json.dumps({**status, "job": waits.name, "state": "accepted", "finished": None})
    (waits / "status.json").write_text(accepted)
    page_of(machine, job)
    assert (waits / "status.json").read_text() == accepted
    shutil.rmtree(waits)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder with a STAC item, and where it is served."""
    secret, files = tmp_path / "secret.txt", tmp_path / "files"
    (files / "below").mkdir(parents=True)
    secret.write_text("secret")
    (files / "below" / "deep.txt").write_text("deep")
    (files / "beside.txt").write_text("beside")
    (files / "data é.tif").write_bytes(bytes(range(256)))
    hrefs = {
        "data": "./data é.tif",
        "up": "../secret.txt",
        "root": str(secret),
        "deep": "below/deep.txt",
        "gone": "gone.tif",
    }
    assets = {name: {"href": href, "type": "image/tiff"} for name, href in hrefs.items()}
    (files / "item.json").write_text(json.dumps({"type": "Feature", "stac_version": "1.1.0", "assets": assets}))
    settings = Settings.from_environment({"EO_SHARDS_HOME": str(tmp_path / "home")})
    server = OneResultServer(("127.0.0.1", 0), FolderResult.at(files), settings)
    with running(server):
        yield files, server.page.removesuffix("/view")


def test_files_that_the_item_names_beside_itself_are_served_and_no_others(folder: tuple[Path, str]) -> None:
    files, page = folder
    links = requests.get(f"{page}/results", timeout=30).json()
    assert set(links) == {"data", "item"}
    assert (links["data"]["type"], links["data"]["title"]) == ("image/tiff", "data")
    piece = requests.get(links["data"]["href"], headers={"Range": "bytes=250-"}, timeout=30)
    assert (piece.status_code, piece.content) == (206, bytes(range(250, 256)))
    assert requests.get(links["data"]["href"], headers={"Range": "bytes=256-"}, timeout=30).status_code == 416
    for name in ("../secret.txt", "%2e%2e%2fsecret.txt", "below%2Fdeep.txt", "beside.txt", "gone.tif"):
        assert requests.get(f"{page}/results/{name}", timeout=30).status_code == 404
    (files / "data é.tif").unlink()
    assert requests.get(links["data"]["href"], timeout=30).status_code == 404


def test_the_root_leads_to_the_page(folder: tuple[Path, str]) -> None:
    _, page = folder
    answer = requests.get(page.partition("/jobs/")[0] + "/", allow_redirects=False, timeout=30)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{page}/view")


@pytest.mark.parametrize(
    "item", ['{"assets": []}', '{"assets": {"a": 1}}', '{"assets": {"a": {"href": 1, "type": ""}}}']
)
def test_an_item_that_names_nothing_readable_is_refused(tmp_path: Path, item: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"type": "Feature", "stac_version": "1.1.0", **json.loads(item)}))
    with pytest.raises(CorruptData, match="no readable way"):
        FolderResult.at(tmp_path)
