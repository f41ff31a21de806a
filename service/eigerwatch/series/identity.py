"""Series keys: unique for ever, safe in Redis keys, URLs and file names."""

from __future__ import annotations

import hashlib
import re

from eigerwatch.model import SeriesStart, SourceKind

_SAFE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def safe_word(text: str) -> str:
    """Return `text` if it is harmless, else a readable stand-in with a digest."""
    if _SAFE.fullmatch(text):
        return text
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:24].strip("-")
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
    return f"{kept}-{digest}" if kept else digest


def series_key(
    source: SourceKind,
    series_id: int,
    series_unique_id: str | None,
    start: SeriesStart | None,
    arrived_ms: int,
) -> str:
    """Return the key of a series, ``<source>:<id>``.

    Parameters
    ----------
    source
        Where it comes from.
    series_id
        The detector's own number, which restarts with every initialisation.
    series_unique_id
        Stream v2's unique id; it makes the key where there is one.
    start
        The header, or None where START was missed.
    arrived_ms
        UTC epoch of its first message [ms].
    """
    if series_unique_id:
        return f"{source.value}:{safe_word(series_unique_id)}"
    serial = start.serial if start else None
    return f"{source.value}:{safe_word(serial or 'noheader')}-{arrived_ms}-{series_id}"
