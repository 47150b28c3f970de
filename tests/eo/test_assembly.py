"""Parts of a multipart upload: exactly the bytes, in order, within S3's limits, with few of them through the process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eo.assembly import MIB, S3, TIB, Copy, Limits, Part, Range, Upload, assemble, groups
from eo.errors import TooLarge

SMALL = Limits(smallest=5, largest=40, parts=7, whole=3000)
"""S3 in little, so that limits are met often: 5 bytes for 5 MiB."""

sizes = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 12), st.integers(0, 200)), max_size=60)


def covered(parts: list[Part]) -> list[tuple[int | None, int]]:
    """Every byte of the result as (body, offset)."""
    pieces = [
        piece
        for part in parts
        for piece in (part.ranges if isinstance(part, Upload) else [Range(part.source, part.start, part.size)])
    ]
    return [(piece.source, piece.start + at) for piece in pieces for at in range(piece.size)]


def everything(head: int, bodies: list[int]) -> list[tuple[int | None, int]]:
    return [(None, at) for at in range(head)] + [(n, at) for n, size in enumerate(bodies) for at in range(size)]


def legal(parts: list[Part], bodies: list[int], limits: Limits) -> None:
    for part in parts[:-1]:
        assert part.size >= limits.smallest
    for part in parts:
        assert part.size > 0
        if isinstance(part, Copy):
            assert part.size <= limits.largest
            assert part.start + part.size <= bodies[part.source]
            assert part.whole == (part.size == bodies[part.source])
            assert part.whole or bodies[part.source] >= limits.smallest  # a range needs a source of 5 MB
        else:
            assert part.size < 3 * limits.smallest or len(part.ranges) == 1


@given(st.one_of(st.just(0), st.integers(0, 12)), sizes)
def test_parts_cover_exactly_the_bytes_in_order(head: int, bodies: list[int]) -> None:
    parts = assemble(head, bodies, SMALL)
    assert covered(parts) == everything(head, bodies)
    legal(parts, bodies, SMALL)


@given(st.integers(0, 4), sizes)
def test_few_bytes_pass_through(head: int, bodies: list[int]) -> None:
    """The head, the small bodies, and for each run of them less than 5 MiB of the next one, where that has 10 MiB."""
    parts = assemble(head, bodies, SMALL)
    through = sum(part.size for part in parts if isinstance(part, Upload))
    filled = [size for size in [head, *bodies] if size]
    runs, small = 0, 0
    for size, after in zip(filled, [*filled[1:], 0], strict=False):
        if size < 5:
            small += size
            if after >= 5:
                runs += 4 if after >= 10 else 9
    assert through <= small + runs


@given(st.integers(0, 4), st.lists(st.integers(10, 200), min_size=1, max_size=30))
def test_large_bodies_cost_the_rest_of_one_part(head: int, bodies: list[int]) -> None:
    through = sum(part.size for part in assemble(head, bodies, SMALL) if isinstance(part, Upload))
    assert through == (5 if head else 0)


@given(sizes)
def test_runs_of_parts_become_bodies_of_one_upload(bodies: list[int]) -> None:
    parts = assemble(3, bodies, SMALL)
    runs = list(groups(parts, SMALL))
    assert [part for run in runs for part in run] == parts
    assert all(0 < len(run) <= SMALL.parts for run in runs)
    if len(runs) > 1:
        joined = [sum(part.size for part in run) for run in runs]
        second = assemble(0, joined, SMALL)
        legal(second, joined, SMALL)
        assert all(isinstance(part, Copy) for part in second)
        assert len(covered(second)) == sum(joined)


def test_a_thousand_bodies_of_8_mib() -> None:
    parts = assemble(700, [8 * MIB] * 1000)
    assert parts[0] == Upload((Range(None, 0, 700), Range(0, 0, 8 * MIB)))
    assert parts[1:] == [Copy(n, 0, 8 * MIB, whole=True) for n in range(1, 1000)]


def test_a_large_first_body_gives_only_what_the_head_lacks() -> None:
    missing = 5 * MIB - 700
    assert assemble(700, [100 * MIB]) == [
        Upload((Range(None, 0, 700), Range(0, 0, missing))),
        Copy(0, missing, 100 * MIB - missing, whole=False),
    ]


def test_a_small_body_takes_of_the_next_one_where_that_has_10_mib() -> None:
    assert assemble(0, [8 * MIB, MIB, 9 * MIB, 8 * MIB]) == [
        Copy(0, 0, 8 * MIB, whole=True),
        Upload((Range(1, 0, MIB), Range(2, 0, 4 * MIB))),
        Copy(2, 4 * MIB, 5 * MIB, whole=False),
        Copy(3, 0, 8 * MIB, whole=True),
    ]


def test_a_small_body_takes_of_the_one_before_where_the_next_has_less() -> None:
    assert assemble(0, [50 * MIB, MIB, 8 * MIB, 8 * MIB]) == [
        Copy(0, 0, 46 * MIB, whole=False),
        Upload((Range(0, 46 * MIB, 4 * MIB), Range(1, 0, MIB))),
        Copy(2, 0, 8 * MIB, whole=True),
        Copy(3, 0, 8 * MIB, whole=True),
    ]


def test_the_last_part_may_be_small() -> None:
    assert assemble(0, [8 * MIB, MIB]) == [Copy(0, 0, 8 * MIB, whole=True), Copy(1, 0, MIB, whole=True)]
    assert assemble(0, [8 * MIB, MIB, 6 * MIB])[-1] == Copy(2, 4 * MIB, 2 * MIB, whole=False)


def test_more_parts_than_one_upload_takes_are_two_levels() -> None:
    parts = assemble(10, [6 * MIB] * 25_000)
    runs = list(groups(parts))
    assert [len(run) for run in runs] == [8333, 8333, 8334]
    assert len(assemble(0, [sum(part.size for part in run) for run in runs])) == 147
    assert len(list(groups(assemble(0, [5 * MIB] * 10_000)))) == 1
    assert len(list(groups(assemble(0, [5 * MIB] * 10_001)))) == 2


def test_any_object_that_s3_may_hold_has_few_enough_runs() -> None:
    most = S3.whole // S3.smallest
    assert -(-most // S3.parts) + S3.whole // S3.largest + 1 < S3.parts


def test_what_no_object_can_be_is_refused_with_both_numbers() -> None:
    with pytest.raises(TooLarge, match=r"5,497,558,138,881 bytes.*at most 5,497,558,138,880: choose a smaller bbox"):
        assemble(1, [TIB] * 5)
    assert len(assemble(0, [TIB] * 5)) == 5120


def test_nothing_is_no_part() -> None:
    assert assemble(0, []) == []
    assert assemble(0, [0, 0]) == []
    assert assemble(3, [0, 2]) == [Upload((Range(None, 0, 3), Range(1, 0, 2)))]
