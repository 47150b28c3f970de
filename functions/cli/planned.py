"""The plan of an order that has not been made, for whoever confirms it: what `eo-shards plan` prints, over HTTP.

No part of OGC API - Processes, and of this machine's server alone: a deployed API has not what reads sources.
"""

import json
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api.asked import JSON, json_document
from api.execution import ordered_inputs
from api.problem import HEADERS, NO_SUCH_PROCESS, Refusal
from cli.jobs import Jobs, Order
from cli.options import absolute
from eo.job import Plan
from eo.settings import Settings
from registry import PROCESSES, process


class Planner:
    """Plans, one at a time: each may hold the catalogues' answers and open sources."""

    def __init__(self, settings: Settings) -> None:
        self._jobs = Jobs(settings)
        self._one_at_a_time = threading.Lock()

    def answer(self, name: str, body: bytes, content_type: str | None) -> dict[str, Any]:
        """The answer to an order that is only planned. Raises Refusal, and what planning raises."""
        if name not in PROCESSES:
            known = ", ".join(PROCESSES)
            raise Refusal(
                HTTPStatus.NOT_FOUND, f"process {name[:80]!r} is not known; there are: {known}", kind=NO_SUCH_PROCESS
            )
        inputs = ordered_inputs(json_document(body, content_type), process(name), local_files=True)
        # Where a served job's result goes, so that the disk that it will need is the one that is looked at.
        order = Order(name, absolute(inputs), Path(self._jobs.store.path("served")) / "planned")
        with self._one_at_a_time:
            plan, no_room = self._jobs.plan(order)
        return {
            "statusCode": int(HTTPStatus.OK),
            "headers": {"Content-Type": JSON, **HEADERS},
            "body": json.dumps(summary(plan, no_room)),
        }


def summary(plan: Plan, no_room: str | None) -> dict[str, Any]:
    """What somebody wants to know before the order is made; bytes, CPU seconds, USD, kWh, grams of CO2e."""
    predicted, used = plan.predicted, plan.predicted.usage
    window = plan.grid.window
    return {
        "process": plan.process,
        "crs": plan.grid.crs,
        "resolution": plan.grid.resolution,
        "width": window.width,
        "height": window.height,
        "scenes": [
            {"id": scene.id, "datetime": scene.datetime, "cloud_cover": scene.cloud_cover} for scene in plan.scenes
        ],
        "covered": 1 - plan.uncovered,
        # Only a process that samples makes points.
        "points": predicted.points if "sampled_fraction" in plan.inputs else None,
        "pixels": predicted.pixels,
        "result_bytes": predicted.result_bytes,
        "source_requests": used.source_requests,
        "source_bytes": used.source_bytes,
        "cpu_seconds": used.cpu_seconds,
        "cost_usd": used.cost_usd,
        "energy_kwh": used.energy_kwh,
        "co2e_g": used.co2e_g,
        "notes": [*plan.notes, *([f"it would not run here: {no_room}"] if no_room else [])],
    }
