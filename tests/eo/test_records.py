"""Records on the store: read back equal, refused where they are damaged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eo.errors import CorruptData
from eo.folder_store import FolderStore
from eo.grid import RasterGrid, Window
from eo.job import ElevationSource, Part, Plan, Unit
from eo.records import part_key, read_part, read_plan, read_units, write_units

PLAN = Plan.model_construct(job="j", generation=2)
UNITS = [Unit(id="r00000c00000", window=Window(-5, 7, 3, 4)), Unit(id="b", window=Window(0, 0, 1, 1), array="dem/0")]
PART = Part(
    unit="a",
    keys={"body": "k"},
    sizes={"body": 3},
    digests={"body": "ff"},
    counts={"points": 1},
    extremes={"z": (-0.1, 1e300)},
)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def test_units_and_parts_are_read_as_written(store: FolderStore) -> None:
    write_units(store, "j", "fetch", UNITS)
    assert read_units(store, "j", "fetch") == UNITS
    store.write(part_key(PLAN, "fetch", "a"), [PART.model_dump_json().encode()])
    assert read_part(store, PLAN, "fetch", "a") == PART


def test_sources_keep_their_grid_to_the_last_bit() -> None:
    """Places are counted from the larger raster's corner, so that one must survive too."""
    whole = RasterGrid("EPSG:4326", -180 - 1 / 7200, 90 + 1 / 7200, 1 / 3600, 1 / 3600, 1_296_000, 648_000)
    source = ElevationSource(adapter="local", grid=whole.cropped(Window(7, 9, 100, 50)), origin=(7, 9), href="x")
    again = ElevationSource.model_validate_json(source.model_dump_json())
    assert again == source
    assert again.grid.origin == (whole.x, whole.y, 7, 9)


READERS: list[Callable[[FolderStore], object]] = [
    lambda store: read_units(store, "j", "fetch"),
    lambda store: read_part(store, PLAN, "fetch", "a"),
    lambda store: read_plan(store, "j"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("damage", [None, b"", b"{", b"[{}]", b'{"unit": "a", "surprise": 1}'])
def test_what_is_gone_or_damaged_is_named(
    store: FolderStore, read: Callable[[FolderStore], object], damage: bytes | None
) -> None:
    if damage is not None:
        for key in ("jobs/j/units/fetch.json", part_key(PLAN, "fetch", "a"), "jobs/j/plan.json"):
            store.write(key, [damage])
    with pytest.raises(CorruptData, match="gone or not readable"):
        read(store)
