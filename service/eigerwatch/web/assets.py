"""Files in memory, compressed once, and how they are answered."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

_FOR_EVER = "public, max-age=31536000, immutable"
_ASKED_EACH_TIME = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that never changes under its name."""

    name: str
    media_type: str
    content: bytes
    compressed: bytes

    @classmethod
    def of(cls, name: str, media_type: str, content: bytes) -> Asset:
        """Return a file with its compressed form."""
        return cls(name, media_type, content, gzip.compress(content, 9, mtime=0))


def digest(*contents: bytes) -> str:
    """Return 16 digits that change with any of the contents."""
    found = hashlib.sha256()
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


def answer(asset: Asset, request: Request, *, for_ever: bool = True) -> Response:
    """Return a file, compressed where the browser takes it so.

    Parameters
    ----------
    for_ever
        The browser need never ask again: the address changes with the content.
    """
    headers = {
        "Cache-Control": _FOR_EVER if for_ever else _ASKED_EACH_TIME,
        "Vary": "Accept-Encoding",
    }
    content = asset.content
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        content = asset.compressed
    return Response(content, media_type=asset.media_type, headers=headers)


def not_found() -> Response:
    """Return the answer to a wrong address."""
    return Response("no such file", 404, media_type="text/plain")
