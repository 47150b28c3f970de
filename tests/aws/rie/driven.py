"""The files of events/, each given to its function, so that the first job among them is done as its workflow would."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws.rie.account import EVENTS, STACK, Account, event
from eo.job import Result
from uploads import safe_scene, zipped

if TYPE_CHECKING:
    from aws.rie.emulator import Answer

JOB = event("plan")["job"]
CORRECTED = event("plan_correction")["job"]
"""A job of another process, on another collection."""
JUDGED = event("plan_land_cover")["job"]
"""And one of a third."""
OTHER = event("api_dismiss")["rawPath"].rpartition("/")[2]
"""A job of somebody else, ordered with a token."""
FAILED = event("fail")["job"]
TIMED_OUT = event("timed_out")["execution"].rpartition("-")[0]
EVENT_OF = {"fetch": "fetch", "align": "align", "drape": "point_cloud"}
"""By stage: the file with one of its units."""
EVENT_OF_OTHERS = {
    "context": "context",
    "field": "atmospheric_correction_field",
    "correct": "atmospheric_correction_correct",
    "raster": "atmospheric_correction_raster",
    "judge": "land_cover_judge",
}
"""Of stages that the first job has not."""
COMMANDS = {
    name: function
    for function, name in re.findall(
        r"`sam local invoke (\w+) -e events/(\w+)\.json -n env\.json`", (EVENTS / "README.md").read_text()
    )
}
"""Function of each file, by the command that README gives for it."""


@dataclass
class Driven:
    """What was answered on the way."""

    account: Account
    answers: dict[str, Answer] = field(default_factory=dict)
    """By file of events/."""
    units: dict[str, list[Answer]] = field(default_factory=dict)
    """By stage: of all its units."""
    runtimes: set[int] = field(default_factory=set)
    """Ids of the processes that did the units of one function, of both jobs."""

    def products(self, job: str = JOB) -> dict[str, bytes]:
        """The files of the result, by name."""
        result = Result.model_validate_json(self.account.get(f"jobs/{job}/result.json"))
        return {name: self.account.get(f"jobs/{job}/result/{name}") for name in result.files}

    def call(self, name: str, given: dict[str, Any] | None = None) -> Any:
        """Give a file, or what it has become, to its function."""
        self.answers[name] = self.account.call(COMMANDS[name], given or event(name))
        return self.answers[name].payload


def inputs(name: str = "api_execution") -> dict[str, Any]:
    """The inputs that an order of events/ has."""
    ordered: dict[str, Any] = json.loads(event(name)["body"])["inputs"]
    return ordered


def drive(account: Account) -> Driven:
    """Give every file to its function, in an order in which each makes sense."""
    done = Driven(account)
    for name in ("api_landing", "api_page", "api_processes", "api_execution", "api_execution_jwt"):
        done.call(name)
    planned = done.call("plan")
    account.call("PlanFunction", {"job": OTHER, "attempt": 1})
    for stage in planned["stages"]:
        _stage(done, stage["name"], stage["function"])
    for name in ("reduce", "merge", "api_job", "api_results", "api_jobs"):
        done.call(name)
    _other(done, CORRECTED, "correction")
    _other(done, JUDGED, "land_cover")
    account.accept(FAILED, inputs())
    account.accept(TIMED_OUT, inputs())
    for name in ("fail", "timed_out", "api_dismiss"):
        done.call(name)
    _uploads(done)
    return done


def _stage(done: Driven, stage: str, function: str) -> None:
    """Do the units of a stage, and between them those of the other job in the same container."""
    account, name = done.account, EVENT_OF[stage]
    theirs = iter(account.units(OTHER, stage))
    done.units[stage] = []
    for unit in account.units(JOB, stage):
        asked = {"job": JOB, "attempt": 1, "stage": stage, "unit": unit}
        if asked == event(name):
            assert function == f"{STACK}-{_hyphened(COMMANDS[name])}"
            done.call(name)
            done.units[stage].append(done.answers[name])
        else:
            done.units[stage].append(account.call(COMMANDS[name], asked))
        their = next(theirs, None)
        if their is not None:
            account.call(COMMANDS[name], asked | {"job": OTHER, "unit": their})
        if stage == "fetch":
            done.runtimes.add(account.warm[COMMANDS[name]].runtime.pid)


def _other(done: Driven, job: str, name_of_files: str) -> None:
    """Order and do a job of another process, whose own stages have files."""
    account = done.account
    done.call(f"api_execution_{name_of_files}")
    planned = done.call(f"plan_{name_of_files}")
    functions = {f"{STACK}-{_hyphened(name)}": name for name in COMMANDS.values()}
    for stage in planned["stages"]:
        name = EVENT_OF_OTHERS.get(stage["name"])
        for unit in account.units(job, stage["name"]):
            asked = {"job": job, "attempt": 1, "stage": stage["name"], "unit": unit}
            if name is not None and asked == event(name):
                assert functions[stage["function"]] == COMMANDS[name]
                done.call(name)
            else:
                assert not account.call(functions[stage["function"]], asked).error
    done.call(f"merge_{name_of_files}")


def _hyphened(function: str) -> str:
    """FetchCdseFunction is called fetch-cdse."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", function.removesuffix("Function")).lower()


def _uploads(done: Driven) -> None:
    for name, file in (("upload_job", "job.json"), ("upload_geojson", "fields.geojson")):
        etag = done.account.put(f"incoming/point-cloud/{file}", EVENTS / "incoming" / file)
        assert etag == event(name)["detail"]["object"]["etag"], f"{file} has another ETag than events/{name}.json says"
        done.call(name)
    given = event("upload_safe")
    with tempfile.TemporaryDirectory() as folder:
        safe_scene(Path(folder) / "product")
        archive = zipped(Path(folder) / "product", Path(folder) / "product.zip")
        etag = done.account.put(given["detail"]["object"]["key"], archive)
        given["detail"]["object"] |= {"etag": etag, "size": archive.stat().st_size}
    done.call("upload_safe", given)
