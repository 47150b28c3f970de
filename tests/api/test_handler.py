"""The function on AWS: made with its first request, from its environment."""

import json
import logging
from collections.abc import Iterator

import pytest

import eo.orders
from api import handler
from eo.errors import InvalidInput
from http_api import BOX, EXECUTION, MemoryService, event, user


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    handler._app.cache_clear()
    yield
    handler._app.cache_clear()


def test_an_order_reaches_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    service = MemoryService()
    monkeypatch.setattr(eo.orders, "bucket_service", lambda: service)
    body = json.dumps({"inputs": BOX})
    asked = event("POST", EXECUTION, body, headers={"content-type": "application/json"}, authorizer=user("alice"))
    assert handler.handler(asked, None)["statusCode"] == 201
    assert list(service.owners.values()) == ["arn:aws:iam::123456789012:user/alice"]
    del asked["requestContext"]["authorizer"]
    assert handler.handler(asked, None)["statusCode"] == 401


ACCOUNT = "123456789012"
ROLE = f"arn:aws:sts::{ACCOUNT}:assumed-role"
SSO = f"{ROLE}/AWSReservedSSO_Analyst_0123456789abcdef"


@pytest.mark.parametrize(
    ("arn", "owner"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/team/anna", f"arn:aws:iam::{ACCOUNT}:user/team/anna"),
        (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root"),
        (f"{ROLE}/Analyst/botocore-session-1795256100", f"{ROLE}/Analyst"),
        (f"{ROLE}/Analyst/anna@example.org", f"{ROLE}/Analyst"),
        (f"{ROLE}/Analyst/AWSReservedSSO_x", f"{ROLE}/Analyst"),
        ("arn:aws-cn:sts::123456789012:assumed-role/R/s", "arn:aws-cn:sts::123456789012:assumed-role/R"),
        (f"{SSO}/anna@example.org", f"{SSO}/anna@example.org"),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/anna", f"arn:aws:sts::{ACCOUNT}:federated-user"),
    ],
)
def test_an_owner_is_nothing_that_its_caller_chooses(arn: str, owner: str) -> None:
    """The rest of what API Gateway says of an identity, as of payload 2.0, changes with each session too."""
    iam = {"userArn": arn, "userId": "AROAEXAMPLE:session", "accessKey": "ASIAEXAMPLE", "cognitoIdentity": None}
    assert handler.caller(event("GET", "/jobs", authorizer={"iam": iam})) == owner


def test_users_of_an_identity_pool_are_kept_apart() -> None:
    def pooled(identity: str) -> str:
        cognito = {"amr": ["authenticated"], "identityId": identity, "identityPoolId": "eu-central-1:pool"}
        iam = {"userArn": f"{ROLE}/Pool/CognitoIdentityCredentials", "cognitoIdentity": cognito}
        return handler.caller(event("GET", "/jobs", authorizer={"iam": iam}))

    assert pooled("eu-central-1:1") == "eu-central-1:1"
    assert pooled("eu-central-1:1") != pooled("eu-central-1:2")


def test_local_files_cannot_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eo.orders, "bucket_service", MemoryService)
    body = json.dumps({"inputs": {**BOX, "source": "local", "catalog": "/var/task"}})
    asked = event("POST", EXECUTION, body, headers={"content-type": "application/json"}, authorizer=user("alice"))
    assert handler.handler(asked, None)["statusCode"] == 422


def test_a_deployment_with_something_wrong_answers_and_recovers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> MemoryService:
        raise InvalidInput("environment variable EO_SHARDS_BUCKET: it is not set")

    monkeypatch.setattr(eo.orders, "bucket_service", broken)
    with caplog.at_level(logging.ERROR, "eo-shards-api"):
        answer = handler.handler(event("GET", "/"), None)
    assert answer["statusCode"] == 500
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert "EO_SHARDS_BUCKET" not in answer["body"]
    monkeypatch.setattr(eo.orders, "bucket_service", MemoryService)
    assert handler.handler(event("GET", "/"), None)["statusCode"] == 200
