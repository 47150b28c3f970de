"""A land-cover training as a job: patches from the bucket, taken away in the middle, on another machine to its end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
from buckets import BUCKET, bucket_of, environment
from eo.model import checked
from land_cover.labels import CLASSES
from peers.s3 import S3Peer
from training import cloud
from training.land_cover.data import convert
from training.land_cover.synthetic.plan import Params
from training.land_cover.synthetic.write import write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = __file__.rpartition("/tests/")[0]
MODEL = "land-cover-tiny"
LAST = "training/runs/job-1/last.ckpt"
OPTIONS = "--architecture test_resnet --batch 4 --epochs 2 --warmup 0 --progress false --threads 1"
STANDING = """
import sys, time
from training.land_cover import __main__, train

class Standing(train.Pace):
    def on_train_batch_start(self, trainer, *_):
        while trainer.current_epoch == 1 and not trainer.received_sigterm:
            time.sleep(0.02)

train.Pace = Standing
sys.exit(__main__.main())
"""
"""The training, which stands still in its second epoch until it is told to end: by itself it does so after a batch."""
IMAGE = """
import re, sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

class Pinned:
    names = {plain(name) for name in re.findall(r"^([a-z0-9.-]+)==", open(REQUIREMENTS).read(), re.MULTILINE)}
    of = packages_distributions()

    def find_spec(self, name, path=None, target=None):
        own = {plain(each) for each in self.of.get(name.partition(".")[0], ())}
        return PathFinder.find_spec(name, path, target) if own <= {"eo-shards"} or own & self.names else None

    def find_distributions(self, context):
        return (found for found in PathFinder.find_distributions(context) if plain(found.name) in self.names)

sys.meta_path[sys.meta_path.index(PathFinder)] = Pinned()
"""
"""A Python that has, of what is installed, only what training/requirements.txt names."""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Peer]:
    """With a few generated patches in training/data/."""
    folder = tmp_path_factory.mktemp("patches")
    write(folder / "reben", Params(patches=24))
    convert.convert(folder / "reben", folder / "tiny.zarr")
    with S3Peer() as peer, bucket_of(peer):
        peer.put_tree(BUCKET, "training/data/tiny.zarr/", folder / "tiny.zarr")
        yield peer


def test_a_land_cover_training_goes_on_on_another_machine_and_leaves_its_model(
    bucket: S3Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--bucket", BUCKET, "--model", MODEL, "--data", "tiny.zarr", "--", OPTIONS]
    for name in ("first", "second", "image"):
        (tmp_path / name).mkdir()
    interrupted(bucket, words, tmp_path / "first")
    assert not bucket.keys(BUCKET, "models/")

    (tmp_path / "image" / "sitecustomize.py").write_text(
        IMAGE.replace("REQUIREMENTS", repr(f"{ROOT}/training/requirements.txt"))
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'image'}:{ROOT}:{ROOT}/functions")
    monkeypatch.setenv("AWS_BATCH_JOB_ID", "job-1")
    monkeypatch.chdir(tmp_path / "second")
    assert cloud.main(words) == 0

    for key in bucket.keys(BUCKET, f"models/{MODEL}/"):
        brought = tmp_path / key
        brought.parent.mkdir(parents=True, exist_ok=True)
        brought.write_bytes(bucket.get(BUCKET, key))
    card = checked(tmp_path / "models" / MODEL).card
    assert (card.classes, card.synthetic, card.training.epochs) == (CLASSES, True, 2)
    assert "--data build/cloud/data/tiny.zarr" in card.training.command
    # A log of each attempt: the second began where the first was interrupted.
    logs = [bucket.get(BUCKET, f"training/runs/job-1/log/version_{attempt}/metrics.csv") for attempt in (0, 1)]
    assert [{line.split(b",")[0] for line in log.splitlines()} for log in logs] == [{b"epoch", b"0"}, {b"epoch", b"1"}]


def interrupted(bucket: S3Peer, words: list[str], machine: Path) -> None:
    """A first attempt, told to end when its checkpoint of the first epoch is in the bucket."""
    (machine / "standing.py").write_text(STANDING)
    code = "import sys\nfrom training import cloud\nsys.exit(cloud.main(training=['standing.py'], seconds=0.1))"
    attempt = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=machine,
        env=os.environ | environment(bucket) | {"AWS_BATCH_JOB_ID": "job-1", "PYTHONPATH": f"{ROOT}:{ROOT}/functions"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    end = time.monotonic() + 60
    while LAST not in bucket.keys(BUCKET, "training/runs/") and attempt.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    attempt.send_signal(signal.SIGTERM)
    said, _ = attempt.communicate(timeout=60)
    assert attempt.returncode == cloud.STOPPED, said
    assert LAST in bucket.keys(BUCKET, "training/runs/"), said
    shutil.rmtree(machine)
