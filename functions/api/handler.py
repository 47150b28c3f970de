"""The function `api`: the bundle's HTTP door on AWS."""

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from api.app import App, make_app
from api.problem import Refusal, as_event, unexpected
from eo.settings import Settings

SESSION = re.compile(r"(arn:[^:]+:sts:[^:]*:[0-9]*:(?:assumed-role/(?!AWSReservedSSO_)[^/]+|federated-user))/")
"""An ARN of temporary credentials up to their session, which whoever takes them names as he likes."""


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer one request of the HTTP API."""
    try:
        app = _app()
    except Exception as error:  # noqa: BLE001 - the caller cannot help it: a problem, and the next request tries again
        return as_event(unexpected(error, Settings(), str(getattr(context, "aws_request_id", ""))))
    return app(event, context)


def caller(event: Mapping[str, Any]) -> str:
    """Who asks, as API Gateway has found out.

    With a token its issuer and subject; with a signature the identity of a Cognito identity pool where there is one, and
    else the ARN of the IAM user, or of the role without the session: that is a name of the caller's choice, or a new one
    every hour. So those who share a role share its jobs; only in roles of IAM Identity Center (`AWSReservedSSO_`) is it
    the user's name, which AWS sets, and kept.

    Raises 401 where it names nobody: jobs of nobody would be everybody's.
    """
    authorizer = event["requestContext"].get("authorizer") or {}
    iam = authorizer.get("iam") or {}
    identity = (iam.get("cognitoIdentity") or {}).get("identityId")
    if identity:
        return str(identity)
    arn = str(iam.get("userArn") or "")
    if arn:
        session = SESSION.match(arn)
        return session[1] if session else arn
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
