"""Cards: thresholds and resampling of classifiers, generated data named so, and older cards left as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from eo.card import CARD, LATER, Card, Draft

SHIPPED = sorted((Path(__file__).parents[2] / "layers" / "models").glob(f"*/{CARD}"))
DRAFT: dict[str, Any] = {
    "name": "land-cover-x",
    "version": "1.0",
    "title": "Labels",
    "summary": "Labels of patches",
    "architecture": "linear",
    "task": "scene-classification",
    "inputs": [
        {"name": "x", "shape": ["batch", 1], "dims": ["batch", "channel"], "units": "1", "meaning": "b", "bands": ["B02"]}
    ],
    "outputs": [{"name": "p", "shape": ["batch", 2], "dims": ["batch", "class"], "units": "1", "meaning": "labels"}],
    "bands": ["B02"],
    "level": "L2A",
    "grid": {"metres": 10, "tile": 120},
    "satellites": ["sentinel-2a"],
    "classes": ["Pastures", "Urban fabric"],
    "training": {
        "data": "synthetic", "seeds": [1], "code": "test", "command": "none", "epochs": 1, "stopped": "cut short",
    },
    "domain": [],
    "intended_use": "tests",
    "out_of_scope": [],
    "known_failures": [],
}  # fmt: skip


def card(**changes: Any) -> Card:
    files = [{"name": "table.bin", "bytes": 1, "sha256": "ab" * 32, "meaning": "table"}]
    return Card.model_validate({**DRAFT, "files": files, "framework": "none", "parameters": 1, **changes})


OLD = [path for path in SHIPPED if not path.parent.name.startswith("land-cover")]


@pytest.mark.parametrize("path", OLD, ids=[path.parent.name for path in OLD])
def test_cards_that_were_written_before_a_field_was_known_are_encoded_as_they_are(path: Path) -> None:
    data = path.read_bytes()
    assert Card.model_validate_json(data).encoded() == data
    assert not set(json.loads(data)) & set(LATER)


def test_there_are_such_cards() -> None:
    assert "atmosphere-field" in [path.parent.name for path in OLD]


def test_what_is_set_is_encoded_and_read_again() -> None:
    made = card(
        thresholds=[0.3, 0.9], resampling="bicubic",
        parity_float32={"max_abs_error": 1e-6, "tolerance": 1e-4, "batches": 2},
    )  # fmt: skip
    assert set(LATER) <= set(json.loads(made.encoded()))
    assert Card.model_validate_json(made.encoded()) == made
    assert not set(LATER) & set(json.loads(card().encoded()))
    assert Card.model_validate_json(card().encoded()) == card()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"thresholds": [0.5]}, "1 thresholds for 2 classes: give one for each, or none"),
        ({"thresholds": [0.5, 0.5, 0.5]}, "3 thresholds for 2 classes"),
        ({"thresholds": [0.5], "classes": []}, "1 thresholds for 0 classes"),
        ({"thresholds": [0.5, 0]}, r"thresholds\.1(.|\n)*greater than 0"),
        ({"thresholds": [1, 0.5]}, r"thresholds\.0(.|\n)*less than 1"),
        ({"thresholds": [0.5, float("nan")]}, r"thresholds\.1"),
        ({"resampling": "lanczos"}, "resampling"),
        ({"classes": ["Pastures", "Pastures"]}, "name each once"),
    ],
)
def test_thresholds_are_one_for_each_class_between_0_and_1(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Draft.model_validate({**DRAFT, **change})


@pytest.mark.parametrize(
    ("data", "synthetic"),
    [
        ("synthetic", True),
        ("synthetic patches in the shape of BigEarthNet", True),
        ("BigEarthNet, with synthetic clouds", False),
        ("syntheticish", False),
        ("simulated 6S", False),
    ],
)
def test_a_model_is_synthetic_where_its_training_data_begin_with_that_word(data: str, synthetic: bool) -> None:
    assert Draft.model_validate({**DRAFT, "training": {**DRAFT["training"], "data": data}}).synthetic is synthetic
