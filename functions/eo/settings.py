"""What the operator sets through the environment: endpoints, limits and secrets. Never part of a job's inputs."""

import base64
import os
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from eo.errors import InvalidInput

CDSE_CONNECTIONS = 4
"""Connections that one Copernicus Data Space account may hold, over all its jobs (its published quota)."""
EARTH_DATA_HUB_USER = "edh"
"""User name of the Earth Data Hub's basic authentication; the password is the personal token."""

BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"
"""Names of buckets."""

_PRINTABLE = frozenset(string.digits + string.ascii_letters + string.punctuation)


def _url(value: str) -> str:
    """An absolute http(s) URL without credentials, without a trailing slash."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
        _ = parts.port  # raises where it is not a number
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise ValueError("expected an absolute URL with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password: put secrets into their own variables instead")
    if parts.query or parts.fragment:
        raise ValueError("expected a URL without ? and #")
    return value.rstrip("/")


def _urls(value: object) -> object:
    """A comma-separated list, as the environment holds it."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _secret(value: SecretStr) -> SecretStr:
    """A secret without the line break that a copy brings along; characters no header can carry are refused."""
    text = value.get_secret_value().strip()
    if not set(text) <= _PRINTABLE:
        raise ValueError("it holds spaces, line breaks or characters outside ASCII: copy it again")
    return SecretStr(text)


Url = Annotated[str, AfterValidator(_url)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]


class Settings(BaseModel):
    """Operator settings. Every field is read from the variable of its upper-case name or alias."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, hide_input_in_errors=True)

    cdse_stac_url: Url = "https://stac.dataspace.copernicus.eu/v1"
    """STAC API of the Copernicus Data Space."""
    cdse_s3_endpoint: Url = "https://eodata.dataspace.copernicus.eu"
    """S3 endpoint of the Copernicus Data Space."""
    cdse_s3_bucket: Annotated[str, Field(pattern=BUCKET)] = "eodata"
    """The only bucket that is read there."""
    earth_search_url: Url = "https://earth-search.aws.element84.com/v1"
    """STAC API of earth-search."""
    earth_search_data_urls: Annotated[tuple[Url, ...], BeforeValidator(_urls), Field(min_length=1)] = (
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com",
        "https://e84-earth-search-sentinel-data.s3.us-west-2.amazonaws.com",
    )
    """The only places from which its assets are read, comma-separated."""
    earth_data_hub_url: Url = "https://data.earthdatahub.destine.eu/copernicus-dem/GLO-30-v1.zarr"
    """Zarr store of the Copernicus DEM GLO-30."""
    cop_dem_30_url: Url = "https://copernicus-dem-30m.s3.eu-central-1.amazonaws.com"
    """GLO-30 as COGs."""
    cop_dem_90_url: Url = "https://copernicus-dem-90m.s3.eu-central-1.amazonaws.com"
    """GLO-90 as COGs, whose list tells sea from withheld land."""

    cdse_key: Secret | None = None
    """S3 access key of a Copernicus Data Space account."""
    cdse_secret: Secret | None = None
    """Its secret key."""
    earth_data_hub_key: Secret | None = None
    """Personal token of the Earth Data Hub."""

    cdse_connections: Annotated[int, Field(alias="EO_SHARDS_CDSE_CONNECTIONS", ge=1, le=100)] = CDSE_CONNECTIONS
    """Connections to the Copernicus Data Space at a time, over all jobs; fewer where others use the account too."""
    bucket: Annotated[str | None, Field(alias="EO_SHARDS_BUCKET", pattern=BUCKET)] = None
    """The data bucket of the bundle; connections are leased there, over all functions. Unset on a machine of its own."""
    lease_seconds: Annotated[float, Field(alias="EO_SHARDS_LEASE_SECONDS", ge=1, le=3600, allow_inf_nan=False)] = 960
    """How long a leased connection is kept for a holder that has died: a little more than any function may run."""

    home: Annotated[Path, Field(alias="EO_SHARDS_HOME")] = Path("~/.local/state/eo-shards")
    """Folder of the jobs and their scratch space."""
    workers: Annotated[int, Field(alias="EO_SHARDS_WORKERS", ge=1, le=1024)] = 1
    """Worker processes of the local engine; the number of CPUs where the environment does not say."""
    worker_memory: Annotated[int, Field(alias="EO_SHARDS_WORKER_MEMORY", ge=64, le=1_000_000)] = 600
    """Memory that one worker may use, in MB (10^6 bytes): plans keep the units below it.

    The hard limit that stops a runaway (RLIMIT_DATA, see eo.engine) is twice as much.
    """
    function_memory: Annotated[int | None, Field(alias="EO_SHARDS_FUNCTION_MEMORY", ge=128, le=10_240)] = None
    """Memory in MB (2^20 bytes) that is configured for the functions that do units, which is what AWS Lambda bills."""
    chunk: Annotated[int, Field(alias="EO_SHARDS_CHUNK", ge=16, le=8192)] = 1024
    """Edge of the cube's chunks in pixels. A power of two, or the nodes of a COPC lie across shards, which the fan-in pays for."""
    retry_attempts: Annotated[int, Field(alias="EO_SHARDS_RETRY_ATTEMPTS", ge=1, le=20)] = 6
    """How often a remote request is tried in all."""
    retry_delay: Annotated[float, Field(alias="EO_SHARDS_RETRY_DELAY", ge=0, le=60, allow_inf_nan=False)] = 1.0
    """First delay in seconds; it doubles with every attempt, with jitter."""
    retry_max_delay: Annotated[float, Field(alias="EO_SHARDS_RETRY_MAX_DELAY", ge=0, le=900, allow_inf_nan=False)] = (
        60.0
    )
    """Longest delay in seconds, also of a Retry-After."""
    timeout: Annotated[float, Field(alias="EO_SHARDS_TIMEOUT", gt=0, le=600, allow_inf_nan=False)] = 30.0
    """Seconds to wait for a connection and between two pieces of an answer."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings; an empty variable counts as not set. Raises InvalidInput naming the variable."""
        state = environ.get("XDG_STATE_HOME", "")
        # The XDG specification says that a relative path in it is to be ignored.
        base = Path(state) if state and Path(state).is_absolute() else Path("~/.local/state")
        values: dict[str, object] = {"EO_SHARDS_HOME": base / "eo-shards", "EO_SHARDS_WORKERS": os.cpu_count() or 1}
        for field, info in cls.model_fields.items():
            name = info.alias or field.upper()
            if environ.get(name, "").strip():
                values[info.alias or field] = environ[name].strip()
        values["EO_SHARDS_HOME"] = Path(str(values["EO_SHARDS_HOME"])).expanduser().absolute()
        try:
            settings = cls.model_validate(values)
        except ValidationError as error:
            raise InvalidInput(_explain(error, environ)) from None
        if (settings.cdse_key is None) != (settings.cdse_secret is None):
            missing = "CDSE_KEY" if settings.cdse_key is None else "CDSE_SECRET"
            raise InvalidInput(f"environment variable {missing} is not set, but its other half is: set both or neither")
        return settings

    def secrets(self) -> list[str]:
        """The values that must never be seen, longest first."""
        values = [self.cdse_key, self.cdse_secret, self.earth_data_hub_key]
        return sorted((v.get_secret_value() for v in values if v is not None), key=len, reverse=True)


def redact(text: str, settings: Settings) -> str:
    """Replace every secret by ***, also where it is percent-encoded or in a basic authentication header."""
    for secret in settings.secrets():
        basic = base64.b64encode(f"{EARTH_DATA_HUB_USER}:{secret}".encode()).decode()
        for form in (basic, secret, quote(secret, safe="")):
            text = text.replace(form, "***")
    return text


def _explain(error: ValidationError, environ: Mapping[str, str]) -> str:
    """The first fault as "variable, value, limit"; a value that may hold a secret is not shown."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = str(fault["loc"][0])
    info = Settings.model_fields.get(field)
    name = (info.alias if info else None) or (field if field.startswith("EO_SHARDS_") else field.upper())
    # Numbers and names are shown; URLs and secrets are not, because credentials may stand in them.
    shown = f"={environ.get(name, '')[:60]!r}" if name.startswith("EO_SHARDS_") or name == "CDSE_S3_BUCKET" else ""
    reason = fault["msg"].removeprefix("Value error, ")
    return f"environment variable {name}{shown}: {reason[:1].lower()}{reason[1:]}"
