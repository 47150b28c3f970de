"""What users can order: process id -> "module:Class".

Imported by plan, api, upload, merge and cli only; classes are loaded when they are asked for.
"""

from typing import cast

from eo.errors import InvalidInput
from eo.job import Process
from eo.runner import load

PROCESSES = {
    "point-cloud": "point_cloud.process:PointCloud",
    "atmospheric-correction": "atmospheric_correction.process:AtmosphericCorrection",
    "land-cover": "land_cover.process:LandCover",
}


def process(identifier: str) -> Process:
    """The process of an id. Raises InvalidInput where there is none."""
    if identifier not in PROCESSES:
        raise InvalidInput(f"process {identifier!r} is not known; there are: {', '.join(PROCESSES)}")
    return cast("Process", load(PROCESSES[identifier])())
