"""A folder kept under a prefix of a bucket, so that a training goes on when its machine is taken away."""

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from eo.errors import CorruptData, InvalidInput, TooLarge

AT_ONCE = 16
"""Files that are pulled. BigEarthNet has thousands, each of which would wait for its first byte."""
ALONE = TransferConfig(use_threads=False)
"""Of each: by itself a transfer starts ten threads more, and holds 25 MiB that wait for the disk."""
PREFIX = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^/].*/)")


@dataclass
class Mirror:
    """A folder, and what of it is in the bucket.

    Files that are open for writing go along as they are; who writes checkpoints writes them whole and renames them, as
    Lightning does.
    """

    folder: Path
    prefix: str
    """`s3://bucket/path/`."""
    known: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """By file: time in nanoseconds and bytes, as they were when it was pulled or pushed."""

    def __post_init__(self) -> None:
        """Raises InvalidInput where the prefix is none."""
        found = PREFIX.fullmatch(self.prefix)
        if found is None:
            raise InvalidInput(
                f"{self.prefix!r} is no prefix of a bucket: give s3://bucket/path/, with the slash at its end"
            )
        self.bucket, self.path = found.groups()
        # As many connections as files, else the client makes one anew for each of the others.
        self.client: Any = boto3.session.Session().client("s3", config=Config(max_pool_connections=AT_ONCE))

    def pull(self) -> int:
        """Bring what is in the bucket into the folder; gives the number of files. Files that are there are replaced.

        Raises CorruptData where a key would lie elsewhere than in the folder, TooLarge where the disk is too small.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.path)
        found = {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}
        # Consoles make empty objects for folders.
        files = {self._place(key): (key, size) for key, size in found.items() if not key.endswith("/")}
        self._fit(sum(size for path, (_, size) in files.items() if not path.exists()))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for path, state in pool.map(self._download, files, (key for key, _ in files.values())):
                self.known[path] = state
        return len(files)

    def push(self) -> int:
        """Bring what has changed in the folder into the bucket, oldest first; gives the number of files.

        In this order a checkpoint never comes before one that it names: what is interrupted between them can be gone on
        from. Nothing is deleted.
        """
        files = {path: state for path, state in self._files() if self.known.get(path) != state}
        for path in sorted(files, key=lambda path: files[path]):
            key = self.path + path.relative_to(self.folder).as_posix()
            # Opened once: a checkpoint that takes its place meanwhile is another file.
            with path.open("rb") as file:
                self.client.upload_fileobj(file, self.bucket, key)
            self.known[path] = files[path]
        return len(files)

    def _place(self, key: str) -> Path:
        relative = PurePosixPath(key.removeprefix(self.path))
        if relative.is_absolute() or ".." in relative.parts:
            raise CorruptData(f"s3://{self.bucket}/{key} would lie outside of {self.folder}: remove it from the bucket")
        return self.folder / relative

    def _fit(self, needed: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise TooLarge(
                f"{self.prefix} has {needed:,} bytes to bring, the disk of {self.folder} has {free:,} left: give it a "
                "larger one (on AWS VolumeSize of TrainingLaunch in template.yaml), or take a smaller data set"
            )

    def _download(self, path: Path, key: str) -> tuple[Path, tuple[int, int]]:
        """Bring a file; gives it and its state."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        self.client.download_file(self.bucket, key, str(part), Config=ALONE)
        part.replace(path)
        return path, _state(path)

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path, _state(path)


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
