"""How a stage finds its function and its share of the account."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from eo.bundle import Bundle
from eo.imagery import imagery

if TYPE_CHECKING:
    from eo.job import Plan


@pytest.mark.parametrize(("source", "fetching"), [("cdse", ("eo-fetch-cdse", 4)), ("earth-search", ("eo-fetch", 32))])
def test_only_stages_that_fetch_share_the_connections_to_their_source(source: str, fetching: tuple[str, int]) -> None:
    bundle = Bundle(bucket="bucket", functions="eo", fetch_concurrency=32, cdse_connections=4, compute_concurrency=200)
    plan = cast("Plan", cast("Any", SimpleNamespace(inputs={"source": source})))
    stages = imagery(("B02",), classes=False, elevation=False, context=("B02",))
    found = {stage.name: (bundle.function(plan, stage), bundle.concurrency(plan, stage)) for stage in stages}
    assert found == {"fetch": fetching, "align": ("eo-fetch", 200), "context": ("eo-fetch", 200)}
