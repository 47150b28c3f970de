"""The pages for people with a browser, as `make view` builds them of view/ into the folder `web` beside this module.

They hold nothing of anybody's: what they show they ask the API for, as the reader. So they need no authentication.
"""

import gzip
import re
from functools import lru_cache
from http import HTTPStatus
from pathlib import Path

from aws_lambda_powertools.event_handler import Response

from api.problem import Refusal

WEB = Path(__file__).with_name("web")
LANDING, VIEW = "index.html", "jobs/job/view.html"
"""Each lies as deep as the address that gives it, for its links are relative."""
HTML = "text/html; charset=utf-8"
KINDS = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    # A JSON type that powertools does not take for something to be serialised (WHATWG MIME Sniffing, 4.6).
    ".json": "text/json; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
FOREVER = "public, max-age=31536000, immutable"
"""Of files with a digest in their names (RFC 8246)."""
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")


def built() -> bool:
    """Whether the pages are there: a checkout without Node has none."""
    return (WEB / LANDING).is_file()


def page(name: str, *, elsewhere: bool) -> Response[str]:
    """A page; `elsewhere` lets it read files of other servers, as results behind presigned links are. Raises 404."""
    if not built():
        raise Refusal(
            HTTPStatus.NOT_FOUND, "the pages are not built here; run `make view` (it needs Node.js 20 or newer)"
        )
    headers = {**_guarded(elsewhere=elsewhere), "Cache-Control": "no-cache"}
    return Response(HTTPStatus.OK, HTML, (WEB / name).read_text(), headers=headers)


def static(name: str, accepted: str | None) -> Response[bytes]:
    """A file of the pages, by its Accept-Encoding compressed. Raises 404."""
    path = WEB / "static" / name
    if not NAME.fullmatch(name) or path.suffix not in KINDS or not path.is_file():
        raise Refusal(HTTPStatus.NOT_FOUND, f"the pages have no file {name[:100]!r}; load the page again")
    headers = {**_guarded(elsewhere=False), "Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    if "gzip" in (accepted or ""):
        headers["Content-Encoding"] = "gzip"
        return Response(HTTPStatus.OK, KINDS[path.suffix], _compressed(path), headers=headers)
    return Response(HTTPStatus.OK, KINDS[path.suffix], path.read_bytes(), headers=headers)


@lru_cache(maxsize=32)
def _compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), mtime=0)


def _guarded(*, elsewhere: bool) -> dict[str, str]:
    """What a page may do: run its own scripts, and read its own origin and, where results lie there, HTTPS."""
    others = " https:" if elsewhere else ""
    policy = {
        "default-src": "'none'",
        # laz-perf is WebAssembly.
        "script-src": "'self' 'wasm-unsafe-eval'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self'{others}",
        "connect-src": f"'self'{others}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        # An address of a result may be a secret: who has it has the file.
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
