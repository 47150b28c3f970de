"""Executions of the workflow: one for each attempt at a job, named `<job>-<attempt>`, so that a start is idempotent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from eo.errors import AccessDenied, RateLimited, SourceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

THROTTLED = {"ThrottlingException", "ExecutionLimitExceeded", "TooManyRequestsException", "RequestLimitExceeded"}
REFUSED = {"AccessDeniedException", "StateMachineDoesNotExist", "UnrecognizedClientException", "ExpiredTokenException"}


class Executions(Protocol):
    """What the job service needs of a workflow engine."""

    def start(self, job: str, attempt: int) -> None:
        """Start an attempt, once, however often it is asked for."""
        ...

    def stop(self, job: str, attempt: int) -> None:
        """Stop an attempt, where it runs."""
        ...

    def state(self, job: str, attempt: int) -> str | None:
        """RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; None where it was never started."""
        ...


class StepFunctions:
    """Executions of one state machine of AWS Step Functions. All raise RateLimited, AccessDenied and SourceUnavailable."""

    def __init__(self, machine: str) -> None:
        self._machine = machine

    def start(self, job: str, attempt: int) -> None:
        """Start an attempt; one of this name that runs or has ended is left alone."""
        given = json.dumps({"job": job, "attempt": attempt})
        with _told(), suppress(_client().exceptions.ExecutionAlreadyExists):
            _client().start_execution(stateMachineArn=self._machine, name=f"{job}-{attempt}", input=given)

    def stop(self, job: str, attempt: int) -> None:
        """Stop an attempt, where it runs."""
        with _told(), suppress(_client().exceptions.ExecutionDoesNotExist):
            _client().stop_execution(
                executionArn=self._execution(job, attempt), error="Dismissed", cause="dismissed by its owner"
            )

    def state(self, job: str, attempt: int) -> str | None:
        """What became of an attempt."""
        with _told(), suppress(_client().exceptions.ExecutionDoesNotExist):
            return _client().describe_execution(executionArn=self._execution(job, attempt))["status"]
        return None

    def _execution(self, job: str, attempt: int) -> str:
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{job}-{attempt}"


@lru_cache(maxsize=1)
def _client() -> "SFNClient":
    client: SFNClient = boto3.client(
        "stepfunctions",
        # Less in all than the 29 s that the API's function has, so that its caller hears what was done.
        config=Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}),
    )
    return client


@contextmanager
def _told() -> Iterator[None]:
    """Failures of the service as our own."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in THROTTLED:
            raise RateLimited(f"the workflow service asks for fewer requests ({code}); try again later") from None
        if code in REFUSED:
            raise AccessDenied(f"the workflow cannot be used ({code}); deploy the bundle again") from None
        raise SourceUnavailable(f"the workflow service failed ({code}); try again later") from None
    except BotoCoreError as error:
        raise SourceUnavailable(f"the workflow service did not answer ({type(error).__name__}); try again") from None
