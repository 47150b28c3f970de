"""How a head and many bodies become one object on S3: which parts of a multipart upload, and of what each is made.

A part is a server-side copy of a range of one body, or bytes that pass through this process. S3 wants every part but the
last to have 5 MiB, so small bodies have to be joined here, with a little of a large neighbour where they do not suffice.
Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from eo.errors import TooLarge

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What one upload may be, in bytes and parts."""

    smallest: int = 5 * MIB
    """Of a part, but for the last. A range may be copied of no smaller object either."""
    largest: int = GIB
    """Of a copied part. S3 would copy 5 GiB; smaller ones are copied side by side, and answered in time."""
    parts: int = 10_000
    whole: int = 5 * TIB


S3 = Limits()


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes of a body."""

    source: int | None
    """Number of the body; None is the head."""
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Copy:
    """A part that S3 copies."""

    source: int
    start: int
    size: int
    whole: bool
    """Whether it is all of the body."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A part whose bytes pass through this process."""

    ranges: tuple[Range, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(piece.size for piece in self.ranges)


Part = Copy | Upload


@dataclass(frozen=True, slots=True)
class Requests:
    """What joining takes of the store, as Amazon S3 counts it."""

    reads: int
    writes: int
    passing: int
    """Bytes of bodies that pass through the process."""
    sent: int
    """Bytes that it writes, the head among them."""


def assemble(head: int, bodies: Sequence[int], limits: Limits = S3) -> list[Part]:
    """The parts of a head and bodies of these sizes, in order; empty ones are left out.

    There may be more than one upload takes: see `groups`. Raises TooLarge where no object can be that large.
    """
    total = head + sum(bodies)
    if total > limits.whole:
        raise TooLarge(
            f"the result would have {total:,} bytes, but an object of S3 has at most {limits.whole:,}: choose "
            "a smaller bbox or a coarser resolution, or order parts of the area as jobs of their own"
        )
    work = _Assembly(limits)
    if head:
        work.pass_through(Range(None, 0, head))
    filled = [number for number, size in enumerate(bodies) if size]
    for number in filled:
        work.take(number, bodies[number], last=number == filled[-1])
    work.flush()
    return work.parts


def single(parts: Sequence[Part]) -> bool:
    """Whether parts are few and small enough to be written in one request."""
    return not parts or (len(parts) == 1 and isinstance(parts[0], Upload))


def requests(head: int, bodies: Sequence[int], limits: Limits = S3) -> Requests:
    """What joining a head and bodies of these sizes takes, where every request succeeds at once.

    Each body is looked at first. An upload is begun, filled and completed, then those that are open still are listed.
    """
    parts = assemble(head, bodies, limits)
    pieces = [piece for part in parts if isinstance(part, Upload) for piece in part.ranges]
    passing = [piece.size for piece in pieces if piece.source is not None]
    runs = -(-len(parts) // limits.parts)
    around = 3 * (runs + 1) + runs + 1 if runs > 1 else 3  # of each run, and of the upload that joins their objects
    writes = 1 if single(parts) else len(parts) + around
    return Requests(len(bodies) + len(passing), writes, sum(passing), sum(piece.size for piece in pieces))


class _Assembly:
    """Parts so far, and what waits to become one."""

    def __init__(self, limits: Limits) -> None:
        self.parts: list[Part] = []
        self._limits = limits
        self._waiting: list[Range] = []

    def take(self, source: int, size: int, *, last: bool) -> None:
        """Add a body behind what there is."""
        smallest = self._limits.smallest
        missing = smallest - sum(piece.size for piece in self._waiting) if self._waiting else 0
        if size < smallest:
            # The last part may be small: then it needs no company, and is copied.
            if last and self.parts and not self._waiting:
                self.parts.append(Copy(source, 0, size, whole=True))
            else:
                self.pass_through(Range(source, 0, size))
        elif not self._waiting:
            self._copy(source, 0, size)
        elif last or size >= missing + smallest:
            self.pass_through(Range(source, 0, missing))
            self._copy(source, missing, size - missing)
        elif self._borrow(missing):
            self._copy(source, 0, size)
        else:
            self.pass_through(Range(source, 0, size))

    def pass_through(self, piece: Range) -> None:
        """Add bytes that no copy can bring."""
        self._waiting.append(piece)
        if sum(waiting.size for waiting in self._waiting) >= self._limits.smallest:
            self.flush()

    def flush(self) -> None:
        """Make a part of what waits."""
        if self._waiting:
            self.parts.append(Upload(tuple(self._waiting)))
            self._waiting = []

    def _borrow(self, missing: int) -> bool:
        """Take the missing bytes from the end of the body before, where it has enough of them."""
        before = self.parts[-1] if self.parts else None
        if not isinstance(before, Copy) or before.size < missing + self._limits.smallest:
            return False
        kept = before.size - missing
        self.parts[-1] = replace(before, size=kept, whole=False)
        self._waiting.insert(0, Range(before.source, before.start + kept, missing))
        self.flush()
        return True

    def _copy(self, source: int, start: int, size: int) -> None:
        """Copy a range, in pieces of about the same size where it is too large for one."""
        pieces = -(-size // self._limits.largest)
        edges = [size * number // pieces for number in range(pieces + 1)]
        for low, high in pairwise(edges):
            self.parts.append(Copy(source, start + low, high - low, whole=pieces == 1 and start == 0))


def groups(parts: Sequence[Part], limits: Limits = S3) -> Iterator[Sequence[Part]]:
    """Parts in runs that one upload takes, of about the same length.

    Several runs become objects of their own first, which are then the bodies of the result. All parts but the last have
    5 MiB and no object more than 5 TiB, so there are never too many runs for that.
    """
    runs = -(-len(parts) // limits.parts)
    for number in range(runs):
        yield parts[len(parts) * number // runs : len(parts) * (number + 1) // runs]
