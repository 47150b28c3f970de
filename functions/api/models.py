"""The documents of OGC API - Processes - Part 1: Core 1.0 (OGC 18-062r2) that this service gives, as pydantic models."""

import datetime as dt
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

STATUS_CODES = ("accepted", "running", "successful", "failed", "dismissed")


class Document(BaseModel):
    """A JSON document that is only written."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True, populate_by_name=True)

    def text(self) -> str:
        """The document as JSON, without the fields that say nothing."""
        # Not model_dump_json: a message may quote a file name that is no Unicode, which it refuses.
        return json.dumps(self.model_dump(mode="json", exclude_none=True))


class Link(Document):
    """A web link (RFC 8288)."""

    href: str
    rel: str | None = None
    type: str | None = None
    title: str | None = None


class LandingPage(Document):
    """Where everything else is."""

    title: str
    description: str
    links: list[Link]


class Conformance(Document):
    """The requirements classes that are met."""

    conforms_to: Annotated[list[str], Field(alias="conformsTo")]


class Described(Document):
    """What an input or an output is."""

    title: str
    description: str
    value_schema: Annotated[dict[str, Any], Field(alias="schema", description="schema of OpenAPI 3.0")]


class InputDescription(Described):
    """An input of a process."""

    min_occurs: Annotated[Literal[0, 1], Field(alias="minOccurs")]
    max_occurs: Annotated[Literal[1], Field(alias="maxOccurs")] = 1


class OutputDescription(Described):
    """An output of a process: a file, given by reference."""


class ProcessSummary(Document):
    """A process in the list."""

    id: str
    title: str
    description: str
    version: str
    job_control_options: Annotated[list[Literal["async-execute", "dismiss"]], Field(alias="jobControlOptions")] = [
        "async-execute",
        "dismiss",
    ]
    output_transmission: Annotated[list[Literal["reference"]], Field(alias="outputTransmission")] = ["reference"]
    links: list[Link]


class ProcessList(Document):
    """What can be ordered."""

    processes: list[ProcessSummary]
    links: list[Link]


class ProcessDescription(ProcessSummary):
    """A process with its inputs and outputs."""

    inputs: dict[str, InputDescription]
    outputs: dict[str, OutputDescription]


class StatusInfo(Document):
    """What became of a job."""

    type: Literal["process"] = "process"
    job_id: Annotated[str, Field(alias="jobID")]
    process_id: Annotated[str, Field(alias="processID")]
    status: Literal["accepted", "running", "successful", "failed", "dismissed"]
    message: str | None = None
    error: Annotated[str | None, Field(description="kind of failure, such as NothingFound")] = None
    created: dt.datetime
    started: dt.datetime | None = None
    finished: dt.datetime | None = None
    updated: dt.datetime
    progress: Annotated[int | None, Field(ge=0, le=100, description="percent of the work that is done")] = None
    bbox: Annotated[
        list[float] | None,
        Field(min_length=4, max_length=4, description="what was ordered: west, south, east, north in degrees (WGS 84)"),
    ] = None
    links: list[Link]


class JobList(Document):
    """The caller's jobs, newest first."""

    jobs: list[StatusInfo]
    links: list[Link]


class Problem(Document):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    error: Annotated[str | None, Field(description="name of the kind of failure, the same everywhere")] = None


class ResultFile(Document):
    """A result file by reference."""

    href: str
    type: str
    title: str
