"""Inputs that every process with a cube shares: the one source of the API's description, the options and the checks."""

import datetime as dt
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from eo.bbox import BBox
from eo.errors import InvalidInput

DEFAULT_DAYS = 360
"""Days back from now that are searched where no datetime is given; `local` has no limit."""

LOCAL_INPUTS = frozenset({"catalog", "dem_path"})
"""Inputs that name files of the machine on which the job runs."""
LOCAL_CHOICES = {"source": "local", "dem": "local"}
"""The choice by which an input takes such a file."""
GRID_CHOICES = {"vertical": "ellipsoidal"}
"""The choice that takes the geoid's grid (`eo.geoid`)."""
GRID_FOLDER = "PROJ_USER_WRITABLE_DIRECTORY"
"""Environment variable: where PROJ finds the grid. Functions that have it are of a deployment with the grid's layer."""
OWN_WORDS = {
    "source": ", or a folder",
    "dem": ", or a file",
    "vertical": ", or above the WGS 84 ellipsoid (needs the geoid grid)",
}
"""What the description of an input ends with where such a choice may be made."""


def own_choices() -> dict[str, str]:
    """By input: the choice that this deployment refuses, having no files of its users, and maybe no grid."""
    return LOCAL_CHOICES if os.environ.get(GRID_FOLDER) else LOCAL_CHOICES | GRID_CHOICES


def check_deployed(inputs: Mapping[str, Any]) -> None:
    """Raise InvalidInput where an order to a deployment wants what only a machine of one's own has."""
    chosen = {name: choice for name, choice in own_choices().items() if inputs.get(name) == choice}
    named = [name for name in inputs if name in LOCAL_INPUTS and inputs[name] is not None]
    named += [f"{name} {choice}" for name, choice in chosen.items() if name in LOCAL_CHOICES]
    if named:
        raise InvalidInput(
            f"{named[0]} names files of the machine that works, and this one has none of yours; choose one of the "
            f"catalogues for {' and '.join(LOCAL_CHOICES)}, and leave {' and '.join(sorted(LOCAL_INPUTS))} out"
        )
    for name, choice in chosen.items():
        raise InvalidInput(
            f"{name} {choice} needs the geoid's grid, which this deployment lacks: choose another {name}, have it deployed "
            "with a layer with the grid, or run the job on a machine of your own that has it (`pyproj sync`)"
        )


def interval(text: str) -> str:
    """Check an RFC 3339 instant or interval (dates alone are whole days, `..` is open); raises ValueError."""
    ends = text.strip().split("/")
    if len(ends) > 2 or not all(ends) or set(ends) == {".."}:
        raise ValueError(f"{text!r} is no date or start/end interval, such as 2026-06-01/2026-09-30 or 2026-06-01/..")
    times = [_instant(end) for end in ends if end != ".."]
    if len(times) == 2 and times[0] > times[1]:
        raise ValueError(f"{text!r} ends before it starts; swap the two")
    return text.strip()


def _instant(text: str) -> dt.datetime:
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no RFC 3339 date or time, such as 2026-06-01 or 2026-06-01T10:00:00Z") from None
    return time if time.tzinfo else time.replace(tzinfo=dt.UTC)


def edges(text: str) -> tuple[str, str]:
    """(start, end) of an interval as full RFC 3339 instants or `..`; a day lasts until its last second."""
    first, *rest = text.split("/")
    last = rest[0] if rest else first

    def instant(end: str, *, late: bool) -> str:
        if end == "..":
            return end
        time = _instant(end).astimezone(dt.UTC)
        if late and len(end) == len("2026-06-01"):
            time += dt.timedelta(days=1, seconds=-1)
        return time.isoformat().replace("+00:00", "Z")

    return instant(first, late=False), instant(last, late=True)


def last_days(now: dt.datetime, days: int = DEFAULT_DAYS) -> str:
    """The interval that ends now."""
    start = (now - dt.timedelta(days=days)).date().isoformat()
    return f"{start}/{now.date().isoformat()}"


class CubeInputs(BaseModel):
    """What to look for, where, and on which grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bbox: Annotated[
        BBox,
        Field(
            description="min_lon,min_lat,max_lon,max_lat in degrees (WGS 84); min_lon > max_lon means across the antimeridian"
        ),
    ]
    datetime: Annotated[
        str | None,
        AfterValidator(lambda value: value if value is None else interval(value)),
        Field(description="date or start/end interval (RFC 3339); default the last 360 days"),
    ] = None
    max_cloud_cover: Annotated[
        float,
        Field(ge=0, le=100, allow_inf_nan=False, description="percent of a scene; a scene without a figure passes"),
    ] = 20.0
    collection: Annotated[
        Literal["sentinel-2-l2a", "sentinel-2-l1c"],
        Field(description="surface reflectance (L2A, with scene classification) or top of atmosphere (L1C)"),
    ] = "sentinel-2-l2a"
    source: Annotated[
        Literal["cdse", "earth-search", "local"],
        Field(description="catalogue: Copernicus Data Space or earth-search on AWS" + OWN_WORDS["source"]),
    ] = "cdse"
    catalog: Annotated[
        str | None,
        Field(
            description="folder of STAC items or .SAFE products, for source local; of any date where no datetime is given"
        ),
    ] = None
    resolution: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="pixel size in whole metres; default the file's own"),
    ] = None
    crs: Annotated[
        str | None,
        Field(
            pattern=r"^(EPSG|ESRI|IAU_2015|OGC):\w+$",
            description="projected CRS in metres, such as EPSG:32632; default the UTM zone of most of the bbox",
        ),
    ] = None
    mask_clouds: Annotated[
        bool,
        Field(description="leave out clouds, shadows and defective pixels by the scene classification (L2A only)"),
    ] = True

    @model_validator(mode="after")
    def _local_needs_a_folder(self) -> "CubeInputs":
        if self.source == "local" and self.catalog is None:
            raise ValueError("catalog is missing: source local needs the folder in which its scenes lie")
        if self.source != "local" and self.catalog is not None:
            raise ValueError(f"catalog is given for source {self.source}: choose source local, or leave catalog out")
        return self

    @model_validator(mode="after")
    def _the_source_has_the_collection(self) -> "CubeInputs":
        if self.source == "earth-search" and self.collection == "sentinel-2-l1c":
            # It lists L1C, but its assets lie in a bucket where the reader pays.
            raise ValueError("source earth-search has no free sentinel-2-l1c: choose source cdse, or sentinel-2-l2a")
        return self


class ElevationInputs(BaseModel):
    """Which elevation."""

    dem: Annotated[
        Literal["earth-data-hub", "cop-dem-glo-30", "local"],
        Field(description="elevation: Copernicus DEM by Earth Data Hub or as COGs on AWS" + OWN_WORDS["dem"]),
    ] = "earth-data-hub"
    dem_path: Annotated[
        str | None,
        Field(description="GeoTIFF, JPEG 2000 or Zarr with a CRS, for dem local"),
    ] = None
    vertical: Annotated[
        Literal["orthometric", "ellipsoidal"],
        Field(description="heights above the EGM2008 geoid" + OWN_WORDS["vertical"]),
    ] = "orthometric"

    @model_validator(mode="after")
    def _local_needs_a_path(self) -> "ElevationInputs":
        if self.dem == "local" and self.dem_path is None:
            raise ValueError("dem_path is missing: dem local needs a GeoTIFF, JPEG 2000 or Zarr file with a CRS")
        if self.dem != "local" and self.dem_path is not None:
            raise ValueError(f"dem_path is given for dem {self.dem}: choose dem local, or leave dem_path out")
        return self
