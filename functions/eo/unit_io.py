"""A unit's only way to the outside: the cube, the store for what it leaves, and the sources' settings."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eo.checksums import CHECKSUMS, Piece, composite, document, pieces
from eo.errors import AFRESH, LostWork
from eo.job import Part, Plan, Unit
from eo.records import read_parts, read_units
from eo.settings import Settings
from eo.store import Body, Store
from eo.traffic import Traffic

if TYPE_CHECKING:
    from eo.cube import Cube


@dataclass(frozen=True)
class Left:
    """What a unit has written beside the cube."""

    keys: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)


class _Tally:
    """Size and digest of what passes by."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.size = 0

    def counted(self, pieces: Iterable[memoryview | bytes]) -> Iterator[memoryview | bytes]:
        for piece in pieces:
            self.digest.update(piece)
            self.size += len(piece)
            yield piece


class UnitIO:
    """What a stage's map may touch."""

    def __init__(
        self, *, plan: Plan, stage: str, unit: str, cube: "Cube", store: Store, settings: Settings, scratch: Path
    ) -> None:
        self.plan = plan
        self.cube = cube
        self.settings = settings
        self.scratch = scratch
        """A local folder for temporary files, such as a source file fetched whole."""
        self.traffic = Traffic()
        self.left = Left()
        self._store = store
        self._prefix = f"{plan.work}/parts/{stage}/{unit}"

    def upload(self, key: str) -> BinaryIO:
        """What a user has put into the store, as a file that seeks. Raises KeyError where it is gone."""
        return self._store.reader(key)

    def put(self, role: str, pieces: Iterable[memoryview | bytes]) -> None:
        """Write an object of this unit piece by piece; its key, size and digest go into the part."""
        key = f"{self._prefix}.{role}"
        tally = _Tally()
        self._store.write(key, tally.counted(pieces))
        self.left.keys[role] = key
        self.left.sizes[role] = tally.size
        self.left.digests[role] = tally.digest.hexdigest()


class ResultIO:
    """What a process's merge may touch."""

    def __init__(self, *, plan: Plan, store: Store) -> None:
        self.plan = plan
        self._store = store
        self._prefix = f"jobs/{plan.job}/result"
        self._joined: dict[str, list[Piece]] = {}
        self.digests: dict[str, str] = {}
        """By file name; of a joined file the composite digest."""
        self.sizes: dict[str, int] = {}

    def units(self, stage: str) -> list[Unit]:
        """The units of a stage, in their order."""
        return read_units(self._store, self.plan.job, stage)

    def parts(self, stage: str) -> list[Part]:
        """The parts of a stage, in the order of its units."""
        return read_parts(self._store, self.plan, stage)

    def read_all(self, bodies: Sequence[Body]) -> Iterator[bytes]:
        """Small objects that parts name, in order. Raises LostWork where one is gone or not what its unit wrote."""
        found = self._store.read_all([body.key for body in bodies])
        for body in bodies:
            try:
                data = next(found)
            except KeyError:
                data = b""
            if hashlib.sha256(data).hexdigest() != body.digest:
                raise LostWork(f"{body.key} is gone or not what was written; {AFRESH}")
            yield data

    def concatenate(self, name: str, head: bytes, bodies: Sequence[Body]) -> None:
        """Write a result file: head, then the bodies in order. Raises LostWork as `read_all`."""
        self._store.concatenate(f"{self._prefix}/{name}", head, bodies)
        made = pieces([(len(head), hashlib.sha256(head).hexdigest()), *((body.size, body.digest) for body in bodies)])
        self._joined[name] = made
        self.digests[name] = composite(made)
        self.sizes[name] = sum(piece.size for piece in made)

    def put(self, name: str, pieces: Iterable[memoryview | bytes]) -> Body:
        """Write an object to join with others, beside what the units left, piece by piece."""
        key = f"{self.plan.work}/parts/merge/{name}"
        tally = _Tally()
        self._store.write(key, tally.counted(pieces))
        return Body(key, tally.size, tally.digest.hexdigest())

    def write_checksums(self) -> None:
        """Write the list of the pieces of what was joined."""
        self.write(CHECKSUMS, document(self._joined))

    def write(self, name: str, data: bytes) -> None:
        """Write a small result file."""
        self.stream(name, [data])

    def stream(self, name: str, pieces: Iterable[bytes]) -> None:
        """Write a result file piece by piece: none is held longer than it takes to write it."""
        tally = _Tally()
        self._store.write(f"{self._prefix}/{name}", tally.counted(pieces))
        self.digests[name] = tally.digest.hexdigest()
        self.sizes[name] = tally.size
