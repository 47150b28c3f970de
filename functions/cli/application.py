"""The API's application behind a server of this machine: requests become the events that API Gateway would send."""

import base64
import threading
import uuid
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

from api.app import App


class Application:
    """Answers requests, one at a time as a function does."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._one_at_a_time = threading.Lock()

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> dict[str, Any]:
        """The answer, in the form of a function's."""
        event = _event(method, target, headers, body)
        with self._one_at_a_time:
            return self._app(event, None)


def _event(method: str, target: str, headers: Message, body: bytes) -> dict[str, Any]:
    """A request as API Gateway hands it to a function (HTTP API, payload format 2.0)."""
    path, _, query = target.partition("?")
    try:
        text, encoded = body.decode(), False
    except UnicodeDecodeError:
        text, encoded = base64.b64encode(body).decode(), True
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": _joined((name.lower(), value) for name, value in headers.items()) | {"x-forwarded-proto": "http"},
        "queryStringParameters": _joined(parse_qsl(query, keep_blank_values=True)),
        "requestContext": {
            "domainName": headers["Host"],
            "requestId": uuid.uuid4().hex,
            "stage": "$default",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"},
        },
        "body": text,
        "isBase64Encoded": encoded,
    }


def _joined(pairs: Any) -> dict[str, str]:  # noqa: ANN401 - what headers and queries give
    """Pairs of one name as one, their values with commas between them."""
    result: dict[str, str] = {}
    for name, value in pairs:
        result[name] = f"{result[name]},{value}" if name in result else value
    return result
