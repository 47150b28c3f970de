"""The cards of the published correctors tell what the last benchmark measured."""

import pytest

from bench.correction_cards import MODELS, OF, RESULTS, scores
from eo.model import checked


@pytest.mark.parametrize("name", OF.values())
def test_a_card_tells_what_was_measured(name: str) -> None:
    told = checked(MODELS / name).card.results
    measured = scores(RESULTS)[name]
    assert {score.metric for score in measured} >= {"bias", "std", "rms", "p95", "within", "SSIM"}
    assert {score.band for score in measured} >= {"", "B02", "B03", "B04"}
    assert any("AOT < 0.3" in score.row for score in measured)
    assert set(measured) <= set(told)
