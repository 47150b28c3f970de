"""No secret of the environment reaches a terminal, a log, a record or a result, whatever happens."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import quote, quote_plus

import pytest

from command import BBOX, DEM_BOUNDS, EPSG, ULX, ULY, Ended, Machine, Place
from peers.files import FileServer
from peers.s3 import S3Peer
from peers.stac import StacApi
from scenes.edh import write_edh_zarr
from scenes.sentinel2 import cdse_href, write_scene
from scenes.world import World

KEY, SECRET, TOKEN = "KeyThatIsSecret42", "s3cr3t/With+Signs=7%", "edh_pat_n0b0dy/Sees&This"


def _forms(secret: str) -> list[bytes]:
    """As it is, percent-encoded, and in base64 at each of the three places that a byte can have in it."""
    plain = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    ]
    encoded = []
    for before in range(3):
        # Without the characters at both ends, which depend on what stands beside the secret.
        text = base64.b64encode(b"\0" * before + secret.encode()).decode()
        encoded.append(text[4 if before else 0 : -4])
    return [
        form.encode() for form in {*plain, *encoded, *(form.replace("+", "-").replace("/", "_") for form in encoded)}
    ]


def _seen(machine: Machine, *runs: Ended) -> list[str]:
    texts = {f"output {index}": (run.out + run.err).encode() for index, run in enumerate(runs)}
    for folder in (machine.home, machine.out):
        texts |= {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        texts |= {f"name {path}": str(path).encode() for path in folder.rglob("*")}
    return [
        where
        for where, text in texts.items()
        for secret in (KEY, SECRET, TOKEN)
        for form in _forms(secret)
        if form in text
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    secrets = {"CDSE_KEY": KEY, "CDSE_SECRET": SECRET, "EARTH_DATA_HUB_KEY": TOKEN}
    return Machine(
        tmp_path, secrets | {"EO_SHARDS_RETRY_DELAY": "0", "EO_SHARDS_TIMEOUT": "5", "EO_SHARDS_WORKER_MEMORY": "600"}
    )


@pytest.fixture
def remote(machine: Machine, tmp_path: Path) -> Iterator[Callable[[str, str, str], list[str]]]:
    """CDSE and the Earth Data Hub on this machine; called with the credentials they want, it gives an order."""
    world = World(seed=3)
    scene = write_scene(
        tmp_path / "bucket", world=world, epsg=EPSG, ulx=ULX, uly=ULY, tile="32TPS", size=256, block=64, href=cdse_href
    )
    served = tmp_path / "served"
    write_edh_zarr(served / "dem.zarr", world=world, bounds=DEM_BOUNDS, chunks=None)
    stops = []

    def serve(key: str, secret: str, token: str) -> list[str]:
        s3, hub = S3Peer(key, secret), FileServer(served, user="edh", password=token)
        stac = StacApi([scene.item or {}])
        for peer in (s3, hub, stac):
            peer.start()
            stops.append(peer.stop)
        for path in scene.assets.values():
            relative = PurePosixPath(path.relative_to(scene.folder))
            s3.put("eodata", cdse_href(relative).removeprefix("s3://eodata/"), path)
        machine.environment |= {
            "CDSE_STAC_URL": stac.url,
            "CDSE_S3_ENDPOINT": s3.url,
            "EARTH_DATA_HUB_URL": f"{hub.url}/dem.zarr",
        }
        return ["point-cloud", "--bbox", BBOX, "--datetime", "2026-06-01/2026-09-30", "--out", str(machine.out)]

    yield serve
    for stop in stops:
        stop()


class TestRemote:
    def test_success(self, machine: Machine, remote: Callable[[str, str, str], list[str]]) -> None:
        run = machine.run("run", *remote(KEY, SECRET, TOKEN), "--keep-cube")
        assert run.code == 0, run.err
        plan = machine.run("plan", *remote(KEY, SECRET, TOKEN), "--json")
        assert plan.code == 0
        assert not _seen(machine, run, plan)

    @pytest.mark.parametrize(
        ("credentials", "words"),
        [
            ((KEY, "another", TOKEN), "CDSE_KEY and CDSE_SECRET"),
            ((KEY, SECRET, "another"), "EARTH_DATA_HUB_KEY"),
        ],
    )
    def test_refused(
        self,
        machine: Machine,
        remote: Callable[[str, str, str], list[str]],
        credentials: tuple[str, str, str],
        words: str,
    ) -> None:
        run = machine.run("run", *remote(*credentials))
        assert run.code == 6, run.err
        assert run.complaint.startswith("AccessDenied: ")
        assert words in run.complaint
        assert not machine.out.exists()
        assert not _seen(machine, run)

    @pytest.mark.parametrize("names", [("CDSE_KEY", "CDSE_SECRET"), ("EARTH_DATA_HUB_KEY",)])
    def test_missing(
        self, machine: Machine, remote: Callable[[str, str, str], list[str]], names: tuple[str, ...]
    ) -> None:
        order = remote(KEY, SECRET, TOKEN)
        for name in names:
            del machine.environment[name]
        run = machine.run("run", *order)
        assert run.code == 6, run.err
        assert all(name in run.complaint for name in names)
        assert not machine.out.exists()
        assert not _seen(machine, run)

    @pytest.mark.parametrize("name", ["CDSE_STAC_URL", "EARTH_DATA_HUB_URL"])
    def test_unreachable(self, machine: Machine, remote: Callable[[str, str, str], list[str]], name: str) -> None:
        order = remote(KEY, SECRET, TOKEN)
        machine.environment[name] = "http://127.0.0.1:9/x"
        run = machine.run("run", *order)
        assert run.code == 7, run.err
        assert "try again later" in run.complaint
        assert not _seen(machine, run)

    @pytest.mark.parametrize("name", ["CDSE_STAC_URL", "CDSE_S3_ENDPOINT", "EARTH_DATA_HUB_URL"])
    def test_a_secret_in_an_address_is_refused_unseen(self, machine: Machine, name: str) -> None:
        machine.environment[name] = f"https://edh:{quote(TOKEN, safe='')}@example.org/dem.zarr"
        run = machine.run("plan", "point-cloud", "--bbox", BBOX)
        assert run.code == 2
        assert name in run.complaint
        assert not _seen(machine, run)


def test_a_secret_that_was_typed_is_not_shown(place: Place, machine: Machine) -> None:
    """It should not be there, but people paste what they should not."""
    run = machine.run("run", *machine.order(place, "--datetime", TOKEN))
    assert run.code == 2
    assert not _seen(machine, run)


def test_an_unexpected_fault_is_logged_without_secrets(place: Place, machine: Machine) -> None:
    assert machine.run("run", *machine.order(place, "--keep-cube")).code == 0
    (folder,) = (machine.home / "jobs").iterdir()
    plan = json.loads((folder / "plan.json").read_text())
    plan["stages"][2]["map"] = f"nowhere.{KEY}:drape"
    (folder / "plan.json").write_text(json.dumps(plan))
    shutil.rmtree(machine.out)
    shutil.rmtree(machine.home / "scratch" / folder.name / "1" / "parts" / "drape")
    run = machine.run("run", *machine.order(place))
    (folder / "plan.json").unlink()
    assert run.code == 1
    assert run.complaint.startswith("unexpected ModuleNotFoundError: ")
    log = machine.home / "error.log"
    assert str(log) in run.complaint
    assert "In a worker:" in log.read_text()
    assert not machine.out.exists()
    assert not _seen(machine, run)
