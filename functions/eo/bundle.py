"""How a function of the bundle finds its place: what the template puts into its environment, and its secrets."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eo.errors import AccessDenied, InvalidInput, SourceUnavailable
from eo.settings import CDSE_CONNECTIONS, Settings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider

    from eo.bucket_store import BucketStore
    from eo.job import Plan
    from eo.stage import Stage

SECRETS = ("CDSE_KEY", "CDSE_SECRET", "EARTH_DATA_HUB_KEY")
"""Names that the JSON of the secret may have."""
SECRET_SECONDS = 300
"""How long a function keeps a secret before it asks again: a rotated key is used after that at the latest."""


class Bundle(BaseModel):
    """Where the parts of the deployed bundle are. Every field is read from EO_SHARDS_ and its upper-case name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """The data bucket."""
    state_machine: str = ""
    """ARN of the workflow; only who starts jobs has it."""
    functions: str = ""
    """What the names of all functions begin with; only the plan has it."""
    fetch_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 32
    """Units that fetch from sources without a quota of their own at the same time."""
    cdse_connections: Annotated[int, Field(ge=1, le=100)] = CDSE_CONNECTIONS
    """Units that fetch from the Copernicus Data Space at the same time."""
    compute_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Units on the target grid, over scenes or over tiles, at the same time."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read it. Raises InvalidInput naming the variable."""
        values = {
            name: environ[variable]
            for name in cls.model_fields
            if environ.get(variable := f"EO_SHARDS_{name.upper()}", "").strip()
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_context=False)[0]
            name = str(fault["loc"][0]).upper()
            raise InvalidInput(
                f"environment variable EO_SHARDS_{name}: {fault['msg']}; deploy the bundle again"
            ) from None

    def store(self) -> "BucketStore":
        """The bucket as a store."""
        from eo.bucket_store import BucketStore  # noqa: PLC0415 - brings boto3

        return BucketStore(self.bucket)

    def function(self, plan: "Plan", stage: "Stage") -> str:
        """Name of the function that does a stage's units: the package of its map, with hyphens."""
        package = stage.map.partition(".")[0].replace("_", "-")
        quota = "-cdse" if stage.sources is not None and plan.inputs.get("source") == "cdse" else ""
        return f"{self.functions}-{package}{quota}"

    def concurrency(self, plan: "Plan", stage: "Stage") -> int:
        """Units of a stage that are done at the same time."""
        if stage.over != "blocks":
            return self.compute_concurrency
        return self.cdse_connections if plan.inputs.get("source") == "cdse" else self.fetch_concurrency


def settings() -> Settings:
    """The settings of this function, with the secrets that it may read.

    Raises InvalidInput, AccessDenied where the secret is refused or missing, SourceUnavailable where nobody answers.
    """
    name = os.environ.get("EO_SHARDS_SECRET", "").strip()
    return Settings.from_environment(os.environ | (_secrets(name) if name else {}))


def _secrets(name: str) -> dict[str, str]:
    """The variables in a Secrets Manager secret."""
    from aws_lambda_powertools.utilities.parameters import GetParameterError  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        text = _provider().get(name, max_age=SECRET_SECONDS)
    except GetParameterError as error:
        cause = error.__context__
        code = cause.response.get("Error", {}).get("Code", "") if isinstance(cause, ClientError) else ""
        if code in {"AccessDeniedException", "ResourceNotFoundException", "DecryptionFailure"}:
            raise AccessDenied(
                f"secret {name} cannot be read ({code}): check its name and the function's role"
            ) from None
        raise SourceUnavailable(f"Secrets Manager did not give secret {name} ({code or 'no answer'})") from None
    except BotoCoreError as error:
        raise SourceUnavailable(f"Secrets Manager did not give secret {name} ({type(error).__name__})") from None
    try:
        values = json.loads(str(text))
        return {key: values[key] for key in SECRETS if isinstance(values.get(key), str)}
    except (ValueError, AttributeError):
        raise InvalidInput(f"secret {name} is not a JSON object with {', '.join(SECRETS)}: store it as one") from None


@lru_cache(maxsize=1)
def _provider() -> "SecretsProvider":
    """One for the life of the function: it is what remembers."""
    from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415 - brings boto3

    return SecretsProvider()
