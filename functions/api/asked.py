"""What an HTTP request asks for: media types, addresses, bodies."""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from api.problem import Refusal
from eo.errors import InvalidInput
from eo.strict_json import parse, storable

JSON = "application/json"
MAX_BODY = 6_000_000
"""Bytes of a request: what a synchronous call of a function may carry (AWS Lambda quotas, 6 MB)."""


def media_type(accept: str | None, offered: Sequence[str]) -> str:
    """The best of the offered media types (RFC 9110, 12.5.1), the first of equals. Raises 406 where none will do."""
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [_range(part) for part in accept.split(",")]
    best = max(offered, key=lambda kind: _quality(kind, ranges))
    if _quality(best, ranges) > 0:
        return best
    raise Refusal(
        HTTPStatus.NOT_ACCEPTABLE,
        f"Accept {accept[:100]!r} leaves out what there is: {', '.join(offered)}; name one of these, or send no Accept",
    )


def body(event: Mapping[str, Any]) -> bytes:
    """The bytes of a request's body. Raises 400 where it is no base64 but says so, 413 where it is too large."""
    text = event.get("body") or ""
    try:
        data = base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()
    except (binascii.Error, ValueError):
        raise Refusal(HTTPStatus.BAD_REQUEST, "the body is not readable; send JSON in UTF-8") from None
    if len(data) > MAX_BODY:
        raise too_large(len(data))
    return data


def too_large(size: int) -> Refusal:
    """The refusal of a body of so many bytes."""
    return Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body has {size:,} bytes, more than {MAX_BODY:,}; an order needs a few hundred",
    )


def json_document(data: bytes, content_type: str | None) -> Any:  # noqa: ANN401 - whatever JSON there is
    """A body as JSON. Raises 415 where it is said to be something else, 400 where it is not JSON."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise Refusal(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {(content_type or '')[:100]!r} is not taken; send JSON as {JSON}",
            headers={"Accept": JSON},
        )
    try:
        document = parse(data, "the body")
        storable(document, "the body")
    except InvalidInput as error:
        raise Refusal(HTTPStatus.BAD_REQUEST, str(error)) from None
    return document


def _range(text: str) -> tuple[str, float]:
    """A media range with its weight, 0 where the weight is not readable."""
    kind, *parameters = (part.strip() for part in text.lower().split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return kind, float(value) if re.fullmatch(r"[01](\.\d{0,3})?", value.strip()) else 0.0
    return kind, 1.0


def _quality(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The weight of the most specific range that a media type lies in; 0 where there is none."""
    bare = kind.partition(";")[0]
    for wanted in (bare, f"{bare.partition('/')[0]}/*", "*/*"):
        weights = [weight for each, weight in ranges if each == wanted]
        if weights:
            return max(weights)
    return 0.0


def base_url(event: Mapping[str, Any]) -> str:
    """The address under which the caller reached the service, without a slash at its end."""
    context = event["requestContext"]
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    scheme = "http" if headers.get("x-forwarded-proto") == "http" else "https"
    stage = context.get("stage", "$default")
    under = f"/{stage}" if stage != "$default" and str(event["rawPath"]).startswith(f"/{stage}") else ""
    return f"{scheme}://{context['domainName']}{under}"
