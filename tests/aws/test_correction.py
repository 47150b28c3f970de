"""Atmospheric correction through the workflow's own definition: the same bytes as on one machine."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from aws import granules
from eo.records import read_plan, read_units
from routes.loopback import Cdse, options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aws.cloud import Cloud

PROCESS = "atmospheric-correction"


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cdse]:
    """What `aws.conftest` deploys its bundle over, here."""
    with granules.granule(tmp_path_factory.mktemp("granule")) as running:
        yield running


def locally(sources: Cdse, inputs: Mapping[str, Any]) -> dict[str, bytes]:
    """What the command makes of the same order: every file of the result. Made once for a model."""
    sources.forget()
    place = sources.machine.folder / f"out {inputs['model']}"
    if not place.exists():
        sources.machine.command("run", PROCESS, *options(**inputs), f"--out={place}").fine()
    return {path.name: path.read_bytes() for path in place.iterdir()}


@pytest.mark.parametrize("model", ["physics", "atmosphere-field", "atmosphere-field-visible", "unet-efficientnet-b2"])
def test_a_job_gives_the_same_bytes_as_the_local_engine(bundle: Cloud, sources: Cdse, model: str) -> None:
    inputs = granules.inputs(model)
    status = bundle.run(inputs, model, PROCESS)
    assert status.state == "successful", status.message
    products = bundle.products(status.job)
    assert {"surface_reflectance.tif", "quality.tif", "surface_reflectance.json", "model.json"} <= set(products)
    assert products == locally(sources, inputs)
    assert bundle.lambdas.most["fetch-cdse"] <= 4


def test_each_stage_is_done_by_its_function_and_each_unit_once(bundle: Cloud) -> None:
    job = bundle.run(granules.inputs(), "stages", PROCESS).job
    called = Counter(
        (call.function, call.event["stage"], call.event["unit"]["id"])
        for call in bundle.lambdas.calls
        if "unit" in call.event and "task" not in call.event
    )
    functions = {"fetch": "fetch-cdse", "align": "fetch", "context": "fetch"}
    plan = read_plan(bundle.store, job)
    assert called == Counter(
        (functions.get(stage.name, PROCESS), stage.name, unit.id)
        for stage in plan.stages
        for unit in read_units(bundle.store, job, stage.name)
    )
    assert {stage.name for stage in plan.stages} == {"fetch", "align", "context", "field", "correct", "raster"}


def test_functions_that_are_killed_are_called_again_to_the_same_bytes(bundle: Cloud, sources: Cdse) -> None:
    tries = {"field": "kill after", "correct": "kill", "raster": "duplicate", "context": "fail"}

    def faults(_function: str, event: Mapping[str, Any], before: int) -> Any:
        return tries.get(event.get("stage", "")) if before == 0 and "unit" in event else None

    bundle.lambdas.faults = faults
    inputs = granules.inputs()
    status = bundle.run(inputs, "again", PROCESS)
    assert status.state == "successful", status.message
    assert {call.error for call in bundle.lambdas.calls} >= {"Runtime.ExitError", "Lambda.ServiceException"}
    assert bundle.products(status.job) == locally(sources, inputs)
