"""What `sam build` has made, with its layers, in the runtime's own Python, as Lambda runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws.rie.driven import COMMANDS, CORRECTED, JUDGED

if TYPE_CHECKING:
    from aws.rie.driven import Driven


def test_each_file_of_events_is_answered(driven_as_built: Driven) -> None:
    failed = {name: answer.payload for name, answer in driven_as_built.answers.items() if answer.error}
    assert failed == {}
    assert sorted(driven_as_built.answers) == sorted(COMMANDS)


def test_the_products_are_those_of_the_command(driven_as_built: Driven, locally: dict[str, bytes]) -> None:
    assert driven_as_built.products() == locally


def test_the_corrections_products_are_those_of_the_command(
    driven_as_built: Driven, corrected_locally: dict[str, bytes]
) -> None:
    """Its networks and tables come from the layers, and are run by the onnxruntime that was packed."""
    assert driven_as_built.products(CORRECTED) == corrected_locally


def test_the_land_cover_is_that_of_the_command(driven_as_built: Driven, judged_locally: dict[str, bytes]) -> None:
    """Its table is written by the merge's own layer."""
    assert driven_as_built.products(JUDGED) == judged_locally
