"""What is printed of a result, whichever process made it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli import show
from cli.jobs import Outcome
from cli.progress import labels
from eo.engine import Spent
from eo.job import Plan, Result
from eo.stage import Stage
from eo.tiling import Tiling


def test_files_and_counts_are_those_of_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mesh.ply").write_bytes(b"1234")
    grid = SimpleNamespace(crs="EPSG:32632", resolution=10)
    plan = cast("Plan", cast("Any", SimpleNamespace(grid=grid, stages=())))
    summary = {"points": 1234, "bytes": 2_500_000, "notes": ["a note"]}
    result = Result(files={"mesh.ply": "ff"}, summary=summary)
    show.outcome(Outcome("job", tmp_path, result, Spent(), plan, seconds=61.24))
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/mesh.ply  4 bytes",
        "1,234 points, 2.5 MB in 61.2 s, EPSG:32632, 10 m",
        "note: a note",
    ]


def test_a_result_without_points_says_what_it_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "surface.tif").write_bytes(b"1234")
    plan = cast("Plan", cast("Any", SimpleNamespace(grid=SimpleNamespace(crs="EPSG:32632", resolution=10), stages=())))
    summary = {"message": "12.1 Mpx corrected", "bytes": 2_500_000, "notes": []}
    result = Result(files={"surface.tif": "ff"}, summary=summary)
    show.outcome(Outcome("job", tmp_path, result, Spent(), plan, seconds=61.24))
    assert capsys.readouterr().out.splitlines()[1:] == ["12.1 Mpx corrected, 2.5 MB in 61.2 s, EPSG:32632, 10 m"]


def test_units_are_called_what_they_are() -> None:
    assert labels(Stage(name="a", map="a:b", over="shards"), 1234) == ("shards", ", 1,234 points")
    assert labels(Stage(name="a", map="a:b", over="blocks"), 0) == ("blocks", "")
    assert labels(Stage(name="a", map="a:b", over="scenes"), 0) == ("scenes", "")
    tiles = Stage(name="a", map="a:b", over="tiles", tiling=Tiling(stride=608, used=704, margin=32, block=3))
    assert labels(tiles, 0) == ("groups of tiles", "")
