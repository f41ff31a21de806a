"""Who may talk to the service, and what the page may do."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def same_origin(headers: Headers, allowed_hosts: Sequence[str]) -> bool:
    """Return whether a browser's request comes from our own page.

    Programs other than browsers send no Origin and pass. Behind a proxy Host may
    differ from what the browser sees; then the origin's name must be an allowed one.
    """
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    try:
        given = urlsplit(origin)
        host = urlsplit(f"//{headers.get('host', '')}")
        if given.scheme not in ("http", "https") or not given.hostname:
            return False
        if given.hostname == host.hostname:
            return given.netloc.lower() == host.netloc.lower()
    except ValueError:
        return False
    return any(_matches(given.hostname, allowed) for allowed in allowed_hosts)


def _matches(hostname: str, allowed: str) -> bool:
    allowed = allowed.lower().strip("[]")
    if allowed.startswith("*."):
        return hostname.endswith(allowed[1:])
    return allowed == hostname


class Guard:
    """Refuses cross-site writes and adds the security headers to every answer."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str], policy: str) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts
        self._headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if "cache-control" not in headers:
                    headers["Cache-Control"] = "no-store"
            await send(message)

        writes = scope["method"] not in SAFE_METHODS
        if writes and not same_origin(Headers(scope=scope), self._allowed_hosts):
            answer = JSONResponse({"detail": "another site may not do this"}, 403)
            await answer(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)
