"""JSON from outside, at the price of reading it once."""

import time

import pytest

from eo.errors import InvalidInput
from eo.strict_json import parse


def test_a_name_that_stands_twice_at_the_end_of_many_is_found_in_one_pass() -> None:
    names = [f'"{number}": 1' for number in range(100_000)]
    started = time.perf_counter()
    with pytest.raises(InvalidInput, match="the name '99999' stands twice"):
        parse(f"{{{', '.join([*names, names[-1]])}}}".encode(), "it")
    # Counting each name takes minutes.
    assert time.perf_counter() - started < 5


def test_names_of_two_objects_may_be_equal() -> None:
    assert parse(b'{"a": {"a": [{"a": 1}, {"a": 2}]}}', "it") == {"a": {"a": [{"a": 1}, {"a": 2}]}}
