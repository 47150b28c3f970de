"""A training whose machine is taken away goes on from the checkpoints that are in the bucket."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from buckets import BUCKET, bucket_of, environment
from eo.errors import CorruptData, InvalidInput, NothingFound, TooLarge
from peers.faults import Hang, Reset, Status
from peers.s3 import S3Peer
from training import cloud
from training.checkpoints import Mirror

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = __file__.rpartition("/tests/")[0]
TRAINING = """
import argparse, pathlib, sys, time
parser = argparse.ArgumentParser()
for name in ("--model", "--out", "--work", "--data", "--pairs", "--steps"):
    parser.add_argument(name)
given = parser.parse_args()
work, out = pathlib.Path(given.work), pathlib.Path(given.out)
last = work / "last.ckpt"
step = int(last.read_text()) if last.exists() else 0
(work / "log").mkdir(exist_ok=True)
(work / "log" / "from.csv").write_text(str(step))
while step < int(given.steps):
    step += 1
    new = work / ".new"
    new.write_text(str(step))
    new.rename(last)
    time.sleep(60 if step == 3 and not (work / "log" / "again").exists() else 0)
out.mkdir(parents=True)
(out / "card.json").write_text((pathlib.Path(given.pairs) / "seed.txt").read_text() if given.pairs else str(step))
"""
"""Counts, as a training would: it stays at its third step, until a run was interrupted there."""


@pytest.fixture
def bucket() -> Iterator[S3Peer]:
    with S3Peer() as peer, bucket_of(peer):
        yield peer


@pytest.fixture
def training(tmp_path: Path) -> list[str]:
    script = tmp_path / "training.py"
    script.write_text(TRAINING)
    return [str(script)]


def keys(peer: S3Peer) -> list[str]:
    return peer.keys(BUCKET)


def test_a_folder_comes_back_as_it_was(bucket: S3Peer, tmp_path: Path) -> None:
    there = Mirror(tmp_path / "there", f"s3://{BUCKET}/training/runs/a/")
    (there.folder / "log" / "version_0").mkdir(parents=True)
    (there.folder / "last.ckpt").write_bytes(bytes(range(256)))
    (there.folder / "log" / "version_0" / "metrics.csv").write_text("loss\n0.1\n")
    (there.folder / ".part").write_text("half")
    assert there.push() == 2
    bucket.put(BUCKET, "training/runs/a/", b"")  # a console's folder
    bucket.put(BUCKET, "training/runs/ab/other", b"not of this run")
    here = Mirror(tmp_path / "here", there.prefix)
    assert here.pull() == 2
    files = {str(path.relative_to(here.folder)): path.read_bytes() for path in here.folder.rglob("*") if path.is_file()}
    assert files == {"last.ckpt": bytes(range(256)), "log/version_0/metrics.csv": b"loss\n0.1\n"}
    assert here.push() == 0, "what was brought is not sent back"


def test_what_is_unchanged_is_sent_once(bucket: S3Peer, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path, f"s3://{BUCKET}/run/")
    (tmp_path / "best.ckpt").write_text("1")
    (tmp_path / "last.ckpt").write_text("1")
    assert (mirror.push(), mirror.push()) == (2, 0)
    (tmp_path / "last.ckpt").write_text("22")
    assert mirror.push() == 1
    assert bucket.get(BUCKET, "run/last.ckpt") == b"22"


def test_what_a_checkpoint_names_is_there_before_it(bucket: S3Peer, tmp_path: Path) -> None:
    for age, name in enumerate(("a-newest", "z-oldest")):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, ns=(0, 10**9 * (10 - age)))
    Mirror(tmp_path, f"s3://{BUCKET}/run/").push()
    sent = [call.path.rpartition("/")[2] for call in bucket.calls if call.method == "PUT"]
    assert sent == ["z-oldest", "a-newest"]


def test_nothing_is_written_outside_of_the_folder(bucket: S3Peer, tmp_path: Path) -> None:
    bucket.put(BUCKET, "run/../../escaped", b"")
    with pytest.raises(CorruptData, match="outside of"):
        Mirror(tmp_path / "run", f"s3://{BUCKET}/run/").pull()
    assert not (tmp_path.parent / "escaped").exists()


def test_many_files_come_at_once(bucket: S3Peer, tmp_path: Path) -> None:
    """Each would wait for its first byte."""
    for name in range(12):
        bucket.put(BUCKET, f"data/{name}", bytes([name]))
    rule = bucket.script.add(lambda method, target: method == "GET" and "/data/" in target, [Hang(0.3)] * 12)
    began = time.monotonic()
    assert Mirror(tmp_path, f"s3://{BUCKET}/data/").pull() == 12
    assert time.monotonic() - began < 12 * 0.3
    assert rule.left == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {str(at): bytes([at]) for at in range(12)}


def test_a_file_that_breaks_off_is_asked_for_again(bucket: S3Peer, tmp_path: Path) -> None:
    """Data come in thousands of requests, and a job that failed is not tried again."""
    content = bytes(range(256)) * 4096
    bucket.put(BUCKET, "data/a", content)
    rule = bucket.script.add(lambda method, target: method == "GET" and "/data/a" in target, [Reset(), Status(503)])
    assert Mirror(tmp_path, f"s3://{BUCKET}/data/").pull() == 1
    assert rule.left == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == content


def test_what_does_not_fit_on_the_disk_is_refused_before_it_is_brought(
    bucket: S3Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(BUCKET, "data/a", bytes(600))
    bucket.put(BUCKET, "data/b", bytes(500))
    mirror = Mirror(tmp_path, f"s3://{BUCKET}/data/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=1000))
    with pytest.raises(TooLarge, match=r"1,100 bytes to bring, the disk of .* has 1,000 left: give it a larger"):
        mirror.pull()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "b").write_bytes(bytes(500))  # is replaced
    assert mirror.pull() == 2


@pytest.mark.parametrize("prefix", ["run/", "s3://bucket", "s3://bucket/run", "s3://bucket//", "https://bucket/run/"])
def test_a_prefix_is_a_folder_of_a_bucket(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(InvalidInput, match="s3://bucket/path/"):
        Mirror(tmp_path, prefix)


def test_a_run_reads_data_and_leaves_checkpoints_and_the_model(
    bucket: S3Peer, training: list[str], tmp_path: Path
) -> None:
    bucket.put(BUCKET, "training/data/pairs/seed.txt", b"7")
    words = [
        "--bucket",
        BUCKET,
        "--model",
        "atmosphere-field",
        "--run",
        "r",
        "--data",
        "pairs",
        "--folder",
        str(tmp_path / "w"),
    ]
    assert cloud.main([*words, "--", "--steps", "2"], training=training) == 0
    assert bucket.get(BUCKET, "models/atmosphere-field/card.json") == b"7"
    assert bucket.get(BUCKET, "training/runs/r/last.ckpt") == b"2"
    assert keys(bucket) == [
        *("models/atmosphere-field/card.json", "training/data/pairs/seed.txt"),
        *("training/runs/r/last.ckpt", "training/runs/r/log/from.csv"),
    ]


def test_a_training_that_fails_leaves_no_model(bucket: S3Peer, tmp_path: Path) -> None:
    words = ["--bucket", BUCKET, "--model", "atmosphere-field", "--run", "r", "--folder", str(tmp_path / "w")]
    assert cloud.main(words, training=["-c", "raise SystemExit(3)"]) == 3
    assert keys(bucket) == []


def test_a_run_that_was_interrupted_goes_on_where_it_was(bucket: S3Peer, training: list[str], tmp_path: Path) -> None:
    """As Batch does it: SIGTERM to the container, then another container on another machine, with the same job id."""
    code = f"import sys\nfrom training import cloud\nsys.exit(cloud.main(training={training!r}, seconds=0.1))"
    words = [
        "--bucket",
        BUCKET,
        "--model",
        "atmosphere-field",
        "--folder",
        str(tmp_path / "first"),
        "--",
        "--steps",
        "5",
    ]
    first = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=os.environ | environment(bucket) | {"AWS_BATCH_JOB_ID": "job-1", "PYTHONPATH": f"{ROOT}:{ROOT}/functions"},
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 30
    while (
        "training/runs/job-1/last.ckpt" not in keys(bucket)
        or bucket.get(BUCKET, "training/runs/job-1/last.ckpt") != b"3"
    ):
        assert first.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    first.send_signal(signal.SIGTERM)
    said, _ = first.communicate(timeout=30)
    assert first.returncode == 143, said
    assert not [key for key in keys(bucket) if key.startswith("models/")]
    bucket.put(BUCKET, "training/runs/job-1/log/again", b"")
    again = ["--bucket", BUCKET, "--model", "atmosphere-field", "--run", "job-1", "--folder", str(tmp_path / "second")]
    assert cloud.main([*again, "--", "--steps", "5"], training=training) == 0
    assert bucket.get(BUCKET, "training/runs/job-1/log/from.csv") == b"3"
    assert bucket.get(BUCKET, "models/atmosphere-field/card.json") == b"5"


@pytest.mark.parametrize("words", [["--run", "../../jobs"], ["--model", "a/b"], ["--data", "/etc"], []])
def test_names_are_names(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A run's name becomes a part of a key. Outside of Batch it has to be given."""
    monkeypatch.delenv("AWS_BATCH_JOB_ID", raising=False)
    with pytest.raises(SystemExit):
        cloud.main(["--bucket", BUCKET, "--model", "atmosphere-field", *words])
    assert ("is no name" if words else "needs a name") in capsys.readouterr().err


def test_models_of_atmospheric_correction_are_told_by_their_names() -> None:
    pytest.importorskip("torch")
    from training.atmospheric_correction.__main__ import CONFIGS, PHYSICS  # noqa: PLC0415

    for model in (*CONFIGS, PHYSICS):
        given = cloud._parsed(["--bucket", BUCKET, "--model", model, "--run", "r", "--data", "none"])
        assert given.training.module == "training.atmospheric_correction"
        assert given.training.words(model, given.data) == ["--model", model]


@pytest.mark.parametrize("words", [["--country SWE --epochs 3"], ["--country", "SWE", "--epochs", "3"]])
def test_options_of_a_training_may_be_one_word(words: list[str]) -> None:
    """A parameter of a job is one word, and none may be empty."""
    told = ["--bucket", BUCKET, "--model", "land-cover-tiny", "--run", "r", "--data", "tiny.zarr", "--", *words]
    assert cloud._parsed(told).options == ["--country", "SWE", "--epochs", "3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "landcover-resnet26"], r"is of no training: names begin with land-cover-, "),
        (["--model", "land-cover-resnet26"], r"learns from BigEarthNet, .*training/data/NAME/ .* and give --data NAME"),
        (["--model", "land-cover-resnet26", "--data", "none"], r"and give --data NAME"),
        (["--model", "physics", "--", "--country 'NOR"], r"close its quotes"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_brought(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cloud.main(["--bucket", BUCKET, "--run", "r", *words])
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_data_that_is_not_in_the_bucket_is_refused(
    bucket: S3Peer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket.put(BUCKET, "training/data/bigearthnet.zarr/", b"")  # a console's folder
    words = ["--bucket", BUCKET, "--model", "land-cover-a", "--run", "r", "--data", "bigearthnet.zarr"]
    assert cloud.main([*words, "--folder", str(tmp_path)]) == NothingFound.exit_code
    assert f"0 files in s3://{BUCKET}/training/data/bigearthnet.zarr/: look at" in capsys.readouterr().err
