"""Land cover through the workflow's own definition: the same bytes as on one machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from aws import granules
from aws.cloud import Cloud, cloud, keep_keys, reaching
from aws.faults import waiting
from eo.model import FOLDER
from eo.records import read_plan, read_units
from l2a import Tile
from routes.loopback import Cdse, cdse, options
from routes.places import JULY
from small_land_cover import NAME, publish

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PROCESS = "land-cover"
TILE = Tile(size=3_600)
PLACE = "Sentinel-2/MSI/L2A/2026/07/12"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdse]:
    """A product at the Copernicus Data Space, and a machine with the same small model as the functions have."""
    folder = tmp_path_factory.mktemp("product")
    models = publish(folder / "models")
    item = granules.written(folder / "c", TILE, PLACE)
    with cdse(folder, (), folder / "none.zarr", [item]) as running:
        granules.put(running, folder / "c", TILE, PLACE)
        running.machine.env[FOLDER] = str(models)
        yield running


@pytest.fixture(scope="module")
def deployed(sources: Cdse) -> Iterator[Cloud]:
    models = {FOLDER: sources.machine.env[FOLDER]}
    with pytest.MonkeyPatch.context() as patch, cloud(reaching(sources) | models) as running:
        patch.setattr(retrier_decl, "time", waiting(0.1))
        keep_keys(sources)
        yield running


def inputs() -> dict[str, Any]:
    box = TILE.box(1_300, 1_300, 2_000)
    return {"bbox": [round(edge, 4) for edge in box], "datetime": JULY, "max_cloud_cover": 100, "model": NAME}


def test_a_job_gives_the_same_bytes_as_the_local_engine_whatever_is_killed(
    bundle: Cloud, sources: Cdse, tmp_path: Path
) -> None:
    tries = {"align": "kill", "judge": "kill after"}

    def faults(_function: str, event: Mapping[str, Any], before: int) -> Any:
        return tries.get(event.get("stage", "")) if before == 0 and "unit" in event else None

    bundle.lambdas.faults = faults
    status = bundle.run(inputs(), "one", PROCESS)
    assert status.state == "successful", status.message
    sources.forget()
    sources.machine.command("run", PROCESS, *options(**inputs()), f"--out={tmp_path / 'out'}").fine()
    products = bundle.products(status.job)
    assert {"land_cover.parquet", "land_cover.geojson", "land_cover_probabilities.tif", "model.json"} <= set(products)
    assert products == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_each_stage_is_done_by_its_function_and_each_unit_once(bundle: Cloud) -> None:
    job = bundle.run(inputs(), "stages", PROCESS).job
    called = Counter(
        (call.function, call.event["stage"], call.event["unit"]["id"])
        for call in bundle.lambdas.calls
        if "unit" in call.event and "task" not in call.event
    )
    functions = {"fetch": "fetch-cdse", "align": "fetch", "judge": PROCESS}
    plan = read_plan(bundle.store, job)
    assert called == Counter(
        (functions[stage.name], stage.name, unit.id)
        for stage in plan.stages
        for unit in read_units(bundle.store, job, stage.name)
    )
