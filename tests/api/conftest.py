import pytest

from http_api import Client, MemoryService, app_of, user


@pytest.fixture
def service() -> MemoryService:
    return MemoryService()


@pytest.fixture
def alice(service: MemoryService) -> Client:
    return Client(app_of(service), user("alice"))


@pytest.fixture
def bob(service: MemoryService) -> Client:
    return Client(app_of(service), user("bob"))


@pytest.fixture
def nobody(service: MemoryService) -> Client:
    return Client(app_of(service), None)
