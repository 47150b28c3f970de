"""What the service answers: the documents of OGC API - Processes, with their links."""

from collections.abc import Mapping, Sequence

from pydantic import TypeAdapter

from api.asked import JSON
from api.models import Conformance, JobList, LandingPage, Link, ProcessList, ProcessSummary, ResultFile, StatusInfo
from eo.job import Process, Result, Status

REL = "http://www.opengis.net/def/rel/ogc/1.0"
CONF = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf"
OPENAPI_JSON = "application/vnd.oai.openapi+json;version=3.0"
CLASSES = tuple(
    f"{CONF}/{name}" for name in ("core", "ogc-process-description", "json", "oas30", "job-list", "dismiss")
)
"""What of OGC 18-062r2 is met. Not `html`: of HTML there is a landing page alone. Not `callback`."""
TITLE = "EO Shards"
DESCRIPTION = "Earth-observation products of a bounding box, made in shards (OGC API - Processes - Part 1: Core 1.0)"

_files: TypeAdapter[dict[str, ResultFile]] = TypeAdapter(dict[str, ResultFile])


def landing_page(base: str) -> LandingPage:
    """Where everything is."""
    links = [
        Link(href=f"{base}/", rel="self", type=JSON, title="This document"),
        Link(href=f"{base}/", rel="alternate", type="text/html", title="This document as a web page"),
        Link(href=f"{base}/api", rel="service-desc", type=OPENAPI_JSON, title="Description of this API"),
        Link(href=f"{base}/conformance", rel=f"{REL}/conformance", type=JSON, title="Requirements that are met"),
        Link(href=f"{base}/processes", rel=f"{REL}/processes", type=JSON, title="What can be ordered"),
        Link(href=f"{base}/jobs", rel=f"{REL}/job-list", type=JSON, title="Your jobs"),
    ]
    return LandingPage(title=TITLE, description=DESCRIPTION, links=links)


def conformance() -> Conformance:
    """Which requirements classes are met."""
    return Conformance(conforms_to=list(CLASSES))


def process_list(page: Sequence[ProcessSummary], links: Mapping[str, str]) -> ProcessList:
    """A page of what can be ordered; `links` are addresses by relation."""
    return ProcessList(processes=list(page), links=_list_links(links, "What can be ordered"))


def job_list(page: Sequence[StatusInfo], links: Mapping[str, str]) -> JobList:
    """A page of somebody's jobs."""
    return JobList(jobs=list(page), links=_list_links(links, "Your jobs"))


def status_code(status: Status) -> str:
    """OGC's word for the state of a job."""
    return "dismissed" if status.state == "stopped" else status.state


def status_info(status: Status, base: str, progress: int | None) -> StatusInfo:
    """What became of a job."""
    href = f"{base}/jobs/{status.job}"
    links = [
        Link(href=href, rel="self", type=JSON, title="This job"),
        Link(href=f"{base}/jobs", rel=f"{REL}/job-list", type=JSON, title="Your jobs"),
        Link(href=f"{base}/processes/{status.process}", rel="about", type=JSON, title="Its process"),
    ]
    if status.state == "successful":
        links.append(Link(href=f"{href}/results", rel=f"{REL}/results", type=JSON, title="Its results"))
    return StatusInfo.model_validate(
        {
            "jobID": status.job,
            "processID": status.process,
            "status": status_code(status),
            "message": status.message or None,
            "error": status.error if status.state == "failed" else None,
            "created": status.created,
            "started": status.started,
            "finished": status.finished,
            "updated": status.updated,
            "progress": progress,
            "bbox": status.bbox,
            "links": links,
        }
    )


def results(result: Result, service: Process, links: Mapping[str, str]) -> str:
    """The files of a result as JSON, by output; one that the process does not describe by its own name."""
    described = {output.file: (name, output) for name, output in service.outputs.items()}
    found = {}
    for file in result.files:
        name, output = described.get(file, (file, None))
        kind = output.media_type if output else "application/octet-stream"
        found[name] = ResultFile(href=links[file], type=kind, title=output.title if output else file)
    return _files.dump_json(found).decode()


def _list_links(links: Mapping[str, str], title: str) -> list[Link]:
    return [Link(href=href, rel=rel, type=JSON, title=title if rel == "self" else None) for rel, href in links.items()]
