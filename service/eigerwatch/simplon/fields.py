"""Fields of foreign messages: type and range checks, and what is safe to pass on."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from eigerwatch.model import Buffer
from eigerwatch.simplon.cbor import Tag

MAX_INTEGER = 2**63 - 1
MAX_CHANNELS = 8
"""Channels of one series; detectors have up to four thresholds and a difference."""

MAX_DEPTH = 6
MAX_ENTRIES = 256
MAX_TEXT = 4096

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def whole(value: object) -> int | None:
    """Return `value` if it is an integer from 0 to 2^63 - 1, which bool is not."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    if type(value) is float and value.is_integer() and 0 <= value < 2**53:
        return int(value)
    return None


def seconds(value: object) -> float | None:
    """Return `value` as a positive finite number of seconds."""
    if type(value) is not float and type(value) is not int:
        return None
    if not 0 < value < 1e9:  # also false for NaN
        return None
    return float(value)


def text(value: object) -> str | None:
    """Return `value` if it is text and not empty, cut to 256 characters."""
    return _encodable(value[:256]) if isinstance(value, str) and value else None


def name(value: object) -> str | None:
    """Return `value` if it can stand in a store key or an address as it is."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def plain(value: object, depth: int = 0) -> Any:
    """Return `value` as something JSON can carry, cut down to a sane size.

    Bytes become ``"<n bytes>"``, numbers JSON cannot express null, integers beyond
    64 bits text; tags are left out. Long or deep structures are cut.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return (
            value
            if -(2**63) <= value < 2**64
            else f"<integer of {value.bit_length()} bits>"
        )
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _encodable(value[:MAX_TEXT])
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    if isinstance(value, Tag):
        return plain(value.value, depth)
    if depth >= MAX_DEPTH:
        return "..."
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_ENTRIES]
        return {_encodable(str(k)[:256]): plain(v, depth + 1) for k, v in items}
    if isinstance(value, (list, tuple)):
        return [plain(v, depth + 1) for v in value[:MAX_ENTRIES]]
    return f"<{type(value).__name__}>"


def plain_text(part: Buffer) -> str:
    """Return bytes that should be text as text; what is not text becomes U+FFFD."""
    return bytes(part[:MAX_TEXT]).decode("utf-8", "replace")


def _encodable(value: str) -> str:
    # JSON escapes can smuggle in lone surrogates, which no UTF-8 writer takes.
    return value.encode("utf-8", "replace").decode("utf-8")
