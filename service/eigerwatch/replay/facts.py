"""Single facts of a header, checked."""

from __future__ import annotations

from typing import Any


def whole(header: dict[str, Any], name: str) -> int | None:
    """Return a header field as a positive whole number, or None."""
    value = header.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if value >= 1 else None


def seconds(header: dict[str, Any], name: str) -> float | None:
    """Return a header field as a plausible time [s], or None."""
    value = header.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 < value < 1e6 else None


def announced(header: dict[str, Any]) -> int | None:
    """Return how many images the detector was armed for, or None."""
    images = whole(header, "nimages")
    return None if images is None else images * (whole(header, "ntrigger") or 1)
