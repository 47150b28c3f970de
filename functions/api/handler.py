"""The function `api`: the bundle's HTTP door on AWS."""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from api.app import App, make_app
from api.problem import Refusal, as_event, unexpected
from eo.settings import Settings


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        app = _app()
    except Exception as error:  # noqa: BLE001 - the caller cannot help it: a problem, and the next request tries again
        return as_event(unexpected(error, Settings(), str(getattr(context, "aws_request_id", ""))))
    return app(event, context)


def caller(event: Mapping[str, Any]) -> str:
    """Who asks, as API Gateway has found out: an ARN of IAM, or issuer and subject of a token.

    Raises 401 where it names nobody: jobs of nobody would be everybody's.
    """
    authorizer = event["requestContext"].get("authorizer") or {}
    arn = (authorizer.get("iam") or {}).get("userArn")
    if arn:
        return str(arn)
    claims = (authorizer.get("jwt") or {}).get("claims") or {}
    if claims.get("iss") and claims.get("sub"):
        return f"{claims['iss']}|{claims['sub']}"
    raise Refusal(
        HTTPStatus.UNAUTHORIZED,
        "nobody is named who asks; sign the request (AWS Signature Version 4, service execute-api), or send a token",
        headers={"WWW-Authenticate": "AWS4-HMAC-SHA256, Bearer"},
    )


@lru_cache(maxsize=1)
def _app() -> App:
    """Made with the first request, so that a deployment with something wrong in it answers all the same."""
    # Imported here: the door opens without AWS, for tests and for whoever reads the description of the API.
    from eo.orders import bucket_service  # noqa: PLC0415

    settings = Settings.from_environment()
    return make_app(bucket_service(), settings=settings, owner=caller, local_files=False)
