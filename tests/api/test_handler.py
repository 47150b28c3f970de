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
