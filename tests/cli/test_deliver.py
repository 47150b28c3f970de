"""A result takes the place of an earlier one whole, or leaves it as it was."""

import fcntl
import os
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from cli import deliver as module
from cli.deliver import deliver
from eo.disk import explained
from eo.errors import InvalidInput, TooLarge
from eo.folder_store import FolderStore
from eo.job import Result

NAMES = ("new.json", "item.json", "quality.tif", "link.png", "checksums.json")
"""Files of the new result, in its order; of the first one there is no earlier version."""
EVERY = (*NAMES, "gone.laz", "never.laz", "folder.laz")
"""All that its process may make; of the first of the others there is an earlier version."""


class Delivery:
    """A job "j" whose merge writes NAMES, and a folder with files of an earlier result."""

    def __init__(self, folder: Path) -> None:
        self.store = FolderStore(folder / "home")
        self.out = folder / "out"
        self.out.mkdir()
        self.store.write("jobs/j/request.json", [b"{}"])
        for name in ("item.json", "quality.tif", "checksums.json", "gone.laz", "other.txt"):
            (self.out / name).write_text(f"old {name}")
        (self.out / "link.png").symlink_to("other.txt")

    def merge(self, *_: Any, store: FolderStore, **__: Any) -> Result:
        for name in NAMES:
            store.write(f"jobs/j/result/{name}", [f"new {name}".encode()])
        return Result(files=dict.fromkeys(NAMES, ""), summary={})

    def __call__(self) -> Result:
        plan: Any = SimpleNamespace(job="j")
        meter: Any = SimpleNamespace(store=self.store)
        return deliver(plan, [], store=self.store, out=self.out, files=EVERY, meter=meter)

    def found(self) -> dict[str, str]:
        """What lies in the folder, hidden folders included."""
        return {path.name: _what(path) for path in self.out.iterdir()}


def _what(path: Path) -> str:
    if path.is_symlink():
        return f"-> {path.readlink()}"
    return "folder" if path.is_dir() else path.read_text()


@pytest.fixture
def delivery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Delivery:
    made = Delivery(tmp_path)
    monkeypatch.setattr(module, "fan_in", made.merge)
    return made


def _at(monkeypatch: pytest.MonkeyPatch, moment: int, strike: BaseException) -> None:
    """Let something happen just before (even moments) or after (odd ones) a rename from or into the result's folder."""
    rename, moments = Path.rename, iter(range(1000))

    def passes() -> None:
        if next(moments) == moment:
            raise strike

    def renamed(self: Path, target: Path) -> Path:
        passes()
        try:
            return rename(self, target)
        finally:
            passes()

    monkeypatch.setattr(Path, "rename", renamed)


def test_a_result_replaces_files_of_its_process_and_no_others(delivery: Delivery) -> None:
    """An earlier result's file that this one has not would be of another cloud than all the files beside it."""
    (delivery.out / "folder.laz").mkdir()
    delivery()
    assert delivery.found().pop("folder.laz") == "folder"
    (delivery.out / "folder.laz").rmdir()
    assert delivery.found() == {name: f"new {name}" for name in NAMES} | {"other.txt": "old other.txt"}
    assert (delivery.store.path("jobs/j/result") / "item.json").read_text() == "new item.json"


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_a_files_name_leaves_the_earlier_result_as_it_was(delivery: Delivery, name: str) -> None:
    (delivery.out / name).unlink(missing_ok=True)
    (delivery.out / name).mkdir()
    (delivery.out / name / "mine").write_text("mine")
    before = delivery.found()
    with pytest.raises(InvalidInput, match=rf"{delivery.out / name} is a folder, .* choose another --out"):
        delivery()
    assert delivery.found() == before
    assert (delivery.out / name / "mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("strike", "error"), [(PermissionError(1, "no"), InvalidInput), (KeyboardInterrupt(), KeyboardInterrupt)]
)
@pytest.mark.parametrize("moment", range(4 * len(NAMES) + 2))
def test_what_comes_between_the_renames_leaves_the_earlier_result_as_it_was(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch, moment: int, strike: BaseException, error: type[BaseException]
) -> None:
    before = delivery.found()
    with monkeypatch.context() as patched:
        _at(patched, moment, strike)
        with pytest.raises(error):
            delivery()
    assert delivery.found() == before
    delivery()
    assert delivery.found() == {name: f"new {name}" for name in NAMES} | {"other.txt": "old other.txt"}


def test_a_state_folder_that_cannot_note_it_leaves_the_earlier_result_as_it_was(
    delivery: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, point = delivery.found(), module._point

    def pointed(link: Path, target: Path) -> None:
        if target == delivery.out:
            raise OSError(28, os.strerror(28))
        point(link, target)

    monkeypatch.setattr(module, "_point", pointed)
    with pytest.raises(TooLarge):
        delivery()
    assert delivery.found() == before


def test_jobs_rename_into_one_folder_one_after_the_other(delivery: Delivery) -> None:
    before = set(delivery.found())
    other = os.open(delivery.out, os.O_RDONLY)
    thread = Thread(target=delivery)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        assert set(delivery.found()) == before | {".eo-shards-j"}
        assert (delivery.out / "item.json").read_text() == "old item.json"
    finally:
        os.close(other)
    thread.join(10)
    assert not thread.is_alive()
    assert (delivery.out / "item.json").read_text() == "new item.json"


def test_the_remedies_of_a_full_disk_are_those_of_every_process(tmp_path: Path) -> None:
    with pytest.raises(TooLarge, match="choose a smaller bbox or a coarser resolution") as told, explained(tmp_path):
        raise OSError(28, os.strerror(28))
    assert "sampled_fraction" not in str(told.value)
