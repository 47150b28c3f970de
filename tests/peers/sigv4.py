"""AWS Signature Version 4, checked as the receiving end does.

Written from the specification (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html),
not with a client's own signer, so that a client's mistake is not repeated here.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote

if TYPE_CHECKING:
    from peers.web import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in: an S3 error code, and its message."""

    code: str
    message: str
    status: int = 403


@dataclass(frozen=True)
class _Claim:
    """What a request says about its signature, from the Authorization header or a presigned address."""

    credential: str
    signed_headers: str
    signature: str
    date: str
    payload: str


def refusal(request: Request, *, key: str, secret: str, anonymous: bool) -> Refusal | None:
    """Check who sent a request; None lets it in.

    Unsigned requests pass only if `anonymous`; a signature that is there must be right even then, as on AWS.
    """
    claim = _claim(request)
    if claim is None:
        return None if anonymous else Refusal("AccessDenied", "Access Denied")
    claimed_key, _, scope = claim.credential.partition("/")
    if claimed_key != key:
        return Refusal("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
    if not hmac.compare_digest(_signature(request, claim, scope, secret), claim.signature):
        return Refusal(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
        )
    if len(claim.payload) == 64 and claim.payload != hashlib.sha256(request.body).hexdigest():
        return Refusal("XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header is wrong.", 400)
    return None


def _claim(request: Request) -> _Claim | None:
    header = request.headers.get("Authorization")
    if header is not None:
        _, _, rest = header.partition(" ")
        pairs = (part.strip().partition("=") for part in rest.split(","))
        fields = {name: value for name, _, value in pairs}
        return _Claim(
            fields.get("Credential", ""),
            fields.get("SignedHeaders", ""),
            fields.get("Signature", ""),
            request.headers.get("x-amz-date", ""),
            request.headers.get("x-amz-content-sha256", _UNSIGNED),
        )
    query = dict(parse_qsl(request.query))
    if "X-Amz-Signature" in query:
        return _Claim(
            query.get("X-Amz-Credential", ""),
            query.get("X-Amz-SignedHeaders", ""),
            query["X-Amz-Signature"],
            query.get("X-Amz-Date", ""),
            _UNSIGNED,
        )
    return None


def _signature(request: Request, claim: _Claim, scope: str, secret: str) -> str:
    names = claim.signed_headers.split(";")
    headers = "".join(f"{name}:{' '.join((request.headers.get(name) or '').split())}\n" for name in names)
    path = "/".join(_encoded(part) for part in request.target.partition("?")[0].split("/"))
    canonical = "\n".join(
        (request.method, path, _canonical_query(request.query), headers, claim.signed_headers, claim.payload)
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    signing_key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        signing_key = _hmac(signing_key, part)
    return _hmac(signing_key, f"{_ALGORITHM}\n{claim.date}\n{scope}\n{digest}").hex()


def _canonical_query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded if name != "X-Amz-Signature")


def _encoded(text: str) -> str:
    """Encode anew what a client sent: some leave characters as they are that the canonical form escapes."""
    return quote(unquote(text), safe="-_.~")


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
