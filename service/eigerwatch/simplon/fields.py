"""Fields of foreign messages: type and range checks, and what is safe to pass on."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from eigerwatch.model import Buffer
from eigerwatch.simplon.cbor import Tag

MAX_INTEGER = 2**63 - 1
MAX_CHANNELS = 8
"""Channels of one series; detectors have up to four thresholds and a difference."""

SHORTEST_S = 1e-9
LONGEST_S = 86_400.0
"""Limits of a believable frame or exposure time."""

MAX_DEPTH = 6
MAX_ENTRIES = 256
MAX_TEXT = 4096
MAX_JSON = 65_536
"""Most JSON that is kept of one header, and of its user data [bytes]."""
CUT = "\u2026"
"""Stands where something was left out; in a map it is key and value."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def whole(value: object) -> int | None:
    """Return `value` if it is an integer from 0 to 2^63 - 1, which bool is not."""
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    if type(value) is float and value.is_integer() and 0 <= value < 2**53:
        return int(value)
    return None


def seconds(value: object) -> float | None:
    """Return `value` as seconds if a frame or an exposure can last that long."""
    if type(value) is not float and type(value) is not int:
        return None
    if not SHORTEST_S <= value <= LONGEST_S:  # also false for NaN
        return None
    return float(value)


def nanoseconds(rational: object) -> int | None:
    """Return [numerator, denominator] of seconds as integer ns, None if it is none."""
    if not isinstance(rational, list) or len(rational) != 2:
        return None
    numerator, denominator = rational
    if (
        type(numerator) is not int
        or type(denominator) is not int
        or numerator < 0
        or denominator <= 0
    ):
        return None
    return whole((numerator * 1_000_000_000 + denominator // 2) // denominator)


def text(value: object) -> str | None:
    """Return `value` if it is text and not empty, cut to 256 characters."""
    return _encodable(value[:256]) if isinstance(value, str) and value else None


def name(value: object) -> str | None:
    """Return `value` if it can stand in a store key or an address as it is."""
    return value if isinstance(value, str) and _NAME.fullmatch(value) else None


def plain(value: object, budget: int = MAX_JSON) -> Any:
    """Return `value` as something JSON can carry, cut down to a sane size.

    Bytes become ``"<n bytes>"``, numbers JSON cannot express null, integers beyond
    64 bits text; tags are left out. What is too long, too deep or beyond the budget
    is replaced by `CUT`; what lies deeper gives way first.

    Parameters
    ----------
    budget
        Most bytes of JSON, all levels together.
    """
    root: list[Any] = []
    # Level by level: one huge branch does not push out what stands beside it.
    level: deque[tuple[Any, Any, int]] = deque([((value,), root, 0)])
    while level:
        source, target, depth = level.popleft()
        is_map = isinstance(source, Mapping)
        taken = 0
        for key, entry in islice(
            source.items() if is_map else enumerate(source), MAX_ENTRIES
        ):
            label = _encodable(str(key)[:256]) if is_map else ""
            item, inner = _one(entry, depth)
            budget -= _cost(item) + (_cost(label) if is_map else 0)
            if budget < 0:
                break
            if is_map:
                target[label] = item
            else:
                target.append(item)
            if inner:
                level.append((inner, item, depth + 1))
            taken += 1
        if taken < len(source):
            if is_map:
                target[CUT] = CUT
            else:
                target.append(CUT)
    return root[0]


def plain_text(part: Buffer) -> str:
    """Return bytes that should be text as text; what is not text becomes U+FFFD."""
    told = bytes(part[:MAX_TEXT]).decode("utf-8", "replace")
    return told if len(part) <= MAX_TEXT else told + CUT


def _one(value: object, depth: int) -> tuple[Any, Any]:
    """Return what JSON shows of one value, and what is still to be filled into it."""
    while isinstance(value, Tag):
        value = value.value
    if value is None or isinstance(value, bool):
        return value, None
    if isinstance(value, int):
        if -(2**63) <= value < 2**64:
            return value, None
        return f"<integer of {value.bit_length()} bits>", None
    if isinstance(value, float):
        return (value if math.isfinite(value) else None), None
    if isinstance(value, str):
        told = _encodable(value[:MAX_TEXT])
        return (told if len(value) <= MAX_TEXT else told + CUT), None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>", None
    if not isinstance(value, (Mapping, list, tuple)):
        return f"<{type(value).__name__}>", None
    if depth >= MAX_DEPTH:
        return CUT, None
    return ({} if isinstance(value, Mapping) else []), value


def _cost(shown: object) -> int:
    """Return the bytes of JSON that a value takes in its structure, at most."""
    if isinstance(shown, str):
        return len(json.dumps(shown)) + 2
    if isinstance(shown, (dict, list)):
        return 24  # brackets, and room for `CUT`, which a map needs twice
    return len(repr(shown)) + 2


def _encodable(value: str) -> str:
    # JSON escapes can smuggle in lone surrogates, which no UTF-8 writer takes.
    return value.encode("utf-8", "replace").decode("utf-8")
