"""Models of tables alone, and what is said of a model afterwards. No torch is needed for either."""

from pathlib import Path
from typing import Any

import pytest

from eo.card import CARD, ITEM, Draft, ModelGrid, Score, Training
from eo.errors import InvalidInput
from eo.model import checked
from training.publish.package import amend, publish_tables

DRAFT = Draft(
    name="physics",
    version="1.0",
    title="Table",
    summary="For tests",
    architecture="table",
    task="regression",
    inputs=(),
    outputs=(),
    bands=("B02", "B03"),
    level="L1C",
    grid=ModelGrid(metres=120),
    satellites=("sentinel-2a",),
    training=Training(data="6S", seeds=(), code="test", command="pytest", epochs=0, stopped="not trained"),
    domain=(),
    intended_use="tests",
    out_of_scope=(),
    known_failures=(),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tables = {"table.npz": (b"1234", "coefficients"), "other.npz": (b"56", "more")}
    publish_tables(DRAFT, tables=tables, parameters=17, made_by="6S 1.1", out=tmp_path / "physics")
    return tmp_path / "physics"


def test_tables_are_published_without_a_network(folder: Path) -> None:
    model = checked(folder)
    assert (model.files, model.session) == ({"table.npz": b"1234", "other.npz": b"56"}, None)
    assert (model.card.parameters, model.card.framework, model.card.opset) == (17, "6S 1.1", None)


def test_results_are_added_and_what_computes_stays(folder: Path) -> None:
    before = checked(folder)
    item = (folder / ITEM).read_bytes()
    scores = (Score(set="test", row="all", metric="rms", band="B02", value=0.005),)
    card = amend(folder, results=scores, known_failures=("haze",))
    after = checked(folder)
    assert after.card == card
    assert (after.files, after.digest, after.card.results) == (before.files, before.digest, scores)
    assert (folder / ITEM).read_bytes() != item
    assert [path.name for path in folder.parent.iterdir()] == ["physics"]
    # And back, byte for byte.
    amend(folder, results=(), known_failures=())
    assert (folder / ITEM).read_bytes() == item
    assert (folder / CARD).read_bytes() == before.card.encoded()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"parameters": 3}, r"\['parameters'\] of a published model cannot be amended: publish it anew"),
        ({"bands": ("B02", "B02")}, "name each once"),
        ({"name": "other"}, "folders are named as their models are"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_the_card(folder: Path, changes: dict[str, Any], words: str) -> None:
    before = (folder / CARD).read_bytes()
    with pytest.raises(InvalidInput, match=words):
        amend(folder, **changes)
    assert (folder / CARD).read_bytes() == before
