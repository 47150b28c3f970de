"""Servers that fail by script: what passes is waited out, what does not is told, and nothing is left behind."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from eo.errors import AccessDenied, CorruptData, EoShardsError, NothingFound, RateLimited, SourceUnavailable
from eo.retry import Policy, Transient
from eo.traffic import Traffic
from eo.transport import ObjectReader
from eo.wire import Head
from peers.faults import Corrupt, Hang, Ok, Reset, Status, Truncate
from peers.files import FileServer
from peers.fixtures import EDH_TOKEN
from peers.s3 import SECRET
from routes.loopback import BUCKET, Cdse, Machine, key_of, leaks, points
from routes.places import WORLD
from scenes.glo30 import write_glo30
from support import bounds_of

if TYPE_CHECKING:
    from pathlib import Path

    from eo.wire import Sink
    from peers.faults import Fault, Rule
    from routes.conftest import Pair

PASSING: list[Fault] = [Status(429, 0.05), Status(503), Reset(), Truncate(50), Hang(1.5)]
PLACES = {
    "catalogue": ("stac", "/v1/search"),
    "header of a file": ("s3", "B04_10m.jp2"),
    "whole file": ("s3", "SCL_20m.jp2"),
    "elevation's metadata": ("dem", "GLO-30-v1.zarr/zarr.json"),
    "elevation": ("dem", "/dsm/c/"),
}
CALLS = {"catalogue": 2, "header of a file": 3, "whole file": 3, "elevation's metadata": 1, "elevation": 4}
"""Requests of a job that nothing disturbs: a search and the chosen items; a header for the plan and both files."""


def rule(route: Cdse, place: str, faults: list[Fault]) -> Rule:
    name, match = PLACES[place]
    found: Rule = getattr(route, name).script.add(match, faults)
    return found


class TestWhatPasses:
    @pytest.mark.parametrize("place", PLACES)
    def test_every_kind_of_failure_leaves_the_same_result(
        self, route: Cdse, pair: Pair, same_locally: Path, place: str
    ) -> None:
        # Three attempts at most: two failures, then a success, and so on.
        faults = [fault for two in zip(PASSING[::2], PASSING[1::2], strict=False) for fault in (*two, Ok())]
        disturbed = rule(route, place, [*faults, PASSING[-1]])
        worked = route.machine.work(pair.inputs)
        failed = [fault for fault in disturbed.used if not isinstance(fault, Ok)]
        assert len(failed) == min(5, 2 * CALLS[place])
        assert disturbed.calls == CALLS[place] + len(failed)
        assert points(worked.ply) == points(same_locally)
        assert worked.requests == route.s3.requests + route.dem.requests


class TestWhatDoesNotPass:
    @pytest.mark.parametrize(("status", "error"), [(503, SourceUnavailable), (429, RateLimited)], ids=["503", "429"])
    def test_the_command_ends_and_later_goes_on(
        self, route: Cdse, pair: Pair, same_locally: Path, status: int, error: type[EoShardsError]
    ) -> None:
        # The plan's headers come, and one file after that does not.
        broken = route.s3.script.add("B03_10m.jp2", [Ok(), *[Status(status)] * 99])
        failed = route.machine.order("run", pair.inputs, EO_SHARDS_WORKERS="1")
        said = failed.failed(error.exit_code)
        assert f"{error.__name__}: s3://{BUCKET}/" in said
        assert "after 3 attempts" in said
        assert "the same command goes on where it stopped" in said
        assert broken.calls == 1 + 3
        assert not (route.machine.folder / "out").exists()
        before = {call.path for call in route.s3.calls if call.status == 200}
        route.forget()
        route.machine.order("run", pair.inputs).fine()
        # What had been fetched is not fetched again, and no plan is made.
        assert before
        assert not before & {call.path for call in route.s3.calls}
        assert route.stac.requests == 0
        assert points(route.machine.folder / "out" / "point_cloud.ply") == points(same_locally)

    @pytest.mark.parametrize(
        ("place", "status", "error"),
        [
            ("catalogue", 503, SourceUnavailable),
            ("header of a file", 429, RateLimited),
            ("elevation's metadata", 503, SourceUnavailable),
            ("elevation", 429, RateLimited),
        ],
    )
    def test_the_last_attempt_is_the_third(
        self, route: Cdse, pair: Pair, place: str, status: int, error: type[EoShardsError]
    ) -> None:
        broken = rule(route, place, [Status(status)] * 99)
        with pytest.raises(error, match="after 3 attempts") as caught:
            route.machine.work(pair.inputs)
        assert type(caught.value) is error
        assert broken.calls == 3

    @pytest.mark.parametrize("place", PLACES)
    @pytest.mark.parametrize("status", [401, 403, 404])
    def test_refusals_are_not_tried_again(self, route: Cdse, pair: Pair, place: str, status: int) -> None:
        broken = rule(route, place, [Status(status)] * 99)
        if status == 404 and place.startswith("elevation"):
            return  # how Zarr says that there is nothing: see test_elevation_by_zarr.py
        with pytest.raises(NothingFound if status == 404 else AccessDenied) as caught:
            route.machine.work(pair.inputs)
        assert broken.calls == 1
        said = str(caught.value)
        assert str(status) in said
        if status != 404 and PLACES[place][0] == "s3":
            assert "CDSE_KEY and CDSE_SECRET" in said
        if status != 404 and PLACES[place][0] == "dem":
            assert "EARTH_DATA_HUB_KEY" in said


class TestCredentials:
    @pytest.mark.parametrize(
        ("changed", "named", "code"),
        [
            ({"CDSE_SECRET": "wrongsecretexample"}, "CDSE_KEY and CDSE_SECRET", 6),
            ({"CDSE_KEY": "WRONGKEYEXAMPLE"}, "CDSE_KEY and CDSE_SECRET", 6),
            ({"CDSE_KEY": None, "CDSE_SECRET": None}, "CDSE_KEY and CDSE_SECRET", 6),
            ({"CDSE_SECRET": None}, "CDSE_SECRET", 2),
            ({"EARTH_DATA_HUB_KEY": "edh_pat_wrong"}, "EARTH_DATA_HUB_KEY", 6),
            ({"EARTH_DATA_HUB_KEY": None}, "EARTH_DATA_HUB_KEY", 6),
        ],
        ids=["wrong secret", "wrong key", "no keys", "half of the keys", "wrong token", "no token"],
    )
    def test_wrong_and_missing_ones_are_named(
        self, route: Cdse, pair: Pair, changed: dict[str, str | None], named: str, code: int
    ) -> None:
        ran = route.machine.order("run", pair.inputs, **changed)
        said = ran.failed(code)
        assert named in said
        assert not (route.machine.folder / "out").exists()
        assert len(route.s3.calls) <= (4 if named.startswith("EARTH") else 1)
        assert sum(call.status == 401 for call in route.dem.calls) <= 1
        assert leaks(route.machine, ran.out, ran.err, peers=route.peers) == []
        wrong = [value for value in changed.values() if value]
        assert not any(value in ran.out + ran.err for value in wrong)

    def test_a_crash_does_not_tell_them_either(self, route: Cdse, pair: Pair) -> None:
        """Secrets in what a server says back: its error document, a redirect, a header."""
        names = {"CDSE_STAC_URL": f"{route.stac.url}/{EDH_TOKEN}", "EO_SHARDS_RETRY_ATTEMPTS": "1"}
        ran = route.machine.order("run", pair.inputs, **names)
        assert ran.code != 0
        assert EDH_TOKEN not in ran.out + ran.err
        assert leaks(route.machine, ran.out, ran.err) == []
        assert SECRET not in ran.err

    def test_the_user_s_own_profiles_do_not_matter(self, route: Cdse, pair: Pair) -> None:
        broken = route.machine.folder / "config"
        broken.write_text("[no end")
        own: dict[str, Any] = {"AWS_PROFILE": "gone", "AWS_CONFIG_FILE": str(broken)}
        route.machine.order("plan", pair.inputs, **own).fine()


class Answers:
    """A transport that answers a request for bytes by script, as a source that misreads ranges would."""

    BODY = bytes(range(250)) * 4

    def __init__(self, *script: tuple[int, int]) -> None:
        self.script = list(script)
        """(first byte, bytes until the connection breaks) of each answer."""

    def fetch(self, target: str, *, start: int, end: int | None, etag: str | None, sink: Sink) -> Head:  # noqa: ARG002
        first, count = self.script.pop(0)
        head = Head(len(self.BODY), "etag", first)
        sink(head, self.BODY[first : first + count])
        if end is None and first + count < len(self.BODY):
            raise Transient("broke")
        return head

    def head(self, target: str) -> Head:
        raise AssertionError(f"{target}: its size is learnt from the first answer; nobody needs to ask for it")

    def close(self) -> None:
        """There is no connection."""

    def reader(self) -> ObjectReader:
        policy = Policy(attempts=3, delay=0.001, max_delay=0.001)
        return ObjectReader(self, "s3://bucket/file", policy=policy, traffic=Traffic())


class TestRangesThatAreIgnored:
    """Not by HTTP only, which test_transport.py looks at."""

    def test_other_bytes_than_those_asked_for_are_refused(self) -> None:
        assert Answers((0, 1000)).reader().read(0, 10) == Answers.BODY[:10]
        with pytest.raises(CorruptData, match=r"asked for bytes from 100, the server sent those from 0; it ignores"):
            Answers((0, 1000)).reader().read(100, 10)

    def test_a_download_goes_on_where_it_broke_or_begins_again(self, tmp_path: Path) -> None:
        for number, first in enumerate((300, 0)):
            path = Answers((0, 300), (first, 1000)).reader().download(tmp_path / str(number))
            assert path.read_bytes() == Answers.BODY
        with pytest.raises(CorruptData, match=r"asked for bytes from 300, the server sent those from 400"):
            Answers((0, 300), (400, 600)).reader().download(tmp_path / "hole")
        assert not (tmp_path / "hole").exists()


class TestBytesThatAreNotWhatTheyWere:
    def test_a_file_that_does_not_fit_its_checksum_is_refused(self, route: Cdse, pair: Pair) -> None:
        route.s3.script.add("B04_10m.jp2", [Ok(), Corrupt()])
        failed = route.machine.order("run", pair.inputs)
        said = failed.failed(CorruptData.exit_code)
        assert "B04_10m.jp2: its sha256 is " in said
        assert not (route.machine.folder / "out").exists()
        # It was damaged on the way, so the same command, later, succeeds.
        route.machine.order("run", pair.inputs).fine()

    def test_a_file_replaced_by_another_is_refused(self, route: Cdse, pair: Pair) -> None:
        scene = pair.scenes[0]
        key = key_of(scene, "B02")
        route.s3.put(BUCKET, key, scene.assets["B03"])
        try:
            with pytest.raises(CorruptData, match="as the catalogue says"):
                route.machine.work(pair.inputs)
        finally:
            route.s3.put(BUCKET, key, scene.assets["B02"])

    def test_a_file_that_is_another_place_than_its_item_says_is_refused(self, route: Cdse, pair: Pair) -> None:
        """The plan believes the second scene's item, since the first one's was right; fetch looks again."""
        scene, other = pair.scenes[1], pair.scenes[0]
        key = key_of(scene, "B02")
        route.s3.put(BUCKET, key, other.assets["B02"])
        item = route.stac.index.get("sentinel-2-l2a", scene.id)
        assert item is not None
        asset = item["assets"][scene.keys["B02"]]
        checksum = asset.pop("file:checksum")
        try:
            with pytest.raises(CorruptData, match="the catalogue is wrong about it"):
                route.machine.work(pair.inputs)
        finally:
            asset["file:checksum"] = checksum
            route.s3.put(BUCKET, key, scene.assets["B02"])


def test_reads_that_fail_inside_gdal_leave_no_traceback(pair: Pair, tmp_path: Path) -> None:
    """GDAL reads through callbacks, out of which no exception can come."""
    root = tmp_path / "served"
    root.mkdir()
    dem = write_glo30(root, world=WORLD, bounds=bounds_of(*pair.scenes))
    with FileServer(root) as server:
        machine = Machine(tmp_path / "machine", {"COP_DEM_30_URL": server.url, "COP_DEM_90_URL": server.url})
        server.script.add(".tif", [Ok(), *[Status(503)] * 30])
        inputs = {name: value for name, value in pair.local.items() if name != "dem_path"}
        ran = machine.order("run", inputs | {"dem": "cop-dem-glo-30"}, EO_SHARDS_WORKERS="1")
    said = ran.failed(SourceUnavailable.exit_code)
    assert next(iter(dem.tiles)) in said
    assert "after 3 attempts" in said
    assert "Exception ignored" not in ran.err


def test_a_job_whose_catalogue_was_down_is_planned_later(route: Cdse, pair: Pair) -> None:
    machine = replace(route.machine, env={**route.machine.env, "EO_SHARDS_RETRY_ATTEMPTS": "2"})
    down = route.stac.script.add("", [Status(503)] * 99)
    said = machine.order("run", pair.inputs).failed(7)
    assert "/v1" in said
    assert down.calls == 2
    route.forget()
    machine.order("run", pair.inputs).fine()
