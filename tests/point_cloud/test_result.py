"""The merge: what the header, the summary and the errors say."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData

from eo.bbox import BBox
from eo.catalog import Scene
from eo.errors import NothingFound
from eo.folder_store import FolderStore
from eo.grid import TargetGrid, Window
from eo.job import Part, Plan, Result, Unit
from eo.outcome import attributions
from eo.ply import MAX_LINE, encode, read_header
from eo.records import part_key, write_units
from eo.stage import Stage
from eo.unit_io import ResultIO
from point_cloud.result import comments, merge
from point_cloud.thumbnail import PIXEL

WINDOW = Window(1000, -2000, 8, 6)
UNITS = [
    Unit(id="r00000c00000", window=Window(1000, -2000, 5, 6)),
    Unit(id="r00000c00001", window=Window(1005, -2000, 3, 6)),
]
FILES = {"point_cloud.ply", "checksums.json", "point_cloud.json", "preview.png", "oblique.png", "index.html"}


def scene(name: str = "S2A_T32TPS", year: int = 2026, **changes: Any) -> Scene:
    values: dict[str, Any] = {
        "id": name,
        "collection": "sentinel-2-l2a",
        "datetime": f"{year}-07-12T10:10:31.024000Z",
        "cloud_cover": None,
        "platform": "",
        "baseline": "05.11",
        "footprint": {},
        "assets": {},
        "crs": "EPSG:32632",
        "year": year,
        "href": "item.json",
    }
    return Scene(**(values | changes))


def plan(*scenes: Scene, elevation: str = "dem.tif", notes: tuple[str, ...] = (), **inputs: Any) -> Plan:
    # model_construct: what the merge does not read may be missing.
    return Plan.model_construct(
        job="job",
        process="point-cloud",
        version="1.0.0",
        software="eo-shards 0.1.0",
        inputs={"sampled_fraction": 0.5, "coordinates": "local", "max_reflectance": 0.3, "dem": "local"} | inputs,
        bbox=BBox.parse("4.5,0.17,4.7,0.19"),
        grid=TargetGrid("EPSG:32632", 10, 0, 0, WINDOW),
        scenes=scenes or (scene(),),
        sources={},
        vertical_crs="EPSG:3855",
        elevation_name=elevation,
        stages=(Stage(name="align", map="a:b", over="shards"), Stage(name="drape", map="a:b", over="shards")),
        notes=notes,
    )


def points(window: Window) -> np.ndarray[Any, Any]:
    count = window.pixels // 2
    place = np.arange(count, dtype=np.float32)
    colour = np.full(count, 7, np.uint8)
    return encode(place, -place, place + 100, (colour, colour, colour), "local")


def merged(
    folder: Path, made: Plan, *, counts: dict[str, int] | None = None, drape: dict[str, int] | None = None
) -> tuple[Result, Path]:
    """Merge two shards; the counts are those of each of them."""
    store = FolderStore(folder)
    parts = []
    for stage in ("align", "drape"):
        write_units(store, made.job, stage, UNITS)
    for unit in UNITS:
        pixels = unit.window.pixels
        aligned = {"inside": pixels, "empty": 0, "masked": 0, "void": 0, "valid": pixels} | (counts or {})
        store.write(part_key(made, "align", unit.id), [Part(unit=unit.id, counts=aligned).model_dump_json().encode()])
        body = points(unit.window).tobytes()
        thumbnail = np.full(unit.window.shape, 100, PIXEL)
        keys = {role: f"{made.work}/parts/drape/{unit.id}.{role}" for role in ("body", "thumbnail")}
        written = {"body": body, "thumbnail": thumbnail.tobytes()}
        for role, data in written.items():
            store.write(keys[role], [data])
        corner = {"x": (4505000.0, 4506000.0), "y": (19000.0, 20000.0), "z": (100.0, 123.5)}
        made_points = {"points": pixels // 2, "known": pixels} | (drape or {})
        parts.append(
            Part(
                unit=unit.id,
                keys=keys,
                sizes={role: len(data) for role, data in written.items()},
                digests={role: hashlib.sha256(data).hexdigest() for role, data in written.items()},
                counts=made_points,
                extremes=corner,
            )
        )
    return merge(parts, ResultIO(plan=made, store=store)), folder / "jobs" / "job" / "result"


def test_result_has_all_files_and_counts(tmp_path: Path) -> None:
    result, out = merged(tmp_path, plan(notes=("first things first",)))
    assert {path.name for path in out.iterdir()} == FILES == set(result.files)
    assert result.summary["points"] == 24
    assert PlyData.read(out / "point_cloud.ply")["vertex"].count == 24
    assert result.summary["bytes"] == (out / "point_cloud.ply").stat().st_size
    assert result.summary["bounds"]["z"] == [100.0, 123.5]
    assert result.summary["notes"] == ["first things first"]
    assert Image.open(io.BytesIO((out / "preview.png").read_bytes())).size == (WINDOW.width, WINDOW.height)


def test_equal_parts_give_equal_bytes(tmp_path: Path) -> None:
    one, first = merged(tmp_path / "one", plan())
    other, second = merged(tmp_path / "other", plan())
    assert one == other
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_header_says_where_the_points_belong_and_come_from(tmp_path: Path) -> None:
    _, out = merged(tmp_path, plan(scene("S2A_one"), scene("S2B_two", 2025, baseline=None)))
    found = read_header(out / "point_cloud.ply").comments
    assert found["crs"] == ["EPSG:32632"]
    assert found["vertical"] == ["EPSG:3855"]
    assert found["units"] == ["metre"]
    # The centre of the pixel in the middle: column 1004, row -1997.
    assert [float(found[f"offset_{axis}"][0]) for axis in "xyz"] == [10045.0, 19965.0, 0.0]
    assert found["scene"] == [
        "S2A_one 2026-07-12T10:10:31.024000Z baseline 05.11",
        "S2B_two 2025-07-12T10:10:31.024000Z baseline unknown",
    ]
    assert found["generator"] == ["eo-shards 0.1.0, process point-cloud 1.0.0"]
    assert (
        b"\ncomment contains modified Copernicus Sentinel data 2025, 2026\n" in (out / "point_cloud.ply").read_bytes()
    )


def test_absolute_coordinates_need_no_offset() -> None:
    found = dict(comments(plan(coordinates="absolute")))
    assert [found[f"offset_{axis}"] for axis in "xyz"] == ["0", "0", "0"]


def test_notice_of_one_year() -> None:
    assert ("contains", "modified Copernicus Sentinel data 2026") in comments(plan())


@pytest.mark.parametrize(("dem", "notices"), [("local", 1), ("earth-data-hub", 2), ("cop-dem-glo-30", 2)])
def test_notice_of_the_copernicus_dem_only_where_it_is_in(dem: str, notices: int) -> None:
    made = plan(dem=dem)
    assert len(attributions(made)) == notices
    found = dict(comments(made))
    assert ("produced" in found) == (dem != "local")
    if dem != "local":
        assert "DLR e.V. 2010-2014 and (c) Airbus" in found["produced"]


@pytest.mark.parametrize("name", ["Höhen\nmodell.tif", "x" * 5000, "a\tb", "\x00"])
def test_names_from_outside_never_break_the_header(name: str, tmp_path: Path) -> None:
    _, out = merged(tmp_path, plan(scene(name), elevation=name))
    header = read_header(out / "point_cloud.ply")
    head = (out / "point_cloud.ply").read_bytes()[: header.size].decode("ascii")
    assert max(len(line) for line in head.splitlines()) < MAX_LINE
    assert len(header.comments["dem"]) == len(header.comments["scene"]) == 1


def test_notes_name_what_was_left_out(tmp_path: Path) -> None:
    counts = {"inside": 50_000, "empty": 1234, "masked": 250, "void": 1, "valid": 40_000}
    result, _ = merged(tmp_path, plan(), counts=counts)
    assert result.summary["notes"] == [
        "left out 2,468 pixels (2.47 %) where no scene has data",
        "left out 500 pixels (0.50 %) where there are clouds, shadows or defects",
        "left out 2 pixels (less than 0.01 %) where dem.tif has no elevation",
    ]


DRAPED = {"known": 1, "clouded": 0}
"""What each shard's drape stage counts, unless it is said otherwise."""
EMPTY = {
    "inside": ({"inside": 0, "valid": 0}, "no pixel has its centre in bbox .* 10 m wide, choose a larger bbox"),
    "data": (
        {"inside": 500, "empty": 500, "valid": 0},
        "no scene has data at any of the 1,000 pixels in bbox 4.5,0.17,4.7,0.19: choose other dates or another bbox",
    ),
    "clouds": (
        {"inside": 500, "empty": 400, "masked": 100, "valid": 0},
        "clouds, shadows or defects cover all 200 pixels with data .* turn mask_clouds off",
    ),
    "elevation": (
        {"inside": 500, "masked": 100, "void": 400, "valid": 400},
        "dem.tif has no elevation at any of the 800 pixels with data .*: choose another dem",
    ),
    "clouds that were corrected": (
        {"inside": 500, "valid": 500, "known": 0, "clouded": 500},
        "found clouds at all 1,000 pixels in bbox .* choose other dates, or turn mask_clouds off",
    ),
    "sampling": (
        {"inside": 500, "void": 9, "valid": 10},
        "sampled_fraction 0.001 keeps none of the 2 pixels .*: raise it",
    ),
}


@pytest.mark.parametrize(("counts", "message"), EMPTY.values(), ids=EMPTY)
def test_an_empty_result_says_why_and_leaves_no_file(counts: dict[str, int], message: str, tmp_path: Path) -> None:
    with pytest.raises(NothingFound, match=message):
        merged(
            tmp_path,
            plan(sampled_fraction=0.001),
            counts=counts,
            drape={"points": 0} | {name: counts.get(name, known) for name, known in DRAPED.items()},
        )
    assert not (tmp_path / "jobs" / "job" / "result").exists()
