"""The folder store: objects whole or not at all, inside their folder, with errors that help."""

import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
from pathlib import Path

import pytest

from eo.errors import InvalidInput, JobBusy, LostWork, TooLarge
from eo.folder_store import FolderStore
from eo.store import Body


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def written(store: FolderStore, key: str, data: bytes) -> Body:
    store.write(key, [data])
    return Body(key, len(data), hashlib.sha256(data).hexdigest())


def test_an_object_is_its_pieces_in_order(store: FolderStore) -> None:
    store.write("a/b.bin", [b"one", memoryview(b"two"), b""])
    assert store.read("a/b.bin") == b"onetwo"
    assert list(store.read_all(["a/b.bin", "a/b.bin"])) == [b"onetwo"] * 2
    assert store.reader("a/b.bin").read() == b"onetwo"
    assert store.digest("a/b.bin") == hashlib.sha256(b"onetwo").hexdigest()
    assert store.exists("a/b.bin")
    assert not store.exists("a")
    for absent in (store.read, store.reader, lambda key: list(store.read_all(["a/b.bin", key]))):
        with pytest.raises(KeyError):
            absent("a/c.bin")


def test_keys_are_those_of_whole_objects_below_a_prefix(store: FolderStore) -> None:
    for key in ("a/b", "a/c/d", "ab/e"):
        store.write(key, [b"1"])
    (store.root / "a" / ".f.123.part").write_bytes(b"half")
    assert sorted(store.keys("a/")) == ["a/b", "a/c/d"]
    assert list(store.keys("nothing/")) == []


def test_a_failed_write_leaves_the_object_as_it_was(store: FolderStore, tmp_path: Path) -> None:
    store.write("a", [b"old"])

    def broken() -> "object":
        yield b"new"
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        store.write("a", broken())  # type: ignore[arg-type]
    assert store.read("a") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("key", ["../a", "a/../../b", "a/.."])
def test_keys_do_not_leave_the_store(store: FolderStore, key: str) -> None:
    with pytest.raises(InvalidInput, match="leaves the store"):
        store.write(key, [b""])


def test_joining_is_a_head_and_the_bodies(store: FolderStore) -> None:
    bodies = [os.urandom(size) for size in (0, 1, 70_000, 3_000_000)]
    store.concatenate("whole", b"head", [written(store, f"body/{number}", body) for number, body in enumerate(bodies)])
    assert store.read("whole") == b"head" + b"".join(bodies)


@pytest.mark.parametrize("now", [None, b"x", bytes(3)], ids=["gone", "of another size", "zeros of equal size"])
def test_joining_refuses_a_body_that_is_not_what_was_written(store: FolderStore, now: bytes | None) -> None:
    bodies = [written(store, key, b"one") for key in ("a", "b")]
    store.delete("b")
    if now is not None:
        store.write("b", [now])
    with pytest.raises(LostWork, match=r"b is gone or not what was written.*--new"):
        store.concatenate("whole", b"head", bodies)
    assert not store.exists("whole")


def test_joining_works_where_the_kernel_does_not_copy(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused)
    body = os.urandom(2_500_000)
    store.concatenate("whole", b"h", [written(store, "body", body)] * 2)
    assert store.read("whole") == b"h" + body + body


def test_deleting_says_what_is_free_again(store: FolderStore) -> None:
    store.write("a/b", [b"123"])
    store.write("a/c/d", [b"45"])
    assert store.delete("a") == 5
    assert not (store.root / "a").exists()
    assert store.delete("a") == 0


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_deletion_that_is_killed_leaves_nothing_under_the_name(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "a-b"):
        store.write(f"scratch/{name}/c", [b"123"])
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "rmtree", _killed)
            with pytest.raises(KeyboardInterrupt):
                store.delete(f"scratch/{name}")
    assert not store.exists("scratch/a/c")
    assert len(list((store.root / "scratch").iterdir())) == 2
    assert store.names("scratch") == ["a", "a-b"]
    store.write("scratch/a/d", [b"45"])
    assert store.delete("scratch/a") == 5
    assert store.names("scratch") == ["a-b"]
    assert store.delete("scratch/a-b") == 3
    assert list((store.root / "scratch").iterdir()) == []
    assert store.names("nothing") == []


def test_what_cannot_be_renamed_is_deleted_all_the_same(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    store.write("a/b", [b"123"])
    monkeypatch.setattr(Path, "rename", full)
    assert store.delete("a") == 3
    assert list(store.root.iterdir()) == []


def test_a_full_disk_is_named_with_its_remedy(store: FolderStore) -> None:
    """RLIMIT_FSIZE in a child: the limit cannot be taken back in this process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            store.write("large", [b"x" * 500, b"y" * 5000])
            os.write(writer, b"written")
        except TooLarge as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        message = answer.read()
    assert "no room to write large" in message
    assert "EO_SHARDS_HOME" in message
    assert list(store.root.iterdir()) == []


def hold(root: Path, held: "multiprocessing.synchronize.Event", done: "multiprocessing.synchronize.Event") -> None:
    with FolderStore(root).locked("jobs/a/lock"):
        held.set()
        done.wait(30)


def test_a_job_is_held_by_one_process_and_free_when_that_dies(store: FolderStore) -> None:
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(target=hold, args=(store.root, held, done))
    process.start()
    assert held.wait(30)
    with pytest.raises(JobBusy, match=f"process {process.pid} is working"), store.locked("jobs/a/lock"):
        pass
    process.kill()
    process.join()
    with store.locked("jobs/a/lock"):
        assert store.read("jobs/a/lock") == str(os.getpid()).encode()
